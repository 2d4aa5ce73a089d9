"""The cells of a catalogue that are pictures: paths, addresses and bytes. Guesses which columns have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

from clipsearch import tables
from clipsearch.errors import ImageError, SourceError, TableError
from clipsearch.types import FieldKind, ImageFile, Payload
from indexer.sources.addresses import is_address
from indexer.sources.unique import Unique

IMAGE_COLUMNS = (
    *("image", "image_path", "picture", "photo", "path", "file", "file_name", "filename", "filepath"),
    *("img", "画像", "写真"),
)
_BYTES_COLUMNS = (
    *IMAGE_COLUMNS,
    "image_bytes",
    "img_bytes",
    "bytes",
    "content",
    "jpg",
    "jpeg",
    "png",
    "webp",
)
_URL_COLUMNS = ("url", "image_url", "img_url", "imageurl", "image_link", "photo_url")
_ID_COLUMN = "key"  # img2dataset's
_PROSE_COLUMNS = ("caption", "text")  # LAION's, img2dataset's and clip-retrieval's
_LOOKED_AT = 50  # rows that tell what a column has


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of a row. text: its path or address; the name beside its bytes, or ''."""

    column: str
    text: str
    is_bytes: bool

    @property
    def is_path(self) -> bool:
        return not self.is_bytes and not is_address(self.text)


def cells(table: tables.Table, columns: Iterable[str], row: tables.Row) -> Iterator[Cell]:
    """The row's pictures; an empty cell is none."""
    for column in columns:
        text = str(row.values.get(column) or "").strip()
        blobs = table.blobs.get(column)
        if blobs is not None and blobs.may_have(row.line - 1):
            yield Cell(column, text, is_bytes=True)
        elif text:
            yield Cell(column, text, is_bytes=False)


# --- guesses ---------------------------------------------------------------------------------------


def guessed_image_column(table: tables.Table) -> str | None:
    """The column whose name says that it has pictures: bytes before paths, paths before addresses."""
    texts = [name for name in table.columns if name not in table.blobs]
    return (
        _named(_BYTES_COLUMNS, table.blobs)
        or _named(IMAGE_COLUMNS, texts)
        or _named(_URL_COLUMNS, texts)
        or (next(iter(table.blobs)) if len(table.blobs) == 1 else None)
    )


def guessed_id_column(table: tables.Table, image_columns: Sequence[str]) -> str | None:
    """img2dataset's key, where pictures have no paths of their own and it tells all rows apart."""
    name = _named((_ID_COLUMN,), table.columns)
    first = next((c for row in table.only(image_columns) for c in cells(table, image_columns, row)), None)
    if name is None or name in image_columns or first is None or first.is_path:
        return None
    return name if _tells_apart(table, name) else None


def names_are_keys(table: tables.Table, column: str) -> bool:
    """Whether every picture's bytes have a name beside them that no other has."""
    return column in table.blobs and _tells_apart(table, column)


def with_prose(kinds: Mapping[str, FieldKind]) -> tuple[dict[str, FieldKind], list[str]]:
    """The kinds, with captions as free text however short they are; and which these are."""
    prose = [n for n, kind in kinds.items() if n.lower() in _PROSE_COLUMNS and kind == "keyword"]
    return {**kinds, **dict.fromkeys(prose, "text")}, prose


def first_paths(table: tables.Table, columns: Sequence[str]) -> list[str]:
    """Some of the paths that the table names."""
    found = (cell for row in islice(table.only(columns), _LOOKED_AT) for cell in cells(table, columns, row))
    return [cell.text for cell in found if cell.is_path]


def _named(names: Iterable[str], columns: Iterable[str]) -> str | None:
    """The column with the first of these names, in whatever case."""
    lower = {column.lower(): column for column in reversed(list(columns))}
    return next((lower[name] for name in names if name in lower), None)


def _tells_apart(table: tables.Table, column: str) -> bool:
    """Whether no cell is empty and none comes twice."""
    unique = Unique()
    for row in table.only([column]):
        value = row.values.get(column)
        text = "" if value is None else str(value).strip()
        if not text:
            return False
        unique.add(text)
    again = ((str(row.values[column]).strip(), row.line) for row in table.only([column]))
    return next(unique.repeated(again), None) is None


# --- bytes -----------------------------------------------------------------------------------------


def bytes_file(
    source: str, key: str, table: tables.Table, row: tables.Row, cell: Cell, stamp: int, metadata: Payload
) -> ImageFile:
    """The picture whose bytes are in the row. Its state is its catalogue's; its size is not known yet."""
    where = f"{table.path}#{cell.column}/{row.line}"
    read = partial(_read, table.blobs[cell.column], row.line - 1, where)
    return ImageFile(source, key, where, 0, stamp, metadata, read)


def read_cell(path: str) -> bytes | None:
    """The bytes of a picture in a catalogue, by its path as it was indexed; None for another kind of path.

    Raises ImageError for bytes, SourceError for a catalogue, that cannot be read.
    """
    catalogue, mark, place = path.rpartition("#")
    column, slash, number = place.rpartition("/")
    if not (mark and slash and number.isdecimal()) or Path(catalogue).suffix.lower() not in tables.SUFFIXES:
        return None
    try:
        blobs = _opened(catalogue, stamp(Path(catalogue))).blobs.get(column)
    except (TableError, OSError) as exc:
        raise SourceError(f"{catalogue} cannot be read: {exc}") from exc
    return None if blobs is None else _read(blobs, int(number) - 1, path)


def stamp(path: Path) -> int:
    """A number that is another when the catalogue's size or date is. Raises OSError."""
    status = path.stat()
    return (status.st_mtime_ns + (status.st_size << 1)) % (2**63 - 1)


@lru_cache(maxsize=2)
def _opened(path: str, stamp: int) -> tables.Table:
    return tables.read_table(Path(path))


def _read(blobs: tables.Blobs, number: int, where: str) -> bytes:
    try:
        data = blobs.read(number)
    except TableError as exc:
        raise ImageError("unreadable", f"{where}: {exc}") from exc
    if not data:
        raise ImageError("empty", f"{where}: the cell is empty; leave out the row, or fill it in")
    return data
