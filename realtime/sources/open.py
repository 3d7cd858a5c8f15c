"""Open what --camera names: a camera, a stream, a video, a folder of pictures, the demo."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engines.errors import UserError
from engines.text.addresses import public_address, read_address
from realtime.folders import head_of, is_picture, list_pictures
from realtime.picture_header import format_of
from realtime.settings import Settings
from realtime.sources.camera import Camera, camera_choices, is_device
from realtime.sources.demo import Demo
from realtime.sources.network.stream import SCHEMES
from realtime.sources.pictures import PictureSource
from realtime.sources.source import Source
from realtime.sources.video import Video

TAKES = (
    "--camera takes the index of a camera (0), a device path, an http(s) or rtsp address, "
    "a video file, a folder of pictures, or demo."
)


def open_source(
    camera: str,
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    mirrored: bool = False,
    realtime: bool = False,
    max_wait_s: float = 10.0,
) -> Source:
    """Open what `camera` names; see TAKES.

    Args:
        size: (width, height) in pixels, and fps: asked of cameras.
        mirrored: the source gives a mirror image; frames are flipped back.
        realtime: a video or the demo comes no faster than from a camera, still without a gap.
        max_wait_s: for a camera's first frame.
    Raises:
        UserError: there is nothing to open, or it gives no picture.
    """
    if camera == "demo":
        return Demo(mirrored, realtime)
    address = read_address(camera)
    if address and address.scheme in SCHEMES:
        return Camera(camera, mirrored=mirrored, max_wait_s=max_wait_s)
    if is_device(camera):
        _refuse_missing(camera)
        return Camera(camera, size=size, fps=fps, mirrored=mirrored, max_wait_s=max_wait_s)
    path = Path(camera)
    if os.path.isdir(camera):
        pictures = list_pictures(path, advice=TAKES)
        return PictureSource(path.name or camera, pictures, mirrored)
    if not os.path.isfile(camera):
        raise UserError(f"There is nothing named {public_address(camera)!r}. {TAKES}")
    if is_picture(path) and format_of(head_of(path)) != "GIF":  # that plays as a video
        return PictureSource(path.name, [path], mirrored)
    return Video(path, mirrored, realtime)


def source_of(settings: Settings) -> Source:
    """Open the source that the settings name. Raises UserError."""
    return open_source(
        settings.camera,
        size=settings.size,
        fps=settings.fps,
        mirrored=settings.mirrored,
        realtime=settings.realtime,
    )


def _refuse_missing(camera: str) -> None:
    """Raise UserError at once for a camera that Linux says isn't there."""
    if sys.platform != "linux":
        return
    path = f"/dev/video{camera}" if camera.isdecimal() else camera
    if not os.path.exists(path):
        raise UserError(f"There is no camera {camera} ({path} does not exist). {camera_choices()}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise UserError(
            f"Camera {camera} may not be opened: this user has no right to {path} (on most "
            "systems `sudo usermod -aG video $USER` and a new login give it)."
        )
