"""The baseline that engines are compared with: ONNX Runtime on the CPU, itself checked first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.encoder import PALM_FILE
from engines.finding import Finding, run_check
from engines.hand_networks import PALM
from engines.onnx_file import check_weights
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxNetwork
from engines.onnx_runtime.providers import CPU
from engines.selftest.limits import Limits
from engines.selftest.outputs import Inputs, Network, all_outputs
from engines.selftest.trials import Effort, run_trials
from engines.spec import EncoderInputs, EncoderSpec, to_floats


@dataclass(frozen=True)
class Baseline:
    """A network, and what ONNX Runtime's CPU makes of some hands or pictures.

    Attributes:
        spec: the encoder's; None for the palm network.
        fingerprint: the encoder's; of the palm network, the SHA-256 of its file (hex).
        inputs: N hands or pictures.
        outputs: float32 (N, …) by name.
        cpu: the network there, which other engines are timed beside.
    """

    spec: EncoderSpec | None
    fingerprint: str
    inputs: Inputs
    outputs: dict[str, np.ndarray]
    cpu: Network

    @property
    def prefix(self) -> str:
        """What the names of the network's engines begin with."""
        return "palm network, " if self.spec is None else ""


def open_network(onnx: Path, provider: str = CPU) -> Network:
    """Open an encoder, or the palm network, in ONNX Runtime.

    Raises UserError, too, where its weights aren't those of its fingerprint.
    """
    palm = onnx == PALM_FILE
    network = OnnxNetwork(onnx, PALM, provider) if palm else OnnxEncoder(onnx, provider)
    check_weights(onnx)
    return network


def try_cpu(
    onnx: Path, draw: Callable[[int], EncoderInputs], effort: Effort, made: list[Baseline]
) -> Iterator[Finding]:
    """Check ONNX Runtime on the CPU, and append the baseline to `made` if that works.

    Args:
        onnx: the network's file.
        draw: gives the hands for a crop size; the palm network sees the crops as pictures.
        effort: how thorough to be.
        made: an empty list.
    """
    what = "palm network" if onnx == PALM_FILE else "encoder"
    opened: list[Network] = []

    def prepare() -> Finding:
        network = open_network(onnx)
        step = effort.batches[-1]
        if isinstance(network, OnnxEncoder):
            hands = draw(network.spec.crop_size)
            outputs = all_outputs(network, hands, step)
            made.append(Baseline(network.spec, network.fingerprint, hands, outputs, network))
            found = f"{network.spec.name}, {network.fingerprint[:12]}"
        else:
            pictures = to_floats(draw(PALM.size).crops)
            mark = hashlib.sha256(onnx.read_bytes()).hexdigest()
            outputs = all_outputs(network, pictures, step)
            made.append(Baseline(None, mark, pictures, outputs, network))
            found = mark[:12]
        opened.append(network)
        return Finding(what, True, found, "", {"file": onnx.name})

    yield run_check(what, prepare)
    if not opened:
        return
    engine = f"{made[0].prefix}ONNX Runtime, {CPU}"
    yield from run_trials(engine, opened[0], made[0].inputs, effort)


def try_engine(
    engine: str,
    open_it: Callable[[], Network],
    baseline: Baseline,
    limits: Limits | None,
    effort: Effort,
    most: int | None = None,
) -> Iterator[Finding]:
    """Open an engine and check it.

    Args:
        engine: its name, for people.
        open_it: opens it.
        baseline: what it is compared with.
        limits: how near to the baseline's outputs its own have to be; None where those are another
            encoder's.
        effort: how thorough to be.
        most: hands that the engine takes in one call; None for any number.
    """
    opened: list[Network] = []

    def look() -> Finding:
        opened.append(open_it())
        return Finding(engine, True, "opened")

    found = run_check(engine, look)
    if not opened:
        yield found
        return
    against = None if limits is None else (baseline.outputs, limits)
    yield from run_trials(engine, opened[0], baseline.inputs, effort, most, against, baseline.cpu)
