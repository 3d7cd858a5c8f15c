"""Hands in pictures with our own copies of the two networks, run by our engines.

The palm network looks for hands in the whole picture; the hand network looks at a turned square
around each hand and gives landmarks, and these give the square for the next frame. The palm network
doesn't run while as many hands are tracked as there may be, or while nothing else changes; the hand
network doesn't while a hand's pixels stay as they were. Where the encoder is a one-pass encoder, it
is the hand network, and the hands come with their embeddings.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from engines.hand_networks import HAND, HandNetwork, HandOutputs, PalmNetwork
from realtime.hands.cutting import cut_hands
from realtime.hands.detector import STILL_LOOKS
from realtime.hands.geometry import bounding_box, cut, turns_of, upright_square
from realtime.hands.palms import box_overlap, decode, in_picture, letterbox, palm_square, suppress
from realtime.hands.search import SearchTimer, Seen, sample_square, settled
from realtime.hands.tracks import Tracker
from realtime.types import Detection, Frame, Hand, Look, Square

SAME_HAND = 0.5  # overlap of two squares from which on they show one hand
DEPTH = 2.5  # the hand network's z to the scale of its x and y: MediaPipe's normalize_z is 0.4
DOUBLES_BOX = 0.2  # two hands are one where their boxes overlap by more than this
DOUBLES_REACH = 0.2  # and where many joints are nearer to each other than this, in palm lengths
DOUBLES_JOINTS = 10  # how many are many
STAGES = ("palm", "still", "cut", "pass")
PALM_SIDES = ((0, 5), (5, 17), (17, 0))  # wrist, index finger's knuckle, little finger's knuckle


class EngineDetector:
    """Finds hands as `HandDetector` does, without MediaPipe.

    Use it as a context manager, or call close().

    Attributes:
        skip_still: Whether tracked hands whose pixels haven't changed are passed over.
        stages_ms: Milliseconds of the last frame by stage, 0 for one that it didn't need: "palm" is
            the search for new hands, "cut" and "pass" the crops of hands and the network's pass
            over them; "still" the comparison that may spare these.
    """

    def __init__(
        self,
        palm: PalmNetwork,
        network: HandNetwork,
        *,
        video: bool,
        max_hands: int = 2,
        crop_size: int = 224,
        mirror_hands: bool = True,
        confidence: float = 0.5,
        every_frame: bool = False,
    ) -> None:
        """Take the networks.

        Args:
            palm: the palm network, closed with the detector.
            network: what looks at hands; the caller closes it.
            video: frames follow one another (hands are tracked); otherwise each stands alone.
            max_hands: how many hands are looked for.
            crop_size: S of Hand.crop.
            mirror_hands: left hands are cut as right ones.
            confidence: least score of a palm, and of a hand's presence, 0…1.
            every_frame: both networks see each frame of a video, whether it has changed or not.
        """
        self.skip_still = video and not every_frame
        self.stages_ms = dict.fromkeys(STAGES, 0.0)
        self.engine = f"palm network on {palm.engine}, hand network on {network.engine}"
        self._palm = palm
        self._network = network
        self._video = video
        self._max_hands = max_hands
        self._crop_size = crop_size
        self._mirror_hands = mirror_hands
        self._confidence = confidence
        self._tracker = Tracker()
        self._shape: tuple[int, ...] = ()
        self._every_frame = every_frame
        self._seen: list[Seen] = []  # the hands of the last frame
        self._time_s = 0.0
        self._timer = SearchTimer()

    def detect(self, frame: Frame) -> list[Hand]:
        """Hands in one frame, the larger first."""
        detections = self.detections(frame.image, frame.time_s)
        tracker = self._tracker if self._video else None
        return cut_hands(frame, detections, self._crop_size, self._mirror_hands, tracker)

    def detections(self, image: np.ndarray, time_s: float = 0.0) -> list[Detection]:
        """Hands in uint8 (H, W, 3) BGR, untracked and uncut.

        A picture that stands alone is looked at STILL_LOOKS times, see `HandDetector.detections`.
        """
        self.stages_ms = dict.fromkeys(STAGES, 0.0)
        if not self._video:
            self._seen = []
            self._look(image, search=True)
            for _ in range(STILL_LOOKS - 1 if self._seen else 0):
                self._look(image, search=False)
        else:
            if image.shape != self._shape:  # another picture size: the squares mean nothing in it
                self._shape, self._seen = image.shape, []
            self._time_s = time_s
            squares = [seen.next_square for seen in self._seen]
            due = self._timer.is_due(image, time_s, squares)
            self._look(image, search=due or self._every_frame)
        return [seen.detection for seen in self._seen]

    def _look(self, image: np.ndarray, search: bool) -> None:
        """Follow the tracked hands; search if asked to, or where one of them is lost."""
        found = _without_doubles(self._follow(image))
        lost = len(found) < len(self._seen)
        if (search or lost) and len(found) < self._max_hands:
            self._timer.searched(image, self._time_s)
            boxes = [_box(seen.next_square) for seen in found]
            new = [square for square in self._find_hands(image) if _is_apart(_box(square), boxes)]
            new = new[: self._max_hands - len(found)]
            found = _without_doubles(found + _present(self._read_hands(image, new)))
        self._seen = found

    def _follow(self, image: np.ndarray) -> list[Seen]:
        """The tracked hands that are still there; those whose pixels have changed, read anew."""
        with self._timed("still"):
            due = [s for s in self._seen if not (self.skip_still and s.holds(image, self._time_s))]
        read = iter(self._read_hands(image, [seen.next_square for seen in due]))
        return _present([next(read) if seen in due else seen for seen in self._seen])

    def _find_hands(self, image: np.ndarray) -> list[Square]:
        """Squares around the hands whose palms the palm network sees, surest first."""
        with self._timed("palm"):
            picture, side, corner = letterbox(image)
            outputs = self._palm.run(picture)
            palms = suppress(decode(outputs["boxes"][0], outputs["scores"][0], self._confidence))
            placed = [in_picture(palm, side, corner) for palm in palms[: self._max_hands]]
            return [palm_square(palm) for palm in placed]

    def _read_hands(self, image: np.ndarray, squares: Sequence[Square]) -> list[Seen | None]:
        """What the hand network says of each square; None where it shows no hand."""
        if not squares:
            return []
        with self._timed("cut"):
            crops = np.stack([cut(image, square, HAND.size, mirror=False) for square in squares])
        with self._timed("pass"):
            outputs = self._network.look(crops, turns_of([square.angle for square in squares]))
        return [
            self._see(image, square, _detection(outputs, i, square, crops[i]))
            if outputs.presence[i] > self._confidence
            else None
            for i, square in enumerate(squares)
        ]

    def _see(self, image: np.ndarray, square: Square, detection: Detection) -> Seen:
        following, sample = upright_square(detection.landmarks), None
        if self.skip_still and settled(square, following):
            with self._timed("still"):
                sample = sample_square(image, square)
        return Seen(detection, following, square, sample, self._time_s)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.stages_ms[stage] += 1000 * (time.perf_counter() - began)

    def close(self) -> None:
        """Close the palm network."""
        self._palm.close()

    def __enter__(self) -> EngineDetector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _detection(outputs: HandOutputs, i: int, square: Square, crop: np.ndarray) -> Detection:
    """The hand network's outputs for crop i → a detection in the picture."""
    cos, sin = math.cos(square.angle), math.sin(square.angle)
    turn = np.array([[cos, sin], [-sin, cos]], np.float32)
    scale = square.width / HAND.size
    placed = (outputs.landmarks[i] - np.float32(HAND.size / 2)) * np.float32(scale)
    placed[:, :2] = placed[:, :2] @ turn + np.array((square.x, square.y), np.float32)
    placed[:, 2] = outputs.landmarks[i, :, 2] * np.float32(scale * DEPTH)
    world = outputs.world_landmarks[i].copy()
    world[:, :2] = world[:, :2] @ turn
    right, embedding = float(outputs.right[i]), outputs.embedding[i]
    return Detection(
        placed,
        world,
        "right" if right > 0.5 else "left",
        max(right, 1 - right),
        Look(square, crop, embedding) if len(embedding) else None,
    )


