"""Features of many hands, computed once by the frozen backbone and stored for training the head.

Each picture passes the backbone once per view. The features of each set and view are a .npy file in
a folder beside the prepared file. Its name contains a hash of the pictures, the network and
VERSION, so that interrupted runs resume and other recipes reuse the features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress

from calibration.finite import check_finite
from engines.say import console
from realtime.hands.geometry import turns_of
from train.backbone.backbone import FEATURES as WIDTH
from train.backbone.backbone import Backbone
from train.encoder.model import FEATURES, HandFeatures
from train.encoder.stored import damage_error, hash_of, hash_weights, load_or_compute, save_whole
from train.pictures.augment import VERSION as AUGMENTATION
from train.pictures.augment import augment, centre_crop
from train.pictures.prepared import MARGIN, REMEDY, STORED_SIZE, Prepared
from train.synthetic.pictures import draw_pictures
from train.synthetic.samples import draw_classes

BATCH = 64
CPU_BATCH = 8  # encoded at once without a GPU: more don't fit the caches and take 1.6 times as long
CLASSES_AT_ONCE = 32  # synthetic gestures drawn before they are encoded
MIN_PRESENCE = 1.4  # logit: 80 % that the crop shows a hand
SIDES = ("right", "left")
Inputs = tuple[np.ndarray, np.ndarray]  # crops, float32 (B, 3, S, S); turns, float32 (B, 2)


@dataclass(frozen=True)
class Bank:
    """Features of N hands.

    Attributes:
        features: float16 (N, FEATURES) for each view.
        alphabets: str (N,), the alphabets within which labels can be compared.
        labels: str (N,), the gestures.
        subjects: str (N,), the people.
        sets: str (N,), the data sets.
        sides: str (N,), the hand that the picture was shown as, "right" or "left".
    """

    features: list[np.ndarray]
    alphabets: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray
    sets: np.ndarray
    sides: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def join_banks(banks: Sequence[Bank]) -> Bank:
    """Concatenate banks with the same number of views."""
    names = ("alphabets", "labels", "subjects", "sets", "sides")
    return Bank(
        [np.concatenate(views) for views in zip(*(bank.features for bank in banks), strict=True)],
        *(np.concatenate([getattr(bank, name) for bank in banks]) for name in names),
    )


def real_features(
    data: Prepared, backbone: Backbone, size: int, views: int, seed: int, folder: Path, side: str
) -> list[np.ndarray]:
    """Compute features of prepared hands, or read them from `folder`.

    Args:
        data: N prepared hands.
        backbone: MediaPipe's network.
        size: Width of the encoder's crops, px.
        views: Number of views: the first is the hand as it is, others are augmented.
        seed: Seed of the augmentation.
        folder: Where features are kept.
        side: One of SIDES; as a left hand, a picture is shown mirrored.

    Returns:
        float16 (N, FEATURES) for each view.
    """
    network = HandFeatures(backbone).eval()
    parts: list[list[np.ndarray]] = [[] for _ in range(views)]
    names, order = np.unique(data.sets, return_inverse=True)
    with _progress() as progress:
        task = progress.add_task(f"features, {side} hands", total=views * len(data))
        for i, name in enumerate(names):
            one = data.where(order == i)
            base = hash_of(one.webp, one.angles, hash_weights(network), size)
            for view in range(views):
                key = hash_of(base, seed, AUGMENTATION) if view else hash_of(base, 0)
                path = folder / f"{name}-{side}-view{view}-{key}.npy"

                def compute(one: Prepared = one, view: int = view) -> Iterator[np.ndarray]:
                    for batch in _load_view(one, view, seed, size, side):
                        yield _encode(network, *batch)[0]
                        progress.advance(task, len(batch[0]))

                if path.is_file():
                    progress.advance(task, len(one))
                parts[view].append(load_or_compute(path, (len(one), FEATURES), compute))
    back = np.argsort(np.argsort(order, kind="stable"), kind="stable")
    return [_restore_order(view, back) for view in parts]


def pooled_features(data: Prepared, backbone: Backbone, size: int, folder: Path) -> np.ndarray:
    """Compute the backbone's mean-pooled features, the baseline to features read at the joints.

    Returns:
        float16 (N, 1152) of N prepared hands, without augmentation.
    """
    key = hash_of(data.webp, hash_weights(backbone), size)

    def compute() -> Iterator[np.ndarray]:
        with _progress() as progress:
            task = progress.add_task("pooled features", total=len(data))
            for crops, _ in _load_view(data, 0, 0, size, "right"):
                step = _step(backbone)
                for start in range(0, len(crops), step):
                    with torch.inference_mode():
                        pooled = backbone.pool(_tensor(backbone, crops[start : start + step]))
                    yield pooled.half().cpu().numpy()
                progress.advance(task, len(crops))

    return load_or_compute(folder / f"pooled-{key}.npy", (len(data), WIDTH), compute)


def synthetic_features(
    backbone: Backbone,
    size: int,
    classes: int,
    per_class: int,
    part: str,
    seed: int,
    folder: Path,
    side: str,
) -> Bank:
    """Compute features of synthetic gestures, or read them.

    Pictures in which the network finds no hand of that side are left out, as in the live loop.

    Args:
        backbone: MediaPipe's network.
        size: Width of the encoder's crops, px.
        classes: Number of gestures.
        per_class: Pictures of each gesture.
        part: "train" or "held_out" regions of pose space.
        seed: Seed of gestures and pictures.
        folder: Where features are kept.
        side: One of SIDES; left hands are the mirror images of right ones.
    """
    network = HandFeatures(backbone).eval()
    key = hash_of(f"{hash_weights(network)} {size} {classes} {per_class} {seed}")
    path = folder / f"synthetic-{part}-{side}-{key}.npz"
    if not path.is_file():
        rng = np.random.default_rng([seed, part == "held_out"])
        drawn = draw_classes(rng, classes, part)
        rows, labels, people = [], [], []
        with _progress() as progress:
            task = progress.add_task(f"drawn {side} hands, {part}", total=classes * per_class)
            for start in range(0, classes, CLASSES_AT_ONCE):
                chunk = drawn.take(slice(start, start + CLASSES_AT_ONCE))
                hands = draw_pictures(rng, chunk, per_class, STORED_SIZE, MARGIN)
                features, sure = detect(network, hands.crops, hands.angles, size, side)
                rows.append(features[sure])
                labels.append((hands.samples.labels + start)[sure])
                people.append((np.arange(len(sure)) % per_class)[sure])
                progress.advance(task, len(sure))
        save_whole(
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
        raise damage_error(path) from None
    every = np.full(len(label), "synthetic")
    return Bank(
        [features],
        every,
        label.astype(str),
        person.astype(str),
        every,
        np.full(len(label), side),
    )


def detect(
    network: HandFeatures, crops: np.ndarray, angles: np.ndarray, size: int, side: str
) -> tuple[np.ndarray, np.ndarray]:
    """Compute features of right hands, shown as hands of either side.

    Args:
        network: The frozen part of the encoder.
        crops: uint8 (N, STORED_SIZE, STORED_SIZE, 3) RGB, stored crops.
        angles: (N,) radians by which the crops' up is turned clockwise from the camera's.
        size: Width of the encoder's crops, px.
        side: One of SIDES.

    Returns:
        float16 (N, FEATURES), and bool (N,): whether the network finds a hand of that side.
    """
    shown = [show_as(side, crop, angle) for crop, angle in zip(crops, angles, strict=True)]
    small = np.stack([centre_crop(crop, size) for crop, _ in shown])
    features, presence, right = _encode(network, small, turns_of([angle for _, angle in shown]))
    as_shown = right > 0 if side == "right" else right <= 0
    return features, (presence > MIN_PRESENCE) & as_shown


def show_as(side: str, crop: np.ndarray, angle: float) -> tuple[np.ndarray, float]:
    """Show a right hand's crop (S, S, 3) and its angle as a hand of either side."""
    return (crop, angle) if side == "right" else (np.ascontiguousarray(crop[:, ::-1]), -angle)


