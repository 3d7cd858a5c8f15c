"""A run's folder is bound to what is run in it, so that a run can go on where it was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engines.errors import UserError
from engines.files import explain_errors, write_file


def check(out: Path, settings: dict[str, Any]) -> None:
    """Raises UserError where the folder holds a run of other settings."""
    file = out / "run.json"
    try:
        held = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else settings
    except ValueError:
        raise UserError(
            f"{file} is damaged: what was run in {out} can't be told. Name another folder with "
            "--out, or delete that one."
        ) from None
    if held != settings:
        raise UserError(
            f"{out} holds a run of another recipe or other data. Name another folder with "
            "--out, or delete that one."
        )


def claim(out: Path, settings: dict[str, Any]) -> None:
    """Bind a run's folder, once it is sure that there is something to run."""
    with explain_errors(f"--out {out} can't be written"):
        out.mkdir(parents=True, exist_ok=True)
        write_file(out / "run.json", json.dumps(settings, indent=1))
