"""Between shards' rows and the ledger's records. Opens nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clipsearch.shards import Rows
from clipsearch.types import PayloadValue, Point
from indexer.ledger import Restored

_OURS = frozenset({"_key", "_path", "_source", "_sha256", "_width", "_height"})


def restored(rows: Rows) -> Iterator[Restored]:
    """What the ledger is to remember of the rows, now that they are in the collection."""
    files = zip(rows.points, rows.n_bytes, rows.mtimes_ns, rows.metadata_hashes, strict=True)
    for point, n_bytes, mtime_ns, metadata in files:
        known: Any = point.payload.get
        where = (known("_source", ""), known("_key", ""), known("_path", ""))
        yield (point.id, *where, n_bytes, mtime_ns, metadata, known("_sha256"))


def columns_of(point: Point) -> dict[str, PayloadValue]:
    """The record's columns as its source gave them: the payload without what the index adds."""
    return {name: value for name, value in point.payload.items() if name not in _OURS}
