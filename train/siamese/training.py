"""The Lightning module that trains a Siamese network: loss, optimiser, schedule, validation."""

from __future__ import annotations

import json
import time
from typing import Any

import lightning
import numpy as np
import torch
from pytorch_metric_learning.losses import CosFaceLoss
from pytorch_metric_learning.utils.common_functions import TorchInitWrapper
from torch import Tensor, nn
from torch.utils.data import DataLoader

from train.siamese.batches import QUARTER_TURNS, SiameseBatches, Task
from train.siamese.episodes import Episodes, accuracy_on_pictures, draw_episodes
from train.siamese.losses import PAIR_LOSSES, contrastive_loss, cross_entropy, triplet_loss
from train.siamese.networks import SiameseNetwork
from train.siamese.recipes import SiameseRecipe
from train.siamese.verification import best_threshold, score_pairs, verify

SCORE = "validation score"
MOMENTUM = (0.5, 0.9, 20)  # from, to, number of epochs


class SiameseTraining(lightning.LightningModule):
    """Trains a network; validates it by N-way one-shot recognition and by verification."""

    def __init__(self, network: SiameseNetwork, task: Task, recipe: SiameseRecipe) -> None:
        super().__init__()
        self.network, self.task, self.recipe = network, task, recipe
        self.episodes = validation_episodes(task, recipe)
        self.classes: nn.Module | None = None
        if recipe.loss == "cosface":
            count = len(np.unique(task.train.labels)) * (QUARTER_TURNS if recipe.turns else 1)
            self.classes = CosFaceLoss(
                count,
                network.layout.features,
                margin=recipe.margin,
                scale=recipe.scale,
                # Only directions count, and the gradient turns short vectors faster.
                weight_init_func=TorchInitWrapper(nn.init.normal_, std=0.05),
            )
        self.log_rows: list[dict[str, float]] = []
        self.started = time.monotonic()
        self.seconds_before = 0.0  # of a resumed run
        self.losses: list[Tensor] = []

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(
            SiameseBatches(self.task, self.recipe, self.current_epoch), batch_size=None
        )

    def val_dataloader(self) -> DataLoader[Any]:
        # DataLoader accepts any sequence, though its annotation asks for a Dataset.
        return DataLoader([0], batch_size=None)  # type: ignore[arg-type]

    def on_train_epoch_start(self) -> None:
        low, high, over = MOMENTUM
        if self.recipe.optimizer == "sgd" and not self.recipe.one_cycle:
            momentum = low + (high - low) * min(1.0, self.current_epoch / over)
            for group in self.trainer.optimizers[0].param_groups:
                group["momentum"] = momentum

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        pictures, numbers = batch
        # Dropout, too, must depend on the batch alone, so that runs can be resumed.
        torch.manual_seed(hash((self.recipe.seed, self.current_epoch, batch_idx)))
        loss = self.loss(self.network(pictures), numbers)
        self.losses.append(loss.detach())
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=False)
        return loss

    def loss(self, features: Tensor, numbers: Tensor) -> Tensor:
        recipe = self.recipe
        if self.classes is not None:
            return self.classes(features, numbers)
        if recipe.loss == "triplet":
            anchor, positive, negative = features.chunk(3)
            return triplet_loss(anchor, positive, negative, recipe.margin)
        return self.pair_loss(self.network.compare(*features.chunk(2)), numbers.bool())

    def pair_loss(self, score: Tensor, same: Tensor) -> Tensor:
        """Compute the loss of similarities (P,) from SiameseNetwork.compare."""
        if self.recipe.loss == "bce":
            return cross_entropy(score, same)
        return contrastive_loss(-score, same, self.recipe.margin)

    def validation_step(self, _: Any) -> None:
        images, pairs = self.task.validation.images, self.task.validation_pairs
        scores = score_pairs(self.network, images, pairs)
        found = verify(scores, pairs.same, best_threshold(scores, pairs.same))
        row = {
            "epoch": self.current_epoch + 1.0,
            "loss": float(torch.stack(self.losses).mean()) if self.losses else float("nan"),
            "verification": found.accuracy.value,
            "AUC": found.auc,
            "EER": found.eer,
        }
        if self.recipe.loss in PAIR_LOSSES:
            loss = self.pair_loss(torch.from_numpy(scores), torch.from_numpy(pairs.same))
            row["validation loss"] = float(loss)
        if self.episodes is not None:
            row["one-shot"] = accuracy_on_pictures(self.network, images, self.episodes).value
        row["seconds"] = time.monotonic() - self.started + self.seconds_before
        self.losses.clear()
        self.log_rows.append(row)
        self.log(SCORE, score_of(row), prog_bar=True, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["log"] = json.dumps(self.log_rows)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.log_rows = json.loads(checkpoint["log"])
        if self.log_rows:
            self.seconds_before = self.log_rows[-1]["seconds"]

    def configure_optimizers(self) -> Any:
        recipe = self.recipe
        groups = parameter_groups(self, recipe)
        if recipe.optimizer == "adam":
            optimizer: torch.optim.Optimizer = torch.optim.Adam(groups, recipe.learning_rate)
        else:
            optimizer = torch.optim.SGD(groups, recipe.learning_rate, momentum=MOMENTUM[1])
        if recipe.one_cycle:
            schedule: Any = torch.optim.lr_scheduler.OneCycleLR(
                optimizer,
                recipe.learning_rate,
                recipe.epochs * recipe.steps,
                pct_start=0.1,
                cycle_momentum=False,
            )
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, recipe.decay)
        return [optimizer], [{"scheduler": schedule, "interval": "epoch"}]


def score_of(row: dict[str, float]) -> float:
    """Return the score that chooses the epoch: one-shot accuracy, or the AUC if there is none."""
    return row.get("one-shot", row["AUC"])


def parameter_groups(training: nn.Module, recipe: SiameseRecipe) -> list[dict[str, Any]]:
    """Group parameters by L2 penalty: λ‖w‖² has the gradient 2 λ w, so weight_decay is 2 λ."""
    convolutions, dense, rest = [], [], []
    for module in training.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name != "bias" and isinstance(module, nn.Conv2d):
                convolutions.append(parameter)
            elif name != "bias" and isinstance(module, nn.Linear | CosFaceLoss):
                dense.append(parameter)
            else:
                rest.append(parameter)
    return [
        {"params": convolutions, "weight_decay": 2 * recipe.l2_convolutions},
        {"params": dense, "weight_decay": 2 * recipe.l2_features},
        {"params": rest, "weight_decay": 0.0},
    ]


def validation_episodes(task: Task, recipe: SiameseRecipe) -> Episodes | None:
    """Draw the episodes of the one-shot test at each validation.

    They stay within groups if the recipe asks for that and a group has enough classes.

    Returns:
        The episodes, or None if there are too few classes.
    """
    labels, groups = task.validation.labels, task.validation.groups
    classes = np.unique(labels)
    if len(classes) < recipe.ways:
        return None
    largest = max(len(np.unique(labels[groups == group])) for group in np.unique(groups))
    within = groups if recipe.within_groups and largest >= recipe.ways else None
    return draw_episodes(recipe.seed, labels, recipe.ways, recipe.trials, groups=within)
