"""`run.py train`: train the encoder's head on prepared hands by a recipe.

Each batch is drawn from its own seed (run, epoch, process, step), and the state is stored after
each epoch. So a run that was interrupted and resumed ends with the same weights as one that wasn't.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from calibration.episodes import LabelledEmbeddings, across
from engines.errors import UserError
from engines.say import tell
from train.backbone.backbone import load_backbone
from train.encoder.batches import BatchIndex, draw_batch, draw_pair_batch, index_hands
from train.encoder.data import load_banks, load_data
from train.encoder.features import SIDES, Bank
from train.encoder.model import GestureEncoder, Head
from train.encoder.recipes import Recipe
from train.encoder.stored import digest
from train.encoder.whitening import fit_whitening, whiten
from train.pictures.prepared import Prepared
from train.runs.checkpoint import round_to_half, save_checkpoint
from train.runs.curves import Curves
from train.runs.folder import check_folder, claim_folder
from train.runs.lightning import fit
from train.runs.processes import processes

SCORE = "one-shot accuracy, new drawn gestures"


@dataclass(frozen=True)
class WhitenedBanks:
    """The whitened features of all banks.

    Attributes:
        real: float32 (V, N, K), V views of N prepared hands.
        index: The rows of `real` by alphabet, label and person (of either hand).
        drawn: float32 (M, K), synthetic gestures for training, or None.
        drawn_labels: int (M,), their classes.
        held_out: float32 (H, K), synthetic gestures for validation.
        held_out_labels: str (H,), their classes.
        held_out_people: str (H,), their people.
    """

    real: Tensor
    index: BatchIndex
    drawn: Tensor | None
    drawn_labels: np.ndarray
    held_out: Tensor
    held_out_labels: np.ndarray
    held_out_people: np.ndarray


class HeadBatches(Dataset[tuple[Tensor, Tensor]]):
    """The batches of one epoch: features, float32 (B, K), and classes, int (B,)."""

    def __init__(self, data: WhitenedBanks, recipe: Recipe, epoch: int, process: int) -> None:
        self.data, self.recipe, self.seed = data, recipe, (recipe.seed, epoch, process)

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([*self.seed, step])
        recipe, data = self.recipe, self.data
        if data.drawn is not None and rng.random() < recipe.synthetic_share:
            rows, numbers = draw_pair_batch(rng, data.drawn_labels, recipe.labels, 4)
            return data.drawn[rows], torch.from_numpy(numbers)
        rows, numbers = draw_batch(rng, data.index, recipe.labels, recipe.per_label)
        views = rng.integers(len(data.real), size=len(rows))
        return data.real[views, rows], torch.from_numpy(numbers)


class HeadTraining(lightning.LightningModule):
    """Trains the head on whitened features by supervised contrastive learning (Khosla et al. 2020).

    The validation score is the one-shot accuracy on synthetic gestures that are held out.
    """

    def __init__(self, head: Head, data: WhitenedBanks, recipe: Recipe) -> None:
        super().__init__()
        self.head, self.data, self.recipe = head, data, recipe
        self.loss = SupConLoss(temperature=recipe.temperature)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        batches = HeadBatches(self.data, self.recipe, self.current_epoch, self.global_rank)
        return DataLoader(batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[Any]:
        # DataLoader accepts any sequence, though its annotation asks for a Dataset.
        return DataLoader([self.data.held_out], batch_size=None)  # type: ignore[arg-type]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        # Dropout, too, must depend on the batch alone, so that runs can be resumed.
        torch.manual_seed(hash((self.recipe.seed, self.current_epoch, self.global_rank, batch_idx)))
        loss = self.loss(self.head(batch[0]), batch[1])
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, held_out: Tensor) -> None:
        embeddings = self.head(held_out).cpu().numpy()
        accuracy = one_shot_accuracy(
            embeddings, self.data.held_out_labels, self.data.held_out_people
        )
        # The score is the same in every process. "max", since gloo fails to average it.
        self.log(SCORE, accuracy, prog_bar=True, sync_dist=True, reduce_fx="max", batch_size=1)

    def configure_optimizers(self) -> Any:
        recipe = self.recipe
        optimizer = torch.optim.AdamW(
            self.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, recipe.epochs * recipe.steps, pct_start=0.1
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def one_shot_accuracy(embeddings: np.ndarray, labels: np.ndarray, people: np.ndarray) -> float:
    """Compute the share of unit embeddings (N, D) recognised by one reference of another person.

    Args:
        embeddings: (N, D), unit norm.
        labels: (N,), the gestures.
        people: (N,), the people.
    """
    data = LabelledEmbeddings(embeddings, labels, people)
    return float(across(data, lambda a, b: a @ b.T, draws=2).correct.mean())


def train(
    recipe_name: str,
    recipe: Recipe,
    paths: list[Path],
    without: list[str],
    out: Path,
    features: Path | None = None,
) -> Path:
    """Train an encoder.

    Args:
        recipe_name: Name of the recipe, for the checkpoint.
        recipe: The recipe.
        paths: Files of `run.py prepare`.
        without: Names of sets to leave out.
        out: The folder of the run.
        features: Where features are kept; None: beside the first prepared file.

    Returns:
        The checkpoint, out/encoder.pt.

    Raises:
        UserError: The data is unsuitable, or a folder can't be used.
    """
    checkpoint = out / "encoder.pt"
    data = load_data(paths, recipe, without)
    backbone = load_backbone()
    settings = {
        "recipe": recipe_name,
        **json.loads(json.dumps(dataclasses.asdict(recipe))),
        "data": [path.name for path in paths],
        "digest": digest(data, backbone),
        "without": sorted(without),
    }
    check_folder(out, settings)
    if checkpoint.is_file():
        tell(f"{checkpoint} exists already, from the same recipe and data.")
        return checkpoint
    main_process = _join_processes()
    claim_folder(out, settings)
    folder = features or paths[0].with_suffix(".features")
    if not main_process:  # the main process computes the features, the others read them
        torch.distributed.barrier()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    real, drawn, held_out = load_banks(data, recipe, backbone.to(device), folder)
    if main_process and torch.distributed.is_initialized():
        torch.distributed.barrier()
    _check_unlike(data)
    torch.manual_seed(recipe.seed)
    model = GestureEncoder(recipe.model, backbone.cpu())
    model.whitening, within = fit_whitening(real, recipe.model.components)
    whitened = _whiten_banks(real, drawn, held_out, model.whitening, within)
    figures = _fit(model.head, whitened, recipe, out)
    model.head = fold_linear(model.head, within)
    if main_process:
        about = {**settings, "sets": _summarise_sets(real), "figures": figures}
        save_checkpoint(round_to_half(model), about, checkpoint)
    return checkpoint


def _check_unlike(data: Prepared) -> None:
    """Raise UserError if all pictures are copies of one: nothing can be learnt from them."""
    first = data.webp[: data.offsets[1]].tobytes()
    if data.webp.tobytes() == first * len(data):
        raise UserError(
            f"All {len(data)} pictures are copies of one: training needs different pictures of "
            "each gesture. Prepare pictures of several people."
        )


def _fit(head: Head, data: WhitenedBanks, recipe: Recipe, out: Path) -> dict[str, float]:
    """Train the head in place, resuming from the states in out/checkpoints; return its figures."""
    training = HeadTraining(head, data, recipe)
    score, epochs = fit(
        training,
        out / "checkpoints",
        SCORE,
        epochs=recipe.epochs,
        patience=recipe.patience,
        logger=Curves(out / "tensorboard" / "version_0"),
    )
    head.cpu().eval()
    return {SCORE: score, "epochs": float(epochs)}


def fold_linear(head: Head, before: nn.Linear) -> Head:
    """Fold the linear layer before a head into the head, for encoding (without dropout)."""
    result = copy.deepcopy(head).eval()
    layers = [result.linear] + ([result.bent[0]] if result.bent is not None else [])
    with torch.no_grad():
        for layer in layers:
            assert isinstance(layer, nn.Linear)
            layer.bias.add_(layer.weight @ before.bias)
            layer.weight.copy_(layer.weight @ before.weight)
    return result


def _whiten_banks(
    real: Bank, drawn: Bank | None, held_out: Bank, whitening: nn.Module, within: nn.Module
) -> WhitenedBanks:
    return WhitenedBanks(
        real=torch.stack([whiten(view, whitening, within) for view in real.features]),
        index=index_hands(real.alphabets, real.labels, _of_either_hand(real)),
        drawn=None if drawn is None else whiten(drawn.features[0], whitening, within),
        drawn_labels=np.zeros(0, int) if drawn is None else drawn.labels.astype(int),
        held_out=whiten(held_out.features[0], whitening, within),
        held_out_labels=held_out.labels,
        held_out_people=_of_either_hand(held_out),
    )


def _of_either_hand(bank: Bank) -> np.ndarray:
    """Tell a person's two hands apart as two people: a gesture's batch has hands of both sides."""
    return np.char.add(np.char.add(bank.subjects, "/"), bank.sides)


def _join_processes() -> bool:
    """Join the other processes, if torchrun started this one; return whether it is the main one."""
    if processes() == 1:
        return True
    timeout = datetime.timedelta(hours=12)  # the others wait while features are computed
    torch.distributed.init_process_group(timeout=timeout)
    return torch.distributed.get_rank() == 0


def _summarise_sets(bank: Bank) -> dict[str, list[int]]:
    """Count the pictures, people and labels of each set; each picture is there as either hand."""
    here = {name: (bank.sets == name) & (bank.sides == SIDES[0]) for name in np.unique(bank.sets)}
    return {
        str(name): [
            int(rows.sum()),
            len(np.unique(bank.subjects[rows])),
            len(np.unique(bank.labels[rows])),
        ]
        for name, rows in here.items()
    }
