"""Looks at records' pictures, several at once, and remembers a few thousand. Judges nothing."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clipsearch.duplicates.looks import Look, look_at
from clipsearch.duplicates.records import Reader, Record
from clipsearch.errors import ClipSearchError

_REMEMBERED = 4096  # looks of 12 KB: 50 MB


class Looker:
    """Looks, by row. Use from one thread; decoding runs on all cores."""

    def __init__(self, read: Reader | None) -> None:
        """read: where records' pictures are; None: they are files."""
        self._read = read or _file
        self._looks: OrderedDict[int, Look | None] = OrderedDict()
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="look")
        self.unread: set[int] = set()  # rows whose pictures could not be read

    def looks(self, rows: Sequence[int], records: Sequence[Sequence[Record]]) -> list[Look | None]:
        """Looks at the rows, of each at the first of its records that can be read; None for those without."""
        fresh = [(row, some) for row, some in zip(rows, records, strict=True) if row not in self._looks]
        for (row, _), look in zip(fresh, self._pool.map(self._look, (s for _, s in fresh)), strict=True):
            self._looks[row] = look
            if look is None:
                self.unread.add(row)
        result = [self._looks[row] for row in rows]
        for row in rows:
            self._looks.move_to_end(row)
        while len(self._looks) > _REMEMBERED:
            self._looks.popitem(last=False)
        return result

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _look(self, records: Sequence[Record]) -> Look | None:
        for record in records:
            try:
                source = self._read(record.path)
                if source is not None:
                    return look_at(source, name=record.path)
            except (ClipSearchError, OSError, ValueError):
                continue
        return None


def _file(path: str) -> Path | None:
    return Path(path) if path and Path(path).is_file() else None
