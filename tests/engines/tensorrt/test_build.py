"""Plans of the default encoder, really built: TensorRT for RTX needs no GPU for that."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest

from engines.encoder import ENCODERS, PALM_FILE
from engines.errors import UserError
from engines.onnx_file import load_encoder, save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.tensorrt import build as tensorrt_build
from engines.tensorrt import compile as tensorrt_compile
from engines.tensorrt import runtimes
from engines.tensorrt.build import BuildOptions, build, resolve_options
from engines.tensorrt.execute import Execution
from engines.tensorrt.gpu import compute_capability
from engines.tensorrt.plan_check import Machine, check_plan
from engines.tensorrt.runtimes import InstalledRuntime, find_installed
from engines.tensorrt.sidecar import Sidecar, load, ranges, sidecar_path, this_system
from tests.cli import fault, fine, main_py, run_py, said
from tests.engines.test_engines import PICTURE, model_of, picture_model

DEFAULT = ENCODERS["default"]
RTX = "tensorrt-rtx"
VERSION = find_installed()[RTX].version if RTX in find_installed() else ""
WHAT = f"TensorRT for RTX {VERSION}"
rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs TensorRT for RTX: pip install tensorrt-rtx-cu13",
)


@pytest.fixture(scope="module")
def plans(tmp_path_factory) -> dict[str, Path]:
    """Both precisions, each with its own batches, for RTX 40 and RTX 50 cards."""
    made = {}
    for precision, batch in (("fp32", "1,2,8"), ("fp16", "4")):
        folder = tmp_path_factory.mktemp(precision)
        plan = folder / f"{precision}.plan"
        ran = fine(
            run_py(
                "build",
                "--onnx",
                DEFAULT,
                "--engine",
                plan,
                "--precision",
                precision,
                "--runtime",
                RTX,
                "--batch",
                batch,
                "--target",
                "sm89,sm120",
                cwd=folder,
            )
        )
        assert ran.stdout == ""
        lines = said(ran)
        assert len(lines) == 4
        for first, last, made_plan in (
            (*lines[:2], plan),
            (*lines[2:], folder / f"{precision}.palm.plan"),
        ):
            assert f"for sm89, sm120 with {WHAT}, {precision}, 1 to " in first
            assert last.startswith(f"{made_plan}: ") and "for sm89, sm120." in last
        made[precision] = plan
    return made


@rtx
def test_real_plans_with_their_sidecars(plans) -> None:
    encoder = OnnxEncoder(DEFAULT)
    for precision, batches in (("fp32", (1, 2, 8)), ("fp16", (4,))):
        plan, sidecar = plans[precision].read_bytes(), load(plans[precision])
        assert sidecar == Sidecar(
            runtime=RTX,
            runtime_version=VERSION,
            cuda="13",
            system=this_system(),
            targets=("sm89", "sm120"),
            precision=precision,
            portable=False,
            onnx_sha256=hashlib.sha256(DEFAULT.read_bytes()).hexdigest(),
            fingerprint=encoder.fingerprint,
            spec=encoder.spec,
            batches=batches,
            build_s=sidecar.build_s,
            plan_bytes=len(plan),
            plan_sha256=hashlib.sha256(plan).hexdigest(),
        )
        assert sidecar.build_s > 0
        here = Machine({RTX: InstalledRuntime(VERSION, "13")}, "sm120", encoder.fingerprint)
        assert check_plan(sidecar, plans[precision], plan, here) == RTX
    assert plans["fp16"].stat().st_size < 0.7 * plans["fp32"].stat().st_size
    for precision, plan in plans.items():
        assert sorted(p.name for p in plan.parent.iterdir()) == [
            f"{precision}.palm.plan",
            f"{precision}.palm.plan.json",
            f"{precision}.plan",
            f"{precision}.plan.json",
        ]
        palm, beside = load(plan.with_suffix(".palm.plan")), load(plan)
        assert palm.spec is None and palm.precision == precision
        assert (palm.batches, palm.targets) == (beside.batches, beside.targets)
        assert palm.onnx_sha256 == hashlib.sha256(PALM_FILE.read_bytes()).hexdigest()


@rtx
def test_a_plan_without_a_driver_is_told_before_it_is_opened(plans) -> None:
    plan = plans["fp16"]
    with pytest.raises(UserError, match="needs an NVIDIA GPU with its driver.*: --engine onnx"):
        check_plan(load(plan), plan, plan.read_bytes(), Machine(find_installed(), None))
    if compute_capability() is None:  # TensorRT's own answer, were it asked
        module, data = runtimes.load(RTX), plan.read_bytes()
        with pytest.raises(UserError, match="It can't (be opened|start here) \\(.*--engine onnx"):
            Execution(module, "It", data, load(plan).batches, {}, {}, 0)


@rtx
def test_no_room_for_the_plan_leaves_what_was_there(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    save_encoder(picture_model(), PICTURE, tmp_path / "e.onnx")
    plan = tmp_path / "e.plan"
    plan.write_bytes(b"the one before")
    sidecar_path(plan).write_text("and what it was for")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    ran = run_py(
        "build",
        "--onnx",
        "e.onnx",
        "--engine",
        plan,
        "--runtime",
        RTX,
        "--target",
        "sm89",
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert ran.returncode == 1
    assert "e.plan can't be written (File too large). What was there before is" in said(ran)[-1]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_profiles_are_contiguous() -> None:
    assert list(ranges((1, 2, 8))) == [(1, 1), (2, 2), (3, 8)]
    assert list(ranges((8,))) == [(1, 8)]


@rtx
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (BuildOptions("trt"), "--runtime takes tensorrt or tensorrt-rtx; got 'trt'"),
        (BuildOptions("tensorrt-lean"), "--runtime takes"),
        (BuildOptions(RTX, "int8"), "has no INT8 convolutions: use --precision fp16"),
        (BuildOptions(RTX, "fp8"), "--precision takes fp32, fp16 or int8; got 'fp8'"),
        (BuildOptions(RTX), "name what to build for with --target: sm86 RTX 30"),
        (BuildOptions(RTX, targets=("sm89", "sm90")), "builds for, sm75, .*sm121 .*; got sm90"),
        (BuildOptions(RTX, targets=("rtx4090",)), "sm89 RTX 40, .*; got rtx4090"),
        (
            BuildOptions(RTX, targets=("sm89",), portable=True),
            "leave --portable out, or .* tensorrt",
        ),
    ],
)
def test_options_that_cannot_be_had_are_told(
    options: BuildOptions, sentence: str, monkeypatch
) -> None:
    monkeypatch.setattr(tensorrt_build, "compute_capability", lambda: None)
    with pytest.raises(UserError, match=sentence):
        resolve_options(options)


@rtx
def test_a_gpu_that_is_there_is_built_for(monkeypatch) -> None:
    monkeypatch.setattr(tensorrt_build, "compute_capability", lambda: "sm86")
    assert resolve_options(BuildOptions(RTX)).targets == ("sm86",)
    assert resolve_options(BuildOptions(RTX, targets=("sm89", "sm89"))).targets == ("sm89",)
    assert resolve_options(BuildOptions(batches=(8, 1, 8))) == BuildOptions(
        RTX, "fp16", (1, 8), ("sm86",)
    )


def test_without_a_runtime_its_package_is_named(monkeypatch) -> None:
    monkeypatch.setattr(tensorrt_build, "find_installed", dict)
    with pytest.raises(UserError, match="for RTX cards: pip install -r requirements-gpu.txt"):
        resolve_options(BuildOptions())
    for name in ("tensorrt", RTX):
        monkeypatch.setitem(sys.modules, name.replace("-", "_"), None)
        with pytest.raises(UserError, match=f"isn't installed here; .*: pip install {name}-cu13$"):
            resolve_options(BuildOptions(name, targets=("sm89",)))


@rtx
def test_the_classic_runtime_builds_for_the_gpu_it_finds(monkeypatch, tmp_path: Path) -> None:
    """Its builder can't run without a GPU; that of RTX, whose API is the same, stands in."""
    import tensorrt_rtx

    monkeypatch.setattr(tensorrt_build, "load", lambda name: tensorrt_rtx)
    monkeypatch.setattr(tensorrt_build, "compute_capability", lambda: None)
    with pytest.raises(UserError, match="TensorRT builds on the GPU that will run the plan"):
        resolve_options(BuildOptions("tensorrt"))
    monkeypatch.setattr(tensorrt_build, "compute_capability", lambda: "sm90")
    with pytest.raises(UserError, match="for the GPU in this machine, sm90, and not for sm89"):
        resolve_options(BuildOptions("tensorrt", targets=("sm89",)))
    save_encoder(picture_model(), PICTURE, tmp_path / "e.onnx")
    with pytest.warns(DeprecationWarning, match="no-ops"):  # RTX's timing cache
        made = build(tmp_path / "e.onnx", tmp_path / "e.plan", BuildOptions("tensorrt", "fp32"))
    assert made.targets == ("sm90",) and made.runtime == "tensorrt"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "e.onnx",
        "e.plan",
        "e.plan.json",
        "e.plan.timing",
    ]


