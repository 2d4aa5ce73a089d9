"""Labels' vectors in the cache folder, by the model that made them and the prompts they were made of.

Each call that made vectors writes one file of its own, which nobody changes: two processes never wait for
each other. Knows nothing of vocabularies.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from clipsearch.files import replaced
from clipsearch.types import Embeddings, Fingerprint

FOLDER = "vocabularies"
MAX_FILES = 128
MAX_BYTES = 1 << 29  # 20,000 labels of 512 dimensions are 41 MB
_Keys = NDArray[np.bytes_]


class KeptVectors:
    """The vectors kept of one model. A folder that cannot be read or written keeps nothing."""

    def __init__(self, cache: Path | None, fingerprint: Fingerprint) -> None:
        """cache: the cache folder; None keeps nothing."""
        self._dim = fingerprint.dim
        self._all = None if cache is None else cache / FOLDER
        self._folder = None if self._all is None else self._all / _name(fingerprint)

    def find(self, keys: _Keys) -> tuple[Embeddings, NDArray[np.bool_]]:
        """Vectors (K, D) of K keys, and which of them are there."""
        vectors = np.zeros((len(keys), self._dim), np.float32)
        is_there = np.zeros(len(keys), bool)
        for path in self._files():
            if is_there.all():
                break
            with _forgiven(path):
                self._take(path, keys, vectors, is_there)
        return vectors, is_there

    def add(self, keys: _Keys, vectors: Embeddings) -> None:
        """Keep vectors (K, D); what was used longest ago goes where there are too many."""
        if self._folder is None or self._all is None or not len(keys):
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with replaced(self._folder / f"{uuid4().hex}.npz") as fresh, fresh.open("wb") as file:
                np.savez(file, keys=keys, vectors=vectors)
            _evict(self._all)

    def _files(self) -> list[Path]:
        """Those used last first."""
        if self._folder is None or not self._folder.is_dir():
            return []
        return [path for _, path, _ in sorted(_sizes(self._folder), reverse=True)]

    def _take(self, path: Path, keys: _Keys, vectors: Embeddings, is_there: NDArray[np.bool_]) -> None:
        with np.load(path, allow_pickle=False) as file:  # a zip file: what is read is checked by its CRC
            known = file["keys"]
            order = np.argsort(known)
            at = np.searchsorted(known, keys, sorter=order)
            rows = order[np.minimum(at, len(known) - 1)]
            hits = np.flatnonzero((known[rows] == keys) & ~is_there)
            if len(hits):
                held = file["vectors"]
                if held.shape != (len(known), self._dim) or held.dtype != np.float32:
                    raise ValueError(f"vectors of shape {held.shape}")
                vectors[hits] = held[rows[hits]]
                is_there[hits] = True
                path.touch()


def _name(fingerprint: Fingerprint) -> str:
    """A folder's name for what decides a text's vector."""
    facts = (
        fingerprint.weights_sha256,
        fingerprint.tokenizer_sha256,
        fingerprint.precision,
        fingerprint.dim,
    )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _forgiven(path: Path) -> Iterator[None]:
    """A damaged file goes, and its vectors are made again; one that another process took away is gone."""
    try:
        yield
    except (ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        with contextlib.suppress(OSError):
            path.unlink()
    except OSError:
        pass


def _sizes(folder: Path) -> Iterator[tuple[float, Path, int]]:
    for path in folder.rglob("*.npz"):
        with contextlib.suppress(OSError):
            stat = path.stat()
            yield stat.st_mtime, path, stat.st_size


def _evict(folder: Path) -> None:
    n_bytes = 0
    for n, (_, path, size) in enumerate(sorted(_sizes(folder), reverse=True), start=1):
        n_bytes += size
        if n > MAX_FILES or (n_bytes > MAX_BYTES and n > 1):
            with contextlib.suppress(OSError):
                path.unlink()
