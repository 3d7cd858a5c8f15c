"""The untrained baseline encoder as an ONNX file: geometry of the world landmarks.

Embedding = unit([20 bone directions, 1.5 × 210 pair distances / palm length] − mean), D = 270.
Directions stay in the camera's frame, so a thumb up and a thumb down differ. The mean is taken
over random poses of the kinematic hand, not over photographs.

    python -m train.backbone.landmark_baseline    # writes models/landmarks.onnx; needs `onnx`
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.encoder import MODELS
from engines.onnx_file import save_encoder
from engines.spec import EncoderSpec
from realtime.drawn.pose import PARENTS, joints, view_rotation
from realtime.drawn.random_hand import random_pose, random_shape

PAIR_WEIGHT = 1.5
KNUCKLES = (5, 9, 13, 17)
EPSILON = 1e-9
SPEC = EncoderSpec(name="landmarks-1", inputs=("world_landmarks",), dim=270)


def differences(pairs: list[tuple[int, int]]) -> np.ndarray:
    """Build a matrix, float32 (P, 21), that maps joints (21, 3) to joint a − joint b of pairs."""
    matrix = np.zeros((len(pairs), 21), np.float32)
    for row, (a, b) in enumerate(pairs):
        matrix[row, a], matrix[row, b] = 1.0, -1.0
    return matrix


BONES = differences([(child + 1, int(parent)) for child, parent in enumerate(PARENTS)])
PAIRS = differences([(a, b) for a in range(21) for b in range(a + 1, 21)])
PALM = differences([(k, 0) for k in KNUCKLES])


def compute_features(world_landmarks: np.ndarray) -> np.ndarray:
    """Compute in NumPy what the graph computes before centring.

    Args:
        world_landmarks: float (N, 21, 3), metres.

    Returns:
        float (N, 270).
    """
    bones = BONES @ world_landmarks  # (N, 20, 3)
    directions = bones / (np.linalg.norm(bones, axis=2, keepdims=True) + EPSILON)
    distances = np.linalg.norm(PAIRS @ world_landmarks, axis=2)  # (N, 210)
    palm = np.linalg.norm(PALM @ world_landmarks, axis=2).mean(axis=1, keepdims=True)  # (N, 1)
    scaled = PAIR_WEIGHT * distances / (palm + EPSILON)
    return np.concatenate([directions.reshape(len(bones), 60), scaled], axis=1)


def mean_features(count: int = 4000, seed: int = 0) -> np.ndarray:
    """Average, float32 (270,), over random poses, bone lengths and views within 35°."""
    rng = np.random.default_rng(seed)
    hands = [
        joints(random_pose(rng), random_shape(rng))
        @ view_rotation(*rng.uniform(-np.radians(35), np.radians(35), 3)).T
        for _ in range(count)
    ]
    return compute_features(np.stack(hands)).mean(axis=0).astype(np.float32)


def build_graph(mean: np.ndarray) -> object:
    """Build the onnx.ModelProto: world_landmarks (N, 21, 3) → embedding (N, 270) of unit norm."""
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node
    constants = {
        "bones_matrix": BONES,
        "pairs_matrix": PAIRS,
        "palm_matrix": PALM,
        "mean": mean,
        "pair_weight": np.array(PAIR_WEIGHT, np.float32),
        "epsilon": np.array(EPSILON, np.float32),
        "last_axis": np.array([2], np.int64),
        "row_axis": np.array([1], np.int64),
        "bones_shape": np.array([-1, 60], np.int64),
    }
    nodes = [
        node("MatMul", ["bones_matrix", "world_landmarks"], ["bones"]),
        node("ReduceL2", ["bones", "last_axis"], ["bone_lengths"], keepdims=1),
        node("Add", ["bone_lengths", "epsilon"], ["bone_lengths_safe"]),
        node("Div", ["bones", "bone_lengths_safe"], ["directions"]),
        node("Reshape", ["directions", "bones_shape"], ["directions_flat"]),
        node("MatMul", ["pairs_matrix", "world_landmarks"], ["pair_vectors"]),
        node("ReduceL2", ["pair_vectors", "last_axis"], ["distances"], keepdims=0),
        node("MatMul", ["palm_matrix", "world_landmarks"], ["palm_vectors"]),
        node("ReduceL2", ["palm_vectors", "last_axis"], ["palm_lengths"], keepdims=0),
        node("ReduceMean", ["palm_lengths", "row_axis"], ["palm"], keepdims=1),
        node("Add", ["palm", "epsilon"], ["palm_safe"]),
        node("Div", ["distances", "palm_safe"], ["relative"]),
        node("Mul", ["relative", "pair_weight"], ["relative_weighted"]),
        node("Concat", ["directions_flat", "relative_weighted"], ["features"], axis=1),
        node("Sub", ["features", "mean"], ["centred"]),
        node("ReduceL2", ["centred", "row_axis"], ["norm"], keepdims=1),
        node("Div", ["centred", "norm"], ["embedding"]),
    ]
    inputs = [helper.make_tensor_value_info("world_landmarks", TensorProto.FLOAT, ["N", 21, 3])]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", SPEC.dim])]
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "landmark_geometry", inputs, outputs, weights),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    model.ir_version = 9  # ONNX Runtime reads it from 1.17 on
    return model


def write_encoder(path: Path = MODELS / "landmarks.onnx") -> str:
    """Write the encoder and return its fingerprint."""
    return save_encoder(build_graph(mean_features()), SPEC, path)  # type: ignore[arg-type]


if __name__ == "__main__":
    print(write_encoder())
