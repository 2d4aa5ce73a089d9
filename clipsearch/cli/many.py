"""Many queries from a file or a folder, and their hits as JSONL, CSV or Parquet. Answers none itself."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click

from clipsearch.cli.pictures import pictures_in
from clipsearch.errors import SourceError, TableError
from clipsearch.files import replaced
from clipsearch.serve.records import hit_record
from clipsearch.types import Page

FORMATS = (".jsonl", ".csv", ".parquet")
COLUMNS = ("query_id", "query", "rank", "key", "score", "cosine", "confidence", "path")
_QUERY_COLUMNS = ("query", "text", "q")
_IMAGE_COLUMNS = ("image", "photo", "picture", "path")
_ID_COLUMNS = ("query_id", "id")


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of the file: its id there, words, and pictures."""

    id: str
    text: str
    images: tuple[Path, ...] = ()

    @property
    def shown(self) -> str:
        """The query as one text."""
        return " + ".join([*([self.text] if self.text else []), *map(str, self.images)])


def read(path: Path) -> list[Asked]:
    """The queries of a folder of pictures, a table with a column `query` or `image`, or a file of lines.

    Pictures in a table are looked for beside the table. Raises SourceError or TableError.
    """
    from clipsearch import tables

    if path.is_dir():
        return [Asked(p.relative_to(path).as_posix(), "", (p,)) for p in pictures_in(path)]
    if path.suffix.lower() in tables.SUFFIXES:
        return _of_table(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise SourceError(f"{path} cannot be read as lines of text ({exc}); write it in UTF-8") from exc
    asked = [Asked(str(n), line.strip()) for n, line in enumerate(lines, start=1) if line.strip()]
    if not asked:
        raise SourceError(f"{path} has no line with a query")
    return asked


def _of_table(path: Path) -> list[Asked]:
    from clipsearch import tables

    table = tables.read_table(path)

    def column(names: Sequence[str]) -> str | None:
        return next((name for name in table.columns if name.lower() in names), None)

    text, image, key = column(_QUERY_COLUMNS), column(_IMAGE_COLUMNS), column(_ID_COLUMNS)
    if text is None and image is None:
        raise TableError(
            f"{path} has the columns {', '.join(table.columns)}; name the one with the queries 'query', and "
            "one with photos 'image'"
        )
    asked = []
    for number, row in enumerate(table.rows, start=1):
        words = str(row.values.get(text) or "").strip() if text else ""
        place = str(row.values.get(image) or "").strip() if image else ""
        if words or place:
            pictures = (path.parent / Path(place).expanduser(),) if place else ()
            asked.append(Asked(str(row.values.get(key) or number) if key else str(number), words, pictures))
    if not asked:
        raise TableError(f"{path} has no row with a query")
    return asked


@contextmanager
def written(out: Path | None) -> Iterator[Output]:
    """Where the answers go: JSON lines on stdout, or a file by its suffix; complete, or not there at all."""
    if out is None:
        yield JsonLines(sys.stdout)
        return
    suffix = out.suffix.lower()
    if suffix not in FORMATS:
        raise click.UsageError(f"--out {out}: the name must end in one of {', '.join(FORMATS)}.")
    with replaced(out) as fresh:
        if suffix == ".parquet":
            sheet = Columns()
            yield sheet
            sheet.save(fresh)
        else:
            with fresh.open("w", encoding="utf-8", newline="") as file:
                yield JsonLines(file) if suffix == ".jsonl" else Csv(file)


class Output:
    """Takes the answers one by one."""

    def add(self, asked: Asked, page: Page) -> None:
        """One query's page."""
        raise NotImplementedError


class JsonLines(Output):
    """An object for each query, with its hits."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, asked: Asked, page: Page) -> None:
        hits = [hit_record(hit, page.offset + i) for i, hit in enumerate(page, start=1)]
        record = {
            "query_id": asked.id,
            "query": asked.shown,
            "confident_until": page.confident_until,
            "hits": hits,
        }
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")


class Csv(Output):
    """A row for each hit."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def add(self, asked: Asked, page: Page) -> None:
        self._writer.writerows(tuple(row.values()) for row in _rows(asked, page))


class Columns(Output):
    """A row for each hit, kept until it is saved as Parquet."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, asked: Asked, page: Page) -> None:
        self._rows += _rows(asked, page)

    def save(self, path: Path) -> None:
        from clipsearch.tables.answers import write_answers

        write_answers(self._rows, path)


def _rows(asked: Asked, page: Page) -> Iterable[dict[str, Any]]:
    for rank, hit in enumerate(page, start=page.offset + 1):
        record = hit_record(hit, rank)
        yield {
            "query_id": asked.id,
            "query": asked.shown,
            **{name: record[name] for name in COLUMNS[2:]},
        }
