"""Synthetic gestures: poses, people, pictures, and what the landmark network makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.drawn.hand import HandLook
from realtime.drawn.pose import PARENTS, joints_of_angles, view_rotation
from realtime.drawn.random_hand import random_shape
from train.synthetic import pictures as synthetic_pictures
from train.synthetic.contacts import STANDARD, contact_error, draw_contacts
from train.synthetic.gesture_pairs import difference, draw_gesture_pairs, rotations
from train.synthetic.pictures import draw_pictures
from train.synthetic.samples import (
    PARTS,
    draw_classes,
    draw_samples,
    is_held_out,
    random_hands,
    region,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def one_by_one(classes):
    """Every class against every other: two lists of rows."""
    rows = np.arange(len(classes))
    return classes.take(np.repeat(rows, len(rows))), classes.take(np.tile(rows, len(rows)))


@pytest.mark.parametrize("part", PARTS)
def test_same_seed_same_gestures_and_people(part):
    def joints(seed: int) -> np.ndarray:
        generator = rng(seed)
        return draw_samples(generator, draw_classes(generator, 12, part), 3).joints

    assert np.array_equal(joints(3), joints(3))
    assert not np.allclose(joints(3), joints(4), atol=0.005)


def test_each_finger_is_bent_and_straight_in_both_parts_and_changing_one_leads_out():
    bits = (np.arange(32)[:, None] >> np.arange(5)) & 1
    poses = np.zeros((32, 21))
    poses[:, 4] = 1.2 * bits[:, 0]
    poses[:, 5:].reshape(32, 4, 4)[..., 2] = 1.5 * bits[:, 1:]
    assert np.array_equal(region(poses), np.arange(32))
    away = is_held_out(poses)
    assert away.sum() == 8 and np.all(bits[away].sum(0) == 4) and np.all(bits[~away].sum(0) == 12)
    for finger in range(5):
        assert not away[np.flatnonzero(away) ^ (1 << finger)].any()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("count", [1, 7, 60])
def test_classes_keep_to_their_part_and_apart_from_one_another(part, count):
    classes = draw_classes(rng(count), count, part)
    assert len(classes) == len(classes.angles) == len(classes.touch.joint) == count
    assert np.all(is_held_out(classes.angles) == (part == "held_out"))
    apart = difference(*one_by_one(classes)).reshape(count, count)
    assert np.all(apart[~np.eye(count, dtype=bool)] >= 1)


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="held_out"):
        draw_classes(rng(), 4, "test")


def test_pairs_differ_in_one_finger_or_the_thumb_or_the_orientation_alone():
    classes = draw_classes(rng(), 200, "train")
    first, second = classes.take(slice(0, None, 2)), classes.take(slice(1, None, 2))
    changed = np.column_stack(
        [
            (first.angles[:, :5] != second.angles[:, :5]).any(1),
            (first.fingers != second.fingers).any(2),
            (first.orientation != second.orientation).any(1),
        ]
    )
    assert np.all(changed.sum(1) == 1)
    assert np.all(changed.sum(0) > 0)  # each finger, the thumb and the orientation now and then
    kept = ~changed.any(1) | changed[:, -1]
    assert np.array_equal(first.touch.joint[kept], second.touch.joint[kept])


def test_thumbs_touch_where_meant_also_other_peoples():
    first, second, touch, other = draw_contacts(rng(), 300)
    assert np.array_equal(first[:, 5:], second[:, 5:])
    for poses, place in ((first, touch), (second, other)):
        assert np.linalg.norm(contact_error(poses, STANDARD, place), axis=1).max() < 0.0031
    tips = [joints_of_angles(poses, *STANDARD)[:, 4] for poses in (first, second)]
    assert np.linalg.norm(tips[0] - tips[1], axis=1).min() > 0.019

    generator = rng(1)
    classes = draw_gesture_pairs(generator, 100)
    people = draw_samples(generator, classes, 4)
    touching = np.flatnonzero(classes.touch.joint[people.labels])
    place = classes.touch.take(people.labels[touching])
    person = type(people.persons)(*(part[touching] for part in people.persons))
    off = np.linalg.norm(contact_error(people.angles[touching], person, place), axis=1)
    assert np.quantile(off, 0.95) < 0.005
    assert len(np.unique(place.joint)) > 6


def test_samples_are_hands_with_their_persons_bones():
    generator = rng()
    classes = draw_classes(generator, 20, "held_out")
    people = draw_samples(generator, classes, 5)
    assert people.joints.shape == (100, 21, 3) and people.joints.dtype == np.float32
    assert np.isfinite(people.joints).all() and np.all(people.joints[:, 0] == 0)
    assert np.array_equal(people.labels, np.repeat(np.arange(20), 5))
    bones = np.linalg.norm(people.joints[:, 1:] - people.joints[:, PARENTS], axis=2)
    bones = bones.reshape(100, 5, 4)
    assert np.allclose(bones[..., 1:], people.persons.bones, atol=1e-6)
    assert np.allclose(bones[..., 0], np.linalg.norm(people.persons.palm, axis=2), atol=1e-6)
    turned_back = people.joints @ people.turns  # to the hand's own frame
    assert np.allclose(turned_back[:, 1:].reshape(100, 5, 4, 3)[:, :, 0], people.persons.palm)


def test_people_are_built_as_random_shapes_are():
    generator = rng()
    shapes = [random_shape(generator) for _ in range(500)]
    together = random_hands(generator, 500)
    for name in ("palm", "bones", "fan"):
        single = np.array([getattr(shape, name) for shape in shapes])
        many = getattr(together, name)
        assert np.allclose(single.mean(0), many.mean(0), atol=0.006 if name == "fan" else 0.001)
        assert np.allclose(single.std(0), many.std(0), rtol=0.2, atol=0.0003)


def test_rotations_are_view_rotations():
    turns = rng().normal(0.0, 1.5, (6, 3))
    assert np.allclose(rotations(turns), [view_rotation(*turn) for turn in turns])


def test_one_gestures_people_are_nearer_to_each_other_than_to_the_pairs_other_gesture():
    generator = rng()
    classes = draw_classes(generator, 100, "train")
    people = draw_samples(generator, classes, 8)
    hands = people.joints @ people.turns
    ends = hands[:, [3, 4, 7, 8, 11, 12, 15, 16, 19, 20]].reshape(50, 2, 8, 10, 3)
    alike = np.all(classes.orientation[0::2] == classes.orientation[1::2], axis=1)

    def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(a[:, :, None] - b[:, None], axis=-1).mean((1, 2, 3))

    first, second = ends[alike, 0], ends[alike, 1]
    within = (apart(first, first) + apart(second, second)) / 2 * 8 / 7  # a hand to itself is 0
    assert np.mean(within < apart(first, second)) > 0.95


def test_crops_show_the_hand_where_the_landmarks_say(monkeypatch):
    green = (60, 200, 40)
    monkeypatch.setattr(synthetic_pictures, "random_look", lambda *_, **__: HandLook())
    monkeypatch.setattr(
        synthetic_pictures,
        "random_backdrop",
        lambda _, size: np.full((size, size, 3), green, np.uint8),
    )
    monkeypatch.setattr(synthetic_pictures, "photograph", lambda _, picture: picture)
    generator = rng()
    drawn = draw_pictures(generator, draw_classes(generator, 20, "train"), 2, size=160, margin=1.25)
    assert drawn.crops.shape == (40, 160, 160, 3) and drawn.crops.dtype == np.uint8
    assert drawn.landmarks.shape == (40, 21, 3) and drawn.landmarks.dtype == np.float32
    hand = np.abs(drawn.crops.astype(int) - green[::-1]).max(-1) > 40
    at = np.clip(((drawn.landmarks[..., :2] - 0.5) / 1.25 + 0.5) * 160, 0, 159).astype(int)
    assert hand[np.arange(40)[:, None], at[..., 1], at[..., 0]].mean() > 0.98
    assert hand.mean() < 0.5
    skin = drawn.crops[np.arange(40), at[:, 9, 1], at[:, 9, 0]].astype(int)
    assert np.mean(skin[:, 0] > skin[:, 2]) > 0.9  # RGB: skin is redder than blue
    assert np.all(drawn.landmarks[:, 9, 1] < drawn.landmarks[:, 0, 1])  # upright
    # The same hand as the joints, turned by `angles`, but for the perspective.
    cos, sin = np.cos(drawn.angles)[:, None], np.sin(drawn.angles)[:, None]
    x, y, z = np.moveaxis(drawn.samples.joints, -1, 0)
    upright = np.stack([cos * x + sin * y, cos * y - sin * x, z], -1)
    seen = drawn.landmarks - drawn.landmarks[:, :1]
    for hand_true, hand_seen in zip(upright, seen, strict=True):
        assert np.corrcoef(hand_true.ravel(), hand_seen.ravel())[0, 1] > 0.97


def test_pictures_vary_and_come_again_from_their_seed():
    def drawn(seed: int) -> np.ndarray:
        generator = rng(seed)
        return draw_pictures(generator, draw_classes(generator, 6, "train"), 2, size=96).crops

    crops = drawn(1)
    assert np.array_equal(crops, drawn(1))
    assert not np.array_equal(crops, drawn(2))
    assert crops.mean((1, 2)).std(0).min() > 10  # light, colours and backgrounds differ