def _load_view(data: Prepared, view: int, seed: int, size: int, side: str) -> Iterator[Inputs]:
    """Yield batches of the encoder's inputs for one view; the same for the same seed."""

    def load(i: int) -> tuple[np.ndarray, float]:
        crop, angle = show_as(side, data.crop(i), float(data.angles[i]))
        if view == 0:
            return centre_crop(crop, size), angle
        return augment(np.random.default_rng([seed, view, i]), crop, angle, size)

    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(data), BATCH):
            hands = list(pool.map(load, range(start, min(start + BATCH, len(data)))))
            crops, angles = zip(*hands, strict=True)
            yield np.stack(crops), turns_of(angles)


def _encode(
    network: HandFeatures, crops: np.ndarray, turns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute features, float16 (N, FEATURES), and the logits of presence and side, (N,) each."""
    rows = []
    step = _step(network)
    for start in range(0, len(crops), step):
        tensors = [_tensor(network, array[start : start + step]) for array in (crops, turns)]
        with torch.inference_mode():
            found, features = network(*tensors)
        rows.append([x.cpu().numpy() for x in (features.half(), found.presence, found.right)])
    features, presence, right = (np.concatenate(column) for column in zip(*rows, strict=True))
    check_finite(features, "What the hand network sees in the pictures", REMEDY)
    return features, presence, right


def _step(network: torch.nn.Module) -> int:
    """How many crops to encode at once."""
    return CPU_BATCH if next(network.parameters()).device.type == "cpu" else BATCH


def _tensor(network: torch.nn.Module, array: np.ndarray) -> torch.Tensor:
    device = next(network.parameters()).device
    tensor = torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)
    return tensor.contiguous(memory_format=torch.channels_last) if array.ndim == 4 else tensor


def _restore_order(parts: list[np.ndarray], back: np.ndarray) -> np.ndarray:
    """Concatenate arrays by set and put their rows into the order of the data."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts)[back]


def _progress() -> Progress:
    return Progress(console=console, disable=not console.is_terminal)
