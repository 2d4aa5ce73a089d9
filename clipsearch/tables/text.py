"""CSV, TSV, JSON lines and JSON arrays as rows. Tells encodings and delimiters; knows no types."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from clipsearch.errors import TableError
from clipsearch.tables.table import Row, Table, checked_columns, is_index

_DELIMITERS = ",;\t|"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # "Unicode text" as Excel saves it
_UNNAMED = "Unnamed: 0"  # as pandas calls its own index when it reads it again


def read_text(path: Path, suffix: str, encoding: str | None) -> Table:
    """The table of a text file. Raises OSError and TableError."""
    text = _decoded(path, encoding)
    if suffix in (".jsonl", ".ndjson"):
        return _read_jsonl(path, text)
    return _read_json(path, text) if suffix == ".json" else _read_csv(path, text)


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


# --- CSV -------------------------------------------------------------------------------------------


def _read_csv(path: Path, text: str) -> Table:
    if "\0" in text:
        raise TableError(f"{path} has NUL bytes in it; it is UTF-16 (try --encoding utf-16) or no CSV")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    # StringIO ends lines as files do; str.splitlines would also cut cells at U+2028, U+0085 and form feeds.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        named = [_UNNAMED, *header[1:]] if header and not header[0] and any(header) else header
        columns = checked_columns(path, named)
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                _check_width(path, line, cells, columns)
                rows.append(Row(line, dict(zip(columns, cells, strict=False))))
            line = reader.line_num + 1
    except csv.Error as exc:
        raise TableError(f"{path}, line {reader.line_num}: {exc}; check the quotation marks") from exc
    return _without_index(Table(path, columns, tuple(rows)), is_unnamed=named is not header)


def _without_index(table: Table, *, is_unnamed: bool) -> Table:
    """The table without the row numbers that pandas writes where it is not told to leave them out."""
    if table.columns[0] != _UNNAMED:
        return table
    numbers = [row.values.get(_UNNAMED) for row in table.rows]
    if numbers != [str(i) for i in range(len(numbers))]:
        if is_unnamed:
            checked_columns(table.path, ["", *table.columns[1:]])
        return table
    for row in table.rows:
        row.values.pop(_UNNAMED, None)
    return Table(table.path, table.columns[1:], table.rows, left_out=(_UNNAMED,))


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


# --- JSON ------------------------------------------------------------------------------------------


def _read_jsonl(path: Path, text: str) -> Table:
    rows: list[Row] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise TableError(f"{path}, line {number} is no JSON: {exc}") from exc
        if not isinstance(values, dict):
            raise TableError(f"{path}, line {number} is no JSON object; each line must be one")
        rows.append(Row(number, values))
    return _of_objects(path, rows)


def _read_json(path: Path, text: str) -> Table:
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError) as exc:
        advice = "; one object a line is .jsonl" if text.lstrip().startswith("{") else ""
        raise TableError(f"{path} is no JSON: {exc}{advice}") from exc
    if not isinstance(values, list):
        raise TableError(f'{path} is no list; a catalogue in JSON is a list of objects: [{{"image": …}}, …]')
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise TableError(f"{path}: number {number} of its list is no JSON object; each must be one")
    return _of_objects(path, [Row(number, value) for number, value in enumerate(values, start=1)])


def _of_objects(path: Path, rows: Iterable[Row]) -> Table:
    kept = tuple(rows)
    columns: dict[str, None] = {}
    for row in kept:
        columns |= dict.fromkeys(row.values)
    left_out = tuple(filter(is_index, columns))
    for row in kept if left_out else ():
        for name in left_out:
            row.values.pop(name, None)
    return Table(
        path, checked_columns(path, [c for c in columns if c not in left_out]), kept, left_out=left_out
    )
