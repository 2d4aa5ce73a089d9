"""Bytes of a table's cells, read a batch of rows at a time and kept while neighbours are asked for."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from clipsearch.errors import TableError

Batches = Callable[[int], Iterator[Any]]
"""From a segment's number to its column of bytes, pa.BinaryArray after pa.BinaryArray, from the first row."""

_KEPT_BYTES = 128 << 20
_CURSORS = 4
_BYTES_AT_ONCE, _MOST_ROWS = 8 << 20, 1024


class LazyBlobs:
    """A column's bytes. A segment is what can be begun to be read at: a row group, a record batch.

    Rows asked for roughly in their order, from several threads, are each read once: who is a little late
    finds the batch among those kept, and only what lies far back is read from its segment's start again.
    """

    def __init__(
        self, path: Path, starts: Sequence[int], batches: Batches, *, empty: Sequence[bool] = ()
    ) -> None:
        """starts: each segment's first row, and the number of rows. empty: segments without any bytes."""
        self._path, self._starts, self._batches, self._empty = path, starts, batches, empty
        self._stamp = _stamp(path)
        self._lock = threading.Lock()
        self._kept: dict[tuple[int, int], Any] = {}  # (segment, first row in it): a batch
        self._cursors: dict[int, _Cursor] = {}

    def may_have(self, number: int) -> bool:
        """Whether there may be bytes in a row. Reads nothing."""
        return not (self._empty and self._empty[self._segment(number)])

    def read(self, number: int) -> bytes | None:
        """The bytes of a row; None where there are none. Raises TableError."""
        import pyarrow as pa

        segment = self._segment(number)
        at = number - self._starts[segment]
        with self._lock:
            try:
                first, batch = self._batch(segment, at)
                value = batch[at - first].as_py()
            except (pa.ArrowException, OSError) as exc:
                raise TableError(f"{self._path}, row {number + 1} cannot be read: {exc}") from exc
        return None if value is None else bytes(value)

    def _segment(self, number: int) -> int:
        return bisect_right(self._starts, number) - 1

    def _batch(self, segment: int, at: int) -> tuple[int, Any]:
        """(its first row in the segment, the batch) that has the row."""
        for (of, first), batch in list(self._kept.items()):
            if of == segment and first <= at < first + len(batch):
                _BATCHES.keep(self._kept, (of, first), batch, batch.nbytes)
                return first, batch
        cursor = self._cursor(segment, at)
        while True:
            first, batch = cursor.next()
            if batch is None:
                raise TableError(f"{self._path} has fewer rows than when it was opened; run again")
            _BATCHES.keep(self._kept, (segment, first), batch, batch.nbytes)
            if at < first + len(batch):
                return first, batch

    def _cursor(self, segment: int, at: int) -> _Cursor:
        """One that has not passed the row yet."""
        cursor = self._cursors.get(segment)
        if cursor is None or cursor.position > at:
            if _stamp(self._path) != self._stamp:
                raise TableError(f"{self._path} was changed meanwhile; run the same command again")
            cursor = _Cursor(self._batches(segment))
        _PLACES.keep(self._cursors, segment, cursor, 1)
        return cursor


class _Recent:
    """What was used last, of all columns of all tables together: a run may have a thousand of them open."""

    def __init__(self, most: int) -> None:
        self._most, self._sum = most, 0
        self._lock = threading.Lock()
        self._sizes: OrderedDict[tuple[int, Any], tuple[dict[Any, Any], int]] = OrderedDict()

    def keep(self, owner: dict[Any, Any], place: Any, value: Any, size: int) -> None:
        """Put the value into its owner's dictionary, and take what was not used for longest out of theirs."""
        with self._lock:
            owner[place] = value
            _, before = self._sizes.pop((id(owner), place), (owner, 0))
            self._sizes[id(owner), place] = owner, size
            self._sum += size - before
            while self._sum > self._most and len(self._sizes) > 1:
                (_, oldest), (other, n) = self._sizes.popitem(last=False)
                other.pop(oldest, None)
                self._sum -= n


_BATCHES, _PLACES = _Recent(_KEPT_BYTES), _Recent(_CURSORS)


class _Cursor:
    """A place in one segment, which only moves forward."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches
        self.position = 0

    def next(self) -> tuple[int, Any]:
        """(first row, batch); the batch is None at the end."""
        first, batch = self.position, next(self._batches, None)
        self.position += 0 if batch is None else len(batch)
        return first, batch


def rows_at_once(n_bytes: int, n_rows: int) -> int:
    """How many rows are a good step to read, of so many with so many bytes."""
    each = max(1, n_bytes // max(1, n_rows))
    return max(1, min(_MOST_ROWS, _BYTES_AT_ONCE // each))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
