"""`run.py study asl-volume`, to its report, on drawn 28 × 28 signs of two signers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="studies need requirements-train.txt")
pytest.importorskip("optuna", reason="studies need requirements-train.txt")
pytest.importorskip("matplotlib", reason="studies need requirements-train.txt")

import run
from tests.cli import main_py, said
from train.studies.asl_report import observed_breakaway

LETTERS = "ABCDEFGH"
FRAMES = 70


def signs(rng: np.random.Generator, signer: int) -> np.ndarray:
    """uint8 (8, FRAMES, 28, 28): each letter a bar at its own angle, wandering from frame to frame;
    the second signer's bars are thicker."""
    images = np.zeros((len(LETTERS), FRAMES, 28, 28), np.uint8)
    for letter in range(len(LETTERS)):
        wander = np.cumsum(rng.normal(0, 0.25, (FRAMES, 2)), axis=0)
        for frame in range(FRAMES):
            angle = np.pi * letter / len(LETTERS)
            x, y = 14 + wander[frame]
            dx, dy = 9 * np.cos(angle), 9 * np.sin(angle)
            ends = (int(x - dx), int(y - dy)), (int(x + dx), int(y + dy))
            cv2.line(images[letter, frame], *ends, 220, 2 + 2 * signer)
    return cv2.add(images, rng.integers(0, 30, images.shape, np.uint8))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("signs") / "signs.npz"
    each = len(LETTERS) * FRAMES
    np.savez(
        path,
        image=np.concatenate([signs(rng, s).reshape(each, 28, 28) for s in (0, 1)]),
        label=np.tile(np.repeat(list(LETTERS), FRAMES), 2),
        subject=np.repeat(["ann", "bob"], each),
        frame=np.tile(np.arange(FRAMES), 2 * len(LETTERS)),
    )
    return path


@pytest.mark.slow
def test_a_minute_s_study_leaves_its_report_and_pictures(data: Path, tmp_path: Path) -> None:
    command = ["study", "asl-volume", "--data", data, "--out", "asl", "--size", "minute"]
    first = main_py(*command, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    out = tmp_path / "asl"
    text = (out / "report.md").read_text(encoding="utf-8")
    assert first.stdout.strip() == text.strip()
    assert "**Answer.**" in text and "| asl-1024 | 16 |" in text
    figures = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert [one["volume"] for one in figures["runs"]] == [2, 4, 8, 16, 24]
    own = [one["one-shot"]["same signer"]["8"]["value"] for one in figures["runs"]]
    assert max(own) > 2 / 8, "better than chance, which is 1 in 8"
    pages = (out / "report.html").read_text(encoding="utf-8")
    for name in ("volume.png", "ways-asl-1024.png", "prediction-1.png", "prediction-2.png"):
        assert name in pages
        image = cv2.imread(str(out / name))
        assert image is not None and image.std() > 5
    folder = out / "runs/asl-1024-16-0"
    kept = {"run.json", "log.csv", "curves.png", "network.pt", "result.json", "pairs.png"}
    assert {path.name for path in folder.iterdir()} == kept
    before = (folder / "network.pt").stat().st_mtime_ns
    again = main_py(*command, cwd=tmp_path)
    assert again.stdout == first.stdout
    assert (folder / "network.pt").stat().st_mtime_ns == before, "finished runs are read back"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": lambda a: a["image"][:, :20, :20]}, "28"),
    ],
)
def test_data_that_will_not_do_is_told_in_a_sentence(
    data: Path, tmp_path: Path, change: dict, sentence: str
) -> None:
    with np.load(data) as file:
        arrays = dict(file)
    arrays |= {name: make(arrays) for name, make in change.items()}
    np.savez(tmp_path / "bad.npz", **arrays)
    answer = main_py("study", "asl-volume", "--data", "bad.npz", "--out", "asl", cwd=tmp_path)
    assert answer.returncode == 1
    assert sentence in said(answer)[-1] and "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["nothing"], "A study is one of asl-volume, faces, omniglot, gallery"),
        (["asl-volume", "--size", "huge"], "--size takes full, laptop, minute"),
        (["asl-volume", "--seeds", "0"], "--seeds takes a number from 1 on"),
        (["asl-volume", "--data", "none.npz"], "none.npz"),
        (["omniglot", "--data", "."], "images_background.zip"),
    ],
)
def test_a_mistyped_study_is_told_in_a_sentence(
    options: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    extra = [] if "--data" in options else ["--data", "x.npz"]
    assert run.main(["study", *options, *extra, "--out", "out"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and sentence in line
    assert list(tmp_path.iterdir()) == []


def test_another_study_s_report_is_not_taken_apart(tmp_path: Path, capsys) -> None:
    text = "# A small gallery of faces\n\npython run.py study gallery --data $DATA/f.zip\n"
    (tmp_path / "report.md").write_text(text, encoding="utf-8")
    asked = ["study", "asl-volume", "--data", "x.npz", "--out", str(tmp_path)]
    assert run.main(asked) == 1
    assert "holds another study's report; name another folder" in capsys.readouterr().err
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == text


def test_the_observed_breakaway_lies_between_two_volumes() -> None:
    volumes = np.array([4, 8, 16, 4, 8, 16.0])
    assert observed_breakaway(volumes, np.array([0.5, 0.88, 0.9, 0.6, 0.86, 0.9])) == (4, 8)
    assert observed_breakaway(volumes, np.full(6, 0.9)) == (0, 4)
