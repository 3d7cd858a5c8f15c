"""A drawn film: a person goes about their day before a camera, and shows a gesture now and then.

Everything follows from a seed and the film's number, so a film can be drawn from any frame on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from realtime.drawn.activities import ACTIVITIES, AWAY, BOTH_HANDS, show
from realtime.drawn.hand import SIZE, draw_hand, project
from realtime.drawn.motion import PLACE, TURN, Key, Motion
from realtime.drawn.pose import N_ANGLES, HandPose, joints_of_angles, mirror, view_rotation
from realtime.drawn.sitter import Sitter, random_sitter

SHOWN_A_FILM = 5  # recorded gestures
FOREARM = 0.45  # metres; a hand before the face needs a long arm
SHARP_PX = 2.0  # of movement within an exposure that nobody sees


@dataclass(frozen=True)
class Stretch:
    """What happens for a while.

    Attributes:
        activity: A name of ACTIVITIES; "shown" where a recorded gesture is shown.
        label: The gesture that is shown; None in an activity.
        from_s: When it begins, with the movement that leads to it, seconds.
        to_s: When it ends.
    """

    activity: str
    label: str | None
    from_s: float
    to_s: float


class Film:
    """Every activity once, in random order, and between them some of the recorded gestures.

    Args:
        seed: Seed of all films of a measurement.
        number: The film's number; another person in another place.
        recorded: The recorded gestures by label: no activity holds one of these poses.

    Attributes:
        sitter: The person.
        stretches: What happens when, without gaps.
        length_s: Seconds.
    """

    def __init__(self, seed: int, number: int, recorded: Mapping[str, HandPose]) -> None:
        rng = np.random.default_rng((seed, number))
        self.sitter: Sitter = random_sitter(rng)
        self.stretches: list[Stretch] = []
        # Every gesture is shown as often as any other: the films take turns.
        names, shows = list(recorded), min(SHOWN_A_FILM, len(recorded))
        labels = [names[(number * shows + i) % len(names)] for i in range(shows)]
        script: list[tuple[str, str | None]] = [(name, None) for name in ACTIVITIES]
        script += [("shown", label) for label in labels]
        first, second = [AWAY], [AWAY]
        now = then = AWAY.after_s  # when the last key of the first and the second hand is reached
        for place in rng.permutation(len(script)):
            activity, label = script[place]
            poses = list(recorded.values())
            keys = ACTIVITIES[activity](rng, poses) if label is None else show(rng, recorded[label])
            length_s = sum(key.after_s for key in keys)
            self.stretches.append(Stretch(activity, label, now, now + length_s))
            first += keys
            if activity in BOTH_HANDS:
                other = [*ACTIVITIES[activity](rng, poses), AWAY]
                second += [_wait(second[-1], now - then), *_in_time(other, length_s)]
                then = now + length_s
            now += length_s
        first.append(AWAY)
        self.length_s = now + AWAY.after_s
        other_side = "left" if self.sitter.side == "right" else "right"
        self._hands = (
            (other_side, Motion(rng, second)),
            (self.sitter.side, Motion(rng, first)),  # in front of the other
        )

    def stretch_at(self, time_s: float) -> Stretch:
        """What happens at a time; before the first stretch, the first, and so on."""
        after = [stretch for stretch in self.stretches if time_s < stretch.to_s]
        return after[0] if after else self.stretches[-1]

    def picture(self, time_s: float) -> np.ndarray:
        """The frame that is exposed from `time_s` on: uint8 (480, 640, 3) BGR."""
        picture = self.sitter.backdrop
        for side, motion in self._hands:
            picture = self._draw(picture, side, motion, time_s)
        return picture

    def _draw(self, behind: np.ndarray, side: str, motion: Motion, time_s: float) -> np.ndarray:
        """Draw a hand on what is behind it, as long as any of it is in the picture."""
        sitter, state = self.sitter, motion.at(time_s)
        seen = _joints_px(sitter, side, state)
        reach = 0.03 * sitter.scale
        if (seen.max(0) < -reach).any() or (seen.min(0) > np.add(SIZE, reach)).any():
            return behind
        later = _joints_px(sitter, side, motion.at(time_s + sitter.exposure_s))
        picture = draw_state(sitter, side, state, behind)
        return blur_motion(picture, behind, later.mean(0) - seen.mean(0))


def draw_state(sitter: Sitter, side: str, state: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Draw a hand of a person, not blurred.

    Args:
        sitter: The person.
        side: "right" or "left", the person's own.
        state: (STATE,), see `Motion.at`.
        behind: uint8 (480, 640, 3) BGR, what is behind the hand.

    Returns:
        uint8 (480, 640, 3) BGR.
    """
    points, centre = _place(sitter, side, state)
    return draw_hand(points, sitter.look, SIZE, sitter.scale, centre, side, behind, forearm=FOREARM)


def _joints_px(sitter: Sitter, side: str, state: np.ndarray) -> np.ndarray:
    """The joints in the picture, (21, 2) px."""
    points, centre = _place(sitter, side, state)
    return project(points, SIZE, sitter.scale, centre)


def _place(sitter: Sitter, side: str, state: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Joints, (21, 3) metres, and the wrist's pixel."""
    state, shape = state + sitter.habits, sitter.shape
    build = np.array(shape.palm), np.array(shape.bones), np.array(shape.fan)
    points = joints_of_angles(state[:N_ANGLES], *build) @ view_rotation(*state[TURN]).T
    x, y = state[PLACE]
    if side == "left":
        points, x = mirror(points), 1.0 - x
    return points, (SIZE[0] * x, SIZE[1] * y)


def blur_motion(picture: np.ndarray, behind: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Blur what is in front, as a camera does while it moves.

    Args:
        picture: uint8 (H, W, 3).
        behind: The same picture without what moves, which stays sharp.
        moved: (2,) px to the right and down within an exposure.
    """
    reach = np.clip(np.asarray(moved, float) / 2, -30, 30)
    if 2 * np.hypot(*reach) < SHARP_PX:
        return picture
    half = int(np.ceil(np.abs(reach).max()))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    start, end = (np.round([half - reach, half + reach]).astype(int)).tolist()
    cv2.line(kernel, start, end, 1.0)
    kernel /= kernel.sum()
    changed = cv2.absdiff(picture, behind).reshape(len(picture), -1)  # three columns a pixel
    x, y, w, h = cv2.boundingRect(changed)
    columns = slice(max(x // 3 - half, 0), (x + w) // 3 + 1 + half)
    at = np.s_[max(y - half, 0) : y + h + half, columns]
    front = cv2.subtract(picture[at], behind[at], dtype=cv2.CV_32F)
    blurred = cv2.filter2D(front, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    result = picture.copy()
    result[at] = cv2.add(behind[at], blurred, dtype=cv2.CV_8U)
    return result


def _wait(key: Key, seconds: float) -> Key:
    return Key(seconds, key.pose, key.turn, key.place)


def _in_time(keys: Sequence[Key], seconds: float) -> list[Key]:
    """The same keys in another time."""
    pace = seconds / sum(key.after_s for key in keys)
    return [_wait(key, key.after_s * pace) for key in keys]
