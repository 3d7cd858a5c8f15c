"""Model repositories for Triton: read as Triton reads them, and written whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration.int8.graph import FloatGraph
from calibration.int8.qdq import insert_qdq
from engines import files as atomic
from engines.errors import UserError
from engines.onnx_file import load_encoder, save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.spec import FINGERPRINT_KEY, SPEC_KEY, EncoderSpec
from engines.tensorrt import sidecar
from engines.triton import repository as triton_repository
from engines.triton.config import ServedEncoder, format_config
from engines.triton.repository import write_repository
from tests.calibration.int8.int8_files import SPEC as SMALL
from tests.calibration.int8.int8_files import small_model
from tests.engines.tensorrt.test_sidecar import CLASSIC, PLAN, RTX
from tests.engines.test_engines import DISTANCE, PICTURE, distance_model, hands, picture_model
from tests.engines.triton.server import model_config_pb2, read_config, text_format


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    save_encoder(picture_model(), PICTURE, tmp_path / "e.onnx")
    return tmp_path / "e.onnx"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """Of a classic runtime; its bytes are none that TensorRT knows."""
    path = tmp_path / "e.plan"
    path.write_bytes(PLAN)
    sidecar.save(dataclasses.replace(CLASSIC, batches=(1, 2, 8, 16)), path)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def said(model: Path) -> dict[str, str]:
    return {key: value.string_value for key, value in read_config(model).parameters.items()}


def test_an_onnx_model(encoder: Path, tmp_path: Path) -> None:
    model = write_repository(tmp_path / "fleet", "hands-1.2_b", encoder, (8, 1, 2), 1500)
    assert model == tmp_path / "fleet" / "hands-1.2_b"
    assert sorted(files(tmp_path / "fleet")) == [
        "hands-1.2_b/1/model.onnx",
        "hands-1.2_b/config.pbtxt",
    ]
    assert (model / "1/model.onnx").read_bytes() == encoder.read_bytes()
    wanted = model_config_pb2.ModelConfig(
        name="hands-1.2_b", platform="onnxruntime_onnx", backend="onnxruntime", max_batch_size=8
    )
    fp32 = model_config_pb2.TYPE_FP32
    wanted.input.add(name="crop", data_type=fp32, dims=[3, 12, 12])
    wanted.input.add(name="landmarks", data_type=fp32, dims=[21, 3])
    wanted.output.add(name="embedding", data_type=fp32, dims=[8])
    wanted.version_policy.specific.versions.append(1)
    wanted.dynamic_batching.max_queue_delay_microseconds = 1500
    marks = {entry.key: entry.value for entry in onnx.load(encoder).metadata_props}
    for key in (FINGERPRINT_KEY, SPEC_KEY):
        wanted.parameters[key].string_value = marks[key]
    assert read_config(model) == wanted
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.onnx", "fleet"]
    if os.name != "nt":  # whoever Triton runs as
        assert (model / "1/model.onnx").stat().st_mode & 0o444 == 0o444
        assert (model / "1").stat().st_mode & 0o055 == model.stat().st_mode & 0o055 == 0o055


def test_a_plan_with_all_its_profiles(plan: Path, tmp_path: Path) -> None:
    model = write_repository(tmp_path / "fleet", "hands", plan, (1, 2))
    assert sorted(files(model)) == ["1/model.plan", "1/model.plan.json", "config.pbtxt"]
    assert (model / "1/model.plan").read_bytes() == PLAN
    assert sidecar.load(model / "1/model.plan") == sidecar.load(plan)
    found = read_config(model)
    assert (found.platform, found.backend) == ("tensorrt_plan", "tensorrt")
    assert found.max_batch_size == 16  # the plan's own, whatever batches are passed
    assert found.dynamic_batching.preferred_batch_size == [8, 16]  # 1 and 2 come alone
    assert found.dynamic_batching.max_queue_delay_microseconds == 2000
    (group,) = found.instance_group
    assert group.kind == group.KIND_GPU and group.profile == ["0", "1", "2", "3"]
    assert said(model)[FINGERPRINT_KEY] == CLASSIC.fingerprint
    assert EncoderSpec.from_json(said(model)[SPEC_KEY]) == CLASSIC.spec


def test_any_text_comes_back() -> None:
    name = 'a "b" \\ c\n\t\x00\x7f é 手 {}: #'
    spec = dataclasses.replace(DISTANCE, name=name)
    text = format_config("m", ServedEncoder("onnx", spec, name, (4,)), 7, 0)
    assert text.isascii() and len(text.splitlines()) == text.count("\n")
    found = model_config_pb2.ModelConfig()
    text_format.Parse(text, found)
    assert found.parameters[FINGERPRINT_KEY].string_value == name
    assert EncoderSpec.from_json(found.parameters[SPEC_KEY].string_value) == spec
    assert found.version_policy.specific.versions == [7]


def test_a_replaced_model_has_the_next_version(encoder: Path, plan: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    write_repository(fleet, "hands", encoder)
    first = said(fleet / "hands")[FINGERPRINT_KEY]
    (fleet / "hands/notes.txt").write_text("the owner's")
    save_encoder(distance_model(), DISTANCE, tmp_path / "other.onnx")
    for number, source in ((2, tmp_path / "other.onnx"), (3, plan), (4, encoder)):
        write_repository(fleet, "hands", source)
        versions = [p.name for p in (fleet / "hands").iterdir() if p.is_dir()]
        assert versions == [str(number)]
        assert read_config(fleet / "hands").version_policy.specific.versions == [number]
        assert (said(fleet / "hands")[FINGERPRINT_KEY] == first) == (source == encoder)
    assert (fleet / "hands/notes.txt").read_text() == "the owner's"


def test_a_poll_sees_a_version_with_what_is_said_of_it(encoder, tmp_path, monkeypatch) -> None:
    """At every step that changes a name, what lies in the repository is whole."""
    fleet, seen = tmp_path / "fleet", []

    def look() -> None:
        for model in fleet.iterdir() if fleet.exists() else ():
            (version,) = read_config(model).version_policy.specific.versions
            found = onnx.load(model / str(version) / "model.onnx")
            marks = {entry.key: entry.value for entry in found.metadata_props}
            assert marks[FINGERPRINT_KEY] == said(model)[FINGERPRINT_KEY]
            seen.append(version)

    def watched(act):
        def acting(*arguments, **options):
            look()
            result = act(*arguments, **options)
            look()
            return result

        return acting

    monkeypatch.setattr(atomic.os, "replace", watched(os.replace))
    monkeypatch.setattr(Path, "rename", watched(Path.rename))
    monkeypatch.setattr(Path, "mkdir", watched(Path.mkdir))
    for name in ("rmtree", "copyfile"):
        monkeypatch.setattr(
            triton_repository.shutil, name, watched(getattr(triton_repository.shutil, name))
        )
    write_repository(fleet, "hands", encoder)
    save_encoder(distance_model(), DISTANCE, tmp_path / "other.onnx")
    write_repository(fleet, "hands", tmp_path / "other.onnx")
    assert set(seen) == {1, 2} and seen == sorted(seen)


@pytest.mark.parametrize("step", ["copy", "rename", "config"])
@pytest.mark.parametrize("new", [True, False])
def test_no_room_leaves_what_was_there(step, new, encoder, tmp_path, monkeypatch) -> None:
    fleet = tmp_path / "fleet"
    if not new:
        write_repository(fleet, "hands", encoder)
    before = files(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    owner, name = {
        "copy": (Path, "write_bytes"),
        "rename": (Path, "rename"),
        "config": (atomic.os, "replace"),
    }[step]
    monkeypatch.setattr(owner, name, full)
    with pytest.raises(UserError, match=r"hands can't be written \(No space left on device\)"):
        write_repository(fleet, "hands", encoder)
    monkeypatch.undo()
    assert files(tmp_path) == before
    assert fleet.exists() != new
    write_repository(fleet, "hands", encoder)


def test_a_repository_with_no_place_beside_it(encoder: Path, tmp_path: Path, monkeypatch) -> None:
    """A mount of its own: nothing can be renamed into it."""
    fleet, rename = tmp_path / "fleet", Path.rename

    def across(self: Path, target: Path) -> Path:
        if fleet not in self.parents:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    model = write_repository(fleet, "hands", encoder)
    assert sorted(files(fleet)) == ["hands/1/model.onnx", "hands/config.pbtxt"]
    assert [p.name for p in fleet.iterdir()] == ["hands"] and read_config(model).name == "hands"


def test_what_another_wrote_is_left_alone(encoder: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    (fleet / "theirs/1").mkdir(parents=True)
    (fleet / "theirs/config.pbtxt").write_text('platform: "onnxruntime_onnx"')
    (fleet / "empty").mkdir()
    for name in ("theirs", "empty"):
        with pytest.raises(UserError, match=f"{name} holds something that this program didn't"):
            write_repository(fleet, name, encoder)
    write_repository(fleet, "ours", encoder)
    assert (fleet / "theirs/config.pbtxt").read_text() == 'platform: "onnxruntime_onnx"'


@pytest.mark.parametrize("name", ["", ".x", "a/b", "..", "a b", "-x", "é", "a\n"])
def test_a_name_that_is_none_is_told(name: str, encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="A model's name in Triton has letters, digits and _"):
        write_repository(tmp_path / "fleet", name, encoder)
    assert not (tmp_path / "fleet").exists()


def test_sources_that_are_none_are_told(encoder: Path, plan: Path, tmp_path: Path) -> None:
    def told(source: Path, batches: tuple[int, ...] = (1, 2)) -> str:
        with pytest.raises(UserError) as caught:
            write_repository(tmp_path / "fleet", "hands", source, batches)
        assert not (tmp_path / "fleet").exists()
        return str(caught.value)

    assert "serves an encoder's FILE.onnx or FILE.plan; got x.pt" in told(Path("x.pt"))
    assert "none.onnx can't be read" in told(tmp_path / "none.onnx")
    assert "none.plan has no none.plan.json beside it" in told(tmp_path / "none.plan")
    assert "1 or more; got (0, 2)" in told(encoder, (2, 0))
    assert "1 or more; got ()" in told(encoder, ())
    plan.write_bytes(PLAN[:-1])
    assert "isn't the plan that e.plan.json describes; copy the two" in told(plan)
    plan.unlink()
    assert "e.plan can't be read (No such file" in told(plan)
    plan.write_bytes(PLAN)
    assert hashlib.sha256(PLAN).hexdigest() == RTX.plan_sha256
    sidecar.save(RTX, plan)
    assert "TensorRT for RTX, and Triton runs the plans of the classic one" in told(plan)


def test_weights_in_files_of_their_own_are_served_as_one_file(
    encoder: Path, tmp_path: Path
) -> None:
    """Triton opens what is in its repository, and nothing beside it."""
    expected = OnnxEncoder(encoder).encode(hands(3))
    apart = tmp_path / "apart.onnx"
    onnx.save(
        onnx.load(encoder), apart, save_as_external_data=True, location="w.data", size_threshold=0
    )
    model = write_repository(tmp_path / "fleet", "hands", apart)
    assert sorted(files(model)) == ["1/model.onnx", "config.pbtxt"]
    served = OnnxEncoder(model / "1/model.onnx")
    assert np.array_equal(served.encode(hands(3)), expected)
    assert served.fingerprint == said(model)[FINGERPRINT_KEY]
    (tmp_path / "w.data").unlink()
    with pytest.raises(UserError, match="apart.onnx keeps weights in another file, which can't be"):
        write_repository(tmp_path / "fleet", "others", apart)
    assert not (tmp_path / "fleet/others").exists()


def test_an_encoder_in_8_bits_is_refused(tmp_path: Path) -> None:
    """Triton can't be told to add 8-bit products exactly, as engines.onnx_runtime.session does."""
    save_encoder(small_model(), SMALL, tmp_path / "small.onnx")
    model, spec, _ = load_encoder(tmp_path / "small.onnx")
    graph = FloatGraph(model, "it")
    made = insert_qdq(model, graph, graph.layers, dict.fromkeys(graph.tensors(), (-6.0, 6.0)))
    save_encoder(made, spec, tmp_path / "int8.onnx")
    with pytest.raises(UserError, match="int8.onnx is in 8 bits, .* serve the float encoder"):
        write_repository(tmp_path / "fleet", "hands", tmp_path / "int8.onnx")
    assert not (tmp_path / "fleet").exists()
    write_repository(tmp_path / "fleet", "hands", tmp_path / "small.onnx")


def test_an_edited_encoder_is_refused(encoder: Path, tmp_path: Path) -> None:
    model = onnx.load(encoder)
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    name = model.graph.initializer[0].name
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights[::-1].copy(), name))
    onnx.save(model, tmp_path / "edited.onnx")
    with pytest.raises(UserError, match="edited.onnx was edited after it was exported"):
        write_repository(tmp_path / "fleet", "hands", tmp_path / "edited.onnx")
    assert not (tmp_path / "fleet").exists()


def test_a_file_in_the_repository_s_place_is_told(encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "fleet").write_text("a file")
    with pytest.raises(UserError, match=r"fleet/hands can't be written \((File exists|Not a dir)"):
        write_repository(tmp_path / "fleet", "hands", encoder)
    assert (tmp_path / "fleet").read_text() == "a file"
