"""Catalogues in: CSV, TSV, JSON lines and Parquet as rows of named, typed values.

The only module that knows pyarrow. Knows nothing of pictures or of where a row goes.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from clipsearch.errors import TableError
from clipsearch.types import FieldKind, PayloadValue

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_DELIMITERS = ",;\t|"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # "Unicode text" as Excel saves it
# Numbers but no part numbers: 007 and 01.50 keep their zeros, 4E7 its letter, twenty digits all of them.
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?(?:(?:0|[1-9]\d*)\.\d*|\.\d+|(?:0|[1-9]\d*)(?=[eE][+-]))(?:[eE][+-]?\d+)?", re.ASCII
)
_LIST = re.compile(r"[;|]")
_INT64 = 2**63
_LONG_TEXT = 80  # characters: longer values are prose, not labels


@dataclass(frozen=True, slots=True)
class Row:
    """One record. line is its line in the file (its number from 1 where a format has no lines)."""

    line: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A catalogue in memory: the columns in the file's order, and the rows."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(path: Path, *, encoding: str | None = None) -> Table:
    """The whole table. encoding: of a text file; None means UTF-8, with or without a byte order mark.

    Raises TableError: not readable, wrong encoding, a ragged row, a repeated or empty column name.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise TableError(f"{path} is no catalogue: its name must end in one of {', '.join(SUFFIXES)}")
    try:
        if suffix == ".parquet":
            return _read_parquet(path)
        text = _decoded(path, encoding)
    except OSError as exc:
        raise TableError(f"{path} cannot be read: {exc.strerror or exc}; check the path") from exc
    return _read_jsonl(path, text) if suffix in (".jsonl", ".ndjson") else _read_csv(path, text)


def _decoded(path: Path, encoding: str | None) -> str:
    data = path.read_bytes()
    if encoding is None and data.startswith(_UTF16_MARKS):
        encoding = "utf-16"
    try:
        return data.decode(encoding or "utf-8-sig").removeprefix("\ufeff")
    except LookupError:
        raise TableError(f"there is no encoding {encoding!r}; common ones: utf-8, cp932, latin-1") from None
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise TableError(
            f"{path} is not {encoding or 'UTF-8'}: byte 0x{data[exc.start]:02x} in line {line}. "
            "Say which encoding it is, for example --encoding cp932 (Japanese Windows) or --encoding latin-1"
        ) from exc


def _read_csv(path: Path, text: str) -> Table:
    if "\0" in text:
        raise TableError(f"{path} has NUL bytes in it; it is UTF-16 (try --encoding utf-16) or no CSV")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    # StringIO ends lines as files do; str.splitlines would also cut cells at U+2028, U+0085 and form feeds.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    try:
        columns = _checked_columns(path, [name.strip() for name in next(reader, [])])
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                _check_width(path, line, cells, columns)
                rows.append(Row(line, dict(zip(columns, cells, strict=False))))
            line = reader.line_num + 1
    except csv.Error as exc:
        raise TableError(f"{path}, line {reader.line_num}: {exc}; check the quotation marks") from exc
    return Table(path, columns, tuple(rows))


def _check_width(path: Path, line: int, cells: Sequence[str], columns: Sequence[str]) -> None:
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise TableError(
            f"{path}, line {line}: {len(cells)} cells for {len(columns)} columns; "
            "a cell with a comma must be in quotation marks"
        )


def _delimiter(text: str) -> str:
    """The delimiter that cuts the header into most cells; quotation marks hold a cell together."""

    def n_cells(delimiter: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=n_cells)


