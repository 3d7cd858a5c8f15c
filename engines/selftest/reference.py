"""What the engines of an encoder are compared with: ONNX Runtime on the CPU, itself tested first.

The steps of the self-test that opens engines; what each has to stand is in trials.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.encoder import Encoder
from engines.finding import Finding, guarded
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.providers import CPU
from engines.selftest.trials import Effort, Hands, embedded, trial
from engines.spec import EncoderSpec


@dataclass(frozen=True)
class Reference:
    """An encoder and what ONNX Runtime's CPU makes of hands.

    hands: what Encoder.encode takes, N of them; embeddings float32 (N, D); cpu_ms: the median
    time for one hand, None where it couldn't be taken.
    """

    spec: EncoderSpec
    fingerprint: str
    hands: Hands
    embeddings: np.ndarray
    cpu_ms: float | None = None


def referred(
    onnx: Path, draw: Callable[[int], Hands], effort: Effort, made: list[Reference]
) -> Iterator[Finding]:
    """Test ONNX Runtime on the CPU; adds the reference to `made`, unless that fails.

    draw: crop size → hands.
    """
    opened: list[Encoder] = []

    def prepare() -> Finding:
        encoder = OnnxEncoder(onnx)
        hands = draw(encoder.spec.crop_size)
        expected = embedded(encoder, hands, effort.batches[-1])
        made.append(Reference(encoder.spec, encoder.fingerprint, hands, expected))
        opened.append(encoder)
        found = f"{encoder.spec.name}, {encoder.fingerprint[:12]}"
        return Finding("encoder", True, found, "", {"file": onnx.name})

    yield guarded("encoder", prepare)
    if not opened:
        return
    for finding in trial(f"ONNX Runtime, {CPU}", opened[0], made[0].hands, effort):
        latency = finding.figures.get("latency_ms", {})
        if "1" in latency:
            made[0] = dataclasses.replace(made[0], cpu_ms=latency["1"]["p50"])
        yield finding


def tried(
    engine: str,
    open_it: Callable[[], Encoder],
    reference: Reference,
    limit: float | None,
    effort: Effort,
    most: int | None = None,
) -> Iterator[Finding]:
    """Open an engine and test it.

    limit: least cosine to the reference, None where it is of another encoder. most: hands that
    the engine takes at once, None for any number.
    """
    opened: list[Encoder] = []

    def look() -> Finding:
        opened.append(open_it())
        return Finding(engine, True, "opened")

    found = guarded(engine, look)
    if not opened:
        yield found
        return
    against = None if limit is None else (reference.embeddings, limit)
    yield from trial(engine, opened[0], reference.hands, effort, most, against, reference.cpu_ms)
