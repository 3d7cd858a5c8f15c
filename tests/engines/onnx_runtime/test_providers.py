"""ONNX Runtime's providers: the one that is asked for runs, or one sentence says why not."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.encoder import ENCODERS, PALM_FILE
from engines.errors import UserError
from engines.hand_networks import PALM
from engines.onnx_file import save_encoder
from engines.onnx_runtime import providers as onnx_providers
from engines.onnx_runtime import session as onnx_session
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxNetwork
from engines.onnx_runtime.providers import MOST_HANDS, PROVIDERS, missing_error
from engines.onnx_runtime.session import list_providers, reason
from engines.selftest.limits import LIMITS, check_outputs
from engines.selftest.machine import _onnx_runtime
from engines.selftest.outputs import outputs_of
from engines.spec import input_shapes, to_floats
from realtime.measuring.drawn_crops import drawn_crops
from tests.cli import PATIENCE_S
from tests.engines.test_engines import MATRIX, PICTURE, hands, picture_model

LANDMARKS = ENCODERS["landmarks"]
SYSTEMS = ("linux", "darwin", "win32")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    save_encoder(picture_model(), PICTURE, tmp_path / "e.onnx")
    return tmp_path / "e.onnx"


def test_cpu_is_one_of_the_providers(picture: Path) -> None:
    assert list_providers()[0] == "cpu"
    named, plain = OnnxEncoder(picture, "cpu"), OnnxEncoder(picture)
    assert np.array_equal(named.encode(hands(3)), plain.encode(hands(3)))
    assert named._graph._session.get_providers() == ["CPUExecutionProvider"]


def test_one_thread_that_does_not_spin(picture: Path) -> None:
    options = OnnxEncoder(picture)._graph._session.get_session_options()
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize("step", [1, 2, 8])
def test_a_gpu_gives_what_the_cpu_gives(step: int) -> None:
    default = ENCODERS["default"]
    try:
        encoder, palm = OnnxEncoder(default, "cuda"), OnnxNetwork(PALM_FILE, PALM, "cuda")
    except UserError as error:
        pytest.skip(str(error))
    hands = drawn_crops(20, encoder.spec.crop_size)
    expected = outputs_of(OnnxEncoder(default), hands)
    found = check_outputs("pass", encoder, hands, expected, LIMITS["fp32"], step)
    assert found.ok, found.found
    pictures = to_floats(drawn_crops(20, PALM.size).crops)
    expected = OnnxNetwork(PALM_FILE, PALM).run(pictures)
    found = check_outputs("palm", palm, pictures, expected, LIMITS["fp32"], step)
    assert found.ok, found.found


def test_their_names_are_those_of_onnx_runtime() -> None:
    assert {provider.name for provider in PROVIDERS.values()} <= set(
        onnxruntime.get_all_providers()
    )


def test_a_name_that_is_none_is_told(picture: Path) -> None:
    with pytest.raises(UserError) as caught:
        OnnxEncoder(picture, "gpu")
    assert "one of cpu, cuda, tensorrt, coreml, directml" in str(caught.value)
    assert str(caught.value).endswith("as in --engine onnx:cuda; got 'gpu'.")


def test_what_this_build_lacks_is_told(picture: Path, capfd) -> None:
    missing = [name for name in PROVIDERS if name not in list_providers()]
    assert missing  # no build has all of them
    for name in missing:
        with pytest.raises(UserError) as caught:
            OnnxEncoder(picture, name)
        text = str(caught.value)
        assert f" {name} provider" in text and "\n" not in text
        assert f'pip install "{PROVIDERS[name].package}"' in text or "for this system" in text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("name", ["cuda", "tensorrt", "coreml", "directml"])
def test_the_package_is_named_where_there_is_one(name: str, system: str, monkeypatch) -> None:
    monkeypatch.setattr(onnx_providers, "sys", SimpleNamespace(platform=system))
    text = str(missing_error(name, "1.31", ["cpu"]))
    exists = {
        "cuda": system != "darwin",
        "tensorrt": system != "darwin",
        "coreml": system == "darwin",
        "directml": system == "win32",
    }[name]
    package = {"coreml": "onnxruntime", "directml": "onnxruntime-directml"}.get(
        name, "onnxruntime-gpu[cuda,cudnn]"
    )
    assert text.endswith(f'&& pip install "{package}"') == exists
    assert text.endswith("for this system; here it has: --engine onnx:cpu") != exists


def test_a_provider_that_silently_is_the_cpu_is_told(picture: Path, monkeypatch, capfd) -> None:
    """What this build does with a provider it lacks is what others do where CUDA is missing."""
    lacking = next(name for name in ("coreml", "cuda") if name not in list_providers())
    monkeypatch.setattr(onnx_session, "list_providers", lambda: ("cpu", lacking))
    with pytest.warns(UserWarning, match="not in available"), pytest.raises(UserError) as caught:
        OnnxEncoder(picture, lacking)
    assert str(caught.value) == (
        f"ONNX Runtime's {lacking} provider can't be used here (ONNX Runtime doesn't say why); it "
        f"needs {PROVIDERS[lacking].needs}. For the CPU: --engine onnx"
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="its loader speaks another language")
def test_the_loader_says_what_a_provider_lacks(tmp_path: Path) -> None:
    module = SimpleNamespace(__file__=str(tmp_path / "onnxruntime" / "__init__.py"))
    assert onnx_session._missing_library(module, "cuda") is None  # built in, nothing to load
    file = tmp_path / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no library")
    said = onnx_session._missing_library(module, "cuda")
    assert said is not None and "libonnxruntime_providers_cuda.so" in said
    assert str(tmp_path) not in said


class Runtime:
    """Stands in for a build with CUDA on a machine whose GPU doesn't answer."""

    __version__, __file__ = "1.31.1", "/nowhere/onnxruntime/__init__.py"
    SessionOptions = onnxruntime.SessionOptions

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def preload_dlls(self) -> None:
        print("Failed to load libcudnn.so.9")  # as the real one does

    def InferenceSession(self, path: str, options, providers, enable_fallback: int) -> None:
        assert enable_fallback == 0 and [name for name, _ in providers] == [
            "CUDAExecutionProvider",
            "CPUExecutionProvider",
        ]
        raise RuntimeError(
            "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=box ; "
            "file=/onnxruntime_src/x.cc ; line=134"
        )


