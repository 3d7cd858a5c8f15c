"""Writing an encoder's ONNX file: spec and fingerprint into its metadata. Needs `onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engines.atomic import replacing
from engines.spec import FINGERPRINT_KEY, SPEC_KEY, EncoderSpec, fingerprint

if TYPE_CHECKING:
    import onnx


def save_encoder(model: onnx.ModelProto, spec: EncoderSpec, path: Path) -> str:
    """Check the graph, bind the spec to it, write it whole or not at all; → its fingerprint."""
    import onnx
    from onnx import numpy_helper

    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    mark = fingerprint(spec, weights)
    onnx.helper.set_model_props(model, {SPEC_KEY: spec.to_json(), FINGERPRINT_KEY: mark})
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as file:
        file.write(model.SerializeToString())
    return mark
