"""What `run.py train --recipe NAME` does: one frozen record each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from train.encoder.model import ModelConfig
from train.pictures.alphabets import ASL, SAME_SHAPES


@dataclass(frozen=True)
class Recipe:
    """model: the network; only: names of the sets to use of those given (None: all);
    alphabets: name → sets whose labels mean the same; a set that is in none is its own alphabet;
    same_shapes: "set/label" → the label that it counts as.

    views: ways each picture is seen, first as it is, then augmented; synthetic_classes and
    synthetic_per_class: drawn gestures and pictures of each, synthetic_share: of the batches.
    A batch has `labels` × `per_label` hands of one alphabet, from as many people as there are, or
    `labels` pairs of drawn gestures that differ in little, up to four hands of each.
    epochs of `steps` batches; patience: epochs without a better validation before it stops.
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
    "default": Recipe(),
    "laptop": Recipe(views=1, synthetic_classes=800),
    "free": Recipe(only=("digits", "asl_photos")),  # what is freely licensed
}
