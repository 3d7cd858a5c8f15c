"""On a real NVIDIA GPU, with pycuda: copies, threads, leaks, and plans that are built and run.

python -m pytest tests/engines/tensorrt/test_gpu.py -rs
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from engines.encoder import ENCODERS, PALM_FILE, open_hand_networks
from engines.errors import UserError
from engines.hand_networks import PALM
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxNetwork
from engines.selftest.limits import LIMITS, check_outputs
from engines.selftest.outputs import outputs_of
from engines.spec import to_floats
from engines.tensorrt.build import BuildOptions, build, resolve_options
from engines.tensorrt.cuda_buffers import CudaBuffers, pycuda_version
from engines.tensorrt.encoder import TensorRTPalm, open_plan
from engines.tensorrt.gpu import compute_capability
from engines.tensorrt.runtimes import BUILDERS, find_installed
from realtime.measuring.drawn_crops import drawn_crops
from tests.engines.one_pass import save_one_pass

DEFAULT = ENCODERS["default"]


@pytest.fixture(scope="module", autouse=True)
def gpu() -> str:
    there = compute_capability()
    if there is None:
        pytest.skip("needs an NVIDIA GPU with its driver")
    try:
        pycuda_version()
    except UserError as error:
        pytest.skip(str(error))
    return there


def free_memory() -> int:
    import pycuda.driver

    return int(pycuda.driver.mem_get_info()[0])


def test_copies_there_and_back_from_two_threads() -> None:
    import pycuda.driver

    pairs = [CudaBuffers({"a": (8, 1000)}, {"b": (8, 1000)}) for _ in range(2)]
    wrong: list[int] = []

    def work(which: int) -> None:
        buffers = pairs[which]
        rng = np.random.default_rng(which)
        for _ in range(500):
            values = rng.normal(size=(rng.integers(1, 9), 1000)).astype(np.float32)

            def copy(count: int, buffers: CudaBuffers = buffers) -> None:
                source, target = buffers.addresses["a"], buffers.addresses["b"]
                stream = buffers._stream
                pycuda.driver.memcpy_dtod_async(target, source, count * 4000, stream)

            with buffers.current():
                given = buffers.run({"a": values}, copy)["b"]
            if not np.array_equal(given, values):
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and all(b.gpu_ms is not None and b.gpu_ms > 0 for b in pairs)
    for buffers in pairs:
        buffers.close()
        buffers.close()


def test_opening_and_closing_leaks_nothing() -> None:
    first = CudaBuffers({"a": (8, 100_000)}, {"b": (8, 100_000)})
    with first.current():
        before = free_memory()
        for _ in range(200):
            CudaBuffers({"a": (8, 100_000)}, {"b": (8, 100_000)}).close()
        assert free_memory() >= before - 8_000_000  # of 1.3 GB, had they stayed
    first.close()


def test_beside_torch() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs PyTorch with CUDA")
    there = torch.arange(1000, device="cuda", dtype=torch.float32)
    buffers = CudaBuffers({"a": (2, 10)}, {"b": (2, 10)})
    with buffers.current():
        buffers.run({"a": np.ones((1, 10), np.float32)}, lambda count: None)
    assert float((there * 2).sum()) == 999_000
    buffers.close()
    assert float((there * 3).sum()) == 1_498_500


@pytest.mark.parametrize(("precision", "cosine"), [("fp32", 0.9999), ("fp16", 0.999)])
@pytest.mark.parametrize("runtime", BUILDERS)
def test_a_plan_embeds_as_onnx_runtime_does_and_leaks_nothing(
    runtime: str, precision: str, cosine: float, gpu: str, tmp_path: Path
) -> None:
    if runtime not in find_installed():
        pytest.skip(f"needs {runtime}")
    plan = tmp_path / "e.plan"
    options = BuildOptions(runtime, precision, (1, 2, 8))
    try:
        resolve_options(options)
    except UserError as error:
        pytest.skip(f"{runtime} has no plans for {gpu}: {error}")
    build(DEFAULT, plan, options)
    original = OnnxEncoder(DEFAULT)
    crops = drawn_crops(20, original.spec.crop_size)
    wanted = original.encode(crops)
    encoder = open_plan(plan, original.fingerprint)
    for count in (1, 2, 3, 8, 20):
        given = encoder.encode(crops.rows(slice(count)))
        assert float((given * wanted[:count]).sum(axis=1).min()) >= cosine
    one = crops.rows(slice(1))
    for _ in range(100):
        encoder.encode(one)
    with encoder._plan._buffers.current():
        before = free_memory()
    for _ in range(10_000):
        encoder.encode(one)
    with encoder._plan._buffers.current():
        assert free_memory() >= before - 1_000_000
    encoder.close()
    encoder.close()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("runtime", BUILDERS)
def test_both_networks_of_a_pass_give_what_onnx_runtime_gives(
    runtime: str, precision: str, gpu: str, tmp_path: Path
) -> None:
    if runtime not in find_installed():
        pytest.skip(f"needs {runtime}")
    options = BuildOptions(runtime, precision, (1, 2, 8))
    try:
        resolve_options(options)
    except UserError as error:
        pytest.skip(f"{runtime} has no plans for {gpu}: {error}")
    one_pass = DEFAULT
    if not OnnxEncoder(DEFAULT).spec.one_pass:
        one_pass = tmp_path / "small.onnx"
        save_one_pass(one_pass)
    plan = tmp_path / "e.plan"
    build(one_pass, plan, options)
    build(PALM_FILE, tmp_path / "palm.plan", options)
    original, encoder = OnnxEncoder(one_pass), open_plan(plan)
    palm, network = open_hand_networks(encoder)
    assert isinstance(palm, TensorRTPalm) and network is encoder
    hands = drawn_crops(20, original.spec.crop_size)
    pictures = to_floats(drawn_crops(20, PALM.size).crops)
    for step in (1, 3, 8, 20):
        expected = outputs_of(original, hands)
        found = check_outputs("pass", encoder, hands, expected, LIMITS[precision], step)
        assert found.ok, found.found
        expected = OnnxNetwork(PALM_FILE, PALM).run(pictures)
        found = check_outputs("palm", palm, pictures, expected, LIMITS[precision], step)
        assert found.ok, found.found
    one = hands.rows(slice(1))
    for _ in range(100):
        encoder.look(one.crops, one.turns)
        palm.run(pictures[:1])
    with encoder._plan._buffers.current():
        before = free_memory()
    for _ in range(2000):
        encoder.look(one.crops, one.turns)
        palm.run(pictures[:1])
    with encoder._plan._buffers.current():
        assert free_memory() >= before - 1_000_000
    palm.close()
    encoder.close()
