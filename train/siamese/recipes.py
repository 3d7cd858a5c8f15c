"""Recipes: the settings of the published Siamese runs and of ours."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from engines.errors import UserError
from train.siamese.losses import LOSSES
from train.siamese.networks import SiameseConfig

OPTIMIZERS = ("sgd", "adam")


@dataclass(frozen=True)
class SiameseRecipe:
    """Settings of one Siamese run.

    Attributes:
        model: Network and similarity.
        loss: One of LOSSES. "bce" needs the weighted L1 or the cosine similarity, "contrastive"
            and "triplet" the Euclidean one, "cosface" the cosine.
        margin: Margin of the loss, except "bce".
        scale: Scale of "cosface".
        published_start: Initialise as Koch et al. (2015) did, not as PyTorch does.
        optimizer: "sgd" or "adam". The momentum of SGD is 0.9; without `one_cycle` it rises from
            0.5 to that over twenty epochs.
        learning_rate: The learning rate, or its maximum with `one_cycle`.
        one_cycle: The learning rate rises and falls once over the run.
        decay: Factor of the learning rate per epoch, without `one_cycle`.
        l2_convolutions: λ of λ‖w‖² on the weights of convolutions.
        l2_features: λ of λ‖w‖² on the weights of dense layers.
        batch: Pairs per batch, or triplets, or pictures for "cosface".
        steps: Batches per epoch; each epoch ends with a validation.
        epochs: The most epochs to train.
        patience: Epochs without a better validation before training stops.
        min_delta: The least increase of the validation score that counts as better.
        ways: Classes of the one-shot test at each validation.
        trials: Episodes of that test.
        within_groups: Pairs of different classes come from one group (alphabet or set).
        turns: A picture turned by 90°, 180° or 270° is a class of its own.
        warp: "none", "affine" (as published) or "elastic".
        bfloat16: Train convolutions in bfloat16, three to four times as fast where supported.
        seed: Seed of initialisation, batches and validation.
    """

    model: SiameseConfig
    loss: str = "bce"
    margin: float = 1.0
    scale: float = 24.0
    published_start: bool = True
    optimizer: str = "sgd"
    learning_rate: float = 1e-2
    one_cycle: bool = False
    decay: float = 0.99
    l2_convolutions: float = 2e-4
    l2_features: float = 1e-3
    batch: int = 32
    steps: int = 200
    epochs: int = 100
    patience: int = 20
    min_delta: float = 0.0
    ways: int = 20
    trials: int = 250
    within_groups: bool = False
    turns: bool = False
    warp: str = "none"
    bfloat16: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        similarity = self.model.similarity
        fits = {
            "bce": similarity != "euclidean",
            "contrastive": similarity == "euclidean",
            "triplet": similarity == "euclidean",
            "cosface": similarity == "cosine",
        }
        if self.loss not in LOSSES or self.optimizer not in OPTIMIZERS:
            raise UserError(
                f"A loss is one of {', '.join(LOSSES)} and an optimizer one of "
                f"{', '.join(OPTIMIZERS)}; got {self.loss!r} and {self.optimizer!r}."
            )
        if not fits[self.loss]:
            raise UserError(
                f"The loss {self.loss} can't train the similarity {similarity}: bce goes with "
                "weighted_l1, contrastive and triplet with euclidean, cosface with cosine."
            )


KOCH = SiameseRecipe(SiameseConfig("koch"), warp="affine")
ASL = SiameseRecipe(
    SiameseConfig("asl-1024"),
    published_start=False,
    optimizer="adam",
    learning_rate=1e-3,
    one_cycle=True,
    l2_convolutions=1e-5,  # with the published L2 it learns nothing in so few iterations
    l2_features=1e-4,
    batch=64,
    steps=100,
    epochs=10,
    patience=10,
    bfloat16=True,
)
FACE = SiameseRecipe(
    SiameseConfig("face"),
    published_start=False,
    optimizer="adam",
    learning_rate=1e-3,
    decay=1.0,
    l2_convolutions=1e-5,  # see ASL
    l2_features=1e-5,
    steps=70,  # one pass over LFW's 2,200 training pairs
    epochs=20,
    patience=5,
    bfloat16=True,
)
GALLERY = SiameseRecipe(
    SiameseConfig("face-reduced", "euclidean"),
    loss="contrastive",
    published_start=False,
    optimizer="adam",
    learning_rate=5e-4,
    decay=1.0,
    steps=50,
    epochs=20,
    patience=6,
    bfloat16=True,
)
MODERN = SiameseRecipe(
    SiameseConfig("residual", "cosine"),
    loss="cosface",
    margin=0.25,
    published_start=False,
    learning_rate=0.1,
    one_cycle=True,
    l2_convolutions=2.5e-4,
    l2_features=2.5e-4,
    batch=128,
    epochs=36,
    patience=36,
    trials=100,
    turns=True,
    warp="elastic",
    bfloat16=True,
)
HANDS = SiameseRecipe(
    SiameseConfig("asl-1024"),
    published_start=False,
    optimizer="adam",
    learning_rate=1e-3,
    one_cycle=True,
    l2_convolutions=1e-5,
    l2_features=1e-5,
    batch=64,
    epochs=20,
    patience=20,
    ways=10,
    within_groups=True,
    warp="affine",
    bfloat16=True,
)
EUCLIDEAN = SiameseConfig("asl-1024", "euclidean")
SIAMESE = {  # recipes of `run.py train`
    "siamese": HANDS,
    "siamese-contrastive": dataclasses.replace(HANDS, model=EUCLIDEAN, loss="contrastive"),
    "siamese-triplet": dataclasses.replace(HANDS, model=EUCLIDEAN, loss="triplet"),
}
