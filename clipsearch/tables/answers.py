"""Hits of many queries out as Parquet, a row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_answers(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write query_id, query, rank, key, score, cosine, confidence and path; also for no rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    words, number = pa.string(), pa.float64()
    schema = pa.schema(
        {
            "query_id": words,
            "query": words,
            "rank": pa.int64(),
            "key": words,
            "score": number,
            "cosine": number,
            "confidence": number,
            "path": words,
        }
    )
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), path)
