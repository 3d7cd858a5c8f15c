"""Frozen features of many hands, computed once and kept: what the head trains on.

The backbone doesn't change, so each picture goes through it once per view. The features lie in a
folder beside the prepared file, one .npy per set and view, named after the pictures, the network
and VERSION: a killed run goes on where it was, and the next recipe finds them there.
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
from train.pictures.augment import augment, center_crop
from train.pictures.prepared import MARGIN, STORED_SIZE, Prepared
from train.synthetic.pictures import draw_pictures, to_upright
from train.synthetic.samples import draw_classes

VERSION = 1  # of what is computed here: count it up with TAPS, augmentation or drawing
BATCH = 64
CLASSES = 32  # drawn at a time
PRESENCE = 1.4  # logit: the network is 80 % sure that a hand is there
Inputs = tuple[np.ndarray, np.ndarray, np.ndarray]  # crop, landmarks, world landmarks


@dataclass(frozen=True)
class Bank:
    """N hands. features: one float16 (N, FEATURES) per view; alphabets,
    labels and subjects str (N,); sets str (N,)."""

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
    """Per view float16 (N, FEATURES) of prepared hands: view 0 as they are, others augment.

    size: the encoder's crop_size. Files are read and written in `folder`.
    """
    network = HandFeatures(backbone).eval()
    parts: list[list[np.ndarray]] = [[] for _ in range(views)]
    names, order = np.unique(data.sets, return_inverse=True)
    with _progress() as progress:
        task = progress.add_task("features", total=views * len(data))
        for i, name in enumerate(names):
            one = data.where(order == i)
            base = _key(one.webp, one.landmarks, one.world_landmarks, _weights(network), size)
            for view in range(views):
                path = folder / f"{name}-view{view}-{_key(base, seed if view else 0)}.npy"

                def made(one: Prepared = one, view: int = view) -> Iterator[np.ndarray]:
                    for batch in _views(one, view, seed, size):
                        yield _encode(network, *batch)
                        progress.advance(task, len(batch[0]))

                if path.is_file():
                    progress.advance(task, len(one))
                parts[view].append(_kept(path, (len(one), FEATURES), made))
    back = np.argsort(np.argsort(order, kind="stable"), kind="stable")
    return [_joined(view, back) for view in parts]


def pooled_features(data: Prepared, backbone: Backbone, size: int, folder: Path) -> np.ndarray:
    """The backbone's own mean-pooled features float16 (N, 1152) of prepared hands, as they are:
    what it knows without our reading it at the joints."""
    key = _key(data.webp, _weights(backbone), size)

    def made() -> Iterator[np.ndarray]:
        with _progress() as progress:
            task = progress.add_task("pooled features", total=len(data))
            for crops, _, _ in _views(data, 0, 0, size):
                with torch.inference_mode():
                    yield backbone.pool(_tensor(backbone, crops)).half().cpu().numpy()
                progress.advance(task, len(crops))

    return _kept(folder / f"pooled-{key}.npy", (len(data), WIDTH), made)


def synthetic_features(
    backbone: Backbone, size: int, classes: int, per_class: int, part: str, seed: int, folder: Path
) -> Bank:
    """Features of drawn hands as MediaPipe's network sees them: its landmarks, its errors.

    Pictures in which it sees no right hand are left out, as the live program would.
    part: "train", or "held_out" regions of pose space.
    """
    network = HandFeatures(backbone).eval()
    key = _key(f"{_weights(network)} {size} {classes} {per_class} {seed}")
    path = folder / f"synthetic-{part}-{key}.npz"
    if not path.is_file():
        rng = np.random.default_rng([seed, part == "held_out"])
        drawn = draw_classes(rng, classes, part)
        rows, labels, people = [], [], []
        with _progress() as progress:
            task = progress.add_task(f"drawn hands, {part}", total=classes * per_class)
            for start in range(0, classes, CLASSES):
                chunk = drawn.take(slice(start, start + CLASSES))
                hands = draw_pictures(rng, chunk, per_class, STORED_SIZE, MARGIN)
                inputs, sure = detected(backbone, hands.crops, hands.angles, size)
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
        raise _damaged(path) from None
    every = np.full(len(label), "synthetic")
    return Bank([features], every, label.astype(str), person.astype(str), every)


def detected(
    backbone: Backbone, crops: np.ndarray, angles: np.ndarray, size: int
) -> tuple[Inputs, np.ndarray]:
    """Look at stored crops with MediaPipe's network, for the landmarks among an encoder's inputs.

    Args:
        crops: uint8 (N, STORED_SIZE, STORED_SIZE, 3).
        angles: (N,) radians that each crop's up is turned clockwise.
        size: the encoder's crop_size.
    Returns:
        The inputs, and bool (N,): a right hand is seen.
    """
    landmarks, world, sure = [], [], []
    for start in range(0, len(crops), BATCH):
        large = np.stack([center_crop(crop, INPUT_SIZE) for crop in crops[start : start + BATCH]])
        with torch.inference_mode():
            found = backbone.predict_landmarks(backbone.pool(_tensor(backbone, large)))
        landmarks.append(found.landmarks.cpu().numpy() / INPUT_SIZE)
        world.append(found.world.cpu().numpy())
        sure.append(((found.presence > PRESENCE) & (found.right > 0)).cpu().numpy())
    # Live world landmarks are turned back into the camera's frame.
    turned = (np.concatenate(world) @ to_upright(angles)).astype(np.float32)
    small = np.stack([center_crop(crop, size) for crop in crops])
    return (small, np.concatenate(landmarks), turned), np.concatenate(sure)


def _views(data: Prepared, view: int, seed: int, size: int) -> Iterator[Inputs]:
    """Batches of encoder inputs, view by view the same for the same seed."""

    def one(i: int) -> Inputs:
        crop, points, world = data.crop(i), data.landmarks[i], data.world_landmarks[i]
        if view == 0:
            return center_crop(crop, size), points, world
        rng = np.random.default_rng([seed, view, i])
        return augment(rng, crop, points, world, size)

    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(data), BATCH):
            hands = list(pool.map(one, range(start, min(start + BATCH, len(data)))))
            yield tuple(np.stack(column) for column in zip(*hands, strict=True))  # type: ignore[misc]


def _encode(network: HandFeatures, *inputs: np.ndarray) -> np.ndarray:
    """Encoder inputs of N hands → float16 (N, FEATURES)."""
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


def _kept(
    path: Path, shape: tuple[int, int], made: Callable[[], Iterator[np.ndarray]]
) -> np.ndarray:
    """The float16 array at path, made first where it isn't there."""
    if not path.is_file():
        _save(path, lambda file: np.save(file, np.concatenate(list(made()))))
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        raise _damaged(path) from None
    if array.shape != shape:
        raise _damaged(path)
    return array


def _damaged(path: Path) -> UserError:
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


def _joined(parts: list[np.ndarray], back: np.ndarray) -> np.ndarray:
    """Arrays by set, put back into the order of the data."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts)[back]


def digest(data: Prepared, backbone: Backbone) -> str:
    """Changes with anything that an encoder trained on these hands depends on."""
    names = (data.sets, data.subjects, data.labels)
    pictures = (data.webp, data.landmarks, data.world_landmarks)
    return _key(*pictures, *names, _weights(backbone))


def _weights(network: torch.nn.Module) -> str:
    state = network.state_dict()
    return _key(*(state[name].cpu().numpy() for name in sorted(state)))


def _key(*parts: object) -> str:
    digest = hashlib.sha256(str(VERSION).encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray)
                      else str(part).encode())  # fmt: skip
    return digest.hexdigest()[:16]


def _progress() -> Progress:
    return Progress(console=console, disable=not console.is_terminal)
