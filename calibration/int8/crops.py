"""The hands that an encoder's ranges are measured on: balanced, seeded, listed in a manifest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engines.bundles import Bundle
from engines.errors import UserError
from engines.spec import EncoderInputs

FEWEST = 32  # least number of crops to measure ranges on


@dataclass(frozen=True)
class HandCrops(Bundle):
    """N hands as an encoder takes them, left ones mirrored to right ones unless said otherwise.

    Attributes:
        crops: uint8 (N, S, S, 3) RGB.
        landmarks: float32 (N, 21, 3) in crop widths.
        world_landmarks: float32 (N, 21, 3) metres.
        turns: float32 (N, 2), cosine and sine of the crops' angles.
        labels: the gestures, str (N,).
        subjects: the people, str (N,).
        names: of the pictures, str (N,).
    """

    crops: np.ndarray
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    turns: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray
    names: np.ndarray

    def inputs(self) -> EncoderInputs:
        """The arguments of Encoder.encode."""
        return EncoderInputs(self.crops, self.landmarks, self.world_landmarks, self.turns)


def choose_balanced(labels: np.ndarray, subjects: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Choose pictures so that all labels and all people are shown about equally often.

    It goes through the labels in turn, and takes a picture of the person shown least so far.

    Args:
        labels: str (N,).
        subjects: str (N,).
        count: pictures at most.
        seed: of the choice; the same arguments give the same rows.

    Returns:
        Row numbers, int64, ascending.
    """
    rng = np.random.default_rng(seed)
    left: dict[str, dict[str, list[int]]] = {}
    for row in rng.permutation(len(labels)).tolist():
        left.setdefault(str(labels[row]), {}).setdefault(str(subjects[row]), []).append(row)
    shown = dict.fromkeys(sorted(set(subjects.tolist())), 0)
    order = rng.permutation(sorted(left)).tolist()
    chosen: list[int] = []
    while len(chosen) < count and any(left.values()):
        for label in order:
            people = left[label]
            if not people or len(chosen) == count:
                continue
            person = min(people, key=lambda name: shown[name])
            chosen.append(people[person].pop())
            shown[person] += 1
            if not people[person]:
                del people[person]
    return np.array(sorted(chosen), np.int64)


def mirror_every_second(hands: HandCrops) -> HandCrops:
    """The same hands, every second one mirrored, for encoders that see hands of either side."""
    mirrored = (np.arange(len(hands)) % 2 == 1)[:, None, None]
    sign, shift = np.array([-1, 1, 1], np.float32), np.array([1, 0, 0], np.float32)
    back = np.array([1, -1], np.float32)  # turns the other way
    return replace(
        hands,
        crops=np.where(mirrored[..., None], hands.crops[:, :, ::-1], hands.crops),
        landmarks=np.where(mirrored, hands.landmarks * sign + shift, hands.landmarks),
        world_landmarks=np.where(mirrored, hands.world_landmarks * sign, hands.world_landmarks),
        turns=np.where(mirrored[:, 0], hands.turns * back, hands.turns),
    )


def split_people(subjects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split people into those to calibrate with and those to measure on.

    Every second one, in the order of their names, so that each set of several people is in both
    groups. A single person is in both.

    Args:
        subjects: str (N,).

    Returns:
        The rows of either group, bool (N,) twice.
    """
    people = np.unique(subjects)
    if len(people) < 2:
        everyone = np.ones(len(subjects), bool)
        return everyone, everyone
    first = np.isin(subjects, people[::2])
    return first, ~first


def manifest(hands: HandCrops, seed: int) -> dict[str, Any]:
    """A list of crops that can be checked: each picture's name and the SHA-256 of its inputs."""
    rows = []
    for i in range(len(hands)):
        digest = hashlib.sha256()
        for array in hands.inputs():
            digest.update(np.ascontiguousarray(array[i]).tobytes())
        rows.append({"picture": str(hands.names[i]), "sha256": digest.hexdigest()})
    whole = hashlib.sha256("".join(str(row["sha256"]) for row in rows).encode())
    return {
        "seed": seed,
        "crops": len(hands),
        "labels": len(np.unique(hands.labels)),
        "subjects": len(np.unique(hands.subjects)),
        "sha256": whole.hexdigest(),
        "pictures": rows,
    }


def check_enough(hands: HandCrops, what: str) -> HandCrops:
    """The hands, if there are enough to measure ranges on. Raises UserError."""
    if len(hands) < FEWEST:
        raise UserError(
            f"{what} shows {len(hands)} hands; at least {FEWEST} are needed to find the ranges of "
            "an encoder's layers. Add pictures, <subject>/<label>/<image>."
        )
    return hands
