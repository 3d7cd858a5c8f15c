"""Grey pictures with their classes: what every reader gives and every Siamese run takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from engines.bundles import Bundle


@dataclass(frozen=True)
class Pictures(Bundle):
    """N grey pictures of one size.

    images uint8 (N, H, W); labels str (N,): the class that is to be recognised (a character, a
    face's owner, a gesture), unique over all groups; groups str (N,): what classes are drawn from
    together in a within-group test (an alphabet, a set; "" where there is no such thing);
    subjects str (N,): who drew, signed or posed ("" where unknown); order int64 (N,): position in
    time or in the file, within a class.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    subjects: np.ndarray
    order: np.ndarray

    def resized(self, size: int) -> Pictures:
        """Every picture as size × size by area averaging (as the exported graph does it)."""
        if self.images.shape[1:] == (size, size):
            return self
        images = [cv2.resize(i, (size, size), interpolation=cv2.INTER_AREA) for i in self.images]
        shape = (len(images), size, size)
        return replace(self, images=np.asarray(images, np.uint8).reshape(shape))
