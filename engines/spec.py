"""An encoder's contract: its inputs, its output, and the preprocessing that makes the inputs.

The spec is stored inside the ONNX file (`metadata_props`), so that every engine feeds the network
in the same way. `preprocess` is the only code that turns uint8 crops into floats.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engines.errors import UserError, short_reason
from engines.hand_networks import HAND, Shapes

SPEC_KEY = "gesture_encoder_spec"
FINGERPRINT_KEY = "gesture_encoder_fingerprint"
INPUTS = ("crop", "landmarks", "world_landmarks", "turn")
NO_POINTS = (np.zeros((0, 21, 3), np.float32),) * 2  # for encoders that read neither landmarks
SIMILARITIES = ("cosine", "weighted_l1", "euclidean")
MOST_FEATURES, MOST_PIXELS, MOST = 65536, 4096, 1e30  # more than that is damage


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


def _is_number(value: object, least: float = -MOST, most: float = MOST) -> bool:
    """Whether it is a finite number in a range. JSON's true and NaN aren't."""
    return type(value) in (int, float) and least <= value <= most  # type: ignore[operator]


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def _are_numbers(values: object, count: int | None = None, least: float = -MOST) -> bool:
    return (
        isinstance(values, tuple)
        and count in (None, len(values))
        and all(_is_number(value, least) for value in values)
    )


CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("text", _is_text),
    "dim": (f"1 to {MOST_FEATURES}", lambda value: _is_count(value, MOST_FEATURES)),
    "crop_size": (f"1 to {MOST_PIXELS} pixels", lambda value: _is_count(value, MOST_PIXELS)),
    "crop_mean": ("three numbers", lambda values: _are_numbers(values, 3)),
    "crop_std": ("three numbers above 0", lambda values: _are_numbers(values, 3, 1 / MOST)),
    "similarity_weights": ("numbers", _are_numbers),
    "similarity_bias": ("a number", _is_number),
}


@dataclass(frozen=True)
class EncoderSpec:
    """What an encoder takes and gives.

    Its ONNX inputs, each with a leading batch axis:
        crop: float32 (N, 3, S, S) RGB, (value / 255 − crop_mean) / crop_std.
        landmarks: float32 (N, 21, 3) in crop widths, 0…1 inside the crop.
        world_landmarks: float32 (N, 21, 3) metres, x right, y down, z away from the camera.
        turn: float32 (N, 2), cosine and sine of the angle by which the crop's up is turned
            clockwise from the picture's.
    Its output is "embedding", float32 (N, D). An encoder that takes `turn` is a one-pass encoder:
    it finds the landmarks itself, and gives the outputs of `engines.hand_networks.HAND`, too.

    Attributes:
        name: what people call it, with a version where its formula may change: "landmarks-1".
        inputs: the inputs that it reads, some of INPUTS.
        dim: D, the length of an embedding.
        similarity: "cosine" (embeddings have unit norm), "weighted_l1" or "euclidean"; see
            `engines.similarity`.
        crop_size: S, pixels.
        crop_mean: per channel, R G B.
        crop_std: per channel, R G B.
        similarity_weights: D weights of "weighted_l1", else empty.
        similarity_bias: bias of "weighted_l1".
        version: of this format.
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
        for name, (wanted, check) in CHECKS.items():
            if not check(value := getattr(self, name)):
                raise UserError(f"An encoder's {name} is {wanted}; got {repr(value)[:80]}.")
        known = set(self.inputs) <= set(INPUTS) and isinstance(self.inputs, tuple)
        if not known or not self.inputs or len(set(self.inputs)) < len(self.inputs):
            raise UserError(
                f"An encoder's inputs are some of {INPUTS}; got {repr(self.inputs)[:80]}."
            )
        if self.one_pass and set(self.inputs) != {"crop", "turn"}:
            raise UserError(f"A one-pass encoder takes crop and turn; got {self.inputs}.")
        if self.similarity not in SIMILARITIES:
            raise UserError(
                f"A similarity is one of {SIMILARITIES}; got {repr(self.similarity)[:80]}."
            )
        if self.similarity == "weighted_l1" and len(self.similarity_weights) != self.dim:
            raise UserError(
                f"weighted_l1 needs {self.dim} weights, one per feature; "
                f"got {len(self.similarity_weights)}."
            )

    @property
    def one_pass(self) -> bool:
        """Whether the encoder gives landmarks, presence and side beside the embedding."""
        return "turn" in self.inputs

    def to_json(self) -> str:
        """One line of JSON; equal specs give equal text, which fingerprints rely on."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> EncoderSpec:
        """Parse a spec. Raises UserError where the text isn't one of version 1."""
        try:
            fields = json.loads(text)
            version = fields.get("version")
            if type(version) is not int or version != 1:
                raise UserError(
                    f"The encoder's spec has version {repr(version)[:80]}; this program reads "
                    "version 1. Update the program or export the encoder again."
                )
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
            }
            return EncoderSpec(**values)
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise UserError(
                f"The encoder's spec can't be read ({short_reason(error)}). Export it again."
            ) from None


