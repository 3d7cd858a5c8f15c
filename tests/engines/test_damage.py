"""Damaged and edited files of engines: each opens and is right, or one sentence says why not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.encoder import PALM_FILE
from engines.errors import UserError
from engines.hand_networks import PALM
from engines.onnx_file import load_network
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.onnx_runtime.network import OnnxNetwork
from engines.spec import FINGERPRINT_KEY, SPEC_KEY, EncoderSpec
from engines.tensorrt import sidecar
from engines.tensorrt.plan_check import Machine, check_plan
from engines.tensorrt.runtimes import InstalledRuntime
from tests.damage import VALUES, damaged_bytes, json_files, many, one_sentence, stored, told
from tests.engines.one_pass import SPEC as ONE_PASS
from tests.engines.one_pass import save_one_pass
from tests.engines.tensorrt.test_sidecar import CLASSIC, PLAN, PORTABLE, RTX
from tests.engines.test_engines import PICTURE, hands
from tests.engines.test_weights import encoder_file

MACHINES = [
    Machine({"tensorrt-rtx": InstalledRuntime("1.7.1.116", "13")}, "sm89", RTX.fingerprint),
    Machine({"tensorrt": InstalledRuntime("11.4", "13")}, "sm86"),
    Machine({"tensorrt-lean": InstalledRuntime("10.17", "12")}, "sm86"),
    Machine({}, None),
]


def fields_of(spec: EncoderSpec) -> dict:
    return json.loads(spec.to_json())


@many
@given(data=json_files(fields_of(PICTURE)) | json_files(fields_of(ONE_PASS)))
def test_any_spec(data: bytes) -> None:
    with told():
        spec = EncoderSpec.from_json(data.decode("utf-8", "replace"))
        assert EncoderSpec.from_json(spec.to_json()) == spec
        assert 0 < spec.dim < 10**6 and len(spec.crop_mean) == 3
        assert np.isfinite([*spec.crop_mean, *spec.crop_std, spec.similarity_bias]).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("name", "\ud800"),
        ("inputs", "a\nb"),
        ("inputs", {"crop": 1}),
        ("inputs", ["crop", "crop"]),
        ("inputs", [["crop"]]),
        ("dim", True),
        ("dim", "8"),
        ("dim", 10**12),
        ("crop_size", 0),
        ("crop_size", 12.0),
        ("crop_mean", [0.5, 0.5]),
        ("crop_mean", [0.5, 0.5, float("nan")]),
        ("crop_std", [0.2, 0.3, 0.0]),
        ("similarity", ["cosine"]),
        ("similarity_weights", ["1"]),
        ("similarity_bias", float("inf")),
        ("version", True),
        ("version", "1" * 1000),
    ],
)
def test_a_spec_of_another_kind_is_told(field: str, value) -> None:
    text = json.dumps(fields_of(PICTURE) | {field: value})
    with pytest.raises(UserError) as caught:
        EncoderSpec.from_json(text)
    assert one_sentence(caught.value) and len(str(caught.value)) < 300


@many
@given(
    data=st.sampled_from([RTX, CLASSIC, PORTABLE]).flatmap(
        lambda one: json_files({**dataclasses.asdict(one), "spec": fields_of(PICTURE)})
    ),
    here=st.sampled_from(MACHINES),
)
def test_any_sidecar(data: bytes, here: Machine, tmp_path: Path) -> None:
    plan = tmp_path / "x.plan"
    stored(sidecar.sidecar_path(plan), data)
    with told():
        read = sidecar.load(plan)
        assert check_plan(read, plan, PLAN, here) in here.installed


@many
@given(data=damaged_bytes(PLAN))
def test_any_plan(data: bytes) -> None:
    if data != PLAN:
        with pytest.raises(UserError) as caught:
            check_plan(RTX, Path("x.plan"), data, MACHINES[0])
        assert one_sentence(caught.value)


def try_encoder(path: Path) -> None:
    """Whatever opens gives what its spec says; whatever is taken whole is the very encoder."""
    with told():
        encoder = OnnxEncoder(path)
        few = hands(2, min(encoder.spec.crop_size, 64))
        assert encoder.encode(few).shape == (2, encoder.spec.dim)
    with told():
        _, spec, mark = load_network(path)
        whole = load_network(path.with_name("whole.onnx"))
        assert (spec, mark) == whole[1:]


@many
@given(data=st.data())
def test_any_encoder_s_file(data: st.DataObject, tmp_path: Path, capfd) -> None:
    whole = encoder_file(tmp_path)
    try_encoder(stored(tmp_path / "e.onnx", data.draw(damaged_bytes(whole))))
    assert capfd.readouterr() == ("", "")  # ONNX Runtime writes there itself, unless told not to


@many
@given(data=st.data())
def test_any_one_pass_encoder_s_file(data: st.DataObject, tmp_path: Path) -> None:
    save_one_pass(tmp_path / "whole.onnx")
    whole = (tmp_path / "whole.onnx").read_bytes()
    path = stored(tmp_path / "e.onnx", data.draw(damaged_bytes(whole)))
    with told():
        encoder, few = OnnxEncoder(path), hands(2, ONE_PASS.crop_size)
        found = encoder.look(few.crops, few.turns)
        assert found.embedding.shape == (2, encoder.spec.dim) and found.presence.shape == (2,)


@settings(many, max_examples=40)
@given(data=st.data())
def test_any_palm_network_s_file(data: st.DataObject, tmp_path: Path) -> None:
    whole = PALM_FILE.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    path = stored(tmp_path / "palm.onnx", whole[:at] + whole[at + data.draw(st.integers(0, 3)) :])
    with told():
        found = OnnxNetwork(path, PALM).run(np.zeros((1, *PALM.input_shape), np.float32))
        assert found["scores"].shape == (1, 2016)


EDITS = st.one_of(
    st.tuples(st.just("drop"), st.integers(0, 5), st.none()),
    st.tuples(st.just("input"), st.integers(0, 5), st.sampled_from(["", "crop", "none", "norm"])),
    st.tuples(
        st.just("type"), st.integers(0, 5), st.sampled_from(["Relu", "Foo", "MatMul", "Loop"])
    ),
    st.tuples(st.just("data"), st.integers(0, 2), st.binary(max_size=40)),
    st.tuples(st.just("dims"), st.integers(0, 2), st.sampled_from([0, -1, 7, 10**9, 2**62])),
    st.tuples(st.just("kind"), st.integers(0, 2), st.integers(0, 30)),
    st.tuples(st.just("axis"), st.integers(0, 2), st.sampled_from([0, 1, 9, -1, 10**9])),
    st.tuples(st.just("elem"), st.integers(0, 2), st.integers(0, 22)),
    st.tuples(st.just("name"), st.none(), st.sampled_from(["", "crop", "a\nb", "\x1b[31m"])),
    st.tuples(st.just("mark"), st.none(), st.sampled_from(["", "a\nb", "\x1b[31m", "é" * 99])),
    st.tuples(st.just("opset"), st.none(), st.sampled_from([-3, 0, 1, 13, 99])),
    st.tuples(st.just("spec"), st.sampled_from(sorted(fields_of(PICTURE))), VALUES),
)


def edit(model: onnx.ModelProto, kind: str, where, what) -> None:
    """As a tool, or a person with a text editor, might."""
    graph = model.graph
    if kind == "drop":
        del graph.node[where % len(graph.node)]
    elif kind == "input":
        graph.node[where % len(graph.node)].input[0] = what
    elif kind == "type":
        graph.node[where % len(graph.node)].op_type = what
    elif kind == "data":
        graph.initializer[where].raw_data = what
    elif kind == "dims":
        graph.initializer[where].dims[0] = what
    elif kind == "kind":
        graph.initializer[where].data_type = what
    elif kind in ("axis", "elem"):
        tensor = [*graph.input, *graph.output][where].type.tensor_type
        if kind == "axis":
            tensor.shape.dim[1].dim_value = what
        else:
            tensor.elem_type = what
    elif kind == "name":
        graph.node[-1].output[0] = graph.output[0].name = what
    elif kind == "mark":
        [entry] = [entry for entry in model.metadata_props if entry.key == FINGERPRINT_KEY]
        entry.value = what
    elif kind == "opset":
        model.opset_import[0].version = what
    else:
        [entry] = [entry for entry in model.metadata_props if entry.key == SPEC_KEY]
        entry.value = json.dumps(json.loads(entry.value) | {where: what})


@many
@given(edits=st.lists(EDITS, min_size=1, max_size=3))
def test_any_edited_encoder(edits: list, tmp_path: Path, capfd) -> None:
    encoder_file(tmp_path)
    model = onnx.load(tmp_path / "whole.onnx")
    for one in edits:
        edit(model, *one)
    try_encoder(stored(tmp_path / "e.onnx", model.SerializeToString()))
    assert capfd.readouterr() == ("", "")
