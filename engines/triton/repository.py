"""Writes an encoder's ONNX file or TensorRT plan into a model repository of NVIDIA's Triton.

    DIR/MODEL/config.pbtxt
    DIR/MODEL/1/model.onnx     or model.plan, with its sidecar

The configuration names the one version that it belongs to. To replace a model, the new version
gets the next number, then the configuration is replaced in one step, then the old version is
removed. So Triton always finds a version with its own configuration, and no version number is ever
used for two encoders.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engines.errors import UserError
from engines.files import explain_errors, write_file
from engines.onnx_file import is_quantised, load_encoder, read_whole
from engines.spec import FINGERPRINT_KEY
from engines.tensorrt.sidecar import load, sidecar_path
from engines.triton.config import NAME, ServedEncoder, format_config

CONFIG = "config.pbtxt"
DELAY_US = 2000  # short beside a frame's 33 ms


def write_repository(
    folder: Path,
    name: str,
    source: Path,
    batches: Sequence[int] = (1, 2),
    delay_us: int = DELAY_US,
) -> Path:
    """Add an encoder to a model repository, or replace a model that this program wrote.

    Args:
        folder: the repository.
        name: the model's.
        source: an encoder's ONNX file, or a plan with its sidecar.
        batches: numbers of hands for an ONNX file, the largest being what Triton puts together at
            most; a plan has its own.
        delay_us: how long Triton may wait for other cameras' hands, microseconds.

    Returns:
        The model's folder.

    Raises:
        UserError: if the source is no encoder, another program's model has the name, or the folder
            can't be written. What was there before is untouched then.
    """
    versions = check_place(folder, name)
    served = _read_source(source, tuple(sorted(set(batches))))
    model = folder / name
    version = max(versions, default=0) + 1
    text = format_config(name, served, version, delay_us)
    new = not folder.exists()
    with explain_errors(f"{model} can't be written", "What was there before is untouched."):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (_replace if model.exists() else _add)(model, version, text, source, served.kind)
        except OSError:
            if new:
                with suppress(OSError):
                    folder.rmdir()
            raise
    for old in versions:
        shutil.rmtree(model / str(old), ignore_errors=True)  # leftovers are never served
    return model


def check_place(folder: Path, name: str) -> list[int]:
    """The versions that a model of this name has in a repository.

    Raises:
        UserError: if Triton doesn't allow the name, or another program's model has it.
    """
    if not re.fullmatch(NAME, name):
        raise UserError(
            "A model's name in Triton has letters, digits and _ . -, the first a letter, a digit "
            f"or _, all of them ASCII; got {name!r}. Choose one with --model NAME."
        )
    return _versions(folder / name)


def _read_source(source: Path, batches: tuple[int, ...]) -> ServedEncoder:
    if source.suffix == ".onnx":
        model, spec, mark = load_encoder(source)
        if is_quantised(model):
            raise UserError(
                f"{source} is in 8 bits, which Triton's ONNX Runtime adds up exactly only on "
                "processors that have an instruction for it: serve the float encoder that it was "
                "made of, or an INT8 plan, --engine FILE.plan --precision int8."
            )
        if not batches or batches[0] < 1:
            raise UserError(f"Batches are numbers of hands, 1 or more; got {batches}.")
        return ServedEncoder("onnx", spec, mark, batches)
    if source.suffix != ".plan":
        raise UserError(f"Triton serves an encoder's FILE.onnx or FILE.plan; got {source}.")
    sidecar = load(source)
    if sidecar.spec is None:
        raise UserError(
            f"{source} holds the palm network, which runs beside the program and not on Triton; "
            "give it an encoder's plan."
        )
    if sidecar.runtime != "tensorrt":
        raise UserError(
            f"{source} was built by TensorRT for RTX, and Triton runs the plans of the classic "
            "one; give it the ONNX file, or build a plan with --runtime tensorrt."
        )
    with explain_errors(f"{source} can't be read"):
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if digest != sidecar.plan_sha256:
        raise UserError(
            f"{source} isn't the plan that {sidecar_path(source).name} describes; copy the two "
            "together, or build it again."
        )
    return ServedEncoder("plan", sidecar.spec, sidecar.fingerprint, sidecar.batches)


def _versions(model: Path) -> list[int]:
    """The versions in a model's folder. Raises UserError where another program wrote it."""
    if not model.exists():
        return []
    try:
        ours = FINGERPRINT_KEY in (model / CONFIG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        ours = False
    if not ours:
        raise UserError(
            f"{model} holds something that this program didn't write; give the model another "
            "name with --model, or remove that folder."
        )
    return [int(path.name) for path in model.iterdir() if path.name.isdecimal()]


def _add(model: Path, version: int, text: str, source: Path, kind: str) -> None:
    """Add a new model: write it beside the repository and rename it into it.

    Triton takes every folder in the repository for a model, so a half-written one must not be
    there.
    """
    repository = model.parent.resolve()
    places = (repository.parent, repository)
    for place in places:
        try:
            with tempfile.TemporaryDirectory(dir=place, prefix=".") as temporary:
                made = Path(temporary) / model.name
                made.mkdir()
                _copy(source, kind, made / str(version))
                write_file(made / CONFIG, text)
                made.rename(model)
            return
        except OSError:
            # Beside the repository isn't possible where it is a mount of its own, or its parent
            # folder isn't writable.
            if place == places[-1]:
                raise


def _replace(model: Path, version: int, text: str, source: Path, kind: str) -> None:
    """Add the next version to a model. Triton ignores folders whose names are no numbers."""
    with tempfile.TemporaryDirectory(dir=model, prefix=".") as temporary:
        made = Path(temporary) / str(version)
        _copy(source, kind, made)
        made.rename(model / str(version))
    try:
        write_file(model / CONFIG, text)
    except OSError:
        shutil.rmtree(model / str(version), ignore_errors=True)
        raise


def _copy(source: Path, kind: str, version: Path) -> None:
    """Make a version's folder with its files."""
    version.mkdir()
    if kind == "onnx":
        (version / "model.onnx").write_bytes(read_whole(source))
    else:
        shutil.copyfile(source, version / "model.plan")
        shutil.copyfile(sidecar_path(source), sidecar_path(version / "model.plan"))
