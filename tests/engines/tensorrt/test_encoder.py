"""Running a plan, on a simulated GPU that is as strict as CUDA; test_gpu.py has a real one."""

from __future__ import annotations

import dataclasses
import gc
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.encoder import open_encoder
from engines.errors import UserError
from engines.onnx_file import save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.tensorrt import plan as tensorrt_plan
from engines.tensorrt.encoder import TensorRTEncoder, open_plan
from engines.tensorrt.plan import cache_path
from engines.tensorrt.sidecar import save
from tests.engines.tensorrt.played import CLASSIC, RTX, play
from tests.engines.tensorrt.simulated_gpu import Gpu
from tests.engines.test_engines import PICTURE, hands, picture_model


def made(
    folder: Path, gpu: Gpu, monkeypatch: Any, runtime: str = RTX, portable: bool = False
) -> Path:
    """A plan, its sidecar, and e.onnx beside it."""
    save_encoder(picture_model(), PICTURE, folder / "e.onnx")
    return play(folder / "e.onnx", folder / "e.plan", gpu, monkeypatch, runtime, portable)


@pytest.mark.parametrize("runtime", [CLASSIC, RTX])
def test_it_embeds_any_number_of_hands_as_onnx_runtime_does(
    runtime: str, gpu: Gpu, tmp_path: Path, monkeypatch
) -> None:
    encoder = open_plan(made(tmp_path, gpu, monkeypatch, runtime))
    original = OnnxEncoder(tmp_path / "e.onnx")
    assert encoder.spec == original.spec and encoder.fingerprint == original.fingerprint
    assert encoder.gpu_ms is None
    for count in (1, 2, 3, 8, 1, 9, 20, 2):
        given = encoder.encode(hands(count))
        assert given.dtype == np.float32 and given.flags.owndata
        np.testing.assert_array_equal(given, original.encode(hands(count)))
        assert encoder.gpu_ms == 1.5 * -(-count // 8)
    assert encoder.encode(hands(0)).shape == (0, 8)
    encoder.close()


def test_ten_thousand_encodes_leak_nothing(gpu: Gpu, tmp_path: Path, monkeypatch) -> None:
    encoder = open_plan(made(tmp_path, gpu, monkeypatch))
    one, two = hands(1), hands(2)
    held = dict(gpu.device), gpu.pinned, len(gpu.streams), gpu.contexts
    gpu.calls.clear()
    for i in range(10_000):
        encoder.encode(one if i % 3 else two)
    assert (dict(gpu.device), gpu.pinned, len(gpu.streams), gpu.contexts) == held
    assert gpu.calls.count("synchronize") == 10_000
    assert not {"mem_alloc", "pagelocked_empty", "Stream", "Event"} & set(gpu.calls)
    assert gpu.calls.count("set_input_shape") == 4, "shapes are set once a profile, two inputs each"
    assert set(gpu.stacks.values()) == {0}
    encoder.close()
    encoder.close()
    assert gpu.device == {} and gpu.pinned == 0 and gpu.contexts == 0 and gpu.retained == 1
    with pytest.raises(UserError, match="e.plan has been closed; open it again"):
        encoder.encode(one)


def test_two_threads_wait_for_one_another(gpu: Gpu, tmp_path: Path, monkeypatch) -> None:
    encoder = open_plan(made(tmp_path, gpu, monkeypatch))
    original = OnnxEncoder(tmp_path / "e.onnx")
    wrong: list[int] = []

    def work(count: int) -> None:
        mine = hands(count)
        wanted = original.encode(mine)
        for _ in range(200):
            if not np.array_equal(encoder.encode(mine), wanted):
                wrong.append(count)

    threads = [threading.Thread(target=work, args=(count,)) for count in (1, 2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    encoder.close()
    assert set(gpu.stacks.values()) == {0} and gpu.device == {}


def test_what_rtx_compiled_is_kept_for_the_next_time(gpu: Gpu, tmp_path: Path, monkeypatch) -> None:
    plan = made(tmp_path, gpu, monkeypatch, RTX)
    open_plan(plan).close()
    assert cache_path(plan).read_bytes() == b"kernels"
    cache_path(plan).write_bytes(b"from before")
    open_plan(plan).close()
    assert cache_path(plan).read_bytes() == b"from before"
    classic = made(tmp_path, gpu, monkeypatch, CLASSIC)
    cache_path(classic).unlink()
    open_plan(classic).close()
    assert not cache_path(classic).exists()


def test_only_a_portable_plan_may_bring_code(gpu: Gpu, tmp_path: Path, monkeypatch) -> None:
    for portable in (False, True):
        encoder = open_plan(made(tmp_path, gpu, monkeypatch, CLASSIC, portable))
        assert encoder._plan._execution is not None
        assert encoder._plan._execution._runtime.engine_host_code_allowed is portable
        encoder.close()


@pytest.mark.parametrize(
    ("fails", "sentence"),
    [
        ("deserialize", "can't be opened \\(serialization assertion failed\\); for the CPU"),
        ("context", "can't be made ready \\(no reason given\\)"),
        ("second context", "can't be made ready \\(no reason given\\)"),
        (
            "old driver",
            "can't start here \\(CUDA initialization failure with error: 35\\); it needs",
        ),
        ("mem_alloc", "The GPU can't reserve its memory \\(mem_alloc failed: out of memory\\)"),
        ("pagelocked_empty", "can't reserve its memory"),
    ],
)
def test_a_plan_that_cannot_be_opened_leaves_nothing_behind(
    fails: str, sentence: str, gpu: Gpu, tmp_path: Path, monkeypatch
) -> None:
    plan = made(tmp_path, gpu, monkeypatch)
    gpu.fail = {fails}
    with pytest.raises(UserError, match=sentence + ".*--engine onnx"):
        open_plan(plan)
    gc.collect()
    assert gpu.device == {} and gpu.pinned == 0 and set(gpu.stacks.values()) == {0}
    assert gpu.contexts == 0 and "an execution context outlived its memory" not in gpu.calls


def test_a_fault_in_closing_still_frees_everything(gpu: Gpu, tmp_path: Path, monkeypatch) -> None:
    encoder = open_plan(made(tmp_path, gpu, monkeypatch))
    assert encoder._plan._execution is not None
    monkeypatch.setattr(encoder._plan._execution, "compiled_kernels", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        encoder.close()
    gc.collect()
    assert gpu.device == {} and gpu.pinned == 0 and gpu.contexts == 0
    assert "an execution context outlived its memory" not in gpu.calls


@pytest.mark.parametrize(
    ("fails", "sentence"),
    [
        ("execute", "e.plan on TensorRT for RTX 10.16.1.11 stopped \\(the kernel\\); for the CPU"),
        ("memcpy_dtoh_async", "The GPU stopped with an error \\(memcpy_dtoh_async failed"),
        ("synchronize", "The GPU stopped with an error \\(synchronize failed: out of memory\\)"),
    ],
)
def test_a_fault_while_running_is_told_and_the_next_call_works(
    fails: str, sentence: str, gpu: Gpu, tmp_path: Path, monkeypatch
) -> None:
    encoder = open_plan(made(tmp_path, gpu, monkeypatch))
    wanted = encoder.encode(hands(2))
    gpu.fail = {fails}
    with pytest.raises(UserError, match=sentence):
        encoder.encode(hands(2))
    assert set(gpu.stacks.values()) == {0}
    gpu.fail = set()
    np.testing.assert_array_equal(encoder.encode(hands(2)), wanted)
    encoder.close()


def test_a_plan_with_other_tensors_than_its_sidecar_says(
    gpu: Gpu, tmp_path: Path, monkeypatch
) -> None:
    plan = made(tmp_path, gpu, monkeypatch)
    from engines.tensorrt import sidecar

    one = dataclasses.replace(sidecar.load(plan), batches=(4,))
    save(one, plan)
    with pytest.raises(UserError, match="3 profiles where its sidecar says .* and 1; build it"):
        open_plan(plan)
    assert gpu.device == {} and gpu.pinned == 0


def test_auto_takes_the_plan_beside_the_encoder_or_says_why_not(
    gpu: Gpu, tmp_path: Path, monkeypatch, capsys
) -> None:
    plan = made(tmp_path, gpu, monkeypatch)
    name = str(tmp_path / "e.onnx")
    encoder = open_encoder(name)
    assert isinstance(encoder, TensorRTEncoder) and capsys.readouterr().err == ""
    encoder.close()
    assert isinstance(open_encoder(name, "onnx"), OnnxEncoder)
    named = open_encoder(name, str(plan))
    assert isinstance(named, TensorRTEncoder)
    named.close()
    monkeypatch.setattr(tensorrt_plan, "compute_capability", lambda: "sm75")
    assert isinstance(open_encoder(name, "auto"), OnnxEncoder)
    [said] = capsys.readouterr().err.splitlines()
    assert "was built for sm89 and the GPU here is sm75; build it for this one" in said
    assert said.endswith("The encoder runs on ONNX Runtime instead.")
    with pytest.raises(UserError, match="the GPU here is sm75"):
        open_encoder(name, str(plan))
    other = str(tmp_path / "other.onnx")
    save_encoder(picture_model(), dataclasses.replace(PICTURE, name="other-1"), Path(other))
    with pytest.raises(UserError, match="not the one asked for.* with --encoder, or build it"):
        open_encoder(other, str(plan))
    for wrong in ("tensorrt", "e.engine", ""):
        with pytest.raises(UserError, match="--engine takes auto, onnx"):
            open_encoder(name, wrong)


def test_threads_that_begin_at_once_share_the_primary_context(
    gpu: Gpu, tmp_path: Path, monkeypatch
) -> None:
    plan, ready = made(tmp_path, gpu, monkeypatch), threading.Barrier(4)
    opened: list[TensorRTEncoder] = []

    def work() -> None:
        ready.wait()
        opened.append(open_plan(plan))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gpu.retained == 1 and len(opened) == 4
    for encoder in opened:
        encoder.close()
    assert gpu.device == {}


def test_pycuda_is_named_where_it_is_missing(gpu: Gpu, tmp_path: Path, monkeypatch) -> None:
    plan = made(tmp_path, gpu, monkeypatch)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(UserError, match="needs pycuda, which isn't .* pip install pycuda"):
        open_plan(plan)


@pytest.mark.parametrize("engine", ["missing.plan", "here.plan"])
def test_a_plan_that_is_not_there_or_alone(engine: str, tmp_path: Path) -> None:
    (tmp_path / "here.plan").write_bytes(b"plan")
    with pytest.raises(UserError, match="There is no plan|has no here.plan.json beside it"):
        open_encoder("landmarks", str(tmp_path / engine))