class Config:
    """Takes the timing caches of one GPU, as IBuilderConfig does."""

    def __init__(self, own: bytes) -> None:
        self.own = own

    def create_timing_cache(self, data: bytes) -> object:
        return SimpleNamespace(data=data or self.own, serialize=lambda: b"more of " + self.own)

    def set_timing_cache(self, cache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        return cache.data.endswith(self.own)


def test_kernel_times_are_kept_and_those_of_another_gpu_dropped(tmp_path: Path) -> None:
    path = tmp_path / "e.plan.timing"
    times = tensorrt_compile._load_times(Config(b"sm90"), path)
    assert times.data == b"sm90"
    tensorrt_compile._keep_times(times, path)
    assert tensorrt_compile._load_times(Config(b"sm90"), path).data == b"more of sm90"
    assert tensorrt_compile._load_times(Config(b"sm86"), path).data == b"sm86"
    tensorrt_compile._keep_times(times, tmp_path / "no" / "folder")  # no room: no harm


@rtx
def test_a_graph_that_tensorrt_does_not_take_is_told(tmp_path: Path, monkeypatch) -> None:
    model = picture_model()
    model.graph.node[-1].op_type = "Mod"  # of floats, without fmod: no such thing
    model.graph.node[-1].name = "last"
    monkeypatch.setattr(tensorrt_build, "load_network", lambda path: (model, PICTURE, "ab" * 32))
    onnx.save(model, tmp_path / "e.onnx")
    options = BuildOptions(RTX, "fp32", targets=("sm89",))
    with pytest.raises(UserError) as caught:
        build(tmp_path / "e.onnx", tmp_path / "e.plan", options)
    text = str(caught.value)
    assert f"{WHAT} can't take the encoder's graph (Mod last: " in text and text.endswith(
        "--engine onnx"
    )
    assert "\n" not in text and [p.name for p in tmp_path.iterdir()] == ["e.onnx"]


@rtx
def test_a_gpu_that_the_encoder_cannot_be_built_for_is_told(tmp_path: Path) -> None:
    options = BuildOptions(RTX, targets=("sm75",), batches=(1,))
    with pytest.raises(
        UserError, match=r"can't build .*Turing \(SM75\): FP32 GEMM is not supported"
    ):
        build(DEFAULT, tmp_path / "e.plan", options)
    assert list(tmp_path.iterdir()) == []


def test_encoders_are_read_without_a_run_time() -> None:
    encoder = OnnxEncoder(DEFAULT)
    assert load_encoder(DEFAULT)[1:] == (encoder.spec, encoder.fingerprint)


def with_input(name: str, shape: list) -> onnx.ModelProto:
    node = onnx.helper.make_node
    return model_of(
        [node("Flatten", [name], ["flat"]), node("MatMul", ["flat", "matrix"], ["embedding"])],
        {name: shape},
        5,
    )


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (with_input("landmarks", ["N", 21, 3]), "has no, should crop"),
        (with_input("world", ["N", 21, 3]), "world (N, 21, 3) where its spec says landmarks (N,"),
        (with_input("landmarks", ["N", 63]), "landmarks (N, 63) where its spec says landmarks (N,"),
        (with_input("landmarks", [1, 21, 3]), "landmarks (1, 21, 3) where its spec says"),
    ],
)
def test_an_encoder_of_other_inputs_is_told(model, sentence: str, tmp_path: Path) -> None:
    spec = dataclasses.replace(PICTURE, inputs=("landmarks",), dim=5)
    path = tmp_path / "e.onnx"
    if sentence.startswith("has no"):
        spec, sentence = PICTURE, "has landmarks (N, 21, 3) where its spec says crop (N, 3, 12, 12)"
    save_encoder(model, spec, path)
    with pytest.raises(UserError) as caught:
        load_encoder(path)
    assert sentence in str(caught.value)


