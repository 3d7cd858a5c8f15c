"""Weights: those of the fingerprint and no others, wherever an ONNX file keeps them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import UserError
from engines.onnx_file import load_network, read_whole, save_encoder
from engines.onnx_runtime.encoder import OnnxEncoder
from tests.damage import many, one_sentence, stored, told
from tests.engines.test_engines import PICTURE, picture_model


def encoder_file(folder: Path) -> bytes:
    save_encoder(picture_model(), PICTURE, folder / "whole.onnx")
    return (folder / "whole.onnx").read_bytes()


@many
@given(data=st.data())
def test_other_weights_are_never_taken_for_the_encoder_s(data: st.DataObject, tmp_path) -> None:
    """Permuted, scaled or one bit flipped: the fingerprint in the file is still the old one."""
    encoder_file(tmp_path)
    model = onnx.load(tmp_path / "whole.onnx")
    weights = model.graph.initializer[0]
    values = onnx.numpy_helper.to_array(weights)
    change = data.draw(st.sampled_from(["permuted", "scaled", "bit", "renamed"]))
    other = values.copy()
    if change == "permuted":
        order = data.draw(st.permutations(range(len(values))))
        other = values[list(order)]
    elif change == "scaled":
        other = values * np.float32(data.draw(st.floats(0.5, 2, width=32)))
    elif change == "bit":
        at = data.draw(st.integers(0, values.nbytes * 8 - 1))
        raw = bytearray(values.tobytes())
        raw[at // 8] ^= 1 << at % 8
        other = np.frombuffer(bytes(raw), values.dtype).reshape(values.shape)
    name = "other" if change == "renamed" else weights.name
    weights.CopyFrom(onnx.numpy_helper.from_array(other, name))
    for node in model.graph.node:
        node.input[:] = [name if each == "matrix" else each for each in node.input]
    onnx.save(model, tmp_path / "e.onnx")
    if name == "matrix" and other.tobytes() == values.tobytes():
        load_network(tmp_path / "e.onnx")
    else:
        with pytest.raises(UserError, match="e.onnx was edited after it was exported"):
            load_network(tmp_path / "e.onnx")


@settings(many, max_examples=60)
@given(
    location=st.sampled_from(
        ["../secret", "/etc/passwd", "", ".", "..", "w.data/../../secret", "link"]
    ),
    offset=st.sampled_from(["", "0", "-1", "8", "99999999999", "x"]),
    length=st.sampled_from(["", "0", "-1", "1260", "99999999999", "x"]),
)
def test_weights_elsewhere_stay_in_the_file_s_folder(
    location: str, offset: str, length: str, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir(exist_ok=True)
    (tmp_path / "secret").write_bytes(b"\1" * 5000)
    (folder / "link").unlink(missing_ok=True)
    (folder / "link").symlink_to(tmp_path / "secret")
    encoder_file(folder)
    model = onnx.load(folder / "whole.onnx")
    weights = model.graph.initializer[0]
    weights.raw_data, weights.data_location = b"", onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value:
            weights.external_data.add(key=key, value=value)
    path = stored(folder / "e.onnx", model.SerializeToString())
    with told():
        assert b"\1" * 40 not in read_whole(path)
    with pytest.raises(UserError) as caught:
        load_network(path)
    assert one_sentence(caught.value)
    with told():
        OnnxEncoder(path)


def test_weights_in_other_files_are_the_same_encoder(tmp_path: Path) -> None:
    whole = encoder_file(tmp_path)
    apart = tmp_path / "apart.onnx"
    onnx.save(
        onnx.load(tmp_path / "whole.onnx"),
        apart,
        save_as_external_data=True,
        location="w.data",
        size_threshold=0,
    )
    assert load_network(apart)[1:] == load_network(tmp_path / "whole.onnx")[1:]
    assert read_whole(tmp_path / "whole.onnx") == whole
    digest = hashlib.sha256(read_whole(apart)).hexdigest()
    (tmp_path / "w.data").write_bytes((tmp_path / "w.data").read_bytes()[::-1])
    assert hashlib.sha256(read_whole(apart)).hexdigest() != digest
    with pytest.raises(UserError, match="apart.onnx was edited after it was exported"):
        load_network(apart)
