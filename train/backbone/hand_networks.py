"""MediaPipe's palm detector and hand network as ONNX files: models/palm.onnx, models/hand.onnx.

The graphs are translated operator by operator from the .tflite files (Apache-2.0) of MediaPipe's
model bundle; the weights are the files' own half-precision ones, widened when a file is opened.

    python -m train.backbone.hand_networks    # needs `onnx` and `flatbuffers`
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.encoder import MODELS
from engines.errors import UserError
from engines.files import explain_errors, write_file
from engines.hand_networks import HAND, PALM, ROLE_KEY, SOURCE_KEY, NetworkSpec
from realtime.hands.model import NETWORKS, hand_model
from train.backbone.tflite import REMEDY, Network, Operator, read_network

if TYPE_CHECKING:
    import onnx

OPSET = 18
IR_VERSION = 9  # ONNX Runtime reads it from 1.17 on
SAME, RELU, RELU6 = 0, 1, 3  # TensorFlow Lite's padding and activations
FILES = {"hand_detector.tflite": PALM, "hand_landmarks_detector.tflite": HAND}


class _Builder:
    """Nodes and weights of an ONNX graph (channels first) of a network (channels last)."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], output: str, **options: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **options))
        return output

    def constant(self, values: np.ndarray, name: str) -> str:
        """Store a constant, in half precision and widened by the graph where that is exact."""
        from onnx import TensorProto, numpy_helper

        half = values.astype(np.float16) if values.dtype == np.float32 else values
        if half.dtype == values.dtype or not np.array_equal(half, values):
            self.weights.append(numpy_helper.from_array(values, name))
            return name
        self.weights.append(numpy_helper.from_array(half, f"{name}_half"))
        return self.node("Cast", [f"{name}_half"], name, to=TensorProto.FLOAT)

    def add(self, operator: Operator) -> None:
        """Translate one operator; its output is named after its tensor."""
        translate = getattr(self, f"_{operator.kind}", None)
        if translate is None:
            raise ValueError(f"an operator that isn't known, before tensor {operator.output}")
        name, activation = f"t{operator.output}", operator.options.get("activation", 0)
        plain = f"{name}_linear" if activation else name
        translate(operator, [f"t{tensor}" for tensor in operator.inputs], plain)
        if activation == RELU6:
            low = self.constant(np.zeros((), np.float32), f"{name}_low")
            high = self.constant(np.full((), 6, np.float32), f"{name}_high")
            self.node("Clip", [plain, low, high], name)
        elif activation == RELU:
            self.node("Relu", [plain], name)
        elif activation:
            raise ValueError(f"activation {activation}")

    def _pads(self, operator: Operator, kernel: int) -> list[int]:
        """Compute TensorFlow's padding: top, left, bottom, right; what is odd goes to the end."""
        if operator.options["padding"] != SAME:
            return [0, 0, 0, 0]
        stride, pads = operator.options["stride"], []
        for size in self.network.shape(operator.inputs[0])[1:3]:
            pads.append(max((-(-size // stride) - 1) * stride + kernel - size, 0))
        return [total // 2 for total in pads] + [total - total // 2 for total in pads]

    def _convolve(self, operator: Operator, source: str, plain: str, depthwise: bool) -> None:
        weight, bias = (self.network.constant(tensor) for tensor in operator.inputs[1:3])
        weight = weight.transpose(3, 0, 1, 2) if depthwise else weight.transpose(0, 3, 1, 2)
        stride, kernel = operator.options["stride"], weight.shape[-1]
        inputs = [
            source,
            self.constant(np.ascontiguousarray(weight), f"{plain}_weight"),
            self.constant(bias, f"{plain}_bias"),
        ]
        self.node(
            "Conv",
            inputs,
            plain,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=self._pads(operator, kernel),
            group=len(weight) if depthwise else 1,
        )

    def _conv(self, operator: Operator, inputs: list[str], plain: str) -> None:
        self._convolve(operator, inputs[0], plain, depthwise=False)

    def _depthwise(self, operator: Operator, inputs: list[str], plain: str) -> None:
        self._convolve(operator, inputs[0], plain, depthwise=True)

    def _dense(self, operator: Operator, inputs: list[str], plain: str) -> None:
        weight, bias = (self.network.constant(tensor) for tensor in operator.inputs[1:3])
        names = self.constant(weight, f"{plain}_weight"), self.constant(bias, f"{plain}_bias")
        self.node("Gemm", [inputs[0], *names], plain, transB=1)

    def _add(self, operator: Operator, inputs: list[str], plain: str) -> None:
        self.node("Add", inputs, plain)

    def _sigmoid(self, operator: Operator, inputs: list[str], plain: str) -> None:
        self.node("Sigmoid", inputs, plain)

    def _prelu(self, operator: Operator, inputs: list[str], plain: str) -> None:
        """Write PReLU as slope · x + (1 − slope) · ReLU(x), both products as 1 × 1 convolutions.

        ONNX Runtime keeps those in the layout of its convolutions, while a PRelu node has every
        map converted twice: the palm detector takes 8.9 ms instead of 16.
        """
        slopes = self.network.constant(operator.inputs[1]).reshape(-1, 1, 1, 1)
        options: dict[str, Any] = {"kernel_shape": [1, 1], "group": len(slopes)}
        slope = self.constant(slopes, f"{plain}_slope")
        one = self.constant(np.ones((1, 1, 1, 1), np.float32), f"{plain}_one")
        rest = self.node("Sub", [one, slope], f"{plain}_rest")  # runtimes compute it once
        positive = self.node("Relu", inputs[:1], f"{plain}_positive")
        first = self.node("Conv", [inputs[0], slope], f"{plain}_all", **options)
        second = self.node("Conv", [positive, rest], f"{plain}_more", **options)
        self.node("Add", [first, second], plain)

    def _max_pool(self, operator: Operator, inputs: list[str], plain: str) -> None:
        size, stride = operator.options["size"], operator.options["stride"]
        pads = self._pads(operator, size)
        self.node(
            "MaxPool", inputs, plain, kernel_shape=[size] * 2, strides=[stride] * 2, pads=pads
        )

    def _pad(self, operator: Operator, inputs: list[str], plain: str) -> None:
        pads = self.network.constant(operator.inputs[1])[[0, 3, 1, 2]]  # rows: before, after
        amounts = self.constant(pads.T.reshape(-1).astype(np.int64), f"{plain}_pads")
        self.node("Pad", [inputs[0], amounts], plain)

    def _resize(self, operator: Operator, inputs: list[str], plain: str) -> None:
        if operator.options["align_corners"]:
            raise ValueError("a resize with aligned corners")
        before, after = (
            np.array(self.network.shape(tensor)[1:3], np.float32)
            for tensor in (operator.inputs[0], operator.output)
        )
        scales = np.concatenate([np.ones(2, np.float32), after / before])
        mode = "half_pixel" if operator.options["half_pixels"] else "asymmetric"
        self.node(
            "Resize",
            [inputs[0], "", self.constant(scales, f"{plain}_scales")],
            plain,
            mode="linear",
            coordinate_transformation_mode=mode,
        )

    def _mean(self, operator: Operator, inputs: list[str], plain: str) -> None:
        if self.network.constant(operator.inputs[1]).tolist() != [1, 2] or operator.options["keep"]:
            raise ValueError("a mean over other axes than height and width")
        self.node("GlobalAveragePool", inputs[:1], f"{plain}_map")
        self.node("Flatten", [f"{plain}_map"], plain)

    def _reshape(self, operator: Operator, inputs: list[str], plain: str) -> None:
        if len(self.network.shape(operator.inputs[0])) == 4:
            inputs = [self.node("Transpose", inputs[:1], f"{plain}_last", perm=[0, 2, 3, 1])]
        shape = (0, *self.network.shape(operator.output)[1:])  # 0: the batch's own size
        wanted = self.constant(np.array(shape, np.int64), f"{plain}_shape")
        self.node("Reshape", [inputs[0], wanted], plain)

    def _concatenate(self, operator: Operator, inputs: list[str], plain: str) -> None:
        if len(self.network.shape(operator.output)) == 4:
            raise ValueError("a concatenation of maps")
        self.node("Concat", inputs, plain, axis=operator.options["axis"])


def build_graph(network: Network, spec: NetworkSpec, source: str) -> onnx.ModelProto:
    """Translate a network to ONNX.

    Args:
        network: The network.
        spec: What the ONNX file has to take and give; its outputs are those of the network in
            the network's order, reshaped.
        source: Where the network came from, for the file's metadata.

    Raises:
        ValueError: The network has an operator or an option that isn't translated.
    """
    from onnx import TensorProto, checker, helper

    builder = _Builder(network)
    builder.node("Identity", [spec.input_name], f"t{network.inputs[0]}")
    for operator in network.operators:
        builder.add(operator)
    for tensor, (name, shape) in zip(network.outputs, spec.outputs.items(), strict=True):
        wanted = builder.constant(np.array([-1, *shape], np.int64), f"{name}_shape")
        builder.node("Reshape", [f"t{tensor}", wanted], name)

    def info(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])

    model = helper.make_model(
        helper.make_graph(
            builder.nodes,
            spec.role,
            [info(spec.input_name, spec.input_shape)],
            [info(name, shape) for name, shape in spec.outputs.items()],
            builder.weights,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    model.ir_version = IR_VERSION
    helper.set_model_props(model, {ROLE_KEY: spec.role, SOURCE_KEY: source})
    checker.check_model(model, full_check=True)
    return model


def convert(bundle: Path, folder: Path = MODELS) -> list[Path]:
    """Write the two networks of MediaPipe's hand_landmarker.task as ONNX files.

    Args:
        bundle: The .task file.
        folder: Where palm.onnx and hand.onnx are written.

    Returns:
        The files.

    Raises:
        UserError: The bundle is missing or damaged, holds other networks than the known ones, or
            a file can't be written.
    """
    written = []
    for name, spec in FILES.items():
        try:
            with zipfile.ZipFile(bundle) as archive:
                data = archive.read(name)
        except Exception as error:  # zipfile and zlib raise half a dozen types on damage
            raise UserError(
                f"{bundle} is no hand model ({error}): a .task bundle with {name} is expected. "
                f"{REMEDY}"
            ) from None
        path, expected = NETWORKS[name]
        digest = hashlib.sha256(data).hexdigest()
        if digest != expected:
            raise UserError(
                f"{name} in {bundle} has SHA-256 {digest[:12]}…, expected {expected[:12]}…. "
                f"{REMEDY}"
            )
        source = f"{Path(path).name} of MediaPipe, Apache-2.0, SHA-256 {digest}"
        model = build_graph(read_network(data, bundle), spec, source)
        out = folder / f"{spec.role}.onnx"
        with explain_errors(f"{out} can't be written"):
            write_file(out, model.SerializeToString())
        written.append(out)
    return written


if __name__ == "__main__":
    try:
        for file in convert(hand_model()):
            print(file)
    except UserError as error:
        sys.exit(f"error: {error}")
