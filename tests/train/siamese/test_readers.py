"""Class folders, Sign-Language-MNIST and prepared hands as pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from realtime import folders
from tests.train.siamese.files import encoded, picture, real_data, unpacked, zipped
from train.pictures.prepared import MARGIN, STORED_SIZE, VERSION, StoredHand, to_arrays
from train.siamese import class_folders
from train.siamese.class_folders import load_class_folders, natural_key
from train.siamese.hands import load_hand_pictures
from train.siamese.sign_mnist import load_sign_mnist

FACES = {
    f"faces/s{person}/{number}.pgm": picture(100 * person + number, suffix=".pgm")
    for person in (1, 2, 10)
    for number in range(1, 12)
}


@pytest.mark.parametrize("form", ["zip", "folder", "inner"])
def test_class_folders_in_natural_order(tmp_path: Path, form: str) -> None:
    files = FACES | {"faces/README": b"x", "__MACOSX/faces/s1/._1.pgm": b"x"}
    path = {
        "zip": lambda: zipped(tmp_path / "faces.zip", files),
        "folder": lambda: unpacked(tmp_path / "all", files),
        "inner": lambda: unpacked(tmp_path / "all", files) / "faces",
    }[form]()
    found = load_class_folders(path, 8)
    assert found.labels.tolist() == ["s1"] * 11 + ["s2"] * 11 + ["s10"] * 11
    assert np.array_equal(found.order, np.tile(np.arange(11), 3))
    tenth = cv2.imdecode(np.frombuffer(FACES["faces/s2/10.pgm"], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert tenth is not None
    expected = cv2.resize(tenth, (8, 8), interpolation=cv2.INTER_AREA)
    assert np.array_equal(found.images[11 + 9], expected)
    assert set(found.groups) == set(found.subjects) == {""}


def test_a_crop_is_the_middle_square(tmp_path: Path) -> None:
    image = np.zeros((30, 20), np.uint8)
    image[10:20, 5:15] = 200
    colour = encoded(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    path = unpacked(tmp_path, {"a/1.png": colour, "a/2.PNG": colour})
    assert (load_class_folders(path, 5, crop=0.5).images == 200).all()
    assert load_class_folders(path, 5).images.min() == 0
    for share in (0.0, 1.5):
        with pytest.raises(UserError, match="The crop is"):
            load_class_folders(path, 5, crop=share)


def test_natural_order() -> None:
    names = ["b", "a10", "a9", "a", "10", "9", "a9b2", "a9b10"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "a9", "a9b2", "a9b10", "a10", "b"]


@pytest.mark.parametrize(
    ("files", "says", "left"),
    [
        ({"faces/s1/2.pgm": None}, "1 of 3 classes in .* fewer than two pictures.*: s1", 4),
        (
            {"faces/s1/1.pgm": None, "faces/s1/2.pgm": None},
            "1 of 3 classes in .* no pictures.*: s1",
            4,
        ),
        ({"faces/s1/2.pgm": b"P5 what"}, "faces/s1/2.pgm in .* can't be read as a picture", 4),
        ({"faces/1.pgm": picture(0)}, "1 of 7 pictures in .* elsewhere .*: faces/1.pgm", 6),
        ({"1.pgm": picture(0)}, "1 of 7 pictures in .* elsewhere .*: 1.pgm", 6),
        ({"more/s1/1.pgm": picture(0)}, "1 of 7 pictures in .* elsewhere .*: more/s1/1.pgm", 6),
        ({"faces/a/b/1.pgm": picture(0)}, "1 of 7 pictures in .* elsewhere .*: faces/a/b/1.pgm", 6),
        ({"faces/s4/1.pgm": picture(0)}, "1 of 4 classes in .* fewer than two pictures.*: s4", 6),
        ({"faces/s1/3.txt": b"a note"}, "1 × no picture .faces/s1/3.txt", 6),
        ({"faces/.ipynb_checkpoints/1.pgm": picture(0)}, "1 × hidden .*ipynb_checkpoints", 6),
        ({"faces/s1/3.heic": b""}, "3.heic", 6),
    ],
)
def test_what_does_not_fit_into_class_folders_is_named_and_left_out(
    tmp_path: Path, files: dict, says: str, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(class_folders, "warn", said.append)
    monkeypatch.setattr(folders, "warn_once", said.append)
    good = {name: data for name, data in FACES.items() if name.endswith(("/1.pgm", "/2.pgm"))}
    path = unpacked(tmp_path, good)
    for name, data in files.items():
        if data is None:
            (path / name).unlink()
        else:
            unpacked(path, {name: data})
    assert len(load_class_folders(path, 8)) == left
    assert any(re.search(says, sentence) for sentence in said), said


def test_positions_count_what_cannot_be_read(tmp_path: Path) -> None:
    """A list of pairs names pictures by their number."""
    numbers = {f"{person}/{n}.pgm": picture(n, suffix=".pgm") for person in "ab" for n in (1, 2, 3)}
    found = load_class_folders(unpacked(tmp_path, numbers | {"a/2.pgm": b"P5 what"}), 8)
    assert found.order.tolist() == [0, 2, 0, 1, 2]


def test_two_spellings_of_a_class_are_one(tmp_path: Path) -> None:
    names = ["Zoë", "Zoe\u0308", "zoë ", "Ann"]
    files = {f"{name}/{n}.png": picture(n) for name in names for n in (1, 2)}
    found = load_class_folders(zipped(tmp_path / "a.zip", files), 8)
    assert np.unique(found.labels).tolist() == ["Ann", "Zoë"]
    assert len(found) == 8


def test_no_class_folders_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no pictures"):
        load_class_folders(tmp_path, 8)
    with pytest.raises(UserError, match="There is no"):
        load_class_folders(tmp_path / "missing", 8)


HEADER = "label," + ",".join(f"pixel{i}" for i in range(1, 785))
ROWS = np.random.default_rng(0).integers(0, 256, (6, 784))
NUMBERS = [0, 24, 8, 10, 0, 24]


def csv(path: Path, header: bool = True, **changes: str) -> Path:
    """changes: l3="…" replaces line 3."""
    lines = [HEADER] if header else []
    for label, row in zip(NUMBERS, ROWS, strict=True):
        lines.append(",".join(map(str, [label, *row])))
    for line, text in changes.items():
        lines[int(line[1:]) - 1] = text
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("header", [True, False])
def test_sign_mnist_csv(tmp_path: Path, header: bool) -> None:
    found = load_sign_mnist(csv(tmp_path / "train.csv", header))
    assert found.labels.tolist() == list("AYIKAY")
    assert np.array_equal(found.images, ROWS.reshape(-1, 28, 28))
    assert found.images.dtype == np.uint8
    assert found.order.tolist() == [0, 0, 0, 0, 1, 1]
    assert set(found.subjects) == set(found.groups) == {""}


PIXELS = ",7" * 784


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("3" + ",7" * 783, "line 3: expected 785 columns.* it has 784"),
        (f"3{PIXELS},7", "line 3: expected 785 columns.* it has 786"),
        ("3,256" + ",7" * 783, "line 3: .*pixels from 0 to 255, but it has 256"),
        ("3,-1" + ",7" * 783, "line 3: .*from 0 to 255, but it has '-1'"),
        ("3,x" + ",7" * 783, "line 3: .*whole numbers.* it has 'x'"),
        ("3," + ",7" * 783, "line 3: .*whole numbers.* it has ''"),
        ("3,1.5" + ",7" * 783, "line 3: .*whole numbers.* it has '1.5'"),
        (f"9{PIXELS}", "line 3: .*label from 0 to 24.* it has 9"),
        (f"25{PIXELS}", "line 3: .*label from 0 to 24.* it has 25"),
        (f"A{PIXELS}", "line 3: .*whole numbers.* it has 'A'"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load_sign_mnist(csv(tmp_path / "train.csv", l3=row))


def test_other_csv_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1: expected 785 columns"):
        load_sign_mnist(csv(tmp_path / "a.csv", header=True, l1="name,x,y"))
    (tmp_path / "b.csv").write_text(f"{HEADER}\n")
    with pytest.raises(UserError, match="holds no pictures"):
        load_sign_mnist(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_bytes(b"")
    with pytest.raises(UserError, match="holds no pictures"):
        load_sign_mnist(tmp_path / "c.csv")
    with pytest.raises(UserError, match="missing.csv can't be read .*Check its path"):
        load_sign_mnist(tmp_path / "missing.csv")
    with pytest.raises(UserError, match=r"expected a \.csv or \.npz"):
        load_sign_mnist(tmp_path / "train.txt")


def letters() -> dict[str, Any]:
    return {
        "image": ROWS.reshape(-1, 28, 28).astype(np.uint8),
        "label": np.array(list("AABBCC")),
        "subject": np.array(["jack", "tom"] * 3),
        "frame": np.arange(6, dtype=np.int32),
    }


def test_letters_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "letters.npz", **letters())
    found = load_sign_mnist(tmp_path / "letters.npz")
    assert np.array_equal(found.images, ROWS.reshape(-1, 28, 28))
    assert found.labels.tolist() == list("AABBCC") and found.subjects[1] == "tom"
    assert found.order.tolist() == list(range(6)) and found.order.dtype == np.int64


@pytest.mark.parametrize(
    "change",
    [
        {"image": np.zeros((6, 27, 28), np.uint8)},
        {"image": np.zeros((6, 28, 28), np.float32)},
        {"image": np.zeros((5, 28, 28), np.uint8)},
        {"label": np.arange(6)},
        {"label": np.array(list("AABBC"))},
        {"frame": np.arange(6.0)},
        {"subject": np.array([{}] * 6, object)},
    ],
)
def test_other_letters_are_refused(tmp_path: Path, change: dict) -> None:
    np.savez(tmp_path / "letters.npz", **(letters() | change))
    with pytest.raises(UserError, match=r"letters\.npz is"):
        load_sign_mnist(tmp_path / "letters.npz")


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"something else")
    with pytest.raises(UserError, match="it is no .npz"):
        load_sign_mnist(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", image=letters()["image"])
    with pytest.raises(UserError, match="expected image, label"):
        load_sign_mnist(tmp_path / "b.npz")


def prepared(path: Path, sets: list[str], labels: list[str]) -> Path:
    """Hands whose inner crop is grey 128 with a border of white round it."""
    crop = np.full((STORED_SIZE, STORED_SIZE, 3), 255, np.uint8)
    edge = round(STORED_SIZE * (1 - 1 / MARGIN) / 2)
    crop[edge:-edge, edge:-edge] = (0, 0, 255)  # blue on disk is red in RGB
    done, webp = cv2.imencode(".webp", crop, [cv2.IMWRITE_WEBP_QUALITY, 101])  # lossless
    assert done
    points = np.zeros((21, 3), np.float16)
    hands = [StoredHand("right", webp.tobytes(), points, points, 0.0) for _ in sets]
    arrays: dict[str, Any] = {**to_arrays(hands)}
    np.savez(
        path,
        **arrays,
        set=np.array(sets),
        subject=np.full(len(sets), "anna"),
        label=np.array(labels),
        path=np.array([f"{i}.jpg" for i in range(len(sets))]),
        version=VERSION,
        margin=MARGIN,
        stored=STORED_SIZE,
    )
    return path


def test_hands_are_the_inner_crop_in_grey(tmp_path: Path) -> None:
    path = prepared(tmp_path / "hands.npz", ["x", "x", "y", "x"], ["A", "B", "A", "A"])
    found = load_hand_pictures([path], 40)
    assert found.images.shape == (4, 40, 40)
    assert (found.images == 76).all()  # red's luma, 0.299 · 255; no white border
    assert found.labels.tolist() == ["x/A", "x/B", "y/A", "x/A"]
    assert found.groups.tolist() == ["x", "x", "y", "x"]
    assert set(found.subjects) == {"x/anna", "y/anna"}
    assert found.order.tolist() == [0, 0, 0, 1]


def test_hands_of_some_sets(tmp_path: Path) -> None:
    paths = [prepared(tmp_path / "1.npz", ["x", "y"], ["A", "B"])]
    paths.append(prepared(tmp_path / "2.npz", ["z"], ["A"]))
    assert load_hand_pictures(paths, 8, only=["z", "x"]).labels.tolist() == ["x/A", "z/A"]
    assert load_hand_pictures(paths, 8, without=["x"]).labels.tolist() == ["y/B", "z/A"]
    for choice in ({"only": ["w"]}, {"without": ["w"]}):
        with pytest.raises(UserError, match="There is no set w in the data: it has x, y, z"):
            load_hand_pictures(paths, 8, **choice)
    with pytest.raises(UserError, match="No set is left"):
        load_hand_pictures(paths, 8, only=["x"], without=["x"])


def test_the_real_faces_and_letters() -> None:
    faces = load_class_folders(real_data("faces/orl_faces.zip"), 100)
    assert len(faces) == 400 and len(np.unique(faces.labels)) == 40
    rows = load_sign_mnist(real_data("sign_mnist/sign_mnist_train.csv"))
    assert rows.labels[0] == "D" and rows.images[0, 0, :3].tolist() == [107, 118, 127]
    hands = load_sign_mnist(real_data("asl_28/asl_letters_28x28.npz"))
    assert len(np.unique(hands.labels)) == 24 and set(hands.subjects) == {"jack", "tom"}


def test_an_npz_of_python_objects_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "asl.npz"
    labels = np.array(["A", "B"], object)
    numbers = np.arange(2)
    images = np.zeros((2, 28, 28), np.uint8)
    np.savez(path, image=images, label=labels, subject=labels, frame=numbers)
    with pytest.raises(UserError, match=r"Python objects.*array.astype\(str\)"):
        load_sign_mnist(path)
