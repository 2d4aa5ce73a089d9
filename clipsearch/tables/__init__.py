"""Catalogues in: CSV, TSV, JSON, JSON lines, Parquet and Arrow as rows of named, typed values.

Owns pyarrow. Knows nothing of pictures or of where a row goes.
"""

from __future__ import annotations

from pathlib import Path

from clipsearch.errors import TableError
from clipsearch.tables.kinds import fits, infer_kinds, typed
from clipsearch.tables.table import Blobs, Row, Table

_TEXT = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_PARQUET = (".parquet", ".pq")
_ARROW = (".arrow", ".feather", ".ipc")
SUFFIXES = (*_TEXT, *_PARQUET, *_ARROW)

__all__ = ["SUFFIXES", "Blobs", "Row", "Table", "fits", "infer_kinds", "read_table", "typed"]


def read_table(path: Path, *, encoding: str | None = None) -> Table:
    """The whole table; of columns with bytes only where they are, see Table.blobs.

    encoding: of a text file; None means UTF-8, with or without a byte order mark. Raises TableError: not
    readable, wrong encoding, a ragged row, a repeated or empty column name.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise TableError(f"{path} is no catalogue: its name must end in one of {', '.join(SUFFIXES)}")
    try:
        if suffix in _TEXT:
            from clipsearch.tables.text import read_text

            return read_text(path, suffix, encoding)
        if suffix in _PARQUET:
            from clipsearch.tables.parquet import read_parquet

            return read_parquet(path)
        from clipsearch.tables.arrow_file import read_arrow

        return read_arrow(path)
    except OSError as exc:
        raise TableError(f"{path} cannot be read: {exc.strerror or exc}; check the path") from exc
