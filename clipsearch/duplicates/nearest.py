"""Every row's nearest neighbours above a cosine, in bounded memory. Knows neither pictures nor payloads.

Two ways to the same pairs: asking the store, whose graph answers in the logarithm of its size, and the
product of all rows with all, block by block, which misses nothing and where there is no graph is far
faster than asking (100,000 exact scans).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch.duplicates.vectors import Vectors
from clipsearch.types import Filter, Hit

if TYPE_CHECKING:
    from clipsearch.store import Store

Done: TypeAlias = Callable[[int], None]
_Part: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]

NEIGHBOURS = 64  # of a row; more lie only in runs of near-equal pictures
_BLOCK, _ACROSS = 1024, 4096  # rows of a product: 16 MB of cosines
_HELD = 2_000_000  # pairs held before those beyond the nearest are dropped: 24 MB, 100 while sorting
_ASKED = 256  # rows in one call of the store
_FIRST = 16  # neighbours asked for at first


class Neighbours:
    """For each row its neighbours, nearest first, at most NEIGHBOURS. Filled by add()."""

    def __init__(self) -> None:
        empty = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
        self._parts: list[_Part] = [empty]
        self._held, self._bound = 0, _HELD

    def add(self, rows: NDArray[np.int64], columns: NDArray[np.int64], cosines: NDArray[np.float32]) -> None:
        """Note that rows[i] and columns[i], which are not equal, have cosines[i]."""
        a, b = rows.astype(np.int32), columns.astype(np.int32)
        self._parts += [(a, b, cosines), (b, a, cosines)]
        self._held += 2 * len(a)
        if self._held > self._bound:
            self._held = len(self._sorted()[0])
            self._bound = max(_HELD, 2 * self._held)

    def of(self, row: int) -> Iterator[tuple[int, float]]:
        """The row's neighbours with their cosines, nearest first."""
        rows, columns, cosines = self._sorted()
        start, stop = np.searchsorted(rows, [row, row + 1])
        return zip(columns[start:stop].tolist(), cosines[start:stop].tolist(), strict=True)

    def components(self) -> list[list[int]]:
        """The rows that have neighbours, in parts that no pair links; each sorted, largest part first."""
        rows, columns, _ = self._sorted()
        leader: dict[int, int] = {}

        def found(row: int) -> int:
            while (above := leader.setdefault(row, row)) != row:
                leader[row] = leader.setdefault(above, above)
                row = leader[row]
            return row

        for a, b in zip(rows.tolist(), columns.tolist(), strict=True):
            first, second = found(a), found(b)
            leader[max(first, second)] = min(first, second)
        parts: dict[int, list[int]] = {}
        for row in sorted(leader):
            parts.setdefault(found(row), []).append(row)
        return sorted(parts.values(), key=lambda part: (-len(part), part[0]))

    def _sorted(self) -> _Part:
        """By row, then nearest first; each pair of (row, column) once. Kept until something is added."""
        if len(self._parts) > 1:
            rows, columns, cosines = (np.concatenate(part) for part in zip(*self._parts, strict=True))
            by_pair = np.lexsort((columns, rows))
            rows, columns, cosines = rows[by_pair], columns[by_pair], cosines[by_pair]
            first = np.ones(len(rows), bool)
            first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
            rows, columns, cosines = rows[first], columns[first], cosines[first]
            nearest = np.lexsort((columns, -cosines, rows))
            rows, columns, cosines = rows[nearest], columns[nearest], cosines[nearest]
            near = np.arange(len(rows)) - np.searchsorted(rows, rows) < NEIGHBOURS
            self._parts = [(rows[near], columns[near], cosines[near])]
        return self._parts[0]


def by_product(vectors: Vectors, least: float, done: Done) -> Neighbours:
    """Neighbours of cosine `least` or more, by n * n / 2 dot products. done: how many rows are through."""
    found = Neighbours()
    for start in range(0, vectors.n, _BLOCK):
        block = vectors.read(start, start + _BLOCK)
        for across in range(start, vectors.n, _ACROSS):
            cosines = block @ vectors.read(across, across + _ACROSS).T  # (1024, 4096)
            rows, columns = np.nonzero(cosines >= least)
            later = columns + across > rows + start  # each pair once, and none with itself
            rows, columns = rows[later], columns[later]
            found.add(rows + start, columns + across, cosines[rows, columns])
        done(min(start + _BLOCK, vectors.n))
    return found


def by_asking(
    store: Store,
    vectors: Vectors,
    row_of: Callable[[list[str]], NDArray[np.int64]],
    least: float,
    done: Done,
    *,
    crowded: float,
    filter: Filter | None,
) -> Neighbours:
    """Neighbours of cosine `least` or more, from the store's own search. row_of: ids to rows, -1 for none.

    A row whose whole answer has cosine `crowded` or more is asked again for four times as many.
    """
    found = Neighbours()
    for start in range(0, vectors.n, _ASKED):
        block, waiting, limit = vectors.read(start, start + _ASKED), np.arange(_ASKED), _FIRST
        waiting = waiting[: len(block)]
        while len(waiting):
            answers = store.search_batch(block[waiting], limit=limit, filter=filter, with_payload=False)
            _note(found, waiting + start, answers, row_of, least)
            full = [len(hits) == limit and hits[-1].score >= crowded for hits in answers]
            waiting = waiting[np.array(full, bool)] if limit <= NEIGHBOURS else waiting[:0]
            limit *= 4
        done(start + len(block))
    return found


def _note(
    found: Neighbours,
    rows: NDArray[np.int64],
    answers: list[list[Hit]],
    row_of: Callable[[list[str]], NDArray[np.int64]],
    least: float,
) -> None:
    counts = [len(hits) for hits in answers]
    columns = row_of([hit.id for hits in answers for hit in hits])
    cosines = np.array([hit.score for hits in answers for hit in hits], np.float32)
    asked = np.repeat(rows, counts)
    near = (columns >= 0) & (columns != asked) & (cosines >= least)
    found.add(asked[near], columns[near], cosines[near])
