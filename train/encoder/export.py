"""Export a checkpoint as an ONNX encoder with its spec inside, checked against PyTorch."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engines.encoder import open_encoder
from engines.errors import UserError
from engines.files import explain_errors, replace_path
from engines.onnx_file import save_encoder
from engines.spec import EncoderInputs, EncoderSpec, input_shapes, preprocess
from realtime.hands.geometry import turns_of
from train.encoder.checkpoint import load_checkpoint
from train.encoder.model import ModelConfig, Pass
from train.siamese.live import LiveSiamese, siamese_spec
from train.siamese.networks import SiameseNetwork

OPSET = 18
MAX_DIFFERENCE = 1e-4  # of any output, between PyTorch and ONNX Runtime
MIN_HALVED_SIZE = 256  # values: smaller constants stay in single precision


def export(checkpoint: Path, out: Path, name: str) -> tuple[str, float]:
    """Write a checkpoint as an ONNX file.

    Args:
        checkpoint: The checkpoint.
        out: The ONNX file.
        name: The encoder's name.

    Returns:
        The encoder's fingerprint, and the largest difference from PyTorch in any output, see
        `measure_difference`.

    Raises:
        UserError: The checkpoint can't be read, the difference exceeds MAX_DIFFERENCE, or the file
            can't be written.
    """
    loaded, _ = load_checkpoint(checkpoint)
    model: nn.Module = loaded
    if isinstance(loaded, SiameseNetwork):
        model, spec = LiveSiamese(loaded).eval(), siamese_spec(loaded, name)
    else:
        spec = encoder_spec(loaded.config, name)
    example = tuple(torch.rand(2, *shape) for shape in input_shapes(spec).values())
    outputs = list(Pass._fields) if spec.one_pass else ["embedding"]
    batch = torch.export.Dim("N")
    # Silence the exporter's progress on stdout and its deprecation warnings.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            example,
            input_names=list(spec.inputs),
            output_names=outputs,
            dynamic_shapes=[{0: batch}] * len(example),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    graph = store_half_precision(
        without_traces(program.model_proto), exactly=isinstance(loaded, SiameseNetwork)
    )
    with explain_errors(f"{out} can't be written"), replace_path(out) as trial:
        mark = save_encoder(graph, spec, trial)
        difference = measure_difference(model, spec, trial)
        if not difference <= MAX_DIFFERENCE:  # NaN isn't either
            raise UserError(
                f"ONNX Runtime and PyTorch differ by {difference:.1e} on {checkpoint}, more than "
                f"{MAX_DIFFERENCE:.0e}: nothing was written. Try the versions in "
                "requirements-train.txt."
            )
    return mark, difference


def encoder_spec(config: ModelConfig, name: str) -> EncoderSpec:
    """Describe this project's encoder."""
    return EncoderSpec(name, ("crop", "turn"), config.dim, crop_size=config.crop_size)


def without_traces(model):  # type: ignore[no-untyped-def]
    """Drop what the exporter notes of where each node comes from: this machine's paths."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def store_half_precision(model, exactly: bool = False):  # type: ignore[no-untyped-def]
    """Store large constants as float16, followed by a cast to float32.

    Runtimes fold the casts away; arithmetic stays in single precision.

    Args:
        model: The onnx.ModelProto, changed in place.
        exactly: Convert only constants that float16 represents exactly. It doesn't represent
            weights that a batch normalisation was folded into.

    Returns:
        The model.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if constant.data_type != TensorProto.FLOAT or values.size < MIN_HALVED_SIZE:
            continue
        if exactly and not np.array_equal(values.astype(np.float16), values):
            continue
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    return model


def measure_difference(model: nn.Module, spec: EncoderSpec, path: Path) -> float:
    """Compare ONNX Runtime with PyTorch on random batches of 1, 2 and 5 hands.

    Returns:
        The largest difference in any value of any output; of landmarks in crop widths.
    """
    rng = np.random.default_rng(0)
    encoder = open_encoder(str(path), "onnx")
    differences = [0.0]
    for count in (1, 2, 5):
        size = spec.crop_size
        crops = rng.integers(0, 256, (count, size, size, 3), np.uint8)
        points = rng.random((count, 21, 3), np.float32)
        world = rng.normal(0.0, 0.05, (count, 21, 3)).astype(np.float32)
        angles = rng.uniform(-np.pi, np.pi, count)
        turns = turns_of(angles)
        hands = EncoderInputs(crops, points, world, turns)
        inputs = preprocess(spec, hands)
        with torch.inference_mode():
            given = model(*(torch.from_numpy(inputs[name]) for name in spec.inputs))
        expected = given._asdict() if spec.one_pass else {"embedding": given}
        found = {"embedding": encoder.encode(hands)}
        if spec.one_pass:
            found |= vars(encoder.look(crops, turns))
        for name, values in expected.items():
            unit = size if name == "landmarks" else 1.0
            differences.append(float(np.abs(found[name] - values.numpy()).max()) / unit)
    encoder.close()
    return float(np.max(differences))  # NaN if one of them is, which max() may drop
