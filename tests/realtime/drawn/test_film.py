"""Drawn films: how hands move, what they show when, and how a camera sees it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from realtime.drawn.activities import ACTIVITIES, RELAXED, show
from realtime.drawn.film import SHOWN_A_FILM, Film, blur_motion
from realtime.drawn.hand import draw_hand
from realtime.drawn.motion import PLACE, TURN, Key, Motion, minimum_jerk
from realtime.drawn.near_twins import NEAR_TWIN, is_near, tip_distance
from realtime.drawn.pose import GESTURES, N_ANGLES, HandPose, angles, joints, pose_of
from realtime.drawn.sitter import random_sitter

RECORDED = {name: GESTURES[name] for name in ("Victory", "Three", "Thumb up", "L", "OK", "Call me")}


def test_a_movement_starts_and_stops_without_speed_and_acceleration() -> None:
    assert (minimum_jerk(0.0), minimum_jerk(0.5), minimum_jerk(1.0)) == (0.0, 0.5, 1.0)
    t = np.linspace(0.0, 1.0, 1001)
    way = np.array([minimum_jerk(each) for each in t])
    speed = np.gradient(way, t)
    force = np.gradient(speed, t)
    assert np.all(np.diff(way) >= 0) and speed.max() == pytest.approx(1.875, abs=1e-3)
    assert abs(speed[[0, -1]]).max() < 1e-3 and abs(force[[0, -1]]).max() < 0.1


def test_a_hand_is_at_its_keys_when_they_say_and_sways_a_little() -> None:
    open_hand, fist = GESTURES["Open hand"], GESTURES["Fist"]
    keys = [
        Key(0.5, open_hand, (0.0, 0.1, 0.0), (0.2, 0.8)),
        Key(0.8, fist, (1.0, 0.1, 0.0), (0.6, 0.8)),
    ]
    motion = Motion(np.random.default_rng(0), keys)
    for time_s, pose, x in ((0.0, open_hand, 0.2), (0.5, open_hand, 0.2), (1.3, fist, 0.6)):
        state = motion.at(time_s)
        assert np.abs(state[:N_ANGLES] - angles(pose)).max() < 0.025
        assert state[PLACE][0] == pytest.approx(x, abs=0.02)
    half = motion.at(0.9)
    assert half[PLACE][0] == pytest.approx(0.4, abs=0.02)
    assert half[TURN][0] == pytest.approx(0.5, abs=0.07)
    assert np.abs(motion.at(7.0) - motion.at(9.0)).max() > 1e-3  # still, but alive


def test_the_distance_of_poses_is_that_of_the_finger_that_differs_most() -> None:
    point, ell = GESTURES["Point"], GESTURES["L"]  # they differ in the thumb
    tips = [np.linalg.norm(joints(point)[t] - joints(ell)[t]) for t in (4, 8, 12, 16, 20)]
    assert tip_distance(point, ell) == pytest.approx(tips[0]) and tips[0] > 2 * NEAR_TWIN
    assert tip_distance(point, point) == 0.0
    nearly = angles(point) + 0.05
    assert is_near(pose_of(nearly), [GESTURES["Fist"], point]) and not is_near(ell, [point])


@pytest.mark.parametrize("name", ACTIVITIES)
def test_no_activity_holds_a_recorded_gesture(name: str) -> None:
    recorded = list(RECORDED.values())
    for seed in range(10):
        keys = ACTIVITIES[name](np.random.default_rng(seed), recorded)
        assert not any(is_near(key.pose, recorded) for key in keys)
        assert all(key.after_s > 0 for key in keys) and 2 < sum(k.after_s for k in keys) < 20


def test_a_shown_gesture_is_held_for_a_second_and_then_left() -> None:
    for seed in range(10):
        keys = show(np.random.default_rng(seed), RECORDED["Victory"])
        held = [key for key in keys if is_near(key.pose, [RECORDED["Victory"]])]
        assert len(held) == 2 and held == keys[:2] and 1.0 <= held[1].after_s <= 2.0
        assert keys[-1].pose == RELAXED and not is_near(RELAXED, RECORDED.values())


def test_a_film_has_every_activity_and_some_gestures_one_after_the_other() -> None:
    films = [Film(3, number, RECORDED) for number in range(6)]
    for film in films:
        names = [stretch.activity for stretch in film.stretches if stretch.label is None]
        assert sorted(names) == sorted(ACTIVITIES)
        shown = [s for s in film.stretches if s.label is not None]
        assert len(shown) == SHOWN_A_FILM and all(s.activity == "shown" for s in shown)
        for before, after in itertools.pairwise(film.stretches):
            assert before.to_s == after.from_s
            assert film.stretch_at(before.to_s - 1e-3) is before
            assert film.stretch_at(before.to_s) is after
        assert film.stretch_at(film.length_s) is film.stretches[-1]
    labels = [s.label for film in films for s in film.stretches]
    assert {labels.count(label) for label in RECORDED} == {SHOWN_A_FILM}  # 6 films, 6 gestures


def test_a_film_follows_from_its_seed_and_number() -> None:
    film, again = Film(3, 1, RECORDED), Film(3, 1, RECORDED)
    time_s = film.stretches[4].to_s
    assert np.array_equal(film.picture(time_s), again.picture(time_s))
    for other in (Film(3, 2, RECORDED), Film(4, 1, RECORDED)):
        assert other.sitter.look != film.sitter.look
        assert not np.array_equal(other.sitter.backdrop, film.sitter.backdrop)


def test_hands_move_before_a_backdrop_that_stands_still() -> None:
    film = Film(5, 0, RECORDED)
    start = film.picture(0.0)
    assert np.array_equal(start, film.sitter.backdrop)  # no hand yet
    [waving] = [s for s in film.stretches if s.activity == "waving"]
    middle = 0.5 * (waving.from_s + waving.to_s)
    one, two = film.picture(middle), film.picture(middle + 0.1)
    moved = np.abs(one.astype(int) - two).max(-1) > 25
    drawn = np.abs(one.astype(int) - start).max(-1) > 25
    assert moved.sum() > 500 and 2000 < drawn.sum() < 0.5 * drawn.size
    assert not drawn[:40].any()  # above the hand


def test_left_handed_people_use_the_other_side_of_the_picture() -> None:
    films = [Film(6, number, RECORDED) for number in range(12)]
    assert {film.sitter.side for film in films} == {"left", "right"}
    for film in films:
        [shown, *_] = [s for s in film.stretches if s.label]
        held = film.picture(0.5 * (shown.from_s + shown.to_s))
        drawn = np.abs(held.astype(int) - film.sitter.backdrop).max(-1) > 25
        column = np.nonzero(drawn)[1].mean()  # the wrist is held between 160 and 384
        if film.sitter.side == "left":
            column = 640 - column
        assert drawn.sum() > 2000 and 100 < column < 420


def test_motion_blur_is_the_mean_of_the_shifted_front() -> None:
    rng = np.random.default_rng(0)
    behind = np.full((120, 160, 3), 90, np.uint8)
    front = behind.copy()
    front[40:70, 60:90] = rng.integers(100, 220, (30, 30, 3))
    blurred = blur_motion(front, behind, np.array([12.0, 0.0]))
    difference = front.astype(float) - behind
    mean = np.mean([np.roll(difference, shift, axis=1) for shift in range(-6, 7)], axis=0)
    assert np.abs(blurred - (behind + mean)).max() <= 1.0
    assert np.array_equal(blurred[:40], behind[:40]) and np.array_equal(blurred[70:], behind[70:])
    assert np.array_equal(blur_motion(front, behind, np.array([1.0, 1.0])), front)
    down = blur_motion(front, behind, np.array([0.0, -8.0]))
    mean = np.mean([np.roll(difference, shift, axis=0) for shift in range(-4, 5)], axis=0)
    assert np.abs(down - (behind + mean)).max() <= 1.0


def test_a_longer_arm_reaches_the_edge() -> None:
    points = joints(HandPose())
    empty = draw_hand(points, centre=(4000.0, 4000.0))
    for forearm, reaches in ((0.2, False), (0.45, True)):
        drawn = draw_hand(points, scale=900.0, centre=(320.0, 200.0), forearm=forearm)
        changed = np.abs(drawn.astype(int) - empty).max(-1) > 25
        assert changed[470:].any() == reaches


def test_people_differ() -> None:
    people = [random_sitter(np.random.default_rng(seed)) for seed in range(8)]
    assert len({person.look for person in people}) == len({person.scale for person in people}) == 8
    for person in people:
        assert person.backdrop.shape == (480, 640, 3) and person.backdrop.dtype == np.uint8
