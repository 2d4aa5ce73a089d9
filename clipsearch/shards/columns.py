"""Points as Arrow columns and back, exactly. Knows no files.

What is ours has columns of fixed names; each declared field has a column of its kind; what fits none of
them (undeclared fields, a number in a text field, names that are no UTF-8) is JSON in the column `rest`.
A record's words are not in there: whoever stores the points makes them of the payloads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import TableError
from clipsearch.types import Point

FORMAT = 1
METADATA = b"clipsearch"  # our key in the schema's metadata
UNSEEN = -2  # n_bytes of a picture's file that is not known
DType: TypeAlias = Literal["float32", "float16"]

_OURS = {
    "key": ("_key", "keyword"),
    "source": ("_source", "keyword"),
    "path": ("_path", "keyword"),
    "sha256": ("_sha256", "keyword"),
    "width": ("_width", "integer"),
    "height": ("_height", "integer"),
    "group": ("_group", "keyword"),
}
_OTHERS = (
    "id",
    "n_bytes",
    "mtime_ns",
    "metadata_hash",
    "embedding",
    "lexical_indices",  # of earlier versions; not read any more
    "lexical_values",
    "rest",
)
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Header:
    """What a shard says about itself, in its schema's metadata.

    spec: the collection's, as JSON. source and identity: what `encode` made it of; empty in an export.
    """

    spec: Mapping[str, Any]
    dtype: DType = "float32"
    source: str = ""
    identity: str = ""

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return int(self.spec["fingerprint"]["dim"])

    @property
    def columns(self) -> dict[str, str]:
        """The declared fields by the names of their columns; they differ where a field is named as ours."""
        taken = {*_OURS, *_OTHERS}
        columns: dict[str, str] = {}
        for field in self.spec["fields"]:
            column = field
            while column in taken or (column != field and column in self.spec["fields"]):
                column += "_"
            taken.add(column)
            columns[column] = field
        return columns

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "format": FORMAT,
            "clipsearch": version("clipsearch"),
            "dtype": self.dtype,
            "source": self.source,
            "identity": self.identity,
            "spec": dict(self.spec),
        }

    @classmethod
    def from_json(cls, data: Any, *, where: str) -> Header:
        """What to_json wrote. Raises TableError for another version or anything else."""
        found = data.get("format") if isinstance(data, dict) else None
        if found != FORMAT:
            raise TableError(
                f"{where} is no shard of clipsearch's format {FORMAT} (it says {found!r}); make it anew "
                "with `clipsearch encode` or `clipsearch export` of this version"
            )
        try:
            header = cls(data["spec"], data["dtype"], str(data["source"]), str(data["identity"]))
            if header.dtype not in ("float32", "float16") or not 0 < header.dim <= 1 << 20:
                raise ValueError(f"{header.dtype} of {header.dim} dimensions")
            if not isinstance(header.spec["fields"], dict):
                raise ValueError("the fields are no object")
        except (KeyError, TypeError, ValueError) as exc:
            raise TableError(f"{where} is damaged ({type(exc).__name__}: {exc}); make it anew") from exc
        return header


@dataclass(frozen=True, slots=True)
class Rows:
    """Points, and what a ledger remembers of each one's file and columns (UNSEEN, 0, "" if nobody knows)."""

    points: Sequence[Point]
    n_bytes: Sequence[int]
    mtimes_ns: Sequence[int]
    metadata_hashes: Sequence[str]

    def __len__(self) -> int:
        return len(self.points)


def to_table(rows: Rows, header: Header) -> Any:
    """The rows as a pyarrow.Table with the header in its schema's metadata."""
    import pyarrow as pa

    left = [dict(point.payload) for point in rows.points]  # what finds no column
    columns: dict[str, Any] = {"id": pa.array([point.id for point in rows.points], pa.string())}
    for column, (field, kind) in _OURS.items():
        columns[column] = _taken(left, field, kind)
    columns["n_bytes"] = pa.array(rows.n_bytes, pa.int64())
    columns["mtime_ns"] = pa.array(rows.mtimes_ns, pa.int64())
    columns["metadata_hash"] = pa.array(rows.metadata_hashes, pa.string())
    columns["embedding"] = _embeddings(rows.points, header)
    for column, field in header.columns.items():
        columns[column] = _taken(left, field, header.spec["fields"][field])
    columns["rest"] = pa.array([_json(payload) for payload in left], pa.string())
    metadata = {METADATA: json.dumps({**header.to_json(), "columns": header.columns})}
    fields = [
        pa.field(name, column.type, nullable=name not in ("id", "embedding"))
        for name, column in columns.items()
    ]
    return pa.table(list(columns.values()), schema=pa.schema(fields, metadata=metadata))


