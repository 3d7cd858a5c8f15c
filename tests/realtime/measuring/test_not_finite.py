"""An encoder whose weights aren't numbers gives no figures, wherever its embeddings are made."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from calibration.episodes import LabelledEmbeddings, across, within
from engines.encoder import ENCODERS, open_encoder
from engines.errors import UserError
from engines.onnx_file import load_encoder, save_encoder
from realtime.commands.embed import NAME as EMBED
from realtime.hands.cutting import cut_hand, embed_hands
from realtime.hands.detector import detect_picture
from realtime.hands.opening import open_detector
from realtime.measuring.folder import embed_folder, load_embeddings, save_embeddings
from realtime.picture_files import read_picture, write_picture
from tests.cli import hand_picture, main_py

engine = functools.partial(open_detector, "engine", video=False)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "ann/A").mkdir(parents=True)
    write_picture(folder / "ann/A/1.png", hand_picture("Victory"))
    shutil.copy(folder / "ann/A/1.png", folder / "ann/A/2.png")
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The landmark baseline with one weight that is NaN."""
    model, spec, _ = load_encoder(ENCODERS["landmarks"])
    for weight in model.graph.initializer:
        if weight.name == "mean":
            values = numpy_helper.to_array(weight).copy()
            values[7] = np.nan
            weight.CopyFrom(numpy_helper.from_array(values, "mean"))
    path = tmp_path_factory.mktemp("broken") / "broken.onnx"
    save_encoder(model, spec, path)
    return path


@pytest.mark.parametrize("command", [EMBED, "evaluate", "calibrate"])
def test_no_command_makes_figures_of_them(
    command: str, broken: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [command, str(pictures), "--encoder", str(broken), "--detector", "engine"]
    words += {"evaluate": ["--json", str(out)]}.get(command, ["--out", str(out)])
    ended = main_py(*words, cwd=tmp_path)
    assert ended.returncode == 1
    said = ended.stderr.splitlines()[-1]  # evaluate warns that there is no calibration
    assert "error: Embeddings of landmarks-1 on ONNX Runtime, cpu:" in said
    assert "numbers aren't finite" in said
    assert not out.exists()


def test_in_the_live_loop_such_a_hand_is_told_once(broken: Path, pictures: Path, capsys) -> None:
    encoder, detector = open_encoder(str(broken)), engine()
    image = read_picture(pictures / "ann/A/1.png")
    detection = detect_picture(detector, image)
    assert detection is not None
    hand = cut_hand(image, detection, encoder.spec.crop_size, True)
    for _ in range(2):
        assert not np.isfinite(embed_hands(encoder, [hand])).all()
    detector.close()
    assert capsys.readouterr().err.count("aren't finite") == 1


def test_stored_embeddings_are_checked_when_read(pictures: Path, tmp_path: Path) -> None:
    encoder = open_encoder("landmarks")
    hands = embed_folder(pictures, [encoder], engine)
    path = tmp_path / "e.npz"
    save_embeddings(hands, encoder, path)
    assert len(load_embeddings(path, encoder)) == 2
    hands.embeddings[0][1, 3] = np.inf
    save_embeddings(hands, encoder, path)
    with pytest.raises(UserError, match=r"Embeddings in .*e.npz.*: 1 of .*aren't finite"):
        load_embeddings(path, encoder)
    hands.found[1] = False  # there is no hand: NaN is what stands there
    save_embeddings(hands, encoder, path)
    assert len(load_embeddings(path, encoder)) == 1


def test_parts_of_unlike_length_are_told(pictures: Path, tmp_path: Path) -> None:
    encoder = open_encoder("landmarks")
    hands = embed_folder(pictures, [encoder], engine)
    hands.paths.append("ann/A/3.png")
    save_embeddings(hands, encoder, tmp_path / "e.npz")
    with pytest.raises(UserError, match="isn't what `run.py embed` writes .*fit each other"):
        load_embeddings(tmp_path / "e.npz", encoder)


@pytest.mark.parametrize("episodes", [within, across])
def test_scores_that_are_not_finite_are_no_scores(episodes) -> None:
    vectors = np.eye(4, dtype=np.float32).repeat(2, axis=0)
    labels, people = np.array([*"AABBAABB"]), np.array([*"ppppqqqq"])
    data = LabelledEmbeddings(vectors, labels, people)
    assert len(episodes(data, lambda a, b: a @ b.T))

    def odd(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        scores = a @ b.T
        scores[0, 0] = np.nan
        return scores

    with pytest.raises(UserError, match="Scores of pictures.*aren't finite"):
        episodes(data, odd)
