"""Files and JSON values that are changed by chance, for hypothesis."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MANY = settings(
    max_examples=int(os.environ.get("HOSTILE_EXAMPLES", "30")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

ODD_NUMBERS = [0, -1, 2**31, -(2**63), 10**400, 1e308, -0.0, float("nan"), float("inf"), True]
ODD_TEXTS = ["", "..", "../../etc/passwd", "/etc/passwd", "\0", "\ud800", "a" * 5000, "𝟙", "NaN"]


def values() -> st.SearchStrategy[Any]:
    """Anything that JSON can say, the odd above all."""
    leaves = (
        st.none()
        | st.sampled_from([*ODD_NUMBERS, *ODD_TEXTS])
        | st.integers()
        | st.floats()
        | st.text(max_size=20)
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=8,
    )


@st.composite
def changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """A file with up to six bytes or pieces changed, left out, doubled, or cut off."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        # Half of the changes are where headers are.
        most = draw(st.sampled_from([min(64, len(changed)), len(changed)]))
        at = draw(st.integers(0, most))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            changed[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == 1:
            changed[at : at + 4] = draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff" * 2]))
        elif kind == 2:
            changed[at : at + draw(st.integers(1, 40))] = b""
        elif kind == 3:
            piece = bytes(changed[at : at + draw(st.integers(1, 400))])
            changed[at:at] = piece
        elif kind == 4:
            changed[at:at] = draw(st.binary(max_size=30))
        else:
            del changed[at:]
    return bytes(changed)


@st.composite
def changed_json(draw: st.DrawFn, data: bytes) -> bytes:
    """A JSON file with one to three of its values replaced, left out or put elsewhere."""
    root = json.loads(data)
    for _ in range(draw(st.integers(1, 3))):
        place: Any = root
        while isinstance(place, (dict, list)) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and place[key] and draw(st.integers(0, 3)):
                place = place[key]
                continue
            if draw(st.integers(0, 4)):
                place[key] = draw(values())
            else:
                del place[key]
            break
    return json.dumps(root).encode()


def changed(data: bytes) -> st.SearchStrategy[bytes]:
    """Either of the two, for a file that holds JSON."""
    return changed_json(data) | changed_bytes(data)
