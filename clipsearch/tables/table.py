"""A table of named, typed values, and what may be the name of a column. Reads no file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from clipsearch.errors import TableError
from clipsearch.types import FieldKind

_OF_AN_INDEX = re.compile(r"__index_level_\d+__|__null_dask_index__")
"""Columns in which pandas and Dask keep their row numbers, whose names nobody chose."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record. line is its line in the file (its number from 1 where a format has no lines)."""

    line: int
    values: dict[str, Any]


class Rows(Protocol):
    """Rows that lie elsewhere, as columns; each is made when it is asked for."""

    def only(self, columns: Iterable[str]) -> Iterable[Row]:
        """Every row, with these columns."""

    def cells(self, column: str) -> Iterable[Any]:
        """A column's values, each at least once."""

    def kind(self, column: str) -> FieldKind | None:
        """What the type of a column says; None: look at its values."""


class Blobs(Protocol):
    """One column's bytes, read when they are asked for."""

    def may_have(self, number: int) -> bool:
        """Whether there may be bytes in the row of this number, the first being 0. Reads nothing."""

    def read(self, number: int) -> bytes | None:
        """The bytes; None where there are none. From any thread. Raises TableError."""


@dataclass(frozen=True, slots=True)
class Table:
    """A catalogue: the columns in the file's order, and the rows.

    blobs: the columns of bytes, which rows do not have; where such a cell names a file beside its bytes
    (as in Hugging Face's Parquet), that name is the row's value. left_out: columns that are no data.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Row]
    blobs: Mapping[str, Blobs] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    lazy: Rows | None = None  # the same rows, where they are not in memory one by one

    def only(self, columns: Iterable[str]) -> Iterable[Row]:
        """The rows with at least these columns; cheaper than whole rows where a table is lazy."""
        return self.rows if self.lazy is None else self.lazy.only(columns)

    def cells(self, column: str) -> Iterable[Any]:
        """A column's values, each at least once."""
        if self.lazy is not None:
            return self.lazy.cells(column)
        return (row.values.get(column) for row in self.rows)

    def kind_of_type(self, column: str) -> FieldKind | None:
        """What a column's type says of its kind; None where its values have to be looked at."""
        return None if self.lazy is None else self.lazy.kind(column)


def is_index(name: str) -> bool:
    """Whether a column holds a program's row numbers."""
    return _OF_AN_INDEX.fullmatch(name) is not None


def checked_columns(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The names, without the empty ones at the right. Raises TableError for one that cannot be."""
    if not any(names):
        raise TableError(f"{path} has no header line; its first line must name the columns")
    while not names[-1]:  # spreadsheets write the empty columns at the right, too
        names = names[:-1]
    seen: set[str] = set()
    for i, name in enumerate(names):
        if not name:
            raise TableError(f"{path}: column {i + 1} has no name; name it in the first line")
        if name in seen:
            raise TableError(f"{path}: two columns are named {name!r}; rename one")
        if name.startswith("_"):
            raise TableError(
                f"{path}: column {name!r} begins with '_', which clipsearch keeps for itself; rename it"
            )
        seen.add(name)
    return tuple(names)
