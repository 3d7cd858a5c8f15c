"""What a network gives, encoder or palm network alike, and how far two of its outputs are apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

import numpy as np

from engines.encoder import Encoder
from engines.hand_networks import HAND, PALM, PalmNetwork
from engines.spec import EncoderInputs

Network: TypeAlias = Encoder | PalmNetwork
Inputs: TypeAlias = (
    EncoderInputs | np.ndarray
)  # hands for an encoder; pictures for the palm network
WIDTHS = {"landmarks": HAND.size, "boxes": PALM.size}  # pixels, the unit of these outputs
SURE = 0.5  # least probability of the palms whose boxes are compared


def count_of(inputs: Inputs) -> int:
    """N, the number of hands or pictures."""
    return len(inputs if isinstance(inputs, np.ndarray) else inputs.crops)


def one_of(inputs: Inputs) -> str:
    """What they are, for people: "hand" or "picture"."""
    return "picture" if isinstance(inputs, np.ndarray) else "hand"


def take(inputs: Inputs, rows: slice) -> Inputs:
    """Some of the hands or pictures."""
    return inputs[rows] if isinstance(inputs, np.ndarray) else inputs.rows(rows)


def outputs_of(network: Network, inputs: Inputs) -> dict[str, np.ndarray]:
    """All that a network gives in one call, by name, each (N, …)."""
    if isinstance(inputs, np.ndarray):
        return cast(PalmNetwork, network).run(inputs)
    encoder = cast(Encoder, network)
    if encoder.spec.one_pass:
        return vars(encoder.look(inputs.crops, inputs.turns))
    return {"embedding": encoder.encode(inputs)}


def all_outputs(network: Network, inputs: Inputs, step: int) -> dict[str, np.ndarray]:
    """The same of N rows, `step` in a call."""
    parts = [
        outputs_of(network, take(inputs, slice(start, start + step)))
        for start in range(0, count_of(inputs), step)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def numbers(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """All that was given for each of N rows, (N, K), pixels as shares of the width."""
    parts = [
        values.reshape(len(values), -1) / np.float32(WIDTHS.get(name, 1))
        for name, values in outputs.items()
    ]
    return np.concatenate(parts, axis=1)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each row of (N, D) and (N, D) → (N,); −1 where it isn't a number."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (a.astype(np.float64) * b).sum(axis=1) / lengths
    return np.nan_to_num(found, nan=-1.0)


def differences(
    exact: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """How far outputs are from the exact ones.

    Args:
        exact: (N, …) by name.
        found: the same from another engine, or with other arithmetic.

    Returns:
        By name: embedding (N,) 1 − cosine; landmarks (N, 21) shares of the crop's width;
        world_landmarks (N, 21) metres; presence and right (N,); scores (N, A) as probabilities;
        boxes (M, 18) shares of the picture's width, of the M that exactly are palms. What isn't a
        number is infinitely far away.
    """
    result = {}
    for name, values in found.items():
        wanted = exact[name]
        if name == "embedding":
            change = 1 - cosines(values, wanted)
        elif name == "landmarks":
            change = np.linalg.norm((values - wanted)[..., :2], axis=-1) / HAND.size
        elif name == "world_landmarks":
            change = np.linalg.norm(values - wanted, axis=-1)
        elif name == "scores":
            change = np.abs(_probability(values) - _probability(wanted))
        elif name == "boxes":
            sure = _probability(exact["scores"]) >= SURE
            change = np.abs(values - wanted)[sure] / PALM.size
        else:
            change = np.abs(values - wanted)
        result[name] = np.nan_to_num(change, nan=np.inf)
    return result


def _probability(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
