"""An encoder's ONNX file or TensorRT plan → a model in a repository of NVIDIA's Triton server.

    DIR/MODEL/config.pbtxt
    DIR/MODEL/1/model.onnx     or model.plan, with its sidecar

The configuration names the version it belongs to. A model that is replaced gets the next number;
the new configuration takes the place of the old one in one step, and only then the old version
goes. So a Triton that looks at any moment finds a version together with what is said of it, and no
number ever stands for two encoders.
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
from engines.onnx_file import load_encoder
from engines.spec import FINGERPRINT_KEY
from engines.tensorrt.sidecar import load, sidecar_path
from engines.triton.config import NAME, Served, config

CONFIG = "config.pbtxt"
DELAY_US = 2000  # a frame lasts 33 ms at 30 to the second


def write_repository(
    folder: Path,
    name: str,
    source: Path,
    batches: Sequence[int] = (1, 2),
    delay_us: int = DELAY_US,
) -> Path:
    """Add an encoder to the repository `folder` as the model `name`; → the model's folder.

    source: an encoder's ONNX file, or a plan with its sidecar, whose own batches count then.
    batches: numbers of hands, of which the last is the most that Triton puts together. delay_us:
    microseconds that it may wait for other cameras' hands. A model of this name that this program
    wrote is replaced. Raises UserError where the source is none, the name is another's, or the
    folder can't be written; what was there before is untouched then.
    """
    versions = check_place(folder, name)
    served = _served(source, tuple(sorted(set(batches))))
    model = folder / name
    version = max(versions, default=0) + 1
    text = config(name, served, version, delay_us)
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
        shutil.rmtree(model / str(old), ignore_errors=True)  # what stays is never served
    return model


def check_place(folder: Path, name: str) -> list[int]:
    """→ the versions that a model of this name has there.

    Raises UserError where the name is none for Triton, or another program's model has it.
    """
    if not re.fullmatch(NAME, name):
        raise UserError(
            "A model's name in Triton has letters, digits and _ . -, the first a letter, a digit "
            f"or _; got {name!r}."
        )
    return _versions(folder / name)


def _served(source: Path, batches: tuple[int, ...]) -> Served:
    if source.suffix == ".onnx":
        _, spec, mark = load_encoder(source)
        if not batches or batches[0] < 1:
            raise UserError(f"Batches are numbers of hands, 1 or more; got {batches}.")
        return Served("onnx", spec, mark, batches)
    if source.suffix != ".plan":
        raise UserError(f"Triton serves an encoder's FILE.onnx or FILE.plan; got {source}.")
    sidecar = load(source)
    if sidecar.runtime != "tensorrt":
        raise UserError(
            f"{source} was built by TensorRT for RTX, and Triton runs the plans of the classic "
            "one; give it the ONNX file, or build a plan with --runtime tensorrt."
        )
    with explain_errors(f"{source} can't be read"):
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if digest != sidecar.plan_sha256:
        raise UserError(
            f"{source} isn't the plan that {sidecar_path(source).name} speaks of; copy the two "
            "together, or build it again."
        )
    return Served("plan", sidecar.spec, sidecar.fingerprint, sidecar.batches)


def _versions(model: Path) -> list[int]:
    """Numbers of the versions in a model's folder. Raises UserError where it is another's."""
    if not model.exists():
        return []
    try:
        ours = FINGERPRINT_KEY in (model / CONFIG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        ours = False
    if not ours:
        raise UserError(
            f"{model} holds something that this program didn't write; give the model another "
            "name, or remove that folder."
        )
    return [int(path.name) for path in model.iterdir() if path.name.isdecimal()]


def _add(model: Path, version: int, text: str, source: Path, kind: str) -> None:
    """A new model: made beside the repository and renamed into it.

    Triton takes every folder in the repository for a model, so a half one must not lie there.
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
            # A repository that is a mount of its own, or whose surroundings aren't ours, has no
            # such place beside it.
            if place == places[-1]:
                raise


def _replace(model: Path, version: int, text: str, source: Path, kind: str) -> None:
    """The next version of a model that is there. Triton passes over folders without a number."""
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
    version.mkdir()
    shutil.copyfile(source, version / f"model.{kind}")
    if kind == "plan":
        shutil.copyfile(sidecar_path(source), sidecar_path(version / "model.plan"))
