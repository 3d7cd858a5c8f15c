"""The pictures of a study's report: real PNGs that show the data they were given."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="studies draw with matplotlib")

import matplotlib

from train.reports import plots

N = np.arange(1.0, 41)
PICTURE = np.arange(28 * 20, dtype=np.float64).reshape(28, 20).astype(np.uint8)


def curves(path: Path, k: float) -> None:
    y = 1 - np.exp(-N / k)
    series = {"ours, $1 & $2": (N, y, y - 0.05, y + 0.05), "other": (N, y / 2, None, None)}
    plots.curves(path, series, "epoch", "accuracy", "Training", log_x=k > 10, chance=0.05)


def roc(path: Path, k: float) -> None:
    false = np.linspace(0, 1, 50)
    plots.roc(path, {"ours": (false, false ** (1 / k), k / (k + 1), 0.2)})


def bars(path: Path, k: float) -> None:
    values = [k, 2 * k, 50.0]
    names = ["a", "a long name that needs two lines", "c"]
    lows, highs = [v - 1 for v in values], [v + 1 for v in values]
    plots.bars(path, names, values, lows, highs, "accuracy, %", (92.0, "published"))


def pair_panel(path: Path, k: float) -> None:
    colour = np.stack([255 - PICTURE] * 3, axis=2)
    pair = (PICTURE, colour, k / 100, "A / B")
    plots.pair_panel(path, {"same, correct": [pair] * int(k), "same, wrong": []})


def learning_curve(path: Path, k: float) -> None:
    volumes = np.array([1.0, 2, 4, 8])
    accuracy = 1 - 0.6 * N ** (-1 / k)
    fit = (N, accuracy, accuracy - 0.05, accuracy + 0.05)
    seen = 1 - 0.6 * volumes ** (-1 / k)
    unseen = (np.array([16.0, 32]), np.array([0.9, 0.95]))
    plots.learning_curve(path, volumes, seen, fit, (k, k - 1, k + 1), unseen)


ALL = [curves, roc, bars, pair_panel, learning_curve]


@pytest.mark.parametrize("draw", ALL)
def test_each_picture_shows_its_data(draw: Callable[[Path, float], None], tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, k in (("a", 4), ("again", 4), ("b", 11)):
            draw(tmp_path / f"{name}.png", k)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
    for name in ("a", "b"):
        image = cv2.imread(str(tmp_path / f"{name}.png"))
        assert image is not None
        height, width = image.shape[:2]
        assert 200 <= height <= 1200 and 300 <= width <= 1400
        assert image.std() > 10  # neither blank …
        assert (image[[0, -1]] == 255).all() and (image[:, [0, -1]] == 255).all()  # … nor cut off
    assert dict(matplotlib.rcParams) == before


def test_pictures_keep_their_proportions(tmp_path: Path) -> None:
    black = np.zeros((40, 20), np.uint8)
    white = np.full((40, 20), 255, np.uint8)
    plots.pair_panel(tmp_path / "x.png", {"": [(black, white, 0.5, "")]}, columns=1)
    image = cv2.imread(str(tmp_path / "x.png"), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    _, _, boxes, _ = cv2.connectedComponentsWithStats((image < 50).astype(np.uint8))
    _, _, width, height, _ = max(boxes[1:], key=lambda box: box[cv2.CC_STAT_AREA])
    assert height / width == pytest.approx(2, rel=0.05)


def test_little_data_is_drawn_too(tmp_path: Path) -> None:
    one = np.array([5.0])
    plots.curves(tmp_path / "c.png", {"a": (one, one, None, None)}, "x", "y", "t", log_x=True)
    plots.bars(tmp_path / "b.png", ["a"], [0.0], [0.0], [0.0], "y")
    plots.pair_panel(tmp_path / "p.png", {"same": []})

    plots.learning_curve(tmp_path / "l.png", one, one / 10, (N, N / 99, None, None))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_picture_that_fails_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roc(tmp_path / "roc.png", 2)
    before = (tmp_path / "roc.png").read_bytes()

    def half(figure: object, file: object, **_: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("no room")

    monkeypatch.setattr("train.reports.plots.Figure.savefig", half)
    with pytest.raises(OSError, match="no room"):
        roc(tmp_path / "roc.png", 3)
    assert (tmp_path / "roc.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["roc.png"]
