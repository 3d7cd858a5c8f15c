"""The drawn hand: anatomy, pictures and the demo's script (no hand detector needed)."""

import itertools

import numpy as np
import pytest

from realtime.drawn.hand import HandLook, draw_hand, project
from realtime.drawn.pose import (
    GESTURES,
    N_ANGLES,
    PARENTS,
    HandPose,
    HandShape,
    angles,
    inner_sides,
    joints,
    joints_of_angles,
    mirror,
    mix,
    palm_axes,
    pose_of,
    view_rotation,
)
from realtime.drawn.random_hand import random_angles, random_pose, random_shape
from realtime.sources.demo import (
    CHANGE,
    DEMO_GESTURES,
    HOLD,
    demo_image,
    demo_label,
    demo_reference,
)


def bone_lengths(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[..., 1:, :] - points[..., PARENTS, :], axis=-1)


@pytest.mark.parametrize("seed", range(4))
def test_bones_keep_their_lengths_in_every_pose(seed):
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    expected = bone_lengths(joints(HandPose(), shape))
    assert np.allclose(expected.reshape(5, 4)[:, 1:], shape.bones, atol=1e-6)
    for _ in range(20):
        assert np.allclose(bone_lengths(joints(random_pose(rng), shape)), expected, atol=1e-6)


def test_many_poses_at_once_are_the_same_as_one_by_one():
    rng = np.random.default_rng(1)
    shape, vectors = random_shape(rng), random_angles(rng, 5)
    together = joints_of_angles(vectors, *map(np.array, (shape.palm, shape.bones, shape.fan)))
    assert together.shape == (5, 21, 3) and together.dtype == np.float32
    for points, vector in zip(together, vectors, strict=True):
        assert np.allclose(points, joints(pose_of(vector), shape), atol=1e-7)


def test_open_right_hand_stands_as_documented():
    points = joints(GESTURES["Open hand"])
    assert np.all(points[[8, 12, 16, 20], 1] < points[[5, 9, 13, 17], 1] - 0.04)  # fingers up
    assert points[4, 0] > points[8, 0] > points[12, 0] > points[16, 0] > points[20, 0]
    assert palm_axes(points)[1] @ (0, 0, -1) > 0.95  # palm to the camera


def test_bending_leads_to_the_palm_and_nails_lie_opposite():
    straight, bent = joints(GESTURES["Open hand"]), joints(GESTURES["Fist"])
    assert np.all(bent[[7, 11, 15, 19], 2] < straight[[7, 11, 15, 19], 2] - 0.01)
    assert np.all(inner_sides(straight)[1:, 2, 2] < -0.9)  # the pads look at the camera
    assert np.all(inner_sides(bent)[1:, 2, 2] > 0.5)  # folded: the nails do


def test_left_hand_is_the_mirror_image():
    right = joints(GESTURES["Point"])
    left = mirror(right)
    assert np.array_equal(left[:, 0], -right[:, 0]) and np.array_equal(left[:, 1:], right[:, 1:])
    flip = np.array([-1.0, 1.0, 1.0])
    assert np.allclose(palm_axes(left, "left"), palm_axes(right) * flip, atol=1e-6)
    assert np.allclose(inner_sides(left, "left"), inner_sides(right) * flip, atol=1e-5)
    # Lit from the middle before an even wall, the picture is mirrored too.
    look = HandLook(light=(0.0, -0.6, 0.8))
    a = draw_hand(right, look, centre=(319.5, 365.0)).astype(int)
    b = draw_hand(left, look, centre=(319.5, 365.0), side="left")[:, ::-1].astype(int)
    box = np.s_[180:400, 240:400]
    assert np.abs(a[box] - b[box]).mean() < 6
    wrong = draw_hand(left, look, centre=(319.5, 365.0), side="right")[:, ::-1].astype(int)
    assert np.abs(a[box] - wrong[box]).mean() > np.abs(a[box] - b[box]).mean() + 1


