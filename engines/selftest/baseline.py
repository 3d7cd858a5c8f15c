"""The baseline that engines are compared with: ONNX Runtime on the CPU, itself checked first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.encoder import Encoder, EncoderInputs
from engines.finding import Finding, run_check
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.providers import CPU
from engines.selftest.trials import Effort, embed_all, run_trials
from engines.spec import EncoderSpec


@dataclass(frozen=True)
class Baseline:
    """An encoder, and what ONNX Runtime's CPU makes of some hands.

    Attributes:
        spec: the encoder's.
        fingerprint: the encoder's.
        hands: the N hands.
        embeddings: float32 (N, D).
        cpu_ms: median time for one hand, milliseconds; None where it couldn't be measured.
    """

    spec: EncoderSpec
    fingerprint: str
    hands: EncoderInputs
    embeddings: np.ndarray
    cpu_ms: float | None = None


def try_cpu(
    onnx: Path, draw: Callable[[int], EncoderInputs], effort: Effort, made: list[Baseline]
) -> Iterator[Finding]:
    """Check ONNX Runtime on the CPU, and append the baseline to `made` if that works.

    Args:
        onnx: the encoder's file.
        draw: gives the hands for a crop size.
        effort: how thorough to be.
        made: an empty list.
    """
    opened: list[Encoder] = []

    def prepare() -> Finding:
        encoder = OnnxEncoder(onnx)
        hands = draw(encoder.spec.crop_size)
        expected = embed_all(encoder, hands, effort.batches[-1])
        made.append(Baseline(encoder.spec, encoder.fingerprint, hands, expected))
        opened.append(encoder)
        found = f"{encoder.spec.name}, {encoder.fingerprint[:12]}"
        return Finding("encoder", True, found, "", {"file": onnx.name})

    yield run_check("encoder", prepare)
    if not opened:
        return
    for finding in run_trials(f"ONNX Runtime, {CPU}", opened[0], made[0].hands, effort):
        latency = finding.figures.get("latency_ms", {})
        if "1" in latency:
            made[0] = dataclasses.replace(made[0], cpu_ms=latency["1"]["p50"])
        yield finding


def try_engine(
    engine: str,
    open_it: Callable[[], Encoder],
    baseline: Baseline,
    limit: float | None,
    effort: Effort,
    most: int | None = None,
) -> Iterator[Finding]:
    """Open an engine and check it.

    Args:
        engine: its name, for people.
        open_it: opens it.
        baseline: what it is compared with.
        limit: least cosine to the baseline's embeddings; None where those are another encoder's.
        effort: how thorough to be.
        most: hands that the engine takes in one call; None for any number.
    """
    opened: list[Encoder] = []

    def look() -> Finding:
        opened.append(open_it())
        return Finding(engine, True, "opened")

    found = run_check(engine, look)
    if not opened:
        yield found
        return
    against = None if limit is None else (baseline.embeddings, limit)
    yield from run_trials(engine, opened[0], baseline.hands, effort, most, against, baseline.cpu_ms)
