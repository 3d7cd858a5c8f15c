"""Grey pictures with their classes: what readers return and Siamese runs take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Pictures:
    """N grey pictures of one size.

    Attributes:
        images: uint8 (N, H, W).
        labels: str (N,), the classes to recognise (characters, people, gestures), unique over all
            groups.
        groups: str (N,), the alphabets or sets within which classes may be compared; "" if none.
        subjects: str (N,), who drew, signed or posed; "" if unknown.
        order: int64 (N,), position within the class, in time or in the file.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    subjects: np.ndarray
    order: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray) -> Pictures:
        """Select pictures by an index array or a bool mask."""
        return Pictures(
            self.images[rows],
            self.labels[rows],
            self.groups[rows],
            self.subjects[rows],
            self.order[rows],
        )

    def resize(self, size: int) -> Pictures:
        """Scale all pictures to size × size by area averaging, as the exported graph does."""
        if self.images.shape[1:] == (size, size):
            return self
        images = [cv2.resize(i, (size, size), interpolation=cv2.INTER_AREA) for i in self.images]
        shape = (len(images), size, size)
        return Pictures(
            np.asarray(images, np.uint8).reshape(shape),
            self.labels,
            self.groups,
            self.subjects,
            self.order,
        )


def joined(parts: Sequence[Pictures]) -> Pictures:
    """Concatenate one or more sets of pictures of one size."""
    return Pictures(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.groups for part in parts]),
        np.concatenate([part.subjects for part in parts]),
        np.concatenate([part.order for part in parts]),
    )
