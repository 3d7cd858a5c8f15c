"""Acceptance checks for an engine: accuracy, thread safety, latency.

They know nothing of the engine but the network that it runs: an encoder, or the palm network.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.finding import Finding, run_check
from engines.selftest.bench import ratio_of
from engines.selftest.limits import Limits, check_outputs
from engines.selftest.outputs import (
    Inputs,
    Network,
    count_of,
    numbers,
    one_of,
    outputs_of,
    take,
)

SAME = 1e-5  # largest difference in any number between two outputs of one hand, see `numbers`
FRAME_MS = 1000 / 30  # of a camera at 30 frames a second
WARM_UP = 10  # calls before those that are timed
PATIENCE = 10  # times what one thread would take, before two are thought to be stuck


@dataclass(frozen=True)
class Effort:
    """How thorough the checks are.

    Attributes:
        hands: how many are drawn to compare outputs of.
        encodes: calls of the two threads together.
        repeats: timed calls per batch.
        batches: numbers of hands in a call, ascending.
        patience_s: how long the two threads may take, seconds, on a machine that isn't slow.
    """

    hands: int = 256
    encodes: int = 1000
    repeats: int = 300
    batches: tuple[int, ...] = (1, 2, 8)
    patience_s: float = 300.0


def run_trials(
    name: str,
    network: Network,
    inputs: Inputs,
    effort: Effort,
    most: int | None = None,
    against: tuple[Mapping[str, np.ndarray], Limits] | None = None,
    cpu: Network | None = None,
) -> Iterator[Finding]:
    """Run all checks of one engine, whatever each finds, and close it.

    Args:
        name: the engine's, for people.
        network: the network in it.
        inputs: N hands or pictures.
        effort: how thorough to be.
        most: hands that it takes in one call; None for any number.
        against: what ONNX Runtime's CPU makes of them, and how far from that the engine may be;
            None where there is nothing to compare with.
        cpu: the network on ONNX Runtime's CPU, to be timed beside; None where it is the engine, or
            there is none.
    """
    batches = tuple(b for b in effort.batches if most is None or b <= most)
    if against is not None:
        expected, limits = against
        step = batches[-1]
        right = f"{name}: right"
        yield run_check(
            right, lambda: check_outputs(right, network, inputs, expected, limits, step)
        )
    what = f"{name}: two threads"
    threads = run_check(what, lambda: check_threads(what, network, inputs, effort))
    yield threads
    if threads.figures.get("stuck"):
        return  # any further call, even to close, may hang
    fast = f"{name}: speed"
    yield run_check(fast, lambda: check_speed(fast, network, inputs, effort.repeats, batches, cpu))
    closed = run_check(f"{name}: closed", lambda: _check_close(f"{name}: closed", network))
    if not closed.ok:
        yield closed


def _check_close(what: str, network: Network) -> Finding:
    network.close()
    return Finding(what, True, "")


def check_threads(what: str, network: Network, inputs: Inputs, effort: Effort) -> Finding:
    """Check that two threads at once get the same as one thread alone.

    The threads take hands one by one, and never the same hand at the same time. On a busy machine
    they may take as much longer as the one thread did.
    """
    count, each = count_of(inputs), effort.encodes // 2
    singles = [take(inputs, slice(i, i + 1)) for i in range(count)]
    began = time.perf_counter()
    alone = [numbers(outputs_of(network, one))[0] for one in singles]
    expected_s = (time.perf_counter() - began) / count * 2 * each
    patience_s = max(effort.patience_s, PATIENCE * expected_s)
    differing, errors = [0, 0], ["", ""]
    barrier = threading.Barrier(2)

    def work(thread: int) -> None:
        try:
            barrier.wait(patience_s)
            order = itertools.islice(itertools.cycle(range(count)), thread * (count // 2), None)
            for i in itertools.islice(order, each):
                row = numbers(outputs_of(network, singles[i]))
                same = row.shape == (1, *alone[i].shape) and np.abs(row[0] - alone[i]).max() <= SAME
                differing[thread] += not same  # NaN is never the same
        except Exception as error:  # becomes the finding below
            errors[thread] = f"{type(error).__name__}: {error}"

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(2)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + patience_s - time.perf_counter()))
    taken = time.perf_counter() - began
    done = f"{2 * each} encodes from two threads"
    advice = "use it from one thread only, and report this"
    if any(thread.is_alive() for thread in threads):
        text = f"{done} weren't done after {patience_s:.0f} s"
        return Finding(what, False, text, advice, {"stuck": True})
    if any(errors):
        return Finding(what, False, f"{done}: {next(filter(None, errors))}", advice)
    figures = {"encodes": 2 * each, "differing": sum(differing), "encodes_per_s": 2 * each / taken}
    if sum(differing):
        text = f"{sum(differing)} of {done} differ from those of one"
        return Finding(what, False, text, advice, figures)
    return Finding(what, True, f"{done}, {2 * each / taken:.0f} a second, as by one", "", figures)


def check_speed(
    what: str,
    network: Network,
    inputs: Inputs,
    repeats: int,
    batches: tuple[int, ...],
    cpu: Network | None = None,
) -> Finding:
    """Measure a call's time by the number of hands, and the GPU's part of it where it is known.

    A busy machine slows everything down. So the network on ONNX Runtime's CPU is timed in turn with
    the engine, and only what is too slow beside that one's quickest call is a fault of the engine.

    Args:
        what: the check's name, for people.
        network: the network in the engine that is tested.
        inputs: N hands or pictures.
        repeats: timed calls per batch.
        batches: numbers of hands in a call, ascending.
        cpu: the network on ONNX Runtime's CPU; None where there is nothing to compare with.
    """
    networks = [network] if cpu is None else [network, cpu]
    measured = _measure(networks, take(inputs, slice(batches[0])), repeats)
    latencies = {batches[0]: measured[0]}
    for batch in batches[1:]:
        [latencies[batch]] = _measure([network], take(inputs, slice(batch)), repeats)
    figures: dict[str, dict[str, float]] = {}
    for batch, (wall, gpu) in latencies.items():
        figures[str(batch)] = _percentiles("", wall)
        if gpu is not None:
            figures[str(batch)] |= _percentiles("gpu_", gpu) | _percentiles("host_", wall - gpu)
    one_ms = figures[str(batches[0])]["p50"]
    text = f"{one_ms:.2f} ms for one {one_of(inputs)} (median)"
    ok, advice = _judge(measured[0][0], measured[1][0] if cpu else None)
    return Finding(what, ok, text, advice, {"latency_ms": figures})


def _judge(times: np.ndarray, base: np.ndarray | None) -> tuple[bool | None, str]:
    """Whether an engine is quick enough, and what to do otherwise.

    Args:
        times: milliseconds of its calls for one hand, (repeats,).
        base: those of ONNX Runtime's CPU in the same run; None where there are none.
    """
    slow = float(np.median(times)) > FRAME_MS
    if base is not None:
        ratio = ratio_of(times[:, None], base[:, None])
        undisturbed_ms = float(base.min())
        if undisturbed_ms <= FRAME_MS < ratio.low * undisturbed_ms:
            return False, "too slow for a camera of 30 frames a second: use another engine"
        if ratio.low > 1:
            cpu_ms = float(np.median(base))
            return None, f"ONNX Runtime's CPU takes {cpu_ms:.2f} ms: --engine onnx is quicker here"
    if slow:
        return None, (
            "too slow for a camera of 30 frames a second, as this machine is slow or busy: try "
            "again when nothing else runs"
        )
    return True, ""


def _measure(
    networks: Sequence[Network], inputs: Inputs, repeats: int
) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Time networks in turn.

    Returns:
        For each network the milliseconds of its calls, (repeats,): in all, and on the GPU (None
        where that isn't known).
    """
    for network in networks:
        for _ in range(WARM_UP):
            outputs_of(network, inputs)
    wall, gpu = np.full((2, len(networks), repeats), np.nan)
    for i in range(repeats):
        for row, network in enumerate(networks):
            began = time.perf_counter()
            outputs_of(network, inputs)
            wall[row, i] = (time.perf_counter() - began) * 1000
            inside = getattr(network, "gpu_ms", None)
            gpu[row, i] = np.nan if inside is None else inside
    return [
        (times, None if np.isnan(inside).any() else inside)
        for times, inside in zip(wall, gpu, strict=True)
    ]


def _percentiles(prefix: str, values: np.ndarray) -> dict[str, float]:
    found = np.percentile(values, (50, 95, 99))
    names = ("p50", "p95", "p99")
    return {prefix + n: round(float(v), 4) for n, v in zip(names, found, strict=True)}
