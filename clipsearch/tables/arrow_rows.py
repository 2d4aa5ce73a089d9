"""Rows of Arrow columns, made one by one as they are asked for: a million take what their columns take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from clipsearch.tables.table import Row
from clipsearch.types import FieldKind

_BATCH = 10_000  # rows turned into Python's values at once


class ArrowRows(Sequence[Row]):
    """Rows made from columns as they are asked for."""

    def __init__(self, table: Any, n_rows: int) -> None:
        self._table, self._n_rows = table, n_rows

    def __len__(self) -> int:
        return self._n_rows

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | Sequence[Row]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(self._n_rows))]
        number = range(self._n_rows)[at]
        values = (column[number].as_py() for column in self._table.columns)
        return Row(number + 1, dict(zip(self._table.column_names, values, strict=True)))

    def __iter__(self) -> Iterator[Row]:
        return iter(self.only(self._table.column_names))

    def only(self, columns: Iterable[str]) -> Iterator[Row]:
        """Every row, with these of its columns that are not bytes alone."""
        there = set(self._table.column_names)
        names = [name for name in dict.fromkeys(columns) if name in there]
        if not names:
            yield from (Row(number, {}) for number in range(1, self._n_rows + 1))
            return
        number = 0
        for batch in self._table.select(names).to_batches(max_chunksize=_BATCH):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield Row(number, dict(zip(names, values, strict=True)))

    def cells(self, column: str) -> Iterator[Any]:
        """A column's values, each once where Arrow can tell."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if column not in self._table.column_names:
            return
        values = self._table.column(column)
        if not pa.types.is_nested(values.type):
            values = pa.chunked_array([pc.unique(values)])
        for start in range(0, len(values), _BATCH):
            yield from values.slice(start, _BATCH).to_pylist()

    def kind(self, column: str) -> FieldKind | None:
        """What a type says that has only one kind of values, if there are any."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if column not in self._table.column_names:
            return None
        values = self._table.column(column)
        is_whole = pa.types.is_integer(values.type) and not pa.types.is_uint64(values.type)
        if is_whole and values.null_count < len(values):
            return "integer"
        if (
            pa.types.is_floating(values.type)
            and pc.any(pc.is_valid(pc.if_else(pc.is_nan(values), None, values))).as_py()
        ):
            return "float"
        return None
