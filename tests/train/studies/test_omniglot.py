"""`run.py study omniglot`, to its report, on a small Omniglot of drawn strokes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="studies need requirements-train.txt")
pytest.importorskip("matplotlib", reason="studies need requirements-train.txt")

from tests.cli import main_py
from tests.train.siamese.files import encoded, zipped
from train.siamese.omniglot import LakeRun
from train.studies.omniglot import lake_episodes, lake_pictures

pytestmark = pytest.mark.slow  # the published network is large


def character(alphabet: int, number: int, drawer: int) -> bytes:
    """A black polyline of its own, by a shaky hand."""
    points = np.random.default_rng([alphabet, number]).uniform(15, 90, (4, 2))
    points += np.random.default_rng([alphabet, number, drawer]).normal(0, 2.5, (4, 2))
    image = np.full((105, 105), 255, np.uint8)
    cv2.polylines(image, [points.astype(np.int32)], False, 0, 3)
    return encoded(image)


def part(path: Path, alphabets: int, characters: int, first: int) -> None:
    name = path.stem
    zipped(
        path,
        {
            f"{name}/Alphabet{a:02d}/character{c:02d}/{a:02d}{c:02d}_{d:02d}.png": character(
                first + a, c, d
            )
            for a in range(alphabets)
            for c in range(1, characters + 1)
            for d in range(1, 21)
        },
    )


def runs(path: Path) -> None:
    files: dict[str, bytes] = {}
    for run in range(1, 21):
        lines = []
        for n in range(1, 21):
            answer = (n * 7 + run) % 20 + 1
            files[f"run{run:02d}/training/class{n:02d}.png"] = character(100 + run, n, 1)
            files[f"run{run:02d}/test/item{n:02d}.png"] = character(100 + run, answer, 2)
            lines.append(
                f"run{run:02d}/test/item{n:02d}.png run{run:02d}/training/class{answer:02d}.png"
            )
        files[f"run{run:02d}/class_labels.txt"] = ("\n".join(lines) + "\n").encode()
    zipped(path, files)


def test_a_minute_s_study_leaves_its_report_and_pictures(tmp_path: Path) -> None:
    data = tmp_path / "omniglot"
    data.mkdir()
    part(data / "images_background.zip", 6, 4, 0)
    part(data / "images_evaluation.zip", 2, 20, 50)
    runs(data / "all_runs.zip")
    command = ["study", "omniglot", "--data", data, "--out", "out", "--size", "minute"]
    answer = main_py(*command, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    figures = json.loads((tmp_path / "out/figures.json").read_text(encoding="utf-8"))
    for name in ("ours", "koch"):
        (one,) = figures[name]
        assert one["lake"]["trials"] == 400
        assert 0 <= one["lake"]["low"] <= one["lake"]["value"] <= one["lake"]["high"] <= 1
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert "Koch et al. 2015 | 92.0 %" in text
    for name in ("lake.png", "roc.png", "runs/koch/pairs.png", "runs/ours-0/curves.png"):
        assert name in text
        image = cv2.imread(str(tmp_path / "out" / name))
        assert image is not None and image.std() > 5


def test_lake_s_answers_come_first_in_their_episodes() -> None:
    rng = np.random.default_rng(0)
    support = rng.integers(0, 256, (5, 105, 105), np.uint8)
    answers = np.array([3, 0, 4, 1, 2])
    one = LakeRun(support, support[answers], answers)
    pictures, episodes = lake_pictures(one), lake_episodes(one)
    for query, supports in zip(episodes.queries, episodes.supports, strict=True):
        assert np.array_equal(pictures.images[query], pictures.images[supports[0]])
        assert sorted(supports) == list(range(5, 10))
