"""The references' embeddings, and the cache that spares computing them at every start."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.finite import check_finite
from engines.encoder import Encoder
from engines.files import write_file
from realtime.gallery.record import ReferenceRecord
from realtime.gallery.reference import NEGATIVE, View, other_side
from realtime.hands.cutting import broken_embeddings, cut_hand, encoder_inputs

VERSION = 3  # of the cache and of how hands are cut; another one is computed anew
BATCH = 16  # views encoded at once: enough to be quick, few enough for a small memory

Key = tuple[str, str]  # a reference's id; its content's digest, which view, and whether its twin
Vectors = dict[Key, np.ndarray]  # float32 (D,) each


@dataclass(frozen=True, eq=False)
class GalleryIndex:
    """The references as a matcher takes them, sorted by label, then id, then view.

    A row is a view as a hand: where either hand may show a gesture, a view with a twin is there
    twice, as either hand. Rows of one reference share their id.

    Attributes:
        labels, ids, sides: (R,).
        embeddings: float32 (R, D).
        negative: (R,), whether a row shows what is not the gesture.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    sides: tuple[str, ...]
    embeddings: np.ndarray
    negative: tuple[bool, ...]


def build_index(
    records: Sequence[tuple[str, ReferenceRecord]],
    load: Sequence[Callable[[], Mapping[int, View] | None]],
    encoder: Encoder,
    mirror_hands: bool,
    known: Vectors,
) -> GalleryIndex:
    """Embed what isn't known yet, and put the index together.

    Args:
        records: (label, record) of each reference.
        load: reads each reference's views, by their numbers; what it doesn't give is left out.
        known: embeddings that need no computing; what is computed is added.
    """
    missing = _missing_views(records, load, encoder, mirror_hands, known)
    while batch := list(itertools.islice(missing, BATCH)):
        vectors = embed([view for _, view in batch], encoder, mirror_hands)
        known.update((key, v) for (key, _), v in zip(batch, vectors, strict=True))
    labels, ids, sides, rows, negative = [], [], [], [], []
    for label, record in records:
        own_sides = {view.number: view.side for view in record.views}
        for key, (number, twin) in view_keys(record, encoder, mirror_hands).items():
            if key in known:
                labels.append(label)
                ids.append(record.id)
                side = own_sides[number]
                sides.append(other_side(side) if twin else side)
                rows.append(known[key])
                negative.append(record.kind == NEGATIVE)
    return GalleryIndex(
        labels=tuple(labels),
        ids=tuple(ids),
        sides=tuple(sides),
        embeddings=np.stack(rows) if rows else np.zeros((0, encoder.spec.dim), np.float32),
        negative=tuple(negative),
    )


def embed(views: Sequence[View], encoder: Encoder, mirror_hands: bool) -> np.ndarray:
    """Cut and encode N ≥ 1 views as live hands are. Returns float32 (N, D)."""
    size = encoder.spec.crop_size
    mirror = mirror_hands and not encoder.spec.one_pass
    hands = [cut_hand(view.picture, view.detection(), size, mirror) for view in views]
    found = np.asarray(encoder.encode(encoder_inputs(hands)), np.float32)
    return check_finite(found, *broken_embeddings(encoder))


def cache_name(encoder: Encoder, mirror_hands: bool) -> str:
    """The cache's file name for an encoder."""
    mark = re.sub(r"\W", "_", encoder.fingerprint[:16])
    return f"{mark}-{'m' if mirror_hands else 's'}.npz"


def read_cache(path: Path, encoder: Encoder) -> Vectors:
    """What the cache holds for this encoder; nothing where it is missing, damaged or another's."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            if int(file["version"]) != VERSION or str(file["fingerprint"]) != encoder.fingerprint:
                return {}
            ids, digests, vectors = file["ids"], file["digests"], file["embeddings"]
    except Exception:  # zip, npy and their headers fail in many ways, and it is only a cache
        return {}
    sound = vectors.dtype == np.float32 and vectors.shape == (len(ids), encoder.spec.dim)
    if not sound or ids.shape != digests.shape or not np.isfinite(vectors).all():
        return {}
    return dict(zip(zip(ids.tolist(), digests.tolist(), strict=True), vectors, strict=True))


def write_cache(path: Path, encoder: Encoder, vectors: Vectors) -> None:
    """Replace the cache; one that can't be written is only slower."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        version=np.array(VERSION),
        fingerprint=np.array(encoder.fingerprint),
        ids=np.array([id for id, _ in vectors], np.str_),
        digests=np.array([digest for _, digest in vectors], np.str_),
        embeddings=np.stack(list(vectors.values())),
    )
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        write_file(path, buffer.getvalue())


def view_keys(
    record: ReferenceRecord, encoder: Encoder, mirror_hands: bool
) -> dict[Key, tuple[int, bool]]:
    """The rows that the index should have of a reference: their keys, which view, whether its twin.

    One-pass encoders see hands as they are, so each view has to be there as either hand.
    """
    keys: dict[Key, tuple[int, bool]] = {}
    for view in record.views:
        keys[record.id, f"{record.digest}-{view.number}"] = (view.number, False)
        if mirror_hands and (view.twin is not None or encoder.spec.one_pass):
            keys[record.id, f"{record.digest}-{view.number}-twin"] = (view.number, True)
    return keys


def _missing_views(
    records: Sequence[tuple[str, ReferenceRecord]],
    load: Sequence[Callable[[], Mapping[int, View] | None]],
    encoder: Encoder,
    mirror_hands: bool,
    known: Vectors,
) -> Iterator[tuple[Key, View]]:
    """The views that aren't known yet, each as the hand that its key says."""
    for (_, record), read in zip(records, load, strict=True):
        keys = view_keys(record, encoder, mirror_hands)
        if keys.keys() <= known.keys() or (views := read()) is None:
            continue
        for key, (number, twin) in keys.items():
            if (view := views.get(number)) is not None:
                yield key, view.mirror() if twin else view
