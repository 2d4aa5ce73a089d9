"""Which of a file's Arrow columns are read at once, and which, of bytes, stay where they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipsearch.tables.arrow_rows import ArrowRows
from clipsearch.tables.table import Blobs, Table, checked_columns, is_index

BYTES, _NAME = "bytes", "path"  # of Hugging Face's pictures, structs of the two


@dataclass(frozen=True, slots=True)
class Plan:
    """Which columns are read at once and which are left where they are."""

    columns: tuple[str, ...]  # of the table, in the file's order
    small_leaves: list[str]  # what Parquet calls the columns read at once
    small_fields: list[str]  # their names; a struct of bytes and a name gives its name
    blob_leaves: dict[str, str]  # name: what Parquet calls the column of bytes
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, schema: Any) -> Plan:
        """Of a schema. Raises TableError for a name that cannot be a column's."""
        names: list[str] = []
        small, fields, blobs, left_out = list[str](), list[str](), dict[str, str](), list[str]()
        for column in schema:
            if is_index(column.name):
                left_out.append(column.name)
                continue
            if _is_bytes(column.type):
                blobs[column.name] = column.name
            elif _is_picture(column.type):
                blobs[column.name] = f"{column.name}.{BYTES}"
                if column.type.get_field_index(_NAME) >= 0:
                    small.append(f"{column.name}.{_NAME}")
                    fields.append(column.name)
            elif _holds_bytes(column.type):
                left_out.append(column.name)
                continue
            else:
                small.append(column.name)
                fields.append(column.name)
            names.append(column.name)
        return cls(checked_columns(path, names), small, fields, blobs, tuple(left_out))

    def table(self, path: Path, small: Any, n_rows: int, blobs: dict[str, Blobs]) -> Table:
        """The table of what was read at once and what was not."""
        rows = ArrowRows(self._flat(small), n_rows)
        return Table(path, self.columns, rows, blobs, self.left_out, rows)

    def small_batch(self, batch: Any) -> Any:
        """A record batch whose pictures are only their names."""
        import pyarrow as pa

        columns = [
            child(batch.column(name), _NAME) if name in self.blob_leaves else batch.column(name)
            for name in self.small_fields
        ]
        return pa.RecordBatch.from_arrays(columns, names=self.small_fields)

    def _flat(self, small: Any) -> Any:
        """Pictures as their names, and dates to what Python has of a second."""
        import pyarrow as pa

        for i, column in enumerate(small.schema):
            if column.name in self.blob_leaves and pa.types.is_struct(column.type):
                names = pa.chunked_array(
                    [child(chunk, _NAME) for chunk in small.column(i).chunks], type=pa.string()
                )
                small = small.set_column(i, column.name, names)
            elif pa.types.is_timestamp(column.type) and column.type.unit == "ns":
                small = small.set_column(
                    i, column.name, small.column(i).cast(pa.timestamp("us", column.type.tz), safe=False)
                )
        return small


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _is_picture(kind: Any) -> bool:
    import pyarrow as pa

    if not pa.types.is_struct(kind):
        return False
    at = kind.get_field_index(BYTES)
    return at >= 0 and _is_bytes(kind.field(at).type)


def _holds_bytes(kind: Any) -> bool:
    """Whether there are bytes anywhere in it."""
    if _is_bytes(kind):
        return True
    return any(_holds_bytes(kind.field(i).type) for i in range(kind.num_fields))


def child(values: Any, name: str) -> Any:
    """A struct's field, empty where the struct is."""
    return values.flatten()[values.type.get_field_index(name)]


def bytes_of(values: Any) -> Any:
    import pyarrow as pa

    return child(values, BYTES) if pa.types.is_struct(values.type) else values