def test_mix_starts_and_ends_at_its_poses_and_passes_between():
    a, b = GESTURES["Fist"], GESTURES["Open hand"]
    assert np.allclose(angles(mix(a, b, 0.0)), angles(a))
    assert np.allclose(angles(mix(a, b, 1.0)), angles(b))
    assert np.allclose(angles(mix(a, b, 0.5)), (angles(a) + angles(b)) / 2)
    assert np.array_equal(angles(mix(a, b, 1.7)), angles(b))
    early = np.abs(angles(mix(a, b, 0.1)) - angles(a)).max()
    assert early < 0.05 * np.abs(angles(b) - angles(a)).max()  # starts gently


def test_same_seed_same_hand():
    def one(seed):
        rng = np.random.default_rng(seed)
        return joints(random_pose(rng), random_shape(rng))

    assert np.array_equal(one(5), one(5))
    assert np.abs(one(5) - one(6)).max() > 0.005


def test_angles_round_trip():
    vector = np.linspace(-0.2, 1.0, N_ANGLES)
    assert np.allclose(angles(pose_of(vector)), vector)


def test_view_rotation_turns_as_documented():
    finger = np.array([0.0, -1.0, 0.0])
    assert (finger @ view_rotation(0, 0.3, 0).T)[2] < -0.2  # pitch: towards the camera
    assert (finger @ view_rotation(0, 0, 0.3).T)[0] > 0.2  # roll: to the right
    turn = view_rotation(0.4, -0.3, 1.0)
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.isclose(np.linalg.det(turn), 1.0)


def test_pixels_change_where_the_hand_is_and_only_there():
    points = joints(GESTURES["Open hand"])
    here = draw_hand(points, centre=(200.0, 380.0))
    there = draw_hand(points, centre=(440.0, 380.0))
    assert here.shape == (480, 640, 3) and here.dtype == np.uint8
    changed = np.abs(here.astype(int) - there).max(-1) > 25
    pixels = project(points, centre=(200.0, 380.0))
    assert 0 <= pixels.min() and np.all(pixels < (640, 480))
    columns, rows = pixels.round().astype(int).T
    assert changed[rows, columns].mean() > 0.8
    assert not changed[:100, :60].any() and not changed[:60, 600:].any()
    # Skin: redder than the grey wall at the joints.
    skin = here[rows, columns].astype(int)
    assert np.all(skin[:, 2] > skin[:, 0] + 15)


def test_hand_near_and_beyond_the_edge_is_drawn():
    points = joints(GESTURES["Victory"])
    empty = draw_hand(points, centre=(4000.0, 4000.0))
    half = draw_hand(points, centre=(0.0, 300.0))
    assert empty.shape == half.shape == (480, 640, 3)
    assert np.abs(empty[:, 300:].astype(int) - half[:, 300:]).max() == 0
    assert np.abs(empty[:, :60].astype(int) - half[:, :60]).max() > 50


def test_demo_is_deterministic_and_moves():
    assert np.array_equal(demo_image(40), demo_image(40))
    assert np.abs(demo_image(5).astype(int) - demo_image(20)).max() > 20  # sways while held
    with pytest.raises(KeyError):
        demo_reference("No such gesture")


def test_ten_seconds_hold_at_least_six_gestures():
    labels = [demo_label(i) for i in range(300)]
    held = [(label, len(list(run))) for label, run in itertools.groupby(labels) if label]
    assert len({label for label, frames in held if frames >= 30}) >= 6
    assert (
        held[0][0] == DEMO_GESTURES[0] and labels.count(None) == (300 // (HOLD + CHANGE)) * CHANGE
    )
    cycle = (HOLD + CHANGE) * len(DEMO_GESTURES)
    assert {demo_label(i) for i in range(cycle)} == {None, *DEMO_GESTURES}
    assert demo_label(cycle) == DEMO_GESTURES[0]


def test_demo_gestures_are_distinct():
    assert len(DEMO_GESTURES) >= 8 and len(GESTURES) >= 10
    drawn = {label: joints(GESTURES[label], HandShape()) for label in DEMO_GESTURES}
    for a, b in itertools.combinations(DEMO_GESTURES, 2):
        apart = np.linalg.norm(drawn[a] - drawn[b], axis=1)
        assert apart.max() > 0.04, (a, b)  # some fingertip at least 4 cm elsewhere
