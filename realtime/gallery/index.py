"""The references' embeddings: what isn't known yet is computed, and put together for a matcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.finite import check_finite
from engines.encoder import Encoder
from realtime.gallery.record import ReferenceRecord
from realtime.gallery.reference import NEGATIVE, View, other_side
from realtime.hands.cutting import broken_embeddings, cut_hand, encoder_inputs

BATCH = 16  # views encoded at once: enough to be quick, few enough for a small memory

Key = tuple[str, str]  # a reference's id; its content's digest, which view, and whether its twin
Vectors = dict[Key, np.ndarray]  # float32 (D,) each
Content = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, eq=False)
class GalleryIndex:
    """The references as a matcher takes them, sorted by label, then id, then view.

    A row is a view as a hand: where either hand may show a gesture, a view with a twin is there
    twice, as either hand. Rows of one reference share their id.

    Attributes:
        labels, ids, sides: (R,).
        embeddings: float32 (R, D).
        negative: (R,), whether a row shows what is not the gesture.
        content: label, id and digest of each reference whose views are all there.
        fars: (label, false-accept rate) of each gesture that has one of its own.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    sides: tuple[str, ...]
    embeddings: np.ndarray
    negative: tuple[bool, ...]
    content: Content = ()
    fars: tuple[tuple[str, float], ...] = ()

    def without(self, label: str) -> GalleryIndex:
        """The same index without a gesture; its negative references stay."""
        rows = [i for i, own in enumerate(self.labels) if own != label or self.negative[i]]
        return GalleryIndex(
            labels=tuple(self.labels[i] for i in rows),
            ids=tuple(self.ids[i] for i in rows),
            sides=tuple(self.sides[i] for i in rows),
            embeddings=self.embeddings[rows],
            negative=tuple(self.negative[i] for i in rows),
            content=tuple(each for each in self.content if each[0] != label),
            fars=self.fars,
        )


def build_index(
    records: Sequence[tuple[str, ReferenceRecord]],
    load: Sequence[Callable[[], Mapping[int, View] | None]],
    encoder: Encoder,
    mirror_hands: bool,
    known: Vectors,
    newest: int | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> GalleryIndex:
    """Embed what isn't known yet, and put the index together.

    Args:
        records: (label, record) of each reference.
        load: reads each reference's views, by their numbers; what it doesn't give is left out.
        known: embeddings that need no computing; what is computed is added, reference by reference.
        newest: only so many references are looked at for what isn't known, the newest; None: all.
        progress: called with the number of references embedded, and how many are to be. What it
            raises ends it.
    """
    keys = [view_keys(record, encoder, mirror_hands) for _, record in records]
    by_age = sorted(range(len(records)), key=lambda i: records[i][1].id, reverse=True)
    missing = [i for i in by_age[:newest] if not keys[i].keys() <= known.keys()]
    batch: list[tuple[Key, View]] = []
    progress(0, len(missing))
    for done, i in enumerate(missing, 1):
        batch += _views(load[i](), keys[i])
        if len(batch) >= BATCH or done == len(missing):
            known.update(_embed_all(batch, encoder, mirror_hands))
            batch = []
            progress(done, len(missing))
    labels, ids, sides, rows, negative, whole = [], [], [], [], [], []
    for (label, record), its in zip(records, keys, strict=True):
        own_sides = {view.number: view.side for view in record.views}
        for key, (number, twin) in its.items():
            if key in known:
                labels.append(label)
                ids.append(record.id)
                side = own_sides[number]
                sides.append(other_side(side) if twin else side)
                rows.append(known[key])
                negative.append(record.kind == NEGATIVE)
        if its.keys() <= known.keys():
            whole.append((label, record))
    return GalleryIndex(
        labels=tuple(labels),
        ids=tuple(ids),
        sides=tuple(sides),
        embeddings=np.stack(rows) if rows else np.zeros((0, encoder.spec.dim), np.float32),
        negative=tuple(negative),
        content=content_of(whole),
    )


def content_of(records: Sequence[tuple[str, ReferenceRecord]]) -> Content:
    """What an index of all these references has as `content`."""
    return tuple((label, record.id, record.digest) for label, record in records)


def embed(views: Sequence[View], encoder: Encoder, mirror_hands: bool) -> np.ndarray:
    """Cut and encode N ≥ 1 views as live hands are. Returns float32 (N, D)."""
    size = encoder.spec.crop_size
    mirror = mirror_hands and not encoder.spec.one_pass
    hands = [cut_hand(view.picture, view.detection(), size, mirror) for view in views]
    found = np.asarray(encoder.encode(encoder_inputs(hands)), np.float32)
    return check_finite(found, *broken_embeddings(encoder))


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


def _views(
    views: Mapping[int, View] | None, keys: dict[Key, tuple[int, bool]]
) -> Iterator[tuple[Key, View]]:
    """A reference's views that are there, each as the hand that its key says."""
    for key, (number, twin) in keys.items():
        if (view := (views or {}).get(number)) is not None:
            yield key, view.mirror() if twin else view


def _embed_all(views: list[tuple[Key, View]], encoder: Encoder, mirror_hands: bool) -> Vectors:
    vectors: Vectors = {}
    for begin in range(0, len(views), BATCH):
        keys, batch = zip(*views[begin : begin + BATCH], strict=True)
        vectors.update(zip(keys, embed(batch, encoder, mirror_hands), strict=True))
    return vectors
