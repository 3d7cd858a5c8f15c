"""Small prepared files, small recipes, and the command line with such recipes to choose from.

python -m tests.train.encoder.training train --recipe small …    # run.py, but with RECIPES below
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs requirements-train.txt")
pytest.importorskip("lightning", reason="training needs requirements-train.txt")
pytest.importorskip("pytorch_metric_learning", reason="training needs requirements-train.txt")

import cv2
import torch
from torch import nn

import run
from train.encoder import data, features, fit, recipes, whitening
from train.encoder.checkpoint import load_checkpoint
from train.encoder.features import detect
from train.encoder.model import HandFeatures, ModelConfig
from train.encoder.recipes import Recipe
from train.pictures.prepared import MARGIN, STORED_SIZE, VERSION, StoredHand, to_arrays
from train.synthetic.pictures import draw_pictures
from train.synthetic.samples import draw_classes

MODEL = ModelConfig(crop_size=64, components=(8, 8, 8, 8), hidden=16, dim=16, dropout=0.3)
SMALL = Recipe(
    model=MODEL,
    alphabets={"signs": ("one", "two")},
    same_shapes={},
    views=2,
    synthetic_classes=16,
    synthetic_per_class=3,
    labels=4,
    per_label=3,
    epochs=5,
    steps=4,
    patience=100,
)
RECIPES = {"small": SMALL}
HELD_OUT = {"HELD_OUT_CLASSES": 8, "HELD_OUT_PER_CLASS": 4}
KILL_AT = "KILL_AT"  # environment variable, "2 1 SIGKILL": before step 1 of epoch 2


def stored(
    crop: np.ndarray,
    landmarks: np.ndarray | None = None,
    world: np.ndarray | None = None,
    angle: float = 0.0,
) -> StoredHand:
    """A right hand, from a crop uint8 (STORED_SIZE, STORED_SIZE, 3) RGB."""
    webp = cv2.imencode(".webp", crop[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 90])[1].tobytes()
    points, metres = (
        np.zeros((21, 3), np.float16) if p is None else p.astype(np.float16)
        for p in (landmarks, world)
    )
    return StoredHand("right", webp, points, metres, angle)


GREY = stored(np.full((STORED_SIZE, STORED_SIZE, 3), 128, np.uint8))


def drawn_hands(people: int, labels: int, each: int, seed: int = 0) -> list[StoredHand]:
    """Person by person, then gesture by gesture; the same gestures and people for a seed."""
    classes = draw_classes(np.random.default_rng(seed), labels, "train")
    hands = []
    for person in range(people):
        drawn = draw_pictures(
            np.random.default_rng([seed, person]), classes, each, STORED_SIZE, MARGIN
        )
        rows = zip(drawn.crops, drawn.landmarks, drawn.samples.joints, drawn.angles, strict=True)
        hands += [stored(*row) for row in rows]
    return hands


def names_of(name: str, people: int, labels: int, each: int) -> list[tuple[str, str, str]]:
    """(set, subject, label) in the order of drawn_hands; labels A, B, …"""
    return [
        (name, f"person{person}", chr(ord("A") + label))
        for person in range(people)
        for label in range(labels)
        for _ in range(each)
    ]


def write_prepared(
    path: Path, names: Sequence[tuple[str, str, str]], hands: Sequence[StoredHand] | None = None
) -> Path:
    """What `run.py prepare` would have written of hands (set, subject, label); all grey if None."""
    sets, subjects, labels = (np.array(column) for column in zip(*names, strict=True))
    paths = [f"{subject}/{label}/{i}.png" for i, (_, subject, label) in enumerate(names)]
    arrays: dict[str, Any] = {f"missing_{of}": np.array([], str) for of in ("set", "path")}
    arrays |= to_arrays(hands or [GREY] * len(names))
    np.savez_compressed(
        path,
        **arrays,
        missing_reason=np.array([], str),
        set=sets,
        subject=subjects,
        label=labels,
        path=np.array(paths),
        version=np.array(VERSION),
        margin=np.array(MARGIN),
        stored=np.array(STORED_SIZE),
    )
    return path


def write_drawn(path: Path, sets: Mapping[str, tuple[int, int, int]]) -> Path:
    """Sets of drawn hands: name → people, labels, pictures of each."""
    names = [row for name, counts in sets.items() for row in names_of(name, *counts)]
    hands = [
        hand
        for i, (people, labels, each) in enumerate(sets.values())
        for hand in drawn_hands(people, labels, each, seed=i)
    ]
    return write_prepared(path, names, hands)


def principal_of_few(layer: nn.Linear, block: np.ndarray, weights: np.ndarray) -> None:
    """As whitening._set_principal_components, but faster if there are fewer rows than columns."""
    rows, share = torch.from_numpy(block.astype(np.float64)), torch.from_numpy(weights)[:, None]
    mean = (rows * share).sum(0)
    away = (rows - mean) * share.sqrt()
    values, vectors = torch.linalg.eigh(away @ away.T)
    lengths = values.flip(0)[: layer.out_features, None].sqrt()
    matrix = vectors.flip(1)[:, : layer.out_features].T @ away / lengths / values.sum().sqrt()
    with torch.no_grad():
        layer.weight.copy_(matrix)
        layer.bias.copy_(-matrix @ mean)


def detect_all(
    network: HandFeatures, crops: np.ndarray, angles: np.ndarray, size: int, side: str
) -> tuple[np.ndarray, np.ndarray]:
    """As features.detect, but sure of every hand: on crops as small as MODEL's it is of none."""
    rows, sure = detect(network, crops, angles, size, side)
    return rows, np.ones_like(sure)


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """One thread, few held-out gestures, whitening made for few pictures, and RECIPES."""
    torch.set_num_threads(1)
    patch.setattr(features, "detect", detect_all)
    for name, value in HELD_OUT.items():
        patch.setattr(data, name, value)
    patch.setattr(whitening, "_set_principal_components", principal_of_few)
    for name, recipe in RECIPES.items():
        patch.setitem(recipes.RECIPES, name, recipe)


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(checkpoint)[0].state_dict()


def equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def dies_at(patch: pytest.MonkeyPatch, epoch: int, step: int, die: Callable[[], None]) -> None:
    """Call `die` before this step is trained."""
    train = fit.HeadTraining.training_step

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        if (self.trainer.current_epoch, batch_idx) == (epoch, step):
            die()
        return train(self, batch, batch_idx)

    patch.setattr(fit.HeadTraining, "training_step", training_step)


def main(arguments: list[str]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        if KILL_AT in os.environ:
            epoch, step, name = os.environ[KILL_AT].split()
            number = signal.Signals[name]
            dies_at(patch, int(epoch), int(step), lambda: os.kill(os.getpid(), number))
        return run.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
