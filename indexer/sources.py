"""Where pictures come from: a folder, one file, or a catalogue. Opens no picture and no collection."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from clipsearch import images, tables
from clipsearch.errors import SourceError
from clipsearch.types import FieldKind, ImageFile, Payload

IMAGE_COLUMNS = ("image", "image_path", "picture", "photo", "path", "file", "file_name", "filename")
_JUNK_NAMES = frozenset({"@eaDir", "Thumbs.db", "__MACOSX", "$RECYCLE.BIN", "lost+found"})
_MISSING = -1  # n_bytes of a picture that a catalogue names and that is not there


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to read a source; the catalogue's own only matter for a catalogue."""

    image_columns: Sequence[str] = ()
    id_column: str | None = None
    image_root: Path | None = None  # what relative paths of a catalogue are relative to
    encoding: str | None = None
    name: str | None = None  # keeps ids where the source moves to another folder
    hidden: bool = False
    allow_outside: bool = False


class Source(Protocol):
    """Pictures to index. name is part of every id, so it must not change between runs."""

    name: str
    fields: Mapping[str, FieldKind]
    notes: list[str]  # what was decided for the user, to be shown once
    n_other: int  # files passed over because their names are no picture's

    def files(self) -> Iterator[ImageFile]:
        """Every picture, in a stable order; one that is missing has n_bytes -1."""


def open_source(location: Path, options: SourceOptions) -> Source:
    """The source at a path: a folder, a catalogue (.csv, .tsv, .jsonl, .parquet) or one picture.

    Raises SourceError (or TableError), before anything is written, for whatever is wrong with it.
    """
    if location.is_dir():
        if options.image_columns or options.id_column:
            raise SourceError(f"{location} is a folder; --image-column and --id-column are for catalogues")
        return FolderSource(location, options)
    if not location.exists():
        raise SourceError(f"there is no file or folder at {location}; check the path")
    if location.suffix.lower() in tables.SUFFIXES:
        return CatalogueSource(location, options)
    return FileSource(location, options)


@dataclass
class FolderSource:
    """Every picture below a folder, by name; symbolic links to folders are not followed."""

    folder: Path
    options: SourceOptions
    fields: Mapping[str, FieldKind] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    n_other: int = 0

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.name = self.options.name or str(self.folder)
        try:
            os.scandir(self.folder).close()
        except OSError as exc:
            raise SourceError(f"{self.folder} cannot be read: {exc.strerror}; check its permissions") from exc

    def files(self) -> Iterator[ImageFile]:
        self.n_other = 0
        for folder, names, files in os.walk(self.folder):
            names[:] = sorted(name for name in names if not self._is_junk(name))
            for name in sorted(files):
                if self._is_junk(name):
                    continue
                path = Path(folder, name)
                if path.suffix.lower() not in images.SUFFIXES:
                    self.n_other += 1
                    continue
                yield _image_file(self.name, path.relative_to(self.folder).as_posix(), path)

    def _is_junk(self, name: str) -> bool:
        if name in _JUNK_NAMES or name.startswith("._"):
            return True
        return name.startswith(".") and not self.options.hidden


@dataclass
class FileSource:
    """One picture; its folder is the source, so that indexing the folder later finds it unchanged."""

    path: Path
    options: SourceOptions
    fields: Mapping[str, FieldKind] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    n_other: int = 0

    def __post_init__(self) -> None:
        self.path = self.path.resolve()
        self.name = self.options.name or str(self.path.parent)

    def files(self) -> Iterator[ImageFile]:
        yield _image_file(self.name, self.path.name, self.path)


