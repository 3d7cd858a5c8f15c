"""What the two networks that find hands take and give, whichever engine runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from engines.bundles import Bundle

Shapes = Mapping[str, tuple[int, ...]]  # tensors by name, without the batch axis
ROLE_KEY = "hand_network_role"  # of the ONNX files' metadata
SOURCE_KEY = "hand_network_source"


@dataclass(frozen=True)
class NetworkSpec:
    """One of the networks. Its tensors are float32 with a leading batch axis.

    Attributes:
        role: "palm" or "hand".
        input_name: name of its only input: RGB, 0…1.
        size: S, height and width of that input, pixels.
        outputs: its outputs by name, each with its shape without the batch axis.
    """

    role: str
    input_name: str
    size: int
    outputs: dict[str, tuple[int, ...]]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(3, S, S)."""
        return 3, self.size, self.size

    @property
    def inputs(self) -> Shapes:
        """Its only input by name."""
        return {self.input_name: self.input_shape}


# boxes: x, y of the centre, width, height, then x, y of seven joints, in pixels from the anchor's
# centre; scores: logits.
PALM = NetworkSpec("palm", "picture", 192, {"boxes": (2016, 18), "scores": (2016,)})
PALM_PLAN = f"{PALM.role}.plan"  # once that of all one-pass encoders' plans in a folder
# landmarks: pixels of the crop, z on a scale of its own; presence and right: 0…1, the crop shows a
# hand, and it is a right one; world_landmarks: metres, in the crop's orientation.
HAND = NetworkSpec(
    "hand",
    "crop",
    224,
    {"landmarks": (21, 3), "presence": (), "right": (), "world_landmarks": (21, 3)},
)


def palm_plan(plan: Path) -> Path:
    """Where the palm network's plan goes that runs beside an encoder's: e.plan → e.palm.plan."""
    return plan.with_suffix(f".{PALM_PLAN}")


def find_palm_plan(plan: Path) -> Path:
    """The palm network's plan beside an encoder's: its own, or the folder's where only that is."""
    own, shared = palm_plan(plan), plan.with_name(PALM_PLAN)
    return shared if shared.is_file() and not own.is_file() else own


def is_palm_plan(plan: Path) -> bool:
    """Whether a plan's name says that it is the palm network's."""
    return f".{plan.name}".endswith(f".{PALM_PLAN}")


@dataclass(frozen=True)
class HandOutputs(Bundle):
    """What a pass over N crops gives.

    Attributes:
        landmarks: float32 (N, 21, 3), pixels of the crop; z on a scale of its own.
        presence: float32 (N,), 0…1: the crop shows a hand.
        right: float32 (N,), 0…1: it is a right hand.
        world_landmarks: float32 (N, 21, 3) metres, in the crop's orientation.
        embedding: float32 (N, D); D is 0 where the network is no encoder.
    """

    landmarks: np.ndarray
    presence: np.ndarray
    right: np.ndarray
    world_landmarks: np.ndarray
    embedding: np.ndarray


class PalmNetwork(Protocol):
    """What looks for palms in pictures: `palm.onnx`. Threads may share it.

    Attributes:
        engine: what runs it, for people: "ONNX Runtime, cpu".
    """

    engine: str

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """Look at N pictures, float32 (N, 3, S, S) RGB, 0…1, with S = PALM.size.

        Returns:
            PALM's outputs by name, each float32 (N, …).

        Raises:
            UserError: if the engine fails.
        """
        ...

    def close(self) -> None:
        """Free what the engine holds. Closing again does nothing."""
        ...


class HandNetwork(Protocol):
    """What looks at crops of hands: `hand.onnx`, or a one-pass encoder.

    Attributes:
        engine: what runs it, for people.
    """

    engine: str

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        """Look at N crops, uint8 (N, S, S, 3) RGB with S = HAND.size.

        Args:
            crops: the crops.
            turns: float32 (N, 2), cosine and sine of the angle by which each crop's up is turned
                clockwise from the picture's.

        Raises:
            UserError: if the engine fails.
        """
        ...
