"""How far an engine's outputs may be from those of ONNX Runtime's CPU, and whether they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engines.finding import Finding
from engines.selftest.outputs import Inputs, Network, all_outputs, differences


@dataclass(frozen=True)
class Limits:
    """What is allowed.

    Attributes:
        cosine: least, between embeddings.
        width: most, for landmarks in widths of the crop, for palms' boxes in widths of the picture.
        metres: most, for world landmarks.
        chance: most, for presence, side and palms' scores, all 0…1.
    """

    cosine: float
    width: float = 0.001
    metres: float = 0.0005
    chance: float = 0.005

    def most(self, output: str) -> float:
        """The most that an output other than the embedding may differ by, see `differences`."""
        if output == "world_landmarks":
            return self.metres
        return self.width if output in ("landmarks", "boxes") else self.chance


LIMITS = {
    "fp32": Limits(0.9999),
    "fp16": Limits(0.999, 0.005, 0.002, 0.02),
    "int8": Limits(0.99, 0.03, 0.01, 0.1),
}


def check_outputs(
    what: str,
    network: Network,
    inputs: Inputs,
    expected: Mapping[str, np.ndarray],
    limits: Limits,
    step: int,
) -> Finding:
    """Check that a network's outputs are as near to the expected ones as they have to be.

    Args:
        what: the check's name, for people.
        network: an encoder or the palm network, in the engine that is tested.
        inputs: N hands or pictures.
        expected: what ONNX Runtime's CPU makes of them, (N, …) by name.
        limits: how near they have to be.
        step: how many to pass in a call.
    """
    found = all_outputs(network, inputs, step)
    for name, values in expected.items():
        shape = found[name].shape if name in found else None
        if shape != values.shape:
            text = f"gives {shape}, not {values.shape}, for {name}"
            return Finding(what, False, text, "build it again")
    changes = differences(expected, found)
    texts, faults, figures = [], [], {}
    if "embedding" in changes:
        cosine = 1 - changes.pop("embedding")
        below = int(np.sum(cosine < limits.cosine))
        texts.append(
            f"least cosine to ONNX Runtime {cosine.min():.6f} of {len(cosine)} hands, "
            f"{limits.cosine} asked for"
        )
        faults += [f"{below} hands are below"] if below else []
        figures = {
            "cosine_min": float(cosine.min()),
            "cosine_median": float(np.median(cosine)),
            "limit": limits.cosine,
            "below": below,
        }
    for name, change in changes.items():
        most = min(float(change.max(initial=0.0)), 1e6)  # ∞ isn't JSON
        texts.append(f"{name} off by {most:.6f} at most, {limits.most(name)} allowed")
        faults += [] if most <= limits.most(name) else [f"{name} are too far off"]
        figures[f"{name}_off"] = most
    text, ok = "; ".join(texts), not faults
    advice = "" if ok else "don't use it, and report this: run with --engine onnx"
    return Finding(what, ok, text if ok else f"{text}: {', '.join(faults)}", advice, figures)