def _box(square: Square) -> np.ndarray:
    """The square unturned, (4,) x0 y0 x1 y1."""
    half = square.width / 2
    return np.array([square.x - half, square.y - half, square.x + half, square.y + half])


def _is_apart(box: np.ndarray, others: Sequence[np.ndarray]) -> bool:
    return all(box_overlap(box, other) <= SAME_HAND for other in others)


def _present(read: Sequence[Seen | None]) -> list[Seen]:
    return [seen for seen in read if seen is not None]


def _without_doubles(hands: list[Seen]) -> list[Seen]:
    """Drop hands that an earlier one already is: overlapping boxes and many joints together."""
    kept: list[Seen] = []
    for hand in hands:
        if not any(_same_hand(hand.detection, other.detection) for other in kept):
            kept.append(hand)
    return kept


def _same_hand(one: Detection, other: Detection) -> bool:
    points = one.landmarks[:, :2], other.landmarks[:, :2]
    size = max(float(np.linalg.norm(p[a] - p[b])) for p in points for a, b in PALM_SIDES)
    near = np.linalg.norm(points[0] - points[1], axis=1) < DOUBLES_REACH * size
    overlap = box_overlap(bounding_box(points[0]), bounding_box(points[1]))
    return int(near.sum()) >= DOUBLES_JOINTS and overlap > DOUBLES_BOX
