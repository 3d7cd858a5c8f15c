"""Which hands an encoder's ranges are measured on: balanced, seeded, and written down."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.bundles import Bundle
from engines.errors import UserError

FEWEST = 32  # crops that ranges may be read from; fewer are those of a few pictures


@dataclass(frozen=True)
class HandCrops(Bundle):
    """N hands as an encoder takes them, all right or seen as right.

    crops uint8 (N, S, S, 3) RGB; landmarks float32 (N, 21, 3) in crop widths; world_landmarks
    float32 (N, 21, 3) metres; labels, subjects and names (of the pictures) str (N,).
    """

    crops: np.ndarray
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray
    names: np.ndarray

    def inputs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What Encoder.encode takes."""
        return self.crops, self.landmarks, self.world_landmarks


def choose_balanced(labels: np.ndarray, subjects: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows of at most `count` pictures: every label in turn, of it a picture of the person shown
    least so far. int64, ascending; the same for the same arguments."""
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


def split_people(subjects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """People to calibrate with and people to measure on, bool (N,) twice: every second one, in the
    order of their names, so that each set of several people is in both. One person is both."""
    people = np.unique(subjects)
    if len(people) < 2:
        everyone = np.ones(len(subjects), bool)
        return everyone, everyone
    first = np.isin(subjects, people[::2])
    return first, ~first


def manifest(hands: HandCrops, seed: int) -> dict[str, Any]:
    """What makes a set of crops reproducible: each picture's name and the SHA-256 of what the
    encoder was shown of it, and of all together."""
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
    """The same. Raises UserError where there are too few to read ranges from."""
    if len(hands) < FEWEST:
        raise UserError(
            f"{what} shows {len(hands)} hands; at least {FEWEST} are needed to find the ranges of "
            "an encoder's layers. Add pictures, <subject>/<label>/<image>."
        )
    return hands