def _checked_columns(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    if not any(names):
        raise TableError(f"{path} has no header line; its first line must name the columns")
    while not names[-1]:  # spreadsheets write the empty columns at the right, too
        names = names[:-1]
    for i, name in enumerate(names):
        if not name:
            raise TableError(f"{path}: column {i + 1} has no name; name it in the first line")
        if name in names[:i]:
            raise TableError(f"{path}: two columns are named {name!r}; rename one")
        if name.startswith("_"):
            raise TableError(
                f"{path}: column {name!r} begins with '_', which clipsearch keeps for itself; rename it"
            )
    return tuple(names)


def _read_jsonl(path: Path, text: str) -> Table:
    rows: list[Row] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as exc:
            raise TableError(f"{path}, line {number} is no JSON: {exc}") from exc
        if not isinstance(values, dict):
            raise TableError(f"{path}, line {number} is no JSON object; each line must be one")
        columns |= dict.fromkeys(values)
        rows.append(Row(number, values))
    return Table(path, _checked_columns(path, list(columns)), tuple(rows))


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as exc:
        raise TableError(f"{path} is no readable Parquet file: {exc}") from exc
    columns = _checked_columns(path, table.column_names)
    return Table(path, columns, tuple(Row(i, row) for i, row in enumerate(table.to_pylist(), start=1)))


def infer_kinds(table: Table, columns: Iterable[str], *, lists: Iterable[str] = ()) -> dict[str, FieldKind]:
    """The kind of each column, from all its values; a column without values is left out.

    lists: columns whose cells hold several values.
    """
    kinds: dict[str, FieldKind] = {}
    lists = frozenset(lists)
    for column in columns:
        found = {_kind(value) for value in _distinct(table, column, split=column in lists)}
        if found == {"integer", "float"}:
            found = {"float"}
        if len(found) == 1:
            kinds[column] = found.pop()
        elif found:
            kinds[column] = "text" if "text" in found else "keyword"
    return kinds


def typed(value: Any, kind: FieldKind, *, split: bool = False) -> PayloadValue:
    """A cell as its column's kind; None for an empty one. split: a;b and a|b are lists."""
    values = [_as(v, kind) for v in _values(value, split=split)]
    if split or isinstance(value, (list, tuple)):
        return values or None
    return values[0] if values else None


def fits(value: Any, kind: FieldKind, *, split: bool = False) -> bool:
    """Whether every value of the cell can be held by a field of that kind; an empty cell fits any."""
    if kind in ("keyword", "text"):
        return True
    good = {"integer", "float"} if kind == "float" else {kind}
    return all(_kind(v) in good for v in _values(value, split=split))


def _distinct(table: Table, column: str, *, split: bool) -> Iterable[Any]:
    """The column's values, each text once: a catalogue repeats its materials and colours."""
    texts: set[str] = set()
    for row in table.rows:
        cell = row.values.get(column)
        if not isinstance(cell, str):
            yield from _values(cell, split=split)
        elif cell not in texts:
            texts.add(cell)
            yield from _values(cell, split=split)


def _values(value: Any, *, split: bool = False) -> list[Any]:
    """The value, or a list's values, without the empty ones; bytes are no values."""
    if split and isinstance(value, str):
        value = [part.strip() for part in _LIST.split(value)]
    items = value if isinstance(value, (list, tuple)) else [value]
    return [
        v
        for v in items
        if not (v is None or isinstance(v, bytes) or (isinstance(v, str) and not v.strip()) or _is_nan(v))
    ]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _kind(value: Any) -> FieldKind:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "integer" if -_INT64 <= value < _INT64 else "keyword"
    if isinstance(value, float):
        return "float"
    if isinstance(value, (datetime, date)):
        return "datetime"
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return "bool"
    if _INTEGER.fullmatch(text):
        return "integer"
    if _FLOAT.fullmatch(text):
        return "float"
    if _is_date(text):
        return "datetime"
    return "text" if len(text) > _LONG_TEXT else "keyword"


def _is_date(text: str) -> bool:
    if not re.match(r"\d{4}-\d{2}-\d{2}", text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _as(value: Any, kind: FieldKind) -> str | int | float | bool:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bool):
        return value if kind == "bool" else str(value).lower()
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    text = str(value).strip()
    if kind == "bool":
        return text.lower() == "true"
    if kind == "integer":
        return int(text)
    if kind == "float":
        return float(text)
    if kind == "datetime" and len(text) > len("2026-01-31"):
        return datetime.fromisoformat(text).isoformat()  # the engines know fewer spellings than Python
    return text
