"""An encoder's ONNX file, with spec and fingerprint in its metadata. Needs `onnx`, no run time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError, first_line, short_reason
from engines.files import explain_errors, write_file
from engines.hand_networks import PALM, ROLE_KEY, Shapes
from engines.spec import (
    FINGERPRINT_KEY,
    SPEC_KEY,
    EncoderSpec,
    fingerprint,
    input_shapes,
    output_shapes,
)

if TYPE_CHECKING:
    import numpy as np
    import onnx

QUANTISED = {
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
}
EXPORT = "Export it again from its checkpoint: python run.py export"
CONVERT = "Make it again with: python -m train.backbone.hand_networks"
Stated = dict[str, tuple[int | None, ...]]  # shapes with the batch axis: None, for any number


def save_encoder(model: onnx.ModelProto, spec: EncoderSpec, path: Path) -> str:
    """Check a graph, store its spec in it, and write it whole or not at all.

    Returns:
        The encoder's fingerprint.

    Raises:
        OSError: if the file can't be written.
        onnx.checker.ValidationError: if the graph isn't valid.
    """
    import onnx

    mark = fingerprint(spec, _weights(model))
    onnx.helper.set_model_props(model, {SPEC_KEY: spec.to_json(), FINGERPRINT_KEY: mark})
    onnx.checker.check_model(model, full_check=True)
    write_file(path, model.SerializeToString())
    return mark


def load_encoder(path: Path) -> tuple[onnx.ModelProto, EncoderSpec, str]:
    """Read an encoder's graph, spec and fingerprint.

    Raises:
        UserError: if the file is no encoder, or its inputs and outputs aren't those of its spec
            for any number of hands.
    """
    model, spec, mark = load_network(path)
    if spec is None:
        raise UserError(f"{path} is the palm network, and no encoder: name an encoder's file.")
    return model, spec, mark


def load_network(path: Path) -> tuple[onnx.ModelProto, EncoderSpec | None, str]:
    """Read an encoder, or the palm network.

    Returns:
        The graph; the encoder's spec, None for the palm network; and what identifies the network:
        the encoder's fingerprint, the SHA-256 of the palm network's file (hex).

    Raises:
        UserError: if the file is neither, takes or gives other arrays than it should, or was edited
            after its fingerprint was stored.
    """
    import onnx

    data = read_whole(path)
    try:
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model)
        weights = _weights(model)
    except Exception as error:  # protobuf's, onnx's and numpy's own unrelated types
        raise _no_onnx(path, error) from None
    # In a damaged file a text may be bytes.
    metadata = {str(entry.key): str(entry.value) for entry in model.metadata_props}
    if metadata.get(ROLE_KEY) == PALM.role:
        _check_shapes(path, model, PALM.inputs, PALM.outputs, CONVERT)
        return model, None, hashlib.sha256(data).hexdigest()
    if SPEC_KEY not in metadata or FINGERPRINT_KEY not in metadata:
        raise UserError(
            f"{path} is an ONNX file without an encoder spec: it was not exported by this "
            f"project. {EXPORT}"
        )
    spec = EncoderSpec.from_json(metadata[SPEC_KEY])
    _check_shapes(path, model, input_shapes(spec), output_shapes(spec), EXPORT)
    mark = metadata[FINGERPRINT_KEY]
    if fingerprint(spec, weights) != mark:
        raise UserError(
            f"{path} was edited after it was exported: its weights or its spec aren't those of its "
            f"fingerprint, {first_line(mark, longest=12)}, which galleries and calibrations go by. "
            f"{EXPORT}"
        )
    return model, spec, mark


def read_whole(path: Path) -> bytes:
    """An ONNX file as bytes; weights that it keeps in files of their own are put into it.

    Raises:
        UserError: if the file is no ONNX file, or it or a file of its weights can't be read.
    """
    import onnx

    with explain_errors(f"{path} can't be read"):
        data = path.read_bytes()
    try:
        model = onnx.load_from_string(data)
        stored = model.SerializeToString()
    except Exception as error:  # protobuf's own unrelated types
        raise _no_onnx(path, error) from None
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
        whole = model.SerializeToString()
    except Exception as error:  # OSError, onnx's for a path that leaves the folder, more than 2 GB
        raise UserError(
            f"{path} keeps weights in another file, which can't be taken into one "
            f"({short_reason(error)}). Copy that file, too, or save the encoder as one file."
        ) from None
    return data if whole == stored else whole


def check_weights(path: Path) -> None:
    """Check a network's file as `load_network` does, if the package onnx is there to read it."""
    try:
        import onnx  # noqa: F401
    except ModuleNotFoundError:
        return
    load_network(path)


def _weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    from onnx import numpy_helper

    return {str(w.name): numpy_helper.to_array(w) for w in model.graph.initializer}


def _no_onnx(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} is not an ONNX file ({short_reason(error)}). Make one with: python run.py export "
        "CHECKPOINT --out FILE.onnx"
    )


def _check_shapes(
    path: Path, model: onnx.ModelProto, inputs: Shapes, outputs: Shapes, remedy: str
) -> None:
    """Check that a graph takes and gives what it should, for any number of rows."""
    for shapes, values in ((inputs, model.graph.input), (outputs, model.graph.output)):
        expected: Stated = {name: (None, *shape) for name, shape in shapes.items()}
        found = {value.name: _shape(value) for value in values}
        if found != expected:
            raise UserError(
                f"{path} has {_format_shapes(found)} where its spec says "
                f"{_format_shapes(expected)}. {remedy}"
            )


def is_quantised(model: onnx.ModelProto) -> bool:
    """Whether any part of a graph is in 8 bits."""
    return any(node.op_type in QUANTISED for node in model.graph.node)


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    sizes = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in sizes)


def _format_shapes(shapes: Stated) -> str:
    """Such as "landmarks (N, 21, 3), crop (N, 3, 224, 224)"."""
    sizes = {
        name: ", ".join("N" if size is None else str(size) for size in shape)
        for name, shape in shapes.items()
    }
    return ", ".join(f"{first_line(str(name))} ({size})" for name, size in sizes.items())
