"""Arrow files and streams as tables, mapped into memory: what is not packed is read when it is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from clipsearch.errors import TableError
from clipsearch.tables.blobs import LazyBlobs, rows_at_once
from clipsearch.tables.plan import BYTES, Plan, bytes_of
from clipsearch.tables.table import Blobs, Table

_FILE_MARK = b"ARROW1"  # what a file begins with, and a stream does not


def read_arrow(path: Path) -> Table:
    """The table of an Arrow file (Feather) or stream (Hugging Face's cache). Raises TableError."""
    import pyarrow as pa

    try:
        file = _ArrowFile(path)
        plan = Plan.of(path, file.schema)
        wanted = [file.schema.get_field_index(leaf.partition(".")[0]) for leaf in plan.small_fields]
        small_batches, n_rows = [], 0
        for batch in file.batches(wanted or [0]):
            n_rows += batch.num_rows
            small_batches.append(plan.small_batch(batch) if wanted else batch.select([]))
        small = (
            pa.Table.from_batches(small_batches) if small_batches else file.schema.empty_table().select([])
        )
        starts = file.starts(n_rows)
    except (pa.ArrowException, OSError) as exc:
        raise TableError(f"{path} is no readable Arrow file: {exc}") from exc
    blobs: dict[str, Blobs] = {
        name: LazyBlobs(path, starts, file.blob_batches(leaf)) for name, leaf in plan.blob_leaves.items()
    }
    return plan.table(path, small, n_rows, blobs)


class _ArrowFile:
    """A file, which can be begun to be read at any batch, or a stream, which cannot."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            self._is_file = file.read(len(_FILE_MARK)) == _FILE_MARK
        reader = self._reader(None)
        self.schema = reader.schema
        self._n_batches = reader.num_record_batches if self._is_file else 1
        self._sizes: list[int] = []

    def batches(self, fields: Sequence[int]) -> Iterator[Any]:
        """Every record batch, of these fields."""
        reader = self._reader(fields)
        for batch in map(reader.get_batch, range(self._n_batches)) if self._is_file else reader:
            self._sizes.append(batch.num_rows)
            yield batch

    def starts(self, n_rows: int) -> list[int]:
        """Where reading can begin: at every batch of a file, at the first of a stream."""
        return list(accumulate(self._sizes, initial=0)) if self._is_file else [0, n_rows]

    def blob_batches(self, leaf: str) -> Callable[[int], Iterator[Any]]:
        """Opens a segment's column of bytes."""
        name = leaf.removesuffix(f".{BYTES}") if leaf not in self.schema.names else leaf
        field = self.schema.get_field_index(name)

        def batches(segment: int) -> Iterator[Any]:
            reader = self._reader([field])
            for batch in [reader.get_batch(segment)] if self._is_file else reader:
                yield from _slices(bytes_of(batch.column(0)))

        return batches

    def _reader(self, fields: Sequence[int] | None) -> Any:
        import pyarrow as pa

        options = pa.ipc.IpcReadOptions(included_fields=fields)
        source = pa.memory_map(str(self._path))
        return (pa.ipc.open_file if self._is_file else pa.ipc.open_stream)(source, options=options)


def _slices(values: Any) -> Iterator[Any]:
    """A batch in parts, so that what is kept is small; a part points into the file."""
    step = rows_at_once(values.nbytes, len(values))
    for start in range(0, len(values), step):
        yield values.slice(start, step)
