"""The untrained encoder: its graph, its numpy version, and one loop over pairs agree."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from engines.encoder import ENCODERS
from engines.onnx_runtime.encoder import OnnxEncoder
from engines.spec import EncoderInputs
from realtime.drawn.pose import GESTURES, joints, mirror, view_rotation
from realtime.drawn.random_hand import random_pose, random_shape
from realtime.hands.geometry import canonical_world
from train.backbone.landmark_baseline import SPEC, compute_features, mean_features, write_encoder


@pytest.fixture(scope="module")
def mean() -> np.ndarray:
    return mean_features()


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> OnnxEncoder:
    path = tmp_path_factory.mktemp("baseline") / "landmarks.onnx"
    mark = write_encoder(path)
    encoder = OnnxEncoder(path)
    assert encoder.fingerprint == mark
    return encoder


def world(count: int, seed: int = 0) -> np.ndarray:
    """float32 (N, 21, 3): hands of different people, poses and views."""
    rng = np.random.default_rng(seed)
    turned = [
        joints(random_pose(rng), random_shape(rng)) @ view_rotation(*rng.normal(0, 0.4, 3)).T
        for _ in range(count)
    ]
    return np.stack(turned).astype(np.float32)


def encode(encoder: OnnxEncoder, points: np.ndarray) -> np.ndarray:
    nothing = np.zeros(0)
    return encoder.encode(EncoderInputs(nothing, nothing, points, nothing))


def slow_features(points: np.ndarray) -> list[float]:
    """One hand (21, 3): bone by bone, then pair by pair."""
    p = [tuple(map(float, joint)) for joint in points]
    found = []
    for finger in range(5):
        chain = [0, *range(1 + 4 * finger, 5 + 4 * finger)]
        for a, b in itertools.pairwise(chain):
            length = math.dist(p[a], p[b])
            found += [(p[b][axis] - p[a][axis]) / length for axis in range(3)]
    palm = sum(math.dist(p[0], p[knuckle]) for knuckle in (5, 9, 13, 17)) / 4
    found += [1.5 * math.dist(p[a], p[b]) / palm for a, b in itertools.combinations(range(21), 2)]
    return found


def test_numpy_agrees_with_a_loop_over_pairs() -> None:
    points = world(6)
    slow = np.array([slow_features(one) for one in points])
    assert slow.shape == (6, 270) == (6, SPEC.dim)
    np.testing.assert_allclose(compute_features(points), slow, atol=1e-5)


def test_the_graph_agrees_with_numpy_and_the_loop(rebuilt: OnnxEncoder, mean: np.ndarray) -> None:
    points = world(6, seed=1)
    got = encode(rebuilt, points)
    for way in (compute_features(points), np.array([slow_features(one) for one in points])):
        centred = way - mean
        expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_mean_is_that_of_the_poses_it_says(mean: np.ndarray) -> None:
    assert mean.shape == (270,) and mean.dtype == np.float32
    again = mean_features(count=4000, seed=1)
    assert 0 < np.abs(again - mean).max() < 0.1  # other hands of the same kind: 4σ of a mean
    lengths = np.linalg.norm(mean[:60].reshape(20, 3), axis=1)
    assert (lengths < 1).all()  # directions differ from pose to pose


def test_the_shipped_file_is_a_rebuild(rebuilt: OnnxEncoder) -> None:
    shipped = OnnxEncoder(ENCODERS["landmarks"])
    assert shipped.spec == rebuilt.spec == SPEC
    points = np.concatenate([world(50, seed=2), np.stack([joints(p) for p in GESTURES.values()])])
    np.testing.assert_allclose(encode(shipped, points), encode(rebuilt, points), atol=1e-5, rtol=0)


def test_embeddings_have_unit_norm_whatever_comes(rebuilt: OnnxEncoder) -> None:
    odd = [np.zeros((1, 21, 3)), np.full((1, 21, 3), 0.3), world(1) * 1e-4, world(1) * 1e3]
    points = np.concatenate([world(20, seed=3), *odd]).astype(np.float32)
    got = encode(rebuilt, points)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1.0, atol=1e-5)


def test_size_and_place_of_a_hand_do_not_matter(rebuilt: OnnxEncoder) -> None:
    points = world(10, seed=4)
    plain = encode(rebuilt, points)
    for scale in (0.5, 1.7):
        np.testing.assert_allclose(encode(rebuilt, points * np.float32(scale)), plain, atol=1e-5)
    moved = points + np.array([0.05, -0.1, 0.02], np.float32)
    np.testing.assert_allclose(encode(rebuilt, moved), plain, atol=1e-4)


def test_up_and_down_do_matter(rebuilt: OnnxEncoder) -> None:
    thumb = joints(GESTURES["Thumb up"])[None]
    over = (thumb @ view_rotation(0, 0, math.pi).T).astype(np.float32)
    up, down = encode(rebuilt, thumb)[0], encode(rebuilt, over)[0]
    assert up @ down < 0.5


def test_a_left_hand_seen_as_a_right_one_is_the_right_one(rebuilt: OnnxEncoder) -> None:
    right = world(10, seed=5)
    left = mirror(right)
    seen = np.stack([canonical_world(one, True) for one in left])
    np.testing.assert_allclose(encode(rebuilt, seen), encode(rebuilt, right), atol=1e-6)
    unseen = np.stack([canonical_world(one, False) for one in left])
    assert (np.einsum("nd,nd->n", encode(rebuilt, unseen), encode(rebuilt, right)) < 0.99).all()


def test_gestures_lie_nearer_to_themselves_than_to_others(rebuilt: OnnxEncoder) -> None:
    rng = np.random.default_rng(6)
    people = [random_shape(rng) for _ in range(2)]
    a, b = (encode(rebuilt, np.stack([joints(p, s) for p in GESTURES.values()])) for s in people)
    assert (np.argmax(a @ b.T, axis=1) == np.arange(len(GESTURES))).all()


def test_build_writes_nothing_but_its_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        "train.backbone.landmark_baseline.mean_features", lambda: np.zeros(270, np.float32)
    )
    write_encoder(tmp_path / "x.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["x.onnx"]
