"""The cache of embeddings beside a gallery, which spares computing them at every start."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np

from engines.encoder import Encoder
from engines.files import write_file
from realtime.gallery.index import Key, Vectors

VERSION = 3  # of the cache and of how hands are cut; another one is computed anew


class Cache:
    """An encoder's embeddings in a file, which other programs write, too.

    Args:
        path: the file's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None  # of the file as it was last read or written
        self._keys: set[Key] = set()  # what it held then

    def read(self, encoder: Encoder) -> Vectors:
        """What the file holds; nothing where it hasn't changed since it was last read."""
        stamp = self._look()
        if stamp is not None and stamp == self._stamp:
            return {}
        vectors = read_cache(self._path, encoder)
        self._stamp, self._keys = stamp, set(vectors)
        return vectors

    def write(self, encoder: Encoder, vectors: Vectors) -> None:
        """Replace the file where it lacks any of these, if it can be written."""
        if vectors.keys() - self._keys:
            write_cache(self._path, encoder, vectors)
            self._stamp, self._keys = self._look(), set(vectors)

    def _look(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            status = self._path.stat()
            return status.st_mtime_ns, status.st_size
        return None


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