def fingerprint(spec: EncoderSpec, weights: Mapping[str, np.ndarray]) -> str:
    """What identifies an encoder: SHA-256 (hex) of its spec and its named weights in any order."""
    digest = hashlib.sha256(spec.to_json().encode())
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def input_shapes(spec: EncoderSpec) -> Shapes:
    """The encoder's inputs by name, each with its shape without the batch axis."""
    side = spec.crop_size
    shapes = {
        "crop": (3, side, side),
        "landmarks": (21, 3),
        "world_landmarks": (21, 3),
        "turn": (2,),
    }
    return {name: shapes[name] for name in spec.inputs}


def output_shapes(spec: EncoderSpec) -> Shapes:
    """The encoder's outputs by name, each with its shape without the batch axis."""
    return {"embedding": (spec.dim,), **(HAND.outputs if spec.one_pass else {})}


class EncoderInputs(NamedTuple):
    """N hands as an encoder is given them. An array that its spec doesn't name may be empty.

    Attributes:
        crops: uint8 (N, S, S, 3) RGB, S the spec's crop_size.
        landmarks: float32 (N, 21, 3), see `EncoderSpec`.
        world_landmarks: float32 (N, 21, 3) metres, see `EncoderSpec`.
        turns: float32 (N, 2), see `EncoderSpec`.
    """

    crops: np.ndarray
    landmarks: np.ndarray
    world_landmarks: np.ndarray
    turns: np.ndarray

    def rows(self, rows: slice | np.ndarray) -> EncoderInputs:
        """The same of some of the hands."""
        return EncoderInputs(*(array[rows] for array in self))


def preprocess(spec: EncoderSpec, hands: EncoderInputs) -> dict[str, np.ndarray]:
    """Turn N hands into an encoder's ONNX inputs.

    Returns:
        float32 arrays by input name, only those that the encoder reads.

    Raises:
        UserError: if an array has another shape or type.
    """
    crops, landmarks, world_landmarks, turns = hands
    inputs: dict[str, np.ndarray] = {}
    if "crop" in spec.inputs:
        size = spec.crop_size
        if crops.ndim != 4 or crops.shape[1:] != (size, size, 3) or crops.dtype != np.uint8:
            raise UserError(
                f"{spec.name} takes uint8 crops of shape (N, {size}, {size}, 3); "
                f"got {crops.dtype} {crops.shape}. Cut them at the encoder's crop_size."
            )
        crop = to_floats(crops)
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
    if "turn" in spec.inputs:
        if turns.ndim != 2 or turns.shape[1:] != (2,):
            raise UserError(
                f"{spec.name} takes turns of shape (N, 2); got {turns.shape}. Pass the cosine and "
                "the sine of each crop's angle."
            )
        inputs["turn"] = np.ascontiguousarray(turns, np.float32)
    return inputs


def to_floats(crops: np.ndarray) -> np.ndarray:
    """Convert uint8 (N, S, S, 3) to float32 (N, 3, S, S), 0…1."""
    count, height, width, channels = crops.shape
    floats = np.empty((count, channels, height, width), np.float32)
    return np.divide(crops.transpose(0, 3, 1, 2), np.float32(255), out=floats)
