"""Features of many hands, computed once by the frozen backbone and stored for training the head.

Each picture passes the backbone once per view. The features of each set and view are a .npy file in
a folder beside the prepared file. Its name contains a hash of the pictures, the network and
VERSION, so that interrupted runs resume and other recipes reuse the features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from rich.progress import Progress

from engines.errors import UserError
from engines.files import explain_errors, replace_file
from engines.say import console
from train.backbone.backbone import FEATURES as WIDTH
from train.backbone.backbone import INPUT_SIZE, Backbone
from train.encoder.model import FEATURES, HandFeatures
from train.pictures.augment import augment, centre_crop
from train.pictures.prepared import MARGIN, STORED_SIZE, Prepared
from train.synthetic.pictures import draw_pictures, to_upright
from train.synthetic.samples import draw_classes

VERSION = 1  # increase it when TAPS, the augmentation or the drawing change
BATCH = 64
CLASSES_AT_ONCE = 32  # synthetic gestures drawn before they are encoded
MIN_PRESENCE = 1.4  # logit: 80 % that the crop shows a hand
Inputs = tuple[np.ndarray, np.ndarray, np.ndarray]  # crops, landmarks, world landmarks


@dataclass(frozen=True)
class Bank:
    """Features of N hands.

    Attributes:
        features: float16 (N, FEATURES) for each view.
        alphabets: str (N,), the alphabets within which labels can be compared.
        labels: str (N,), the gestures.
        subjects: str (N,), the people.
        sets: str (N,), the data sets.
    """

    features: list[np.ndarray]
    alphabets: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray
    sets: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def real_features(
    data: Prepared, backbone: Backbone, size: int, views: int, seed: int, folder: Path
) -> list[np.ndarray]:
    """Compute features of prepared hands, or read them from `folder`.

    Args:
        data: N prepared hands.
        backbone: MediaPipe's network.
        size: Width of the encoder's crops, px.
        views: Number of views: the first is the hand as it is, others are augmented.
        seed: Seed of the augmentation.
        folder: Where features are kept.

    Returns:
        float16 (N, FEATURES) for each view.
    """
    network = HandFeatures(backbone).eval()
    parts: list[list[np.ndarray]] = [[] for _ in range(views)]
    names, order = np.unique(data.sets, return_inverse=True)
    with _progress() as progress:
        task = progress.add_task("features", total=views * len(data))
        for i, name in enumerate(names):
            one = data.where(order == i)
            base = _hash(one.webp, one.landmarks, one.world_landmarks, _weights(network), size)
            for view in range(views):
                path = folder / f"{name}-view{view}-{_hash(base, seed if view else 0)}.npy"

                def compute(one: Prepared = one, view: int = view) -> Iterator[np.ndarray]:
                    for batch in _load_view(one, view, seed, size):
                        yield _encode(network, *batch)
                        progress.advance(task, len(batch[0]))

                if path.is_file():
                    progress.advance(task, len(one))
                parts[view].append(_load_or_compute(path, (len(one), FEATURES), compute))
    back = np.argsort(np.argsort(order, kind="stable"), kind="stable")
    return [_restore_order(view, back) for view in parts]


def pooled_features(data: Prepared, backbone: Backbone, size: int, folder: Path) -> np.ndarray:
    """Compute the backbone's mean-pooled features, the baseline to features read at the joints.

    Returns:
        float16 (N, 1152) of N prepared hands, without augmentation.
    """
    key = _hash(data.webp, _weights(backbone), size)

    def compute() -> Iterator[np.ndarray]:
        with _progress() as progress:
            task = progress.add_task("pooled features", total=len(data))
            for crops, _, _ in _load_view(data, 0, 0, size):
                with torch.inference_mode():
                    yield backbone.pool(_tensor(backbone, crops)).half().cpu().numpy()
                progress.advance(task, len(crops))

    return _load_or_compute(folder / f"pooled-{key}.npy", (len(data), WIDTH), compute)


def synthetic_features(
    backbone: Backbone, size: int, classes: int, per_class: int, part: str, seed: int, folder: Path
) -> Bank:
    """Compute features of synthetic gestures with MediaPipe's landmarks, or read them.

    Pictures in which MediaPipe's network finds no right hand are left out, as in the live loop.

    Args:
        backbone: MediaPipe's network.
        size: Width of the encoder's crops, px.
        classes: Number of gestures.
        per_class: Pictures of each gesture.
        part: "train" or "held_out" regions of pose space.
        seed: Seed of gestures and pictures.
        folder: Where features are kept.
    """
    network = HandFeatures(backbone).eval()
    key = _hash(f"{_weights(network)} {size} {classes} {per_class} {seed}")
    path = folder / f"synthetic-{part}-{key}.npz"
    if not path.is_file():
        rng = np.random.default_rng([seed, part == "held_out"])
        drawn = draw_classes(rng, classes, part)
        rows, labels, people = [], [], []
        with _progress() as progress:
            task = progress.add_task(f"drawn hands, {part}", total=classes * per_class)
            for start in range(0, classes, CLASSES_AT_ONCE):
                chunk = drawn.take(slice(start, start + CLASSES_AT_ONCE))
                hands = draw_pictures(rng, chunk, per_class, STORED_SIZE, MARGIN)
                inputs, sure = detect(backbone, hands.crops, hands.angles, size)
                rows.append(_encode(network, *inputs)[sure])
                labels.append((hands.samples.labels + start)[sure])
                people.append((np.arange(len(sure)) % per_class)[sure])
                progress.advance(task, len(sure))
        _save(
            path,
            lambda file: np.savez(
                file,
                features=np.concatenate(rows),
                label=np.concatenate(labels),
                person=np.concatenate(people),
            ),
        )
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            features, label, person = stored["features"], stored["label"], stored["person"]
    except Exception:  # zipfile, zlib and numpy raise a dozen types on damage
        raise _damage_error(path) from None
    every = np.full(len(label), "synthetic")
    return Bank([features], every, label.astype(str), person.astype(str), every)


def detect(
    backbone: Backbone, crops: np.ndarray, angles: np.ndarray, size: int
) -> tuple[Inputs, np.ndarray]:
    """Find landmarks of hands with MediaPipe's network.

    Args:
        backbone: MediaPipe's network.
        crops: uint8 (N, STORED_SIZE, STORED_SIZE, 3) RGB, stored crops.
        angles: (N,) radians by which the crops' up is turned clockwise from the camera's.
        size: Width of the encoder's crops, px.

    Returns:
        The encoder's inputs, and bool (N,): whether the network finds a right hand.
    """
    landmarks, world, sure = [], [], []
    for start in range(0, len(crops), BATCH):
        large = np.stack([centre_crop(crop, INPUT_SIZE) for crop in crops[start : start + BATCH]])
        with torch.inference_mode():
            found = backbone.predict_landmarks(backbone.pool(_tensor(backbone, large)))
        landmarks.append(found.landmarks.cpu().numpy() / INPUT_SIZE)
        world.append(found.world.cpu().numpy())
        sure.append(((found.presence > MIN_PRESENCE) & (found.right > 0)).cpu().numpy())
    # As in the live loop, world landmarks are turned back into the camera's frame.
    turned = (np.concatenate(world) @ to_upright(angles)).astype(np.float32)
    small = np.stack([centre_crop(crop, size) for crop in crops])
    return (small, np.concatenate(landmarks), turned), np.concatenate(sure)


def _load_view(data: Prepared, view: int, seed: int, size: int) -> Iterator[Inputs]:
    """Yield batches of the encoder's inputs for one view; the same for the same seed."""

    def load(i: int) -> Inputs:
        crop, points, world = data.crop(i), data.landmarks[i], data.world_landmarks[i]
        if view == 0:
            return centre_crop(crop, size), points, world
        rng = np.random.default_rng([seed, view, i])
        return augment(rng, crop, points, world, size)

    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(data), BATCH):
            hands = list(pool.map(load, range(start, min(start + BATCH, len(data)))))
            yield tuple(np.stack(column) for column in zip(*hands, strict=True))  # type: ignore[misc]


