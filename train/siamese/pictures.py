"""Grey pictures with their classes: what readers return and Siamese runs take."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from engines.bundles import Bundle


@dataclass(frozen=True)
class Pictures(Bundle):
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

    def resize(self, size: int) -> Pictures:
        """Scale all pictures to size × size by area averaging, as the exported graph does."""
        if self.images.shape[1:] == (size, size):
            return self
        images = [cv2.resize(i, (size, size), interpolation=cv2.INTER_AREA) for i in self.images]
        shape = (len(images), size, size)
        return replace(self, images=np.asarray(images, np.uint8).reshape(shape))
