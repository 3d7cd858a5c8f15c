"""The self-test and the bench of a one-pass encoder, and of the palm network beside it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import run
from engines.encoder import PALM_FILE
from engines.hand_networks import HAND, PALM, HandOutputs
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxNetwork
from engines.selftest import candidates, machine, selftest
from engines.selftest import plans as selftest_plans
from engines.selftest.limits import LIMITS, check_outputs
from engines.selftest.outputs import all_outputs, differences, numbers, outputs_of
from engines.selftest.selftest import examine_encoder, examine_plan
from engines.selftest.trials import Effort, check_speed, check_threads
from engines.spec import EncoderInputs
from engines.tensorrt.build import BuildOptions, build
from engines.tensorrt.runtimes import InstalledRuntime
from realtime.commands import bench_engines
from realtime.measuring.drawn_crops import drawn_crops
from tests.engines.one_pass import SPEC, save_one_pass
from tests.engines.selftest.test_selftest import CARD, RTX, rtx
from tests.engines.test_engines import hands

EFFORT = Effort(hands=6, encodes=8, repeats=3, batches=(1, 2))


def draw(size: int) -> EncoderInputs:
    return drawn_crops(EFFORT.hands, size)


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    save_one_pass(tmp_path / "e.onnx")
    return tmp_path / "e.onnx"


@pytest.fixture
def exact(onnx: Path) -> dict[str, np.ndarray]:
    return all_outputs(OnnxEncoder(onnx), hands(5, SPEC.crop_size), 2)


class Spoilt(OnnxEncoder):
    """Gives something else than it should."""

    def __init__(self, onnx: Path, spoil: Callable[[HandOutputs], HandOutputs]) -> None:
        super().__init__(onnx)
        self.spoil = spoil

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        return self.spoil(super().look(crops, turns))


def test_all_that_a_pass_gives_is_compared(onnx: Path, exact) -> None:
    assert list(exact) == [*HAND.outputs, "embedding"]
    found = check_outputs(
        "it", OnnxEncoder(onnx), hands(5, SPEC.crop_size), exact, LIMITS["fp32"], 2
    )
    assert found.ok and found.figures["below"] == 0
    assert {f"{name}_off" for name in HAND.outputs} <= set(found.figures)
    assert "landmarks off by 0.0" in found.found and "0.001 allowed" in found.found
    json.dumps(dict(found.figures), allow_nan=False)


@pytest.mark.parametrize(
    ("name", "spoil", "text"),
    [
        ("landmarks", lambda rows: rows + HAND.size * 0.01, "landmarks are too far off"),
        ("landmarks", lambda rows: rows * np.nan, "landmarks are too far off"),
        ("world_landmarks", lambda rows: rows[::-1], "world_landmarks are too far off"),
        ("presence", lambda rows: 1 - rows, "presence are too far off"),
        ("right", lambda rows: rows + 0.03, "right are too far off"),
        ("embedding", lambda rows: rows[::-1], "hands are below"),
        ("presence", lambda rows: rows[:, None], "gives (5, 1), not (5,), for presence"),
    ],
)
def test_a_wrong_output_is_found(name: str, spoil, text: str, onnx: Path, exact) -> None:
    def spoilt(given: HandOutputs) -> HandOutputs:
        return dataclasses.replace(given, **{name: spoil(vars(given)[name])})

    encoder = Spoilt(onnx, spoilt)
    found = check_outputs("it", encoder, hands(5, SPEC.crop_size), exact, LIMITS["fp16"], 5)
    assert found.ok is False and text in found.found and found.advice
    json.dumps(dict(found.figures), allow_nan=False)


def test_landmarks_may_be_as_far_off_as_is_said(onnx: Path, exact) -> None:
    for precision, shift, ok in (("fp32", 0.2, True), ("fp32", 0.25, False), ("fp16", 1, True)):

        def moved(given: HandOutputs, shift: float = shift) -> HandOutputs:
            return dataclasses.replace(given, landmarks=given.landmarks + (shift, 0, 9))

        encoder = Spoilt(onnx, moved)
        batch = hands(5, SPEC.crop_size)
        assert check_outputs("it", encoder, batch, exact, LIMITS[precision], 5).ok is ok


def test_palms_are_compared_where_there_are_some() -> None:
    scores = np.full((2, PALM.outputs["scores"][0]), -9.0, np.float32)
    scores[1, 7] = 9.0
    boxes = np.zeros((2, *PALM.outputs["boxes"]), np.float32)
    off = boxes + 1
    off[1, 7, 0] += PALM.size / 2 - 1
    found = differences({"boxes": boxes, "scores": scores}, {"boxes": off, "scores": -scores})
    assert found["boxes"].shape == (1, 18) and found["boxes"][0, 0] == pytest.approx(0.5)
    assert found["scores"].shape == scores.shape and found["scores"].min() > 0.99


def test_threads_that_mix_up_landmarks_are_found(onnx: Path) -> None:
    turned = iter(range(10_000))

    def sometimes(given: HandOutputs) -> HandOutputs:
        return dataclasses.replace(given, landmarks=given.landmarks + next(turned) % 3)

    batch = hands(6, SPEC.crop_size)
    assert check_threads("it", OnnxEncoder(onnx), batch, EFFORT).ok
    found = check_threads("it", Spoilt(onnx, sometimes), batch, EFFORT)
    assert found.ok is False and found.figures["differing"] > 0


def test_numbers_are_all_that_is_given_once(onnx: Path) -> None:
    given = outputs_of(OnnxEncoder(onnx), hands(3, SPEC.crop_size))
    rows = numbers(given)
    assert rows.shape == (3, 63 + 1 + 1 + 63 + SPEC.dim)
    np.testing.assert_allclose(rows[:, :63] * HAND.size, given["landmarks"].reshape(3, 63))


def test_the_palm_network_is_timed_by_pictures() -> None:
    pictures = np.zeros((2, *PALM.input_shape), np.float32)
    found = check_speed("it", OnnxNetwork(PALM_FILE, PALM), pictures, 3, (1, 2))
    assert "ms for one picture (median)" in found.found
    assert list(found.figures["latency_ms"]) == ["1", "2"]


@rtx
def test_both_networks_without_a_gpu(onnx: Path) -> None:
    found = {f.what: f for f in examine_encoder(onnx, None, draw, None, onnx.parent, EFFORT)}
    for name in ("", "palm network, "):
        assert found[f"{name}ONNX Runtime, cpu: two threads"].ok
        assert found[f"{name}{RTX}, fp16: built"].ok
        assert found[f"{name}{RTX}, fp32"].found == "not run: no NVIDIA GPU answers here"
    assert found["palm network"].ok and f"palm network, {RTX}, int8" not in found
    assert found[f"palm network, {RTX}, fp32: built"].figures["plan_bytes"] > 2e6


def test_both_networks_with_a_gpu(onnx: Path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "find_installed", lambda: {})
    runtimes = {"tensorrt-rtx": InstalledRuntime("1.7.1.116", "13")}
    monkeypatch.setattr(selftest, "find_installed", lambda: runtimes)
    made = SimpleNamespace(plan_bytes=1, build_s=0.1, targets=("sm89",))
    monkeypatch.setattr(selftest_plans, "build", lambda *_: made)
    opened = []

    def open_plan(plan: Path) -> OnnxEncoder:
        opened.append(plan.name)
        return OnnxEncoder(onnx)

    def open_palm(plan: Path) -> OnnxNetwork:
        opened.append(plan.name)
        return OnnxNetwork(PALM_FILE, PALM)

    monkeypatch.setattr(selftest_plans, "_open_plan", open_plan)
    monkeypatch.setattr(selftest_plans, "_open_palm_plan", open_palm)
    found = {f.what: f for f in examine_encoder(onnx, None, draw, CARD, onnx.parent, EFFORT)}
    assert opened == [
        "tensorrt-rtx-fp32.plan",
        "tensorrt-rtx-fp16.plan",
        "tensorrt-rtx-fp32-palm.plan",
        "tensorrt-rtx-fp16-palm.plan",
    ]
    right = found[f"{RTX}, fp16: right"]
    assert right.ok and right.figures["landmarks_off"] == 0
    palm = found[f"palm network, {RTX}, fp16: right"]
    assert palm.ok and palm.figures["boxes_off"] == palm.figures["scores_off"] == 0


@pytest.fixture
def plan(onnx: Path) -> Path:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("needs TensorRT for RTX: pip install tensorrt-rtx-cu13")
    options = BuildOptions("tensorrt-rtx", "fp16", (1, 2), ("sm89",))
    build(onnx, onnx.with_suffix(".plan"), options)
    build(PALM_FILE, onnx.with_suffix(".palm.plan"), options)
    return onnx.with_suffix(".plan")


def test_the_palm_network_s_plan_is_tested_with_the_encoder_s(
    onnx: Path, plan: Path, monkeypatch
) -> None:
    monkeypatch.setattr(selftest_plans, "_open_plan", lambda path: OnnxEncoder(onnx))
    palm_plans = []

    def open_palm(path: Path) -> OnnxNetwork:
        palm_plans.append(path.name)
        return OnnxNetwork(PALM_FILE, PALM)

    monkeypatch.setattr(selftest_plans, "_open_palm_plan", open_palm)

    def examined() -> dict:
        return {f.what: f for f in examine_plan(plan, onnx, draw, CARD, EFFORT)}

    found = examined()
    assert found["plan: right"].ok and found["palm network, plan: right"].ok
    assert palm_plans == [f"{plan.stem}.palm.plan"]
    beside = plan.with_suffix(".palm.plan")
    shutil.copy(plan, beside)
    shutil.copy(f"{plan}.json", f"{beside}.json")
    wrong = examined()["palm network, plan"]
    assert wrong.ok is False and "holds an encoder and not the palm network" in wrong.advice
    onnx.rename(onnx.with_suffix(".gone"))
    assert "not compared: --encoder doesn't work" in examined()["plan: right"].found
    onnx.with_suffix(".gone").rename(onnx)
    beside.unlink()
    missing = examined()["palm network, plan"]
    assert missing.ok is None and f"there is no {beside.name} beside the plan" in missing.found
    assert missing.advice == f"python run.py build --onnx models/palm.onnx --engine {beside}"
    shutil.copy(PALM_FILE, beside)
    build(PALM_FILE, plan, BuildOptions("tensorrt-rtx", "fp16", (1,), ("sm89",)))
    found = examined()
    assert found["plan"].ok is False and "name the encoder's plan" in found["plan"].advice


def test_the_bench_times_both_networks(onnx: Path, capsys, monkeypatch) -> None:
    found = onnx.with_name("bench.json")
    words = ("--encoder", str(onnx), "--engines", "onnx:cpu,onnx", "--rounds", "2")
    bench_engines.run(run.parse(["bench-engines", *words, "--json", str(found)]))
    shown = capsys.readouterr().out
    assert "palm network" in shown and "pictures/s" in shown
    left = json.loads(found.read_text("utf-8"))
    assert [row["batch"] for row in left["rows"]] == [1, 1, 2, 2, 8, 8]
    assert [(row["engine"], row["batch"]) for row in left["palm"]["rows"]] == [
        ("onnx:cpu", 1),
        ("onnx:cpu", 2),
        ("onnx:cpu", 8),
    ]


def test_a_palm_network_that_does_not_open_is_left_out(onnx: Path, capsys) -> None:
    encoder = OnnxEncoder(onnx)
    encoder.engine_name = str(onnx.with_name("e.plan"))
    with candidates.open_palms({"e.plan": encoder, "onnx": OnnxEncoder(onnx)}) as palms:
        assert list(palms) == ["onnx:cpu"]
    said = capsys.readouterr().err
    assert "left out – the palm network beside" in said and "There is no plan at" in said