def _encode(network: HandFeatures, *inputs: np.ndarray) -> np.ndarray:
    """Compute features, float16 (N, FEATURES), of the encoder's inputs."""
    rows = []
    for start in range(0, len(inputs[0]), BATCH):
        tensors = [_tensor(network, array[start : start + BATCH]) for array in inputs]
        with torch.inference_mode():
            rows.append(network(*tensors).half().cpu().numpy())
    return np.concatenate(rows)


def _tensor(network: torch.nn.Module, array: np.ndarray) -> torch.Tensor:
    device = next(network.parameters()).device
    tensor = torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)
    return tensor.contiguous(memory_format=torch.channels_last) if array.ndim == 4 else tensor


def _load_or_compute(
    path: Path, shape: tuple[int, int], compute: Callable[[], Iterator[np.ndarray]]
) -> np.ndarray:
    """Load the float16 array of a file; compute and store it first if the file doesn't exist."""
    if not path.is_file():
        _save(path, lambda file: np.save(file, np.concatenate(list(compute()))))
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        raise _damage_error(path) from None
    if array.shape != shape:
        raise _damage_error(path)
    return array


def _damage_error(path: Path) -> UserError:
    return UserError(f"{path} is damaged: delete it, and the same command makes it again.")


def _save(path: Path, write: Callable[[BinaryIO], None]) -> None:
    remedy = (
        "Features take about 12 kB per picture and view: make room, or name another folder with "
        "--features."
    )
    with explain_errors(f"{path} can't be written", remedy):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as file:
            write(file)


def _restore_order(parts: list[np.ndarray], back: np.ndarray) -> np.ndarray:
    """Concatenate arrays by set and put their rows into the order of the data."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts)[back]


def digest(data: Prepared, backbone: Backbone) -> str:
    """Hash the data and the backbone that an encoder depends on."""
    names = (data.sets, data.subjects, data.labels)
    pictures = (data.webp, data.landmarks, data.world_landmarks)
    return _hash(*pictures, *names, _weights(backbone))


def _weights(network: torch.nn.Module) -> str:
    """Hash a network's weights."""
    state = network.state_dict()
    return _hash(*(state[name].cpu().numpy() for name in sorted(state)))


def _hash(*parts: object) -> str:
    """Hash arrays by their bytes and other values by their text, together with VERSION."""
    total = hashlib.sha256(str(VERSION).encode())
    for part in parts:
        is_array = isinstance(part, np.ndarray)
        total.update(np.ascontiguousarray(part).tobytes() if is_array else str(part).encode())
    return total.hexdigest()[:16]


def _progress() -> Progress:
    return Progress(console=console, disable=not console.is_terminal)
