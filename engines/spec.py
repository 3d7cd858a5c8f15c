"""An encoder's contract: what it takes, what it gives, and the only uint8 → float code.

The spec travels inside the ONNX file (`metadata_props`), so a file can't be fed the wrong way.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.errors import UserError

SPEC_KEY = "gesture_encoder_spec"
FINGERPRINT_KEY = "gesture_encoder_fingerprint"
INPUTS = ("crop", "landmarks", "world_landmarks")
SIMILARITIES = ("cosine", "weighted_l1", "euclidean")


@dataclass(frozen=True)
class EncoderSpec:
    """What an encoder takes and gives.

    name: what people call it, with a version where its formula may change ("landmarks-1").
    inputs: the ONNX inputs it reads, a subset of INPUTS, each with a leading batch axis:
        crop float32 (N, 3, S, S) RGB, (value / 255 − crop_mean) / crop_std;
        landmarks float32 (N, 21, 3), crop coordinates in crop widths (0…1 inside the crop);
        world_landmarks float32 (N, 21, 3) metres, x right, y down, z away from the camera.
    dim: D of the embedding, output "embedding" float32 (N, D).
    similarity: "cosine" (embeddings have unit norm), "weighted_l1"
        (σ(Σ wⱼ|aⱼ − bⱼ| + bias), Koch et al. 2015), whose weights stand here, or "euclidean"
        (1 / (1 + ‖a − b‖)).
    """

    name: str
    inputs: tuple[str, ...]
    dim: int
    similarity: str = "cosine"
    crop_size: int = 224
    crop_mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    crop_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    similarity_weights: tuple[float, ...] = ()
    similarity_bias: float = 0.0
    version: int = 1

    def __post_init__(self) -> None:
        unknown = set(self.inputs) - set(INPUTS)
        if unknown or not self.inputs:
            raise UserError(f"An encoder's inputs are some of {INPUTS}; got {self.inputs}.")
        if self.similarity not in SIMILARITIES:
            raise UserError(f"A similarity is one of {SIMILARITIES}; got {self.similarity!r}.")
        if self.similarity == "weighted_l1" and len(self.similarity_weights) != self.dim:
            raise UserError(
                f"weighted_l1 needs {self.dim} weights, one per feature; "
                f"got {len(self.similarity_weights)}."
            )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> EncoderSpec:
        """Raises UserError where the text is no spec of a version this program reads."""
        try:
            fields = json.loads(text)
            if fields.get("version") != 1:
                raise UserError(
                    f"The encoder's spec has version {fields.get('version')}; this program reads "
                    "version 1. Update the program or export the encoder again."
                )
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
            }
            return EncoderSpec(**values)
        except (TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"The encoder's spec can't be read ({error}). Export it again."
            ) from None


def fingerprint(spec: EncoderSpec, weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 (hex) of the spec and the named weights, independent of their order."""
    digest = hashlib.sha256(spec.to_json().encode())
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def input_shapes(spec: EncoderSpec) -> dict[str, tuple[int, ...]]:
    """The encoder's inputs, each with its shape without the batch."""
    side = spec.crop_size
    shapes = {"crop": (3, side, side), "landmarks": (21, 3), "world_landmarks": (21, 3)}
    return {name: shapes[name] for name in spec.inputs}


def preprocess(
    spec: EncoderSpec,
    crops: np.ndarray,
    landmarks: np.ndarray,
    world_landmarks: np.ndarray,
) -> dict[str, np.ndarray]:
    """Encoder inputs by name, float32, for N hands.

    crops: uint8 (N, S, S, 3) RGB with S = spec.crop_size; landmarks, world_landmarks:
    float32 (N, 21, 3), see EncoderSpec. What the encoder doesn't read isn't converted.
    Raises UserError on other shapes or types.
    """
    inputs: dict[str, np.ndarray] = {}
    if "crop" in spec.inputs:
        size = spec.crop_size
        if crops.ndim != 4 or crops.shape[1:] != (size, size, 3) or crops.dtype != np.uint8:
            raise UserError(
                f"{spec.name} takes uint8 crops of shape (N, {size}, {size}, 3); "
                f"got {crops.dtype} {crops.shape}. Cut them at the encoder's crop_size."
            )
        crop = np.empty((len(crops), 3, size, size), np.float32)
        np.divide(crops.transpose(0, 3, 1, 2), np.float32(255), out=crop)  # one pass, for speed
        if any(spec.crop_mean):
            crop -= np.asarray(spec.crop_mean, np.float32).reshape(3, 1, 1)
        if spec.crop_std != (1.0, 1.0, 1.0):
            crop /= np.asarray(spec.crop_std, np.float32).reshape(3, 1, 1)
        inputs["crop"] = crop
    for name, points in (("landmarks", landmarks), ("world_landmarks", world_landmarks)):
        if name not in spec.inputs:
            continue
        if points.ndim != 3 or points.shape[1:] != (21, 3):
            raise UserError(
                f"{spec.name} takes {name} of shape (N, 21, 3); got {points.shape}. "
                "Pass all 21 joints of each hand, one row per hand."
            )
        inputs[name] = np.ascontiguousarray(points, np.float32)
    return inputs