def from_batch(batch: Any, header: Header) -> Rows:
    """The rows of a pyarrow.RecordBatch. KeyError or ValueError for columns that are not to_table's."""
    matrix = _matrix(batch.column("embedding"), header)  # (N, D)
    payloads = _payloads(batch, header)
    ids = _required(batch, "id")
    points = [
        Point(id, {"image": row}, payload) for id, row, payload in zip(ids, matrix, payloads, strict=True)
    ]
    ours = (_required(batch, name) for name in ("n_bytes", "mtime_ns", "metadata_hash"))
    return Rows(points, *ours)


# --- one column --------------------------------------------------------------------------------------


def _taken(payloads: Sequence[dict[str, Any]], field: str, kind: str) -> Any:
    """The field's column; the values that fit are taken out of the payloads."""
    import pyarrow as pa

    found = [payload.get(field) for payload in payloads]
    is_list = isinstance(next((value for value in found if value is not None), None), list)
    values: list[Any] = []
    for payload, value in zip(payloads, found, strict=True):
        good = value is not None and _fits(value, kind, is_list=is_list)
        values.append(value if good else None)
        if good or value is None:
            payload.pop(field, None)
    types = {"integer": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    type_ = types.get(kind, pa.string())
    return pa.array(values, pa.list_(type_) if is_list else type_)


def _fits(value: Any, kind: str, *, is_list: bool) -> bool:
    if is_list:
        return isinstance(value, list) and all(_fits(v, kind, is_list=False) for v in value)
    if kind == "integer":
        return type(value) is int and -_INT64 <= value < _INT64
    if kind in ("float", "bool"):
        return type(value) is (float if kind == "float" else bool)
    return type(value) is str and (value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value))


def _json(payload: Mapping[str, Any]) -> str | None:
    left = {name: value for name, value in payload.items() if value is not None}
    return json.dumps(left) if left else None  # ASCII, so that lone surrogates come through


def _embeddings(points: Sequence[Point], header: Header) -> Any:
    import pyarrow as pa

    rows = np.empty((len(points), header.dim), dtype=header.dtype)
    for row, point in zip(rows, points, strict=True):
        row[:] = point.vectors["image"]
    return pa.FixedSizeListArray.from_arrays(
        pa.array(rows.reshape(-1)), type=pa.list_(pa.field("item", _arrow(header.dtype)), header.dim)
    )


def _arrow(dtype: DType) -> Any:
    import pyarrow as pa

    return pa.float32() if dtype == "float32" else pa.float16()


# --- and back ----------------------------------------------------------------------------------------


def _matrix(column: Any, header: Header) -> NDArray[np.float32]:
    if getattr(column.type, "list_size", None) != header.dim or column.type.value_type != _arrow(
        header.dtype
    ):
        raise ValueError(f"the embeddings are {column.type}, not {header.dim} times {header.dtype}")
    values = column.flatten()  # without those of null rows, which would shift the others
    if column.null_count or values.null_count:
        raise ValueError("an embedding is missing")
    flat = values.to_numpy(zero_copy_only=False)
    rows: NDArray[np.float32] = flat.reshape(len(column), header.dim).astype(np.float32, copy=False)
    return rows


def _payloads(batch: Any, header: Header) -> list[dict[str, Any]]:
    fields = {**{column: field for column, (field, _) in _OURS.items()}, **header.columns}
    columns = {field: batch.column(column) for column, field in fields.items()}
    columns = {field: column for field, column in columns.items() if column.null_count < len(column)}
    names = list(columns)
    values = zip(*(column.to_pylist() for column in columns.values()), strict=True)
    if not columns:
        payloads: list[dict[str, Any]] = [{} for _ in range(len(batch))]
    elif any(column.null_count for column in columns.values()):
        payloads = [
            {name: value for name, value in zip(names, row, strict=True) if value is not None}
            for row in values
        ]
    else:
        payloads = [dict(zip(names, row, strict=True)) for row in values]
    rest = batch.column("rest")
    if rest.null_count < len(rest):
        for payload, text in zip(payloads, rest.to_pylist(), strict=True):
            payload.update(json.loads(text) if text else {})
    return payloads


def _required(batch: Any, name: str) -> list[Any]:
    column = batch.column(name)
    if column.null_count:
        raise ValueError(f"{name} is missing in a row")
    values: list[Any] = column.to_pylist()
    return values
