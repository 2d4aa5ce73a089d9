"""A collection gone through once: its distinct contents as rows, with their vectors where they are wanted.

Keeps some 150 bytes a point in memory; vectors go into a file. Knows nothing of likeness.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipsearch.duplicates.vectors import Vectors, id_out, ids_in
from clipsearch.types import Filter

if TYPE_CHECKING:
    from clipsearch.store import Store

_BATCH = 1000


class Contents:
    """Points and rows: points with equal bytes (`_sha256`) share a row, whose vector is the first one's."""

    def __init__(self, ids: list[NDArray[np.void]], rows: list[int]) -> None:
        self._ids = np.concatenate([np.empty(0, "V16"), *ids])
        self._rows = np.array(rows, np.int64)  # of each point
        self._by_row = np.argsort(self._rows, kind="stable")
        self._first = np.searchsorted(self._rows[self._by_row], np.arange(self.n_rows + 1))
        self._keys = _integers(self._ids)
        self._by_id = np.lexsort((self._keys[:, 1], self._keys[:, 0]))

    @property
    def n_points(self) -> int:
        """How many points there are."""
        return len(self._rows)

    @property
    def n_rows(self) -> int:
        """How many different contents there are."""
        return int(self._rows.max()) + 1 if len(self._rows) else 0

    def ids_of(self, row: int) -> list[str]:
        """The ids of the points with this content."""
        points = self._by_row[self._first[row] : self._first[row + 1]]
        return [id_out(self._ids[point]) for point in points]

    def copied(self) -> list[int]:
        """The rows that several points share."""
        return np.flatnonzero(np.diff(self._first) > 1).tolist()

    def rows_of(self, ids: list[str]) -> NDArray[np.int64]:
        """The row of each id (N,); -1 where the id is none of ours."""
        wanted = _integers(ids_in(ids))
        ordered = self._keys[self._by_id]
        at = np.searchsorted(_sortable(ordered), _sortable(wanted))
        at = np.minimum(at, len(ordered) - 1)
        known = (ordered[at] == wanted).all(axis=1)
        return np.where(known, self._rows[self._by_id[at]], -1)


def contents_of(
    store: Store, *, filter: Filter | None, vectors: Vectors | None, done: Callable[[int], None]
) -> Contents:
    """Go through the collection; the rows' vectors are added to `vectors`, unless it is None."""
    ids: list[NDArray[np.void]] = []
    rows: list[int] = []
    row_of: dict[bytes, int] = {}
    n = 0
    for batch in store.scroll(filter=filter, batch_size=_BATCH, with_vectors=vectors is not None):
        fresh: list[NDArray[np.float32]] = []
        for point in batch:
            content = _digest(point.payload.get("_sha256"))
            row = n if content is None else row_of.setdefault(content, n)
            if row == n:
                n += 1
                if vectors is not None:
                    fresh.append(np.asarray(point.vectors["image"], np.float32))
            rows.append(row)
        if fresh and vectors is not None:
            vectors.add(np.stack(fresh))
        ids.append(ids_in([point.id for point in batch]))
        done(len(rows))
    return Contents(ids, rows)


def _digest(sha256: object) -> bytes | None:
    """The digest in 32 bytes. None where there is none."""
    try:
        return bytes.fromhex(str(sha256)) if sha256 else None
    except ValueError:
        return str(sha256).encode("utf-8", "surrogatepass")


def _integers(ids: NDArray[np.void]) -> NDArray[np.uint64]:
    """Ids (N,) of 16 bytes as two numbers each, (N, 2), in the order of their spelling."""
    return np.ascontiguousarray(ids).view(">u8").reshape(-1, 2).astype(np.uint64)


def _sortable(keys: NDArray[np.uint64]) -> NDArray[np.void]:
    """Pairs of numbers as records, which searchsorted compares field by field."""
    pairs = np.empty(len(keys), dtype=[("high", np.uint64), ("low", np.uint64)])
    pairs["high"], pairs["low"] = keys[:, 0], keys[:, 1]
    return pairs
