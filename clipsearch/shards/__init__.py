"""Shards: embeddings and payloads as Parquet files that any store can be filled from.

With `clipsearch.tables` the only place that knows pyarrow. Knows neither stores nor pictures; a
collection's spec passes through as JSON.
"""

from __future__ import annotations

from clipsearch.shards.clip_retrieval import write_partition
from clipsearch.shards.columns import UNSEEN, DType, Header, Rows
from clipsearch.shards.folder import (
    Batch,
    Found,
    Shard,
    find,
    finished,
    is_ours,
    mark_whole,
    read_finished,
    remove,
    write,
)

__all__ = [
    "UNSEEN",
    "Batch",
    "DType",
    "Found",
    "Header",
    "Rows",
    "Shard",
    "find",
    "finished",
    "is_ours",
    "mark_whole",
    "read_finished",
    "remove",
    "write",
    "write_partition",
]
