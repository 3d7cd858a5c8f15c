"""The self-test's JSON file for a bug report, without private paths and names."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.files import explain_errors, write_file
from engines.finding import Finding

FORMAT = 1
# An absolute path of POSIX or Windows, up to its last part.
FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[\\/](?:[^\\/\s'\"(),;:]+[\\/])*(?=[^\\/\s])")


@dataclass(frozen=True)
class PrivateText:
    """What no report may show.

    Attributes:
        paths: text → what replaces it, the longest first.
        names: of the host and the user.
    """

    paths: Mapping[str, str]
    names: frozenset[str]


def collect_private(files: Sequence[Path]) -> PrivateText:
    """What to keep out of a report.

    Known folders are replaced as a whole, since their names may contain spaces.

    Args:
        files: those named on the command line.
    """
    paths = {str(file): file.name for file in files}
    for folder in _private_folders(files):
        if folder != Path(folder.anchor):
            paths |= {f"{folder}/": "/", f"{folder}\\": "/", str(folder): "~"}
    ordered = dict(sorted(paths.items(), key=lambda item: -len(item[0])))
    return PrivateText(ordered, frozenset(name for name in _names() if len(name) > 2) - {"root"})


def _private_folders(files: Sequence[Path]) -> list[Path]:
    """Of the files, the current one, Python's, the one for temporary files and the home.

    Any of them may not exist: the home of a user without an entry, a current folder that was
    removed, a temporary one on a read-only system.
    """
    asked = (
        *(lambda file=file: file.absolute().parent for file in files),
        Path.cwd,
        lambda: Path(sys.prefix),
        lambda: Path(tempfile.gettempdir()),
        Path.home,
    )
    folders = []
    for ask in asked:
        with contextlib.suppress(OSError, RuntimeError):
            folders.append(ask())
    return folders


def _names() -> list[str]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # the user has no name here
        user = ""
    return [platform.node(), user, os.path.basename(os.path.expanduser("~"))]


def scrub(value: Any, hidden: PrivateText) -> Any:
    """A JSON value without what is private; any other path in it loses its folders."""
    if isinstance(value, str):
        for path, stand_in in hidden.paths.items():
            value = value.replace(path, stand_in)
        for name in hidden.names:
            value = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", value)
        return FOLDERS.sub("", value)
    if isinstance(value, Mapping):
        return {key: scrub(inner, hidden) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [scrub(inner, hidden) for inner in value]
    return value


def write(
    path: Path,
    facts: Mapping[str, Any],
    findings: Sequence[Finding],
    hidden: PrivateText,
    finished: bool,
) -> None:
    """Write the report, whole or not at all.

    Args:
        path: the file.
        facts: of the machine and the run, at the top level of the report.
        findings: so far.
        hidden: what to keep out.
        finished: whether the self-test is over. Where a report says no, the program died in what
            comes after its last finding.

    Raises:
        UserError: if it can't be written.
    """
    report = {
        "format": FORMAT,
        "finished": finished,
        **facts,
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }
    text = json.dumps(scrub(report, hidden), indent=2, ensure_ascii=False, allow_nan=False)
    with explain_errors(f"--json can't write {path}"):
        write_file(path, text + "\n")
