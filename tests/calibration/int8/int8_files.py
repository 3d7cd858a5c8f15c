"""A small encoder of pictures with every kind of layer that matters to 8 bits, and its hands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calibration.int8.crops import HandCrops
from engines.onnx_file import save_encoder
from engines.spec import EncoderSpec
from realtime.measuring.drawn_crops import drawn_crops
from train.pictures.prepared import MARGIN, STORED_SIZE, VERSION, StoredHand, to_arrays

SPEC = EncoderSpec("small-1", ("crop",), 12, crop_size=32)
# name, in, out, kernel, stride, depthwise, activation
STEM = (("c0", 3, 8, 3, 2, False, "Clip"), ("c1", 8, 8, 3, 1, True, "Clip"))
BLOCKS = (
    ("c2", 8, 16, 1, 1, False, ""),
    ("c3", 16, 32, 1, 1, False, "Clip"),
    ("c4", 32, 32, 3, 1, True, "Relu"),
    ("c5", 32, 16, 1, 1, False, ""),
    ("c6", 16, 32, 1, 1, False, "Clip"),
    ("c7", 32, 32, 5, 2, True, "Clip"),
    ("c8", 32, 24, 1, 1, False, ""),
)
CONVOLUTIONS = tuple(row[0] for row in (*STEM, *BLOCKS))


def small_model(seed: int = 0) -> onnx.ModelProto:
    """Convolutions with ReLU6, a residual sum, two Gemms that read one tensor, unit norm."""
    rng = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {
        "low": np.float32(0),
        "high": np.float32(6),
        "across": np.array([2, 3]),
        "one": np.array([1]),
    }
    nodes, x = [], "crop"
    for name, inputs, outputs, kernel, stride, depthwise, activation in (*STEM, *BLOCKS):
        fan = (1 if depthwise else inputs) * kernel * kernel
        shape = (outputs, 1 if depthwise else inputs, kernel, kernel)
        weights[f"{name}.weight"] = rng.normal(0, 1.6 / fan**0.5, shape).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0.2, 0.3, outputs).astype(np.float32)
        nodes.append(
            helper.make_node(
                "Conv",
                [x, f"{name}.weight", f"{name}.bias"],
                [name],
                name=name,
                strides=[stride] * 2,
                pads=[kernel // 2] * 4,
                group=inputs if depthwise else 1,
            )
        )
        x = name
        if activation:
            bounds = ["low", "high"] if activation == "Clip" else []
            nodes.append(helper.make_node(activation, [x, *bounds], [f"{name}.out"]))
            x = f"{name}.out"
        if name == "c5":
            nodes.append(helper.make_node("Add", ["c2", "c5"], ["sum"]))
            x = "sum"
    for name in ("g0", "g1"):
        weights[f"{name}.weight"] = rng.normal(0, 0.3, (12, 24)).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.1, 12).astype(np.float32)
    dense = [["flat", f"{name}.weight", f"{name}.bias"] for name in ("g0", "g1")]
    nodes += [
        helper.make_node("ReduceMean", ["c8", "across"], ["flat"], keepdims=0),
        helper.make_node("Gemm", dense[0], ["g0"], name="g0", transB=1),
        helper.make_node("Gemm", dense[1], ["g1"], name="g1", transB=1),
        helper.make_node("Tanh", ["g1"], ["bent"]),
        helper.make_node("Add", ["g0", "bent"], ["both"]),
        helper.make_node("ReduceL2", ["both", "one"], ["norm"]),
        helper.make_node("Div", ["both", "norm"], ["embedding"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [value("crop", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [value("embedding", TensorProto.FLOAT, ["N", 12])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


def small_encoder(path: Path, seed: int = 0) -> Path:
    save_encoder(small_model(seed), SPEC, path)
    return path


def drawn(count: int, size: int = 32, seed: int = 0) -> HandCrops:
    """Drawn hands of three people, of four gestures by name only."""
    labels = np.array([f"set/{'ABCD'[i % 4]}" for i in range(count)])
    people = np.array([f"set/p{i % 3}" for i in range(count)])
    return HandCrops(
        *drawn_crops(count, size, seed),
        labels,
        people,
        np.array([f"{i}.png" for i in range(count)]),
    )


HANDS = drawn(64)


def write_prepared(path: Path, names: Sequence[tuple[str, str, str]], seed: int = 0) -> Path:
    """What `prepare` writes, of (set, subject, label): a label's pictures are blots of one colour
    pattern, each person's tinted, with noise."""
    rng = np.random.default_rng(seed)
    looks = {label: rng.integers(0, 256, (5, 5, 3)) for label in sorted({n[2] for n in names})}
    tints = {who: rng.integers(-40, 40, 3) for who in sorted({n[:2] for n in names})}
    hands = []
    for which, subject, label in names:
        blots = looks[label] + tints[which, subject] + rng.normal(0, 20, (5, 5, 3))
        crop = cv2.resize(np.clip(blots, 0, 255).astype(np.uint8), (STORED_SIZE, STORED_SIZE))
        webp = cv2.imencode(".webp", crop, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
        points = rng.normal(0.5, 0.2, (2, 21, 3)).astype(np.float16)
        hands.append(StoredHand("right", webp, points[0], points[1], rng.normal(0.0, 0.5)))
    sets, subjects, labels = (np.array(column) for column in zip(*names, strict=True))
    paths = np.array([f"{subject}/{label}/{i}.png" for i, (_, subject, label) in enumerate(names)])
    told: dict[str, Any] = {
        **to_arrays(hands),
        "set": sets,
        "subject": subjects,
        "label": labels,
        "path": paths,
    }
    told |= {"version": VERSION, "margin": MARGIN, "stored": STORED_SIZE}
    np.savez(path, **told)
    return path
