"""One thing that an examination of this machine found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engines.errors import UserError, first_line


@dataclass(frozen=True)
class Finding:
    """ok None: worth knowing, no fault. advice: what to do, where something is wrong.

    figures: the same in numbers, for a JSON file.
    """

    what: str
    ok: bool | None
    found: str
    advice: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def guarded(what: str, look: Callable[[], Finding]) -> Finding:
    """What `look` finds, or that it fails: no fault of one step may hide what others find."""
    try:
        return look()
    except UserError as error:
        return Finding(what, False, "doesn't work", str(error))
    except ModuleNotFoundError as error:
        missing = f"the package {error.name} isn't installed"
        return Finding(what, False, missing, "pip install -r requirements-gpu.txt")
    except Exception as error:
        advice = "this is a fault of the program: report it"
        return Finding(what, False, f"{type(error).__name__}: {first_line(str(error))}", advice)
