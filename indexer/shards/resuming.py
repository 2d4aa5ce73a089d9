"""Which shards an interrupted load had done: a file beside the collection, gone when a load has ended."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from indexer.report import write_json

_NAME = "loading.json"


class Resumed:
    """The checksums of shards that are wholly in the collection."""

    def __init__(self, folder: Path, *, n_there: int) -> None:
        """n_there: points in the collection. An empty one was made anew: nothing of it is believed."""
        self._path = folder / _NAME
        self.done = _read(self._path) if n_there else frozenset()

    def add(self, checksums: Iterable[str]) -> None:
        """Remember these; call it when their points are on the disk."""
        done = self.done.union(checksums)
        if done != self.done:
            self.done = done
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, {"shards": sorted(done)})

    def forget(self) -> None:
        """The load has ended: the next one loads everything again."""
        self._path.unlink(missing_ok=True)
        self.done = frozenset()


def _read(path: Path) -> frozenset[str]:
    try:
        return frozenset(map(str, json.loads(path.read_text(encoding="utf-8"))["shards"]))
    except (OSError, ValueError, KeyError, TypeError):  # nothing to go by: everything is loaded again
        return frozenset()
