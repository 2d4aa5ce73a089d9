"""All vectors of a collection in a temporary file, so that memory does not grow with them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clipsearch.types import Embeddings


class Vectors:
    """Rows of float32: added in order, read in blocks. Use it with `with`; the file goes with it."""

    def __init__(self, dim: int, folder: Path | None) -> None:
        """folder: where the temporary file lies; None: the system's place for them."""
        self.dim, self.n = dim, 0
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by __exit__)

    def add(self, rows: Embeddings) -> None:
        """Append rows (N, D)."""
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(rows, dtype=np.float32).data)
        self.n += len(rows)

    def read(self, start: int, stop: int) -> Embeddings:
        """Rows from start up to stop, or to the end."""
        self._file.seek(start * self.dim * 4)
        data = self._file.read(max(0, min(stop, self.n) - start) * self.dim * 4)
        return np.frombuffer(data, np.float32).reshape(-1, self.dim)

    def sample(self, n: int) -> Embeddings:
        """At most n rows, the same ones every time."""
        chosen = np.sort(np.random.default_rng(0).permutation(self.n)[:n]).tolist()
        return np.concatenate([np.empty((0, self.dim), np.float32), *(self.read(i, i + 1) for i in chosen)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def ids_in(ids: list[str]) -> NDArray[np.void]:
    """UUIDs as 16 bytes each, (N,), for keeping many."""
    return np.frombuffer(bytes.fromhex("".join(ids).replace("-", "")), "V16")


def id_out(value: np.void) -> str:
    """The UUID in its usual spelling."""
    text = value.tobytes().hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