def test_a_gpu_that_does_not_answer_is_told(monkeypatch, capfd) -> None:
    monkeypatch.setattr(onnx_session, "load_onnxruntime", Runtime)
    with pytest.raises(UserError) as caught:
        onnx_session.accelerated_session(Path("e.onnx"), "cuda", input_shapes(PICTURE))
    assert str(caught.value) == (
        "ONNX Runtime's cuda provider can't be used here (CUDA failure 100: no CUDA-capable device "
        "is detected); it needs an NVIDIA GPU with its driver, CUDA and cuDNN. For the CPU: "
        "--engine onnx"
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_8_bits_are_exact_on_every_provider(name: str, picture: Path, monkeypatch) -> None:
    """What a provider can't run is left to the CPU, which may lack the instruction for it."""
    asked: list[str] = []

    class Noting(Runtime):
        def InferenceSession(self, path: str, options, providers, enable_fallback: int) -> Any:
            asked.append(options.get_session_config_entry("session.x64quantprecision"))
            return SimpleNamespace(get_providers=lambda: [PROVIDERS[name].name])

    monkeypatch.setattr(onnx_session, "load_onnxruntime", Noting)
    monkeypatch.setattr(onnx_session, "multiplies_8_bits", lambda: False)
    if name == "cpu":
        onnx_session.cpu_session(picture)
    else:
        onnx_session.accelerated_session(picture, name, input_shapes(PICTURE))
    assert asked == ["1"]


def test_names_that_are_no_text_are_told(picture: Path, tmp_path: Path, capfd) -> None:
    """ONNX Runtime hands on bytes that no UTF-8 has, and writes to stderr itself."""
    data = picture.read_bytes()
    assert data.count(b"picture-1") == 1
    path = tmp_path / "bad.onnx"
    path.write_bytes(data.replace(b"picture-1", b"pictur\xff-1"))
    with pytest.raises(UserError, match="bad.onnx is damaged: a name in it isn't text"):
        OnnxEncoder(path)
    path.write_bytes(data.replace(b"Concat", b"Cancot"))
    with pytest.raises(UserError, match="bad.onnx can't be opened as an ONNX file"):
        OnnxEncoder(path)
    assert capfd.readouterr() == ("", "")


def test_reasons_are_one_line() -> None:
    assert reason(ValueError("first.\nsecond")) == "first"
    assert reason(ValueError("")) == "ValueError"
    coded = "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Protobuf parsing failed."
    assert reason(ValueError(coded)) == "Protobuf parsing failed"


class Session:
    """Embeds the first landmark; notes how many hands came at once, and from how many threads."""

    def __init__(self, fault: str = "", patience_s: float = 0.0) -> None:
        self.fault, self.patience_s = fault, patience_s
        self.counts: list[int] = []
        self.inside, self.most = 0, 0
        self.both = threading.Barrier(2)

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        if self.fault:
            raise RuntimeError(self.fault)
        points = inputs["landmarks"]
        self.counts.append(len(points))
        self.inside += 1
        self.most = max(self.most, self.inside)
        with contextlib.suppress(threading.BrokenBarrierError):
            self.both.wait(self.patience_s)  # the other thread comes in, unless it is kept out
        self.inside -= 1
        return [np.repeat(points[:, 0, :1], PICTURE.dim, axis=1)]


def encoder_on(name: str, session: Session, picture: Path, monkeypatch) -> OnnxEncoder:
    monkeypatch.setattr("engines.onnx_runtime.graph.accelerated_session", lambda *_: session)
    return OnnxEncoder(picture, name)


def test_no_more_hands_at_once_than_a_provider_takes(picture: Path, monkeypatch) -> None:
    session = Session()
    session.both.abort()
    encoder = encoder_on("tensorrt", session, picture, monkeypatch)
    many = hands(2 * MOST_HANDS + 3)
    found = encoder.encode(many)
    assert session.counts == [MOST_HANDS, MOST_HANDS, 3]
    assert np.array_equal(found[:, 0], many.landmarks[:, 0, 0])
    assert encoder.encode(many.rows(slice(0))).shape == (0, PICTURE.dim)
    encoder_on("cuda", session, picture, monkeypatch).encode(many)
    assert session.counts[3:] == [2 * MOST_HANDS + 3]


@pytest.mark.parametrize(("name", "most"), [("directml", 1), ("cuda", 2)])
def test_directml_runs_one_at_a_time(name: str, most: int, picture: Path, monkeypatch) -> None:
    session = Session(patience_s=0.2 if most == 1 else PATIENCE_S)
    encoder = encoder_on(name, session, picture, monkeypatch)
    threads = [threading.Thread(target=encoder.encode, args=(hands(1),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.counts == [1, 1] and session.most == most


def test_a_provider_that_fails_while_it_runs_is_told(picture: Path, monkeypatch) -> None:
    encoder = encoder_on("cuda", Session("out of memory ; GPU=0"), picture, monkeypatch)
    with pytest.raises(UserError, match=r"cuda provider failed while it ran \(out of memory\)"):
        encoder.encode(hands(1))
    plain = OnnxEncoder(picture)
    plain._graph._session = Session("no such thing")
    with pytest.raises(UserError, match=r"can't run .*e.onnx \(no such thing\). Export"):
        plain.encode(hands(1))


def test_tensorrt_is_told_what_shapes_will_come(monkeypatch) -> None:
    monkeypatch.setattr(onnx_providers, "cache_folder", lambda: Path("cache"))
    options = PROVIDERS["tensorrt"].options(input_shapes(PICTURE))
    assert options == {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "cache",
        "trt_profile_min_shapes": "crop:1x3x12x12,landmarks:1x21x3",
        "trt_profile_opt_shapes": "crop:2x3x12x12,landmarks:2x21x3",
        "trt_profile_max_shapes": f"crop:{MOST_HANDS}x3x12x12,landmarks:{MOST_HANDS}x21x3",
    }


def quantised(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with its matrix product in INT8: Q/DQ pairs around what goes into it."""
    node, arrays = helper.make_node, numpy_helper.from_array
    scale = np.float32(np.abs(MATRIX).max() / 127)
    model.graph.initializer.extend(
        [
            arrays(np.array(4 / 127, np.float32), "s"),
            arrays(np.array(0, np.int8), "z"),
            arrays(np.array(scale), "ms"),
            arrays(np.round(MATRIX / scale).astype(np.int8), "mq"),
        ]
    )
    at = [n.op_type for n in model.graph.node].index("MatMul")
    model.graph.node[at].input[:] = ["flat8", "matrix8"]
    for made in (
        node("DequantizeLinear", ["mq", "ms", "z"], ["matrix8"]),
        node("DequantizeLinear", ["flatq", "s", "z"], ["flat8"]),
        node("QuantizeLinear", ["flat", "s", "z"], ["flatq"]),
    ):
        model.graph.node.insert(at, made)
    return model


def test_a_quantised_file_runs_on_the_cpu(tmp_path: Path) -> None:
    model = quantised(picture_model())
    assert any(w.data_type == TensorProto.INT8 for w in model.graph.initializer)
    save_encoder(picture_model(), PICTURE, tmp_path / "fp32.onnx")
    save_encoder(model, PICTURE, tmp_path / "int8.onnx")
    a, b = (OnnxEncoder(tmp_path / f"{n}.onnx").encode(hands(32)) for n in ("fp32", "int8"))
    cosine = (a * b).sum(axis=1)
    assert cosine.min() >= 0.99 and not np.array_equal(a, b)


@pytest.mark.parametrize(
    ("packages", "ok", "text"),
    [
        ({"onnxruntime": "1.30"}, True, "1.30 (onnxruntime)"),
        ({"onnxruntime-gpu": "1.31"}, True, "1.31 (onnxruntime-gpu)"),
        ({"onnxruntime-directml": "1.24"}, True, "1.24 (onnxruntime-directml)"),
        ({}, True, "(not from pip)"),
        ({"onnxruntime": "1.30", "onnxruntime-gpu": "1.31"}, None, "overwrite each other's files"),
    ],
)
def test_the_doctor_takes_any_onnx_runtime(packages, ok, text: str, monkeypatch) -> None:
    def version(name: str) -> str:
        if name not in packages:
            raise importlib.metadata.PackageNotFoundError(name)
        return packages[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = _onnx_runtime()
    assert found.ok is ok and text in found.found
    assert ok is True or "pip install" in found.advice
