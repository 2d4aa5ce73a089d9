"""Parquet files as tables: the small columns in memory as Arrow has them, bytes left in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from clipsearch.errors import TableError
from clipsearch.tables.blobs import LazyBlobs, rows_at_once
from clipsearch.tables.plan import Plan, bytes_of
from clipsearch.tables.table import Blobs, Table

_BUFFER = 1 << 20  # bytes read ahead in a column of bytes


def read_parquet(path: Path) -> Table:
    """The table of a Parquet file. Raises TableError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            schema, metadata = file.schema_arrow, file.metadata
            plan = Plan.of(path, schema)
            small = file.read(columns=plan.small_leaves)
    except (pa.ArrowException, OSError) as exc:
        raise TableError(f"{path} is no readable Parquet file: {exc}") from exc
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    starts = list(accumulate((group.num_rows for group in groups), initial=0))
    blobs: dict[str, Blobs] = {}
    for name, leaf in plan.blob_leaves.items():
        chunks = [_chunk(group, leaf) for group in groups]
        steps = [rows_at_once(chunk.total_uncompressed_size, chunk.num_values) for chunk in chunks]
        blobs[name] = LazyBlobs(
            path,
            starts,
            _parquet_batches(path, leaf, steps),
            empty=[_is_empty(chunk) for chunk in chunks],
        )
    return plan.table(path, small, metadata.num_rows, blobs)


def _chunk(group: Any, leaf: str) -> Any:
    """What a row group's metadata says of a column."""
    columns = (group.column(i) for i in range(group.num_columns))
    return next(column for column in columns if column.path_in_schema == leaf)


def _is_empty(chunk: Any) -> bool:
    statistics = chunk.statistics
    known = statistics is not None and statistics.has_null_count
    return known and statistics.null_count == chunk.num_values


def _parquet_batches(path: Path, leaf: str, steps: Sequence[int]) -> Callable[[int], Iterator[Any]]:
    """Opens a row group's column; read in steps, for a group may be as large as the file."""

    def batches(group: int) -> Iterator[Any]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            for batch in file.iter_batches(
                batch_size=steps[group], row_groups=[group], columns=[leaf], use_threads=False
            ):
                yield bytes_of(batch.column(0))

    return batches
