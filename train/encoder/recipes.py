"""Recipes of `run.py train`: the settings of a training, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from train.encoder.model import ModelConfig
from train.pictures.alphabets import ASL, SAME_SHAPES

# Sets whose stated licence allows commercial use; models/README.md names them.
FREE = ("digits", "asl_photos", "fsl_letters", "asl_davidlee", "bdsl_words", "arasl", "hagrid")
# Sets of the encoder `default-2`; some state no licence or allow academic use only.
EARLIER = (
    "asl_letters",
    "massey",
    "digits",
    "asl_alphabet",
    "libras",
    "bangla_digits",
    "asl_photos",
)


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    Attributes:
        model: Settings of the encoder.
        only: Names of the sets to use; None uses all.
        alphabets: Name → sets whose labels mean the same. Any other set is its own alphabet.
        same_shapes: "set/label" → the label that it counts as.
        views: Views of each picture, as either hand: the first as it is, the others augmented.
        synthetic_classes: Number of synthetic gestures.
        synthetic_per_class: Pictures of each synthetic gesture.
        synthetic_share: Share of batches of synthetic gestures, 0…1. Such a batch has `labels`
            pairs of similar gestures, up to four hands of each.
        labels: Labels in a batch of real hands, all of one alphabet.
        per_label: Hands of each label, from as many people as possible.
        epochs: The most epochs to train.
        steps: Batches per epoch; each epoch ends with a validation.
        patience: Epochs without a better validation before training stops.
        learning_rate: Maximum of the one-cycle schedule.
        weight_decay: Weight decay of AdamW.
        temperature: Temperature of the supervised contrastive loss.
        seed: Seed of initialisation, batches and synthetic gestures.
    """

    model: ModelConfig = ModelConfig()
    only: tuple[str, ...] | None = None
    alphabets: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"asl": ASL})
    same_shapes: Mapping[str, str] = field(default_factory=lambda: dict(SAME_SHAPES))
    views: int = 2
    synthetic_classes: int = 2400
    synthetic_per_class: int = 6
    synthetic_share: float = 0.25
    labels: int = 24
    per_label: int = 6
    epochs: int = 12
    steps: int = 50
    patience: int = 6
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    temperature: float = 0.1
    seed: int = 0


RECIPES = {
    "default": Recipe(only=FREE),
    "laptop": Recipe(only=FREE, views=1, synthetic_classes=800),
    "research": Recipe(),
    "default-2": Recipe(only=EARLIER, views=1, synthetic_classes=800),
}
