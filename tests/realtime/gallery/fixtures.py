"""Hands, references, an encoder and programs to try galleries with. Not a test itself."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.hand_networks import HandOutputs
from engines.spec import EncoderInputs, EncoderSpec
from realtime.gallery.gallery import Reference, View, make_reference
from realtime.gallery.item import Files
from realtime.hands.cutting import cut_hand
from realtime.live.burst import Shot
from realtime.types import Detection, Frame, Hand
from tests.cli import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
CROP = 64
NO_WINDOWS = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")

RECORD = """
gallery = Gallery(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for i in range(int(sys.argv[2])):
    print(gallery.add(a_reference(f"label {i % int(sys.argv[3])}", i)).id, flush=True)
"""


def a_hand(
    seed: int = 0,
    side: str = "right",
    size: float = 60.0,
    centre: tuple[float, float] = (160.3, 121.7),
    frame: tuple[int, int] = (240, 320),
) -> tuple[np.ndarray, Hand]:
    """A noise frame uint8 (H, W, 3) and a hand of about `size` pixels in it."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*frame, 3), np.uint8)
    points = rng.normal((*centre, 0), size / 4, (21, 3))
    world = rng.normal(0, 0.04, (21, 3))
    detection = Detection(points.astype(np.float32), world.astype(np.float32), side, 0.9)
    return image, cut_hand(image, detection, CROP, True)


def reference_of(label: str, *shown: tuple[np.ndarray, Hand]) -> Reference:
    """Made of frames and their hands, a thirtieth of a second apart."""
    frames = [Frame(image, i, i / 30) for i, (image, _) in enumerate(shown)]
    return make_reference([Shot(f, h) for f, (_, h) in zip(frames, shown, strict=True)], label)


def a_reference(label: str, seed: int = 0, side: str = "right", views: int = 1) -> Reference:
    return reference_of(label, *(a_hand(seed + 1000 * i, side, size=16) for i in range(views)))


def with_twins(reference: Reference) -> Reference:
    """The same reference, the mirror image of each view seen a little otherwise."""

    def with_twin(view: View) -> View:
        mirrored = view.mirror()
        seen = (mirrored.landmarks * np.float32(1.02), mirrored.world_landmarks)
        return dataclasses.replace(view, twin=seen)

    return dataclasses.replace(reference, views=tuple(map(with_twin, reference.views)))


def format_1(reference: Reference) -> Files:
    """The files that releases before format 2 wrote of a reference with one view."""

    def numbers(points: np.ndarray) -> list[list[float]]:
        return [[float(str(value)) for value in row] for row in points]

    (view,) = reference.views
    png = cv2.imencode(".png", view.picture)[1].tobytes()
    fields: dict[str, object] = {
        "version": 1,
        "side": view.side,
        "score": view.score,
        "recorded_at": reference.recorded_at,
        "picture_sha256": hashlib.sha256(png).hexdigest(),
        "picture_bytes": len(png),
        "picture_size": len(view.picture),
        "landmarks": numbers(view.landmarks),
        "world_landmarks": numbers(view.world_landmarks),
    }
    if view.twin is not None:
        names = ("landmarks", "world_landmarks")
        fields["twin"] = {name: numbers(each) for name, each in zip(names, view.twin, strict=True)}
    record = json.dumps(fields, indent=1).encode()
    return {f"{reference.id}.png": png, f"{reference.id}.json": record}


class CountingEncoder:
    """An Encoder: a fixed projection of the world landmarks and the crop's mean colour."""

    engine = engine_name = "counting"

    def __init__(self, fingerprint: str = "f" * 64) -> None:
        self.spec = EncoderSpec("counting-1", ("crop", "world_landmarks"), 8, crop_size=CROP)
        self.fingerprint = fingerprint
        self.encoded = 0
        self._weights = np.random.default_rng(5).normal(size=(66, 8)).astype(np.float32)

    def encode(self, hands: EncoderInputs) -> np.ndarray:
        self.encoded += len(hands.crops)
        assert hands.crops.shape[1:] == (CROP, CROP, 3) and hands.crops.dtype == np.uint8
        colours = hands.crops.mean(axis=(1, 2), dtype=np.float32) / 255
        features = np.concatenate([hands.world_landmarks.reshape(-1, 63), colours], axis=1)
        return features @ self._weights

    def look(self, crops: np.ndarray, turns: np.ndarray) -> HandOutputs:
        raise NotImplementedError

    def close(self) -> None: ...


def same(a: Reference, b: Reference) -> bool:
    """Equal to the last bit, types and all."""

    def alike(one: object, other: object) -> bool:
        if isinstance(one, View) and isinstance(other, View):
            return all(alike(vars(one)[name], vars(other)[name]) for name in vars(one))
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            return one.dtype == other.dtype and np.array_equal(one, other)
        if isinstance(one, tuple) and isinstance(other, tuple):
            return len(one) == len(other) and all(map(alike, one, other))
        return type(one) is type(other) and one == other

    return all(alike(vars(a)[name], vars(b)[name]) for name in vars(a))


def files_in(folder: Path) -> set[str]:
    """All paths below a gallery, without its trash."""
    paths = {p.relative_to(folder).as_posix() for p in folder.rglob("*")}
    return {path for path in paths if ".trash" not in path.split("/")}


def program(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python program of its own with the gallery at hand."""
    start = (
        "import sys\nfrom pathlib import Path\nfrom engines.errors import UserError\n"
        "from realtime.gallery.gallery import Gallery\n"
        "from realtime.gallery.archive import export_zip\n"
        "from tests.realtime.gallery.fixtures import CountingEncoder, a_reference\n"
    )
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-c", start + code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, error
    return out


def no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert capsys.readouterr().err == ""
