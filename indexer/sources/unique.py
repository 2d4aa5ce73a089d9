"""Which of many names come twice, at eight bytes a name. Keeps no name."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")


class Unique:
    """Collects names; a hundred million fit where a set would hold five."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def __len__(self) -> int:
        """Names given, each as often as it came."""
        return len(self._hashes)

    def add(self, name: str) -> None:
        self._hashes.append(hash(name))

    def repeated(self, again: Iterable[tuple[str, _T]]) -> Iterator[tuple[str, _T, _T]]:
        """(name, its place, the place where it comes again), each time that it does.

        again: the same names once more, with their places.
        """
        suspects = self._suspects()
        if not suspects:
            return
        seen: dict[str, _T] = {}
        for name, place in again:
            if hash(name) not in suspects:
                continue
            if name in seen:
                yield name, seen[name], place
            else:
                seen[name] = place

    def _suspects(self) -> set[int]:
        """Hashes that came more than once."""
        if not self._hashes:
            return set()
        ordered = np.sort(np.frombuffer(self._hashes, dtype=np.int64))
        return {int(found) for found in ordered[1:][ordered[1:] == ordered[:-1]]}
