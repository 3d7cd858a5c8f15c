"""What MediaPipe's landmark network makes of hands, learned from hands drawn for it.

It shrinks hands towards the usual, flattens their depth, and errs: detected ≈ linear in true, plus
noise whose covariance over all joints and whose tails are those of the network on drawn hands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from engines.atomic import replacing
from realtime.drawn_hand import project
from train.backbone import INPUT, Backbone
from train.gesture_pairs import rotations
from train.synthetic import draw_classes
from train.synthetic_pictures import pictures

PER_CLASS = 3  # pictures of each drawn gesture
BATCH = 32
PRESENCE = 1.4  # logit: the network is 80 % sure that a hand is there
RIDGE = 0.0025  # metres: differences of true joints smaller than this don't count
QUANTILES = np.linspace(0.0, 1.0, 65)


@dataclass(frozen=True)
class DetectorErrors:
    """Detected joints as a function of the true ones, for hands turned upright as crops are.

    Joints are flattened (63,), metres. offset (63,) and slope (63, 63): detected = offset + true,
    centred on its mean, @ slope + noise; spread (63, 63): noise = a factor · normal @ spread;
    factors (65,): quantiles of the factor, whose mean square is 1; explained: the part of the
    detected joints' variance that isn't noise; error: metres between true and detected joints on
    the average, both centred.
    """

    offset: np.ndarray
    slope: np.ndarray
    spread: np.ndarray
    factors: np.ndarray
    explained: float
    error: float

    def apply(
        self, rng: np.random.Generator, joints: np.ndarray, strength: float = 1.0
    ) -> np.ndarray:
        """World landmarks float32 (N, 21, 3) as detected of right hands with these joints
        (N, 21, 3): metres in the camera's frame, the origin near the hand's middle.

        strength: of the noise; 1: as in drawn pictures.
        """
        turns = to_upright(upright_angles(joints))
        true = _centred(joints @ turns.transpose(0, 2, 1)).reshape(-1, 63)
        factor = np.interp(rng.random(len(true)), QUANTILES, self.factors)[:, None]
        noise = strength * factor * (rng.normal(0.0, 1.0, true.shape) @ self.spread)
        detected = (self.offset + true @ self.slope + noise).reshape(-1, 21, 3)
        return (detected @ turns).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write all to an .npz file."""
        with replacing(path) as file:
            np.savez(file, **vars(self))

    @staticmethod
    def load(path: Path) -> DetectorErrors:
        """What `save` wrote. Raises OSError, ValueError or KeyError for another file."""
        with np.load(path, allow_pickle=False) as stored:
            return DetectorErrors(
                offset=stored["offset"],
                slope=stored["slope"],
                spread=stored["spread"],
                factors=stored["factors"],
                explained=float(stored["explained"]),
                error=float(stored["error"]),
            )


def fit(backbone: Backbone, rng: np.random.Generator, count: int = 1500) -> DetectorErrors:
    """The errors on `count` drawn hands (1500: under a minute on one core)."""
    return fitted(*detections(backbone, rng, count))


def detections(
    backbone: Backbone, rng: np.random.Generator, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """True joints and what the network sees of them in drawn pictures, both float32 (M, 21, 3)
    metres in the camera's frame. M < count: without pictures in which it sees no right hand."""
    classes = draw_classes(rng, -(-count // PER_CLASS), "train")
    device = next(backbone.parameters()).device
    true, seen = [], []
    for start in range(0, len(classes), BATCH):
        drawn = pictures(rng, classes[start : start + BATCH], PER_CLASS, INPUT, margin=1.0)
        with torch.inference_mode():
            crops = torch.from_numpy(drawn.crops).to(device).permute(0, 3, 1, 2) / 255
            found = backbone.landmarks_of(backbone.pooled(crops))
        sure = ((found.presence > PRESENCE) & (found.right > 0)).cpu().numpy()
        world = found.world.cpu().numpy() @ to_upright(drawn.angles)  # and so back again
        true.append(drawn.samples.joints[sure])
        seen.append(world[sure].astype(np.float32))
    return np.concatenate(true), np.concatenate(seen)


def fitted(joints: np.ndarray, detected: np.ndarray) -> DetectorErrors:
    """The errors behind true joints and what was detected of them, as `detections` gives them."""
    turns = to_upright(upright_angles(joints)).transpose(0, 2, 1)
    true = _centred(joints @ turns).reshape(-1, 63)
    seen = (detected @ turns).astype(np.float64).reshape(-1, 63)
    usual, offset = true.mean(0), seen.mean(0)
    about, count = true - usual, len(true)
    ridge = count * RIDGE**2 * np.eye(63)
    slope = np.linalg.solve(about.T @ about + ridge, about.T @ (seen - offset))
    noise = seen - offset - about @ slope
    covariance = noise.T @ noise / max(count - 64, 1)  # as many as were fitted are no noise
    # Directions in which hands hardly err are kept from being divided by nothing.
    level, directions = np.linalg.eigh(covariance)
    level = np.maximum(level, 1e-4 * level.max())
    factors = np.sqrt(((noise @ directions) ** 2 / level).mean(1))
    factors = np.quantile(factors / np.sqrt((factors**2).mean()), QUANTILES)
    return DetectorErrors(
        offset=offset - usual @ slope,
        slope=slope,
        spread=(directions * np.sqrt(level)).T,
        factors=factors,
        explained=float(1.0 - np.trace(covariance) / seen.var(0).sum()),
        error=mean_error(joints, detected),
    )


def mean_error(joints: np.ndarray, detected: np.ndarray) -> float:
    """Metres between joints (N, 21, 3) of two kinds on the average, both centred."""
    return float(np.linalg.norm(_centred(joints) - _centred(detected), axis=2).mean())


def upright_angles(joints: np.ndarray) -> np.ndarray:
    """(N,) radians: how far hands (N, 21, 3) in the camera's frame lean clockwise, as
    realtime.geometry.upright_square sees them in the picture."""
    seen = project(joints.reshape(-1, 3), scale=1.0, centre=(0.0, 0.0)).reshape(-1, 21, 2)
    right, down = np.moveaxis(((seen[:, 5] + seen[:, 13]) / 2 + seen[:, 9]) / 2 - seen[:, 0], -1, 0)
    return np.arctan2(right, -down)


def to_upright(angles: np.ndarray) -> np.ndarray:
    """(N, 3, 3): from the camera's frame to that of crops turned clockwise by angles (N,)."""
    return rotations(np.stack([0 * angles, 0 * angles, -angles], -1))


def _centred(joints: np.ndarray) -> np.ndarray:
    return joints - joints.mean(1, keepdims=True)
