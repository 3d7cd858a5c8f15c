"""When a video's frames are searched for new hands."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.hands.search import FEWEST, LEVELS, LONGEST_S, SEARCH_S, SearchTimer
from realtime.types import Square

WALL = np.full((480, 640, 3), 120, np.uint8)
HAND = Square(160.0, 240.0, 200.0, 0.3)


def with_patch(x: int, y: int, size: int, levels: int = 2 * LEVELS) -> np.ndarray:
    image = WALL.copy()
    image[y : y + size, x : x + size, 1] += np.uint8(levels)
    return image


@pytest.fixture
def timer() -> SearchTimer:
    """A timer whose last searched frame is WALL at 0 s."""
    timer = SearchTimer()
    assert timer.is_due(WALL, 0.0, []), "the first frame is always searched"
    timer.searched(WALL, 0.0)
    return timer


def test_what_stays_as_it_is_is_not_searched_again(timer: SearchTimer) -> None:
    assert not timer.is_due(WALL.copy(), SEARCH_S + 0.01, [HAND])
    assert not timer.is_due(WALL.copy(), SEARCH_S / 2, [])


def test_a_change_is_searched_at_the_next_turn(timer: SearchTimer) -> None:
    entering = with_patch(500, 200, 60)
    assert not timer.is_due(entering, SEARCH_S / 3, [HAND]), "not while the last turn is so recent"
    assert timer.is_due(entering, SEARCH_S, [HAND])
    assert timer.is_due(entering, 0.01, []), "at once, where no hand is tracked"


@pytest.mark.parametrize(("fps", "between"), [(30, 9), (15, 4), (6, 1), (2, 1)])
def test_no_change_waits_longer_than_that(fps: int, between: int) -> None:
    """Slow sources are searched in each frame, fast ones in every few."""
    timer, searched = SearchTimer(), []
    for index in range(4 * between + 1):
        frame = with_patch(500, 200, 60, levels=200 * (index % 2))
        if timer.is_due(frame, index / fps, [HAND]) or not index:
            timer.searched(with_patch(500, 200, 60, levels=100), index / fps)
            searched.append(index)
    assert searched == [between * turn for turn in range(5)]


def test_changes_of_a_tracked_hand_and_noise_do_not_count(timer: SearchTimer) -> None:
    assert not timer.is_due(with_patch(100, 180, 60), SEARCH_S, [HAND])
    assert timer.is_due(with_patch(100, 180, 60), SEARCH_S, [Square(500.0, 240.0, 200.0, 0.0)])
    noise = np.random.default_rng(0).integers(-LEVELS // 2, LEVELS // 2, WALL.shape)
    assert not timer.is_due((WALL + noise).astype(np.uint8), SEARCH_S, [HAND])


def test_slow_changes_add_up(timer: SearchTimer) -> None:
    for step in range(1, 5):
        frame = with_patch(500, 200, 60, levels=step * LEVELS // 2)
        assert timer.is_due(frame, SEARCH_S, [HAND]) == (step > 2)


def test_the_smallest_change(timer: SearchTimer) -> None:
    """Every eighth pixel of 640 is compared."""
    columns = range(400, 400 + 8 * (FEWEST - 1), 8)
    image = WALL.copy()
    image[0, list(columns)] = 255
    assert not timer.is_due(image, SEARCH_S, [HAND])
    image[8, 400] = 255
    assert timer.is_due(image, SEARCH_S, [HAND])


def test_sometimes_it_is_searched_anyway(timer: SearchTimer) -> None:
    assert timer.is_due(WALL, LONGEST_S, [HAND])
    assert timer.is_due(WALL, SEARCH_S, [])
    assert timer.is_due(WALL, -1.0, [HAND]), "the clock went back"
    assert timer.is_due(np.full((240, 320, 3), 120, np.uint8), SEARCH_S, [HAND]), "another size"


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (4320, 7680)])
def test_odd_sizes(shape: tuple[int, int]) -> None:
    timer = SearchTimer()
    image = np.zeros((*shape, 3), np.uint8)
    timer.searched(image, 0.0)
    assert not timer.is_due(image, SEARCH_S, [Square(-1e6, 1e6, 10.0, 0.0), HAND])
