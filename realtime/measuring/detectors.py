"""The sources that `run.py compare-detectors` takes, and the comparison on one of them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from engines.errors import UserError
from engines.say import progress
from realtime.folders import is_picture, list_pictures
from realtime.hands.detector import Detector
from realtime.measuring.agreement import Agreement, agreement
from realtime.measuring.appearances import Trial, choose_trials, try_all
from realtime.measuring.scenes import SCENES, play
from realtime.measuring.side_by_side import Show, leaf_through, watch
from realtime.sources.demo import FPS
from realtime.sources.source import PICTURE_FPS
from realtime.sources.video import Video
from realtime.types import Frame

SCENE_FRAMES = 300  # of each drawn scene

Opener = Callable[..., Detector]  # takes video=True or False
Each = TypeVar("Each")


@dataclass(frozen=True)
class Film:
    """A video.

    Attributes:
        name: For reports.
        fps: Frames per second.
        play: Gives its frames, from the first on, as often as it is called.
    """

    name: str
    fps: float
    play: Callable[[], Iterator[Frame]]


@dataclass(frozen=True)
class Album:
    """Pictures that stand alone: their name for reports, and their paths."""

    name: str
    paths: tuple[Path, ...]


def find_material(source: str, most: int) -> list[Film | Album]:
    """Find what a source names.

    Args:
        source: A video, a folder of pictures, or "demo" for the drawn scenes.
        most: How many pictures of a folder are taken, evenly spread.

    Raises:
        UserError: There is nothing of that name, or nothing in it.
    """
    if source == "demo":
        return [
            Film(name, FPS, functools.partial(_play_scene, picture))
            for name, picture in SCENES.items()
        ]
    path = Path(source)
    if path.is_dir() or is_picture(path):
        paths = list_pictures(path, recursive=True) if path.is_dir() else [path]
        count = min(most, len(paths))
        if count < 1:
            raise UserError(
                f"--pictures asks for none of the pictures in {source}; it takes 1 or more."
            )
        return [
            Album(path.resolve().name, tuple(paths[i * len(paths) // count] for i in range(count)))
        ]
    if not path.is_file():
        raise UserError(
            f"There is nothing named {source}: a video, a folder of pictures or demo is compared."
        )
    with Video(path, mirrored=False, realtime=False) as video:
        return [Film(video.name, video.fps or PICTURE_FPS, functools.partial(_play, path))]


def _play_scene(picture: Callable[[int], np.ndarray]) -> Iterator[Frame]:
    return itertools.islice(play(picture), SCENE_FRAMES)


def _play(path: Path) -> Iterator[Frame]:
    with Video(path, mirrored=False, realtime=False) as video:
        yield from video


def compare(
    material: Film | Album,
    open_ours: Opener,
    open_theirs: Opener,
    show: Show | None = None,
    trials: bool = True,
) -> Agreement:
    """Compare two detectors on one source.

    Args:
        material: The source.
        open_ours: Opens our own detector.
        open_theirs: Opens MediaPipe's.
        show: Is shown what they disagree on.
        trials: Whether hands are made to appear in frames composed of a video, too.

    Raises:
        UserError: A detector can't be opened, or the source can't be read.
    """
    name = material.name
    if isinstance(material, Album):
        with open_ours(video=False) as ours, open_theirs(video=False) as theirs:
            looks = leaf_through(material.paths, ours, theirs, show)
            seen = list(_shown(name, looks, len(material.paths)))
        if not seen:
            raise UserError(f"None of the pictures in {name} can be read.")
        return agreement(name, seen)
    with open_ours(video=True) as ours, open_theirs(video=True) as theirs:
        seen = list(_shown(name, watch(material.play(), ours, theirs, show)))
    stretches = choose_trials(seen, material.fps) if trials else []
    tried: list[Trial] = []
    if stretches:
        with open_ours(video=True) as ours, open_theirs(video=True) as theirs:
            made = try_all(material.play(), stretches, material.fps, ours, theirs)
            tried = list(_shown(f"{name}, composed", made, len(stretches)))
    return agreement(name, seen, material.fps, tried)


def _shown(text: str, values: Iterable[Each], total: int | None = None) -> Iterator[Each]:
    """The values as they come, with a progress display."""
    with progress() as bar:
        yield from bar.track(values, total=total, description=text)