def test_files_that_are_no_encoder(tmp_path: Path) -> None:
    path = tmp_path / "e.onnx"
    for content, sentence in ((b"rubbish", "is not an ONNX file"), (b"", "is not an ONNX file")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=sentence):
            load_encoder(path)
    onnx.save(picture_model(), path)
    with pytest.raises(UserError, match="without an encoder spec"):
        load_encoder(path)
    with pytest.raises(UserError, match="can't be read"):
        load_encoder(tmp_path / "none.onnx")


@rtx
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--onnx", DEFAULT, "--engine", "no/e.plan"), "no/e.plan can't be written: no is no"),
        (("--onnx", DEFAULT, "--engine", "e.onnx"), "the name of a plan, FILE.plan; got e.onnx"),
        (("--onnx", "none.onnx", "--engine", "e.plan"), "none.onnx can't be read"),
        (("--checkpoint", "none.pt", "--engine", "e.plan"), "none.pt doesn't exist|torch"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence: str, tmp_path: Path) -> None:
    ran = main_py("build", *arguments, "--runtime", RTX, "--target", "sm89", cwd=tmp_path)
    assert any(part in fault(ran) for part in sentence.split("|"))
    assert list(tmp_path.iterdir()) == []


def test_impossible_options_are_told(tmp_path: Path) -> None:
    ran = main_py("build", "--onnx", DEFAULT, "--engine", "e.plan", "--batch", "1,0", cwd=tmp_path)
    assert ran.returncode == 2 and "as 1,2,8; got '1,0'" in ran.stderr
    ran = main_py("build", "--engine", "e.plan", cwd=tmp_path)
    assert ran.returncode == 2 and "--onnx --checkpoint" in ran.stderr
