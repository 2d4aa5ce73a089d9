"""Which of many names come twice, at eight bytes a name. Keeps no name."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import numpy as np


class Unique:
    """Collects names; a hundred million fit where a set would hold five."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def __len__(self) -> int:
        """Names given, each as often as it came."""
        return len(self._hashes)

    def add(self, name: str) -> None:
        self._hashes.append(hash(name))

    def first_repeated(self, again: Iterable[tuple[str, int]]) -> tuple[str, int, int] | None:
        """(name, its number, the number where it comes again) of the first that does.

        again: the same names once more, with their numbers.
        """
        return next(self._repeated(again), None)

    def repeated(self, again: Iterable[tuple[str, int]]) -> set[int]:
        """The numbers of all names that were there before."""
        return {number for _, _, number in self._repeated(again)}

    def _repeated(self, again: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int, int]]:
        suspects = self._suspects()
        if not suspects:
            return
        seen: dict[str, int] = {}
        for name, number in again:
            if hash(name) not in suspects:
                continue
            first = seen.setdefault(name, number)
            if first != number:
                yield name, first, number

    def _suspects(self) -> set[int]:
        """Hashes that came more than once."""
        if not self._hashes:
            return set()
        ordered = np.sort(np.frombuffer(self._hashes, dtype=np.int64))
        return {int(found) for found in ordered[1:][ordered[1:] == ordered[:-1]]}
