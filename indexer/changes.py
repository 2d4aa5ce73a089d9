"""Which pictures have to be read: found files against the ledger. Reads no picture."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from clipsearch.types import ImageFile
from indexer.ledger import change, record_id
from indexer.loading import Work
from indexer.report import RunReport
from indexer.target import Target

_CHUNK = 2000  # files compared at once
_NONE = np.empty(0, dtype=np.uint64)


class Changes:
    """Compares, counts what needs no reading, and knows afterwards what is gone."""

    def __init__(self, target: Target, report: RunReport, *, retry_failed: bool) -> None:
        self._target, self._report = target, report
        self._retry_failed = retry_failed
        self._met = array("Q")  # 8 bytes of each id met: a million files in 8 MB
        self._sorted: NDArray[np.uint64] | None = None

    def to_do(self, files: Iterable[ImageFile], *, until: Callable[[], bool]) -> Iterator[Work]:
        """What has to be read, and what only has new columns; ends early when `until` says so."""
        rest = iter(files)
        while (chunk := list(islice(rest, _CHUNK))) and not until():
            pairs = [(file, record_id(file)) for file in chunk]
            self._met.extend(_short(id) for _, id in pairs)
            yield from self._changed(pairs)

    def gone(self, source: str) -> list[str]:
        """Records of the source, in the collection, that were not met. Complete when to_do has ended.

        What is gone and never could be used is forgotten here.
        """
        ledger = self._target.ledger
        if ledger is None:
            return []
        met = self._met_sorted()
        gone: list[str] = []
        rest = ledger.ids_of(source)
        while ids := list(islice(rest, _CHUNK)):
            asked = np.array([_short(id) for id in ids], dtype=np.uint64)
            gone += [ids[i] for i in np.flatnonzero(~_contains(met, asked))]
        useless = [id for id, known in ledger.known(gone).items() if known.reason is not None]
        ledger.forget(useless)
        return sorted(set(gone) - set(useless))

    def _met_sorted(self) -> NDArray[np.uint64]:
        """Sorted once for all parts of a source: there may be thousands."""
        if self._sorted is None or len(self._sorted) != len(self._met):
            self._sorted = np.sort(np.frombuffer(self._met, dtype=np.uint64)) if self._met else _NONE
        return self._sorted

    def _changed(self, pairs: list[tuple[ImageFile, str]]) -> list[Work]:
        ledger = self._target.ledger
        known = ledger.known([id for _, id in pairs]) if ledger is not None else {}
        changed: list[Work] = []
        for file, id in pairs:
            before = known.get(id)
            what = change(file, before)
            if what == "new" or (what == "failed" and self._retry_failed):
                changed.append(Work(file, id))
            elif what == "failed":
                self._report.failed_before += 1
            elif before is not None and what == "columns":
                changed.append(Work(file, id, before.sha256, edited=True))  # its picture did not change
            else:
                self._report.unchanged += 1
        return changed


def _short(id: str) -> int:
    """The first 64 bits of a UUID, 60 of them random."""
    return int(id[:8] + id[9:13] + id[14:18], 16)


def _contains(ascending: NDArray[np.uint64], asked: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(asked), dtype=bool)
    at = np.minimum(np.searchsorted(ascending, asked), len(ascending) - 1)
    return np.equal(ascending[at], asked)
