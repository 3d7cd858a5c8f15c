"""A one-pass encoder that finds hands: hand.onnx, with its world landmarks as an embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.encoder import HAND_FILE
from engines.hand_networks import HAND
from engines.onnx_file import save_encoder
from engines.spec import EncoderSpec

SPEC = EncoderSpec("found-1", ("crop", "turn"), 63, crop_size=HAND.size)


def one_pass_model() -> onnx.ModelProto:
    """The embedding: world landmarks from the wrist, in the camera's frame, of unit norm."""
    model, node = onnx.load(HAND_FILE), helper.make_node
    graph = model.graph
    numbers = {
        "embed_x": np.array(0),
        "embed_y": np.array(1),
        "embed_z": np.array(2),
        "embed_row": np.array([1]),
        "embed_first": np.array([0]),
    }
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in numbers.items())
    graph.node.extend(
        [
            node("Gather", ["world_landmarks", "embed_first"], ["embed_wrist"], axis=1),
            node("Sub", ["world_landmarks", "embed_wrist"], ["embed_hand"]),
            *(
                node("Gather", ["embed_hand", f"embed_{a}"], [f"embed_at_{a}"], axis=2)
                for a in "xyz"
            ),
            *(
                node("Gather", ["turn", f"embed_{axis}"], [f"embed_flat_{name}"], axis=1)
                for axis, name in (("x", "cos"), ("y", "sin"))
            ),
            *(
                node("Unsqueeze", [f"embed_flat_{name}", "embed_row"], [f"embed_{name}"])
                for name in ("cos", "sin")
            ),
            *(
                node("Mul", [f"embed_at_{axis}", f"embed_{name}"], [f"embed_{axis}_{name}"])
                for axis in "xy"
                for name in ("cos", "sin")
            ),
            node("Sub", ["embed_x_cos", "embed_y_sin"], ["embed_right"]),
            node("Add", ["embed_x_sin", "embed_y_cos"], ["embed_down"]),
            node("Concat", ["embed_right", "embed_down", "embed_at_z"], ["embed_all"], axis=1),
            node("ReduceL2", ["embed_all", "embed_row"], ["embed_norm"]),
            node("Div", ["embed_all", "embed_norm"], ["embedding"]),
        ]
    )
    info = helper.make_tensor_value_info
    graph.input.append(info("turn", TensorProto.FLOAT, ["N", 2]))
    graph.output.append(info("embedding", TensorProto.FLOAT, ["N", SPEC.dim]))
    return model


def write_one_pass(path: Path) -> Path:
    save_encoder(one_pass_model(), SPEC, path)
    return path
