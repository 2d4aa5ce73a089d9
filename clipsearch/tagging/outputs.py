"""Tags as files: JSON lines, CSV and Parquet, each complete or not there at all.

Owns their columns. Decides no tag and knows no store.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from clipsearch.errors import TaggingError
from clipsearch.files import replaced
from clipsearch.types import Tag, Tagged

FORMATS = (".jsonl", ".csv", ".parquet")
COLUMNS = ("key", "path", "tag", "confidence", "hierarchy", "label", "implied")
_DIGITS = 4  # of a confidence
_PATH_SIGN = "|"  # between a hierarchy's names, as in lr:hierarchicalSubject


class Output(Protocol):
    """Takes the records batch by batch."""

    def add(self, records: Sequence[Tagged]) -> None: ...


@contextmanager
def written(path: Path) -> Iterator[Output]:
    """The file to write to, by its suffix; it takes its place when the block ends without an error.

    Raises TaggingError for another suffix or a folder that is not there.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise TaggingError(f"tags cannot be written to {path}: end its name in one of {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise TaggingError(f"there is no folder {path.absolute().parent} to write {path.name} into; make it")
    with replaced(path) as fresh:
        if suffix == ".parquet":
            with _parquet(fresh) as columns:
                yield columns
            return
        # Names may hold bytes that are no UTF-8. In JSON their escape is what "backslashreplace" writes.
        errors = "backslashreplace" if suffix == ".jsonl" else "surrogateescape"
        with fresh.open("w", encoding="utf-8", errors=errors, newline="") as file:
            yield JsonLines(file) if suffix == ".jsonl" else Csv(file)


def record(tagged: Tagged) -> dict[str, Any]:
    """A record with its tags, as JSON lines have it."""
    return {
        "key": _key(tagged),
        "path": _path(tagged),
        "id": tagged.id,
        "tags": [
            {
                "tag": tag.name,
                "confidence": round(tag.confidence, _DIGITS),
                "hierarchy": [list(path) for path in tag.paths],
                "label": tag.id,
                "implied": tag.implied,
            }
            for tag in tagged.tags
        ],
    }


class JsonLines:
    """An object for each record, also for those without a tag."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, records: Sequence[Tagged]) -> None:
        """A line for each of the records."""
        self._file.writelines(json.dumps(record(one), ensure_ascii=False) + "\n" for one in records)


class Csv:
    """A row for each tag; a record without one has none."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def add(self, records: Sequence[Tagged]) -> None:
        """The rows of the records' tags."""
        for one in records:
            key, path = _key(one), _path(one)
            self._writer.writerows(
                (
                    key,
                    path,
                    tag.name,
                    f"{tag.confidence:.{_DIGITS}f}",
                    _hierarchy(tag),
                    tag.id,
                    str(tag.implied).lower(),
                )
                for tag in one.tags
            )


@contextmanager
def _parquet(path: Path) -> Iterator[Output]:
    """A row for each record, with lists of equal length: its tags, their confidences, …"""
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = pa.list_(pa.string())
    schema = pa.schema(
        {
            "key": pa.string(),
            "path": pa.string(),
            "id": pa.string(),
            "tags": words,
            "confidences": pa.list_(pa.float32()),
            "hierarchies": words,
            "labels": words,
            "implied": pa.list_(pa.bool_()),
        }
    )

    class Columns:
        def add(self, records: Sequence[Tagged]) -> None:
            columns: list[Any] = [
                _storable(_key(one) for one in records),
                _storable(_path(one) for one in records),
                [one.id for one in records],
                [_storable(tag.name for tag in one.tags) for one in records],
                [[round(tag.confidence, _DIGITS) for tag in one.tags] for one in records],
                [_storable(_hierarchy(tag) for tag in one.tags) for one in records],
                [_storable(tag.id for tag in one.tags) for one in records],
                [[tag.implied for tag in one.tags] for one in records],
            ]
            arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

    with pq.ParquetWriter(path, schema) as writer:
        yield Columns()


def _hierarchy(tag: Tag) -> str:
    """The names from the root, with | between them; of several broader labels the first one's."""
    return _PATH_SIGN.join(tag.paths[0]) if tag.paths else tag.name


def _key(tagged: Tagged) -> str:
    return str(tagged.payload.get("_key", tagged.id))


def _path(tagged: Tagged) -> str:
    return str(tagged.payload.get("_path", ""))


def _storable(texts: Iterable[str]) -> list[str]:
    """The texts as Parquet takes them: what is no UTF-8 becomes a question mark."""
    return [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
