"""Pictures on disk as a source: unrelated ones, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from engines.errors import UserError
from engines.say import warn
from realtime.picture_files import load_picture
from realtime.sources.source import PICTURE_FPS, WaitingSource
from realtime.types import Frame


class PictureSource(WaitingSource):
    """Pictures in the given order. One that can't be read is warned about and left out.

    Polling raises UserError where none of them can be read.
    """

    unrelated = True

    def __init__(self, name: str, paths: Sequence[Path], mirrored: bool) -> None:
        super().__init__(name, PICTURE_FPS, mirrored, realtime=False)
        self._paths = paths

    def read(self) -> Iterator[Frame]:
        index = 0
        for path in self._paths:
            try:
                picture = load_picture(path)
            except UserError as error:
                if len(self._paths) == 1:
                    raise
                warn(f"{error} It is left out.")
                continue
            frame = self._frame(picture.image, index, index / PICTURE_FPS)
            yield replace(frame, scale=picture.scale)
            index += 1
        if index == 0:
            raise UserError(f"None of the {len(self._paths)} pictures in {self.name} can be read.")
