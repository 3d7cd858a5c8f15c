"""Made-up people: each is a grating of their own, brighter or noisier in every picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.train.siamese.files import encoded
from train.siamese.pair_lists import NamedPair, write_pair_list

HEIGHT, WIDTH = 40, 32


def face(person: int, number: int) -> np.ndarray:
    """uint8 (HEIGHT, WIDTH): picture `number` of a person."""
    own, noise = np.random.default_rng(person), np.random.default_rng([person, number])
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    angle, period = own.uniform(0, np.pi), own.uniform(5, 12)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    grey = 120 + noise.uniform(-10, 10) + 70 * wave + noise.normal(0, 12, (HEIGHT, WIDTH))
    return grey.clip(0, 255).astype(np.uint8)


def folders(people: int, each: int, first: int = 0) -> dict[str, bytes]:
    """s1/1.pgm and so on, as AT&T's faces are."""
    return {
        f"s{person}/{number}.pgm": encoded(face(person, number), ".pgm")
        for person in range(first, first + people)
        for number in range(1, each + 1)
    }


def lfw_pictures(people: int, each: int) -> dict[str, bytes]:
    """P_0/P_0_0001.jpg and so on, as LFW's are."""
    return {
        f"P_{person}/P_{person}_{number:04}.jpg": encoded(face(person, number), ".jpg")
        for person in range(people)
        for number in range(1, each + 1)
    }


def lfw_pairs(people: range) -> list[NamedPair]:
    """Two pairs of each person's pictures 1, 2 and 3, and two with the next person's."""
    pairs: list[NamedPair] = []
    for person in people:
        other = person + 1 if person + 1 in people else people.start
        a, b = f"P_{person}", f"P_{other}"
        pairs += [(a, 1, a, 2), (a, 2, a, 3), (a, 1, b, 2), (a, 3, b, 1)]
    return pairs


def lfw_lists(folder: Path, train: range, test: range, header: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_pair_list(folder / "pairsDevTrain.txt", lfw_pairs(train), header)
    write_pair_list(folder / "pairsDevTest.txt", lfw_pairs(test), header)
    return folder
