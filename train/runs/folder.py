"""The folder of a run. Its run.json holds the run's settings, so that only they resume it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engines.errors import UserError
from engines.files import explain_errors, write_file


def check_folder(out: Path, settings: dict[str, Any]) -> None:
    """Raise UserError if the folder holds a run with other settings."""
    file = out / "run.json"
    try:
        stored = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else settings
    except ValueError:
        raise UserError(
            f"{file} is damaged, so the settings of the run in {out} are unknown. Name another "
            "folder with --out, or delete that one."
        ) from None
    if stored != settings:
        raise UserError(
            f"{out} holds a run of another recipe or other data. Name another folder with "
            "--out, or delete that one."
        )


def claim_folder(out: Path, settings: dict[str, Any]) -> None:
    """Create the folder of a run and write its settings.

    Raises:
        UserError: The folder can't be written.
    """
    with explain_errors(f"--out {out} can't be written"):
        out.mkdir(parents=True, exist_ok=True)
        write_file(out / "run.json", json.dumps(settings, indent=1))
