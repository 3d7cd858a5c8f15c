"""The references' embeddings, and the cache that spares computing them at every start."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.encoder import Encoder
from engines.files import write_file
from realtime.gallery.reference import Reference, ReferenceRecord, other_side
from realtime.hands.cutting import cut_hand, encoder_inputs

VERSION = 2  # of the cache and of how hands are cut; another one is computed anew
BATCH = 16  # references encoded at once: enough to be quick, few enough for a small memory

Key = tuple[str, str]  # a reference's id and its content's digest
Vectors = dict[Key, np.ndarray]  # float32 (D,) each


@dataclass(frozen=True, eq=False)
class GalleryIndex:
    """The references as a matcher takes them, sorted by label, then id.

    Where either hand may show a gesture, a reference with a twin is there twice, as either hand.

    Attributes:
        labels, ids, sides: (R,).
        embeddings: float32 (R, D).
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    sides: tuple[str, ...]
    embeddings: np.ndarray


def build_index(
    records: Sequence[tuple[str, ReferenceRecord]],
    load: Sequence[Callable[[], Reference | None]],
    encoder: Encoder,
    mirror_hands: bool,
    known: Vectors,
) -> GalleryIndex:
    """Embed what isn't known yet, and put the index together.

    Args:
        records: (label, record) of each reference.
        load: reads each reference; one that it gives as None is left out.
        known: embeddings that need no computing; what is computed is added.
    """
    keys = [view_keys(record, encoder, mirror_hands) for _, record in records]
    missing = [i for i, needed in enumerate(keys) if not needed <= known.keys()]
    for start in range(0, len(missing), BATCH):
        views: list[tuple[Key, Reference]] = []
        for i in missing[start : start + BATCH]:
            record, reference = records[i][1], load[i]()
            if reference is not None:
                views.append((_key(record), reference))
                if _key(record, twin=True) in keys[i]:
                    views.append((_key(record, twin=True), reference.mirror()))
        if views:
            vectors = embed([view for _, view in views], encoder, mirror_hands)
            known.update((key, v) for (key, _), v in zip(views, vectors, strict=True))
    there, sides, rows = [], [], []
    for (label, record), needed in zip(records, keys, strict=True):
        for key in sorted(needed & known.keys()):
            there.append((label, record))
            sides.append(record.side if key == _key(record) else other_side(record.side))
            rows.append(known[key])
    return GalleryIndex(
        labels=tuple(label for label, _ in there),
        ids=tuple(record.id for _, record in there),
        sides=tuple(sides),
        embeddings=np.stack(rows) if rows else np.zeros((0, encoder.spec.dim), np.float32),
    )


def embed(references: Sequence[Reference], encoder: Encoder, mirror_hands: bool) -> np.ndarray:
    """Cut and encode N ≥ 1 references as live hands are. Returns float32 (N, D)."""
    size = encoder.spec.crop_size
    mirror = mirror_hands and not encoder.spec.one_pass
    hands = [cut_hand(r.picture, r.detection(), size, mirror) for r in references]
    return np.asarray(encoder.encode(encoder_inputs(hands)), np.float32)


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


def _key(record: ReferenceRecord, twin: bool = False) -> Key:
    return record.id, record.digest + ("-twin" if twin else "")


def view_keys(record: ReferenceRecord, encoder: Encoder, mirror_hands: bool) -> set[Key]:
    """Of all views that the index should have.

    One-pass encoders see hands as they are, so each reference has to be there as either hand.
    """
    both = mirror_hands and (record.twin is not None or encoder.spec.one_pass)
    return {_key(record), _key(record, twin=both)}
