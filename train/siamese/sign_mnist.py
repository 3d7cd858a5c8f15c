"""Reader for Sign-Language-MNIST: 28 × 28 grey hands that show the letters A … Y without J.

The published form is a CSV, label,pixel1,…,pixel784, with labels 0 … 24. The .npz form adds the
signer and the time: image uint8 (N, 28, 28), label str (N,), subject str (N,), frame int (N,).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.errors import UserError, no_arrays
from engines.files import explain_errors
from train.siamese.class_index import rank_within_class
from train.siamese.pictures import Pictures

SIZE = 28  # px
COLUMNS = 1 + SIZE * SIZE
LETTERS = {number: chr(ord("A") + number) for number in range(25) if number != 9}  # J moves


def load_sign_mnist(path: Path) -> Pictures:
    """Load a .csv, with or without its header row, or an .npz.

    Returns:
        28 × 28 pictures. Labels are letters, groups "". Subjects and order are the .npz file's
        own; for a .csv, subjects are "" and order is the position within the class.

    Raises:
        UserError: The file is missing, damaged or something else.
    """
    readers = {".csv": _read_csv, ".npz": _read_npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path} isn't Sign-Language-MNIST: expected a .csv or .npz file.")
    with explain_errors(f"{path} can't be read"):
        return reader(path)


def _read_csv(path: Path) -> Pictures:
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    header = bool(lines) and lines[0].replace(b'"', b"").startswith(b"label,")
    rows = {n: row for n, row in enumerate(lines, start=1) if row.strip()}
    if header:
        del rows[1]
    if not rows:
        raise UserError(f"{path} holds no pictures: expected rows of label,pixel1,…,pixel784.")
    try:
        table = np.loadtxt(list(rows.values()), np.uint8, delimiter=",", ndmin=2, comments=None)
        fine = table.shape[1] == COLUMNS and np.isin(table[:, 0], list(LETTERS)).all()
    except ValueError:  # also for numbers outside 0…255
        fine = False
    if not fine:
        raise UserError(_describe_fault(path, rows))
    labels = np.array([LETTERS[number] for number in table[:, 0].tolist()])
    nothing = np.full(len(labels), "")
    images = table[:, 1:].reshape(-1, SIZE, SIZE)
    return Pictures(images, labels, nothing, nothing, rank_within_class(labels))


def _describe_fault(path: Path, rows: dict[int, bytes]) -> str:
    """Describe what is wrong with the first bad row; `rows` are by line number."""
    for line, row in rows.items():
        cells = [cell.strip() for cell in row.decode("ascii", "replace").split(",")]
        numbers = [cell for cell in cells if cell.isdecimal()]
        if len(cells) != COLUMNS:
            wrong = f"{COLUMNS} columns, a label and {COLUMNS - 1} pixels, but it has {len(cells)}"
        elif len(numbers) < COLUMNS:
            odd = next(cell for cell in cells if not cell.isdecimal())
            wrong = f"whole numbers from 0 to 255, but it has {odd[:20]!r}"
        elif max(map(int, cells[1:])) > 255:
            wrong = f"pixels from 0 to 255, but it has {max(map(int, cells[1:]))}"
        elif int(cells[0]) not in LETTERS:
            wrong = f"a label from 0 to 24 without 9 (J), but it has {cells[0]}"
        else:
            continue
        return f"{path}, line {line}: expected {wrong}. Correct the row, or get the file again."
    return f"{path} isn't Sign-Language-MNIST: expected rows of label,pixel1,…,pixel784."


def _read_npz(path: Path) -> Pictures:
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            images, labels = file["image"], file["label"]
            subjects, frames = file["subject"], file["frame"]
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damage
        raise UserError(
            f"{path} isn't an .npz of 28 × 28 letters ({no_arrays(error)}): expected image, label, "
            "subject and frame in it. Get it again."
        ) from None
    count = len(images) if images.ndim == 3 else 0
    if (
        not count
        or images.dtype != np.uint8
        or images.shape[1:] != (SIZE, SIZE)
        or any(part.dtype.kind != "U" or part.shape != (count,) for part in (labels, subjects))
        or frames.dtype.kind not in "iu"
        or frames.shape != (count,)
    ):
        raise UserError(
            f"{path} is damaged: expected image uint8 (N, 28, 28) and, for each of the N, a label, "
            "a subject and a frame number. Get it again."
        )
    return Pictures(images, labels, np.full(count, ""), subjects, frames.astype(np.int64))
