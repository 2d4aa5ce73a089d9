"""What a column's values are: their kind, and a cell as a value of it. Reads no file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from clipsearch.tables.table import Table
from clipsearch.types import FieldKind, PayloadValue

# Numbers but no part numbers: 007 and 01.50 keep their zeros, 4E7 its letter, twenty digits all of them.
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?(?:(?:0|[1-9]\d*)\.\d*|\.\d+|(?:0|[1-9]\d*)(?=[eE][+-]))(?:[eE][+-]?\d+)?", re.ASCII
)
_LIST = re.compile(r"[;|]")
_INT64 = 2**63
_LONG_TEXT = 80  # characters: longer values are prose, not labels


def infer_kinds(table: Table, columns: Iterable[str], *, lists: Iterable[str] = ()) -> dict[str, FieldKind]:
    """The kind of each column, from all its values; a column without values is left out.

    lists: columns whose cells hold several values.
    """
    kinds: dict[str, FieldKind] = {}
    lists = frozenset(lists)
    for column in columns:
        known = table.kind_of_type(column)
        found = {known} if known else _found(_distinct(table, column, split=column in lists))
        if found == {"integer", "float"}:
            found = {"float"}
        if len(found) == 1:
            kinds[column] = found.pop()
        elif found:
            kinds[column] = "text" if "text" in found else "keyword"
    return kinds


def _found(values: Iterable[Any]) -> set[FieldKind]:
    """The values' kinds; prose among them decides, and ends the search."""
    found: set[FieldKind] = set()
    for value in values:
        found.add(_kind(value))
        if "text" in found:
            break
    return found


def typed(value: Any, kind: FieldKind, *, split: bool = False) -> PayloadValue:
    """A cell as its column's kind; None for an empty one. split: a;b and a|b are lists."""
    if not split:  # most cells, in a third of the time
        if type(value) is str and kind in ("keyword", "text"):
            return value.strip() or None
        if type(value) is int and kind == "integer":
            return value
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
    for cell in table.cells(column):
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
