"""What one check of this machine, or of an engine on it, found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engines.errors import UserError, explain_missing, first_line


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        what: what was checked.
        ok: whether it is well; None for something worth knowing that is no fault.
        found: the result in words.
        advice: what to do, where something is wrong.
        figures: the result in numbers, for a JSON file.
    """

    what: str
    ok: bool | None
    found: str
    advice: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def run_check(
    what: str, check: Callable[[], Finding], requirements: str = "requirements-gpu.txt"
) -> Finding:
    """The finding of a check; an exception becomes a finding, too, so that other checks go on.

    Args:
        requirements: the file that brings the packages which the check needs.
    """
    try:
        return check()
    except UserError as error:
        return Finding(what, False, "doesn't work", str(error))
    except ModuleNotFoundError as error:
        missing = f"the package {error.name} isn't installed"
        return Finding(what, False, missing, f"pip install -r {requirements}")
    except ImportError as error:
        return Finding(what, False, "doesn't work", str(error))
    except Exception as error:
        if isinstance(error, AttributeError) and (sentence := explain_missing(error)):
            return Finding(what, False, "doesn't work", sentence)
        advice = "this is a fault of the program: report it"
        return Finding(what, False, f"{type(error).__name__}: {first_line(str(error))}", advice)