class CatalogueSource:
    """The pictures that a table names; every other column is a field of the record."""

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.path, self.options = path.resolve(), options
        self.name = options.name or str(self.path)
        self.notes: list[str] = []
        self.n_other = 0
        self.table = tables.read_table(self.path, encoding=options.encoding)
        if not self.table.rows:
            raise SourceError(f"{path} has no rows; there is nothing to index")
        self._image_columns = self._chosen_image_columns()
        if options.id_column is not None:
            self._check_column(options.id_column, "--id-column")
        others = [name for name in self.table.columns if name not in self._image_columns]
        self._kinds = tables.infer_kinds(self.table, others)
        if options.id_column is not None:
            self._kinds[options.id_column] = "keyword"
        self.fields: Mapping[str, FieldKind] = dict(self._kinds)
        self._root = self._chosen_root()
        self._check_ids()
        self._check_paths()

    def files(self) -> Iterator[ImageFile]:
        for row in self.table.rows:
            metadata = {name: tables.typed(row.values.get(name), kind) for name, kind in self._kinds.items()}
            known = {name: value for name, value in metadata.items() if value is not None}
            for column, text in self._pictures(row):
                yield _image_file(
                    self.name, self._key(row, column, text), self._path(text), self._grouped(row, known)
                )

    def _pictures(self, row: tables.Row) -> Iterator[tuple[str, str]]:
        """The row's pictures as (column, cell)."""
        for column in self._image_columns:
            text = str(row.values.get(column) or "").strip()
            if text:
                yield column, text

    def _key(self, row: tables.Row, column: str, text: str) -> str:
        """The record's key: its id (and the column, for further pictures), or the picture's path."""
        if self.options.id_column is None:
            return text
        key = str(row.values[self.options.id_column]).strip()
        return key if column == self._image_columns[0] else f"{key}#{column}"

    def _grouped(self, row: tables.Row, known: Payload) -> Payload:
        if self.options.id_column is None:
            return known
        return {**known, "_group": str(row.values[self.options.id_column]).strip()}

    def _path(self, text: str) -> Path:
        return self._root / Path(text)

    def _chosen_image_columns(self) -> tuple[str, ...]:
        if self.options.image_columns:
            for name in self.options.image_columns:
                self._check_column(name, "--image-column")
            return tuple(self.options.image_columns)
        lower = {name.lower(): name for name in self.table.columns}
        for guess in IMAGE_COLUMNS:
            if guess in lower:
                self.notes.append(
                    f"pictures are taken from column {lower[guess]!r} (--image-column names another)"
                )
                return (lower[guess],)
        raise SourceError(
            f"{self.path} has no column of pictures that could be guessed; name it with --image-column. "
            f"Its columns: {', '.join(self.table.columns)}"
        )

    def _check_column(self, name: str, option: str) -> None:
        if name in self.table.columns:
            return
        near = difflib.get_close_matches(name, self.table.columns, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise SourceError(
            f"{self.path} has no column {name!r}{hint}, given with {option}. Its columns: "
            f"{', '.join(self.table.columns)}"
        )

    def _chosen_root(self) -> Path:
        """The folder that the paths are relative to: as told, the catalogue's, or images/ beside it."""
        if self.options.image_root is not None:
            if not self.options.image_root.is_dir():
                raise SourceError(f"there is no folder {self.options.image_root}, given with --image-root")
            return self.options.image_root.resolve()
        beside = self.path.parent
        first = [text for row in self.table.rows[:50] for _, text in self._pictures(row)]
        if any((beside / text).exists() for text in first):
            return beside
        for name in ("images", "Images", "photos", "pictures"):
            if any((beside / name / text).exists() for text in first):
                self.notes.append(
                    f"pictures are taken from {beside / name} (--image-root names another folder)"
                )
                return beside / name
        return beside

    def _check_ids(self) -> None:
        column = self.options.id_column
        seen: dict[str, int] = {}
        for row in self.table.rows:
            if column is not None and not str(row.values.get(column) or "").strip():
                raise SourceError(f"{self.path}, line {row.line}: the id ({column}) is empty; fill it in")
            for image_column, text in self._pictures(row):
                key = self._key(row, image_column, text)
                if key in seen:
                    what = "rows have the id" if column is not None else "rows name the picture"
                    advice = (
                        "If rows are photos of one part, leave --id-column out: each picture is a record"
                        if column is not None
                        else "Name the column that tells them apart with --id-column"
                    )
                    lines = f"lines {seen[key]} and {row.line}"
                    raise SourceError(f"{self.path}: two {what} {key!r}, {lines}. {advice}")
                seen[key] = row.line
        if not seen:
            raise SourceError(
                f"{self.path} names no picture in {', '.join(self._image_columns)}; nothing to index"
            )

    def _check_paths(self) -> None:
        """No row may reach outside the pictures' folder, by '..', absolutely or by a link."""
        if self.options.allow_outside:
            return
        root = self._root.resolve()
        for row in self.table.rows:
            for column, text in self._pictures(row):
                if not self._path(text).resolve().is_relative_to(root):
                    raise SourceError(
                        f"{self.path}, line {row.line}: {column} is {text!r}, which lies outside {root}. "
                        "If that is meant, name the folder with --image-root, or pass --allow-outside"
                    )


def is_missing(file: ImageFile) -> bool:
    """Whether the picture was not there when it was looked for."""
    return file.n_bytes == _MISSING


def _image_file(source: str, key: str, path: Path, metadata: Payload | None = None) -> ImageFile:
    try:
        status = path.stat()
    except OSError:
        return ImageFile(source, key, path, _MISSING, 0, metadata or {})
    return ImageFile(source, key, path, status.st_size, status.st_mtime_ns, metadata or {})
