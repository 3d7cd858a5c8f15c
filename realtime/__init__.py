"""What the person before the camera experiences: frames in, gestures recognised, shown, acted on.

    from realtime import recognize

    for result in recognize("demo"):
        print(result.events)

`open_session` gives the same loop with commands (record, name, delete, undo …), for front-ends.
The sub-rooms, from left to right: drawn, hands, sources, gallery, recognition, live, measuring,
views, commands.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Settings": "realtime.settings",
    "open_session": "realtime.live.opening",
    "recognize": "realtime.live.opening",
}
__all__ = ["Settings", "open_session", "recognize"]  # noqa: F822  # loaded on first use


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
