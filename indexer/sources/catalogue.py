"""The pictures that a table names, with the table's columns. Opens no picture."""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clipsearch import tables
from clipsearch.errors import SourceError
from clipsearch.types import FieldKind, ImageFile, Payload
from indexer.sources.source import Source, SourceOptions, image_file

IMAGE_COLUMNS = (
    *("image", "image_path", "picture", "photo", "path", "file", "file_name", "filename", "filepath"),
    *("img", "画像", "写真"),
)
_FOLDERS_BESIDE = ("images", "Images", "photos", "pictures")


class CatalogueSource:
    """One row is one record; each of its pictures is a point. Every other column is a field."""

    complete = True
    n_readers = 0

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.path, self.options = path.resolve(), options
        self.name, self.named = options.name or str(self.path), options.name is not None
        self.notes: list[str] = []
        self.n_other = 0
        self.table = tables.read_table(self.path, encoding=options.encoding)
        if not self.table.rows:
            raise SourceError(f"{path} has no rows; there is nothing to index")
        self._image_columns = self._chosen_image_columns()
        for name, option in (
            (options.id_column, "--id-column"),
            *((n, "--list-column") for n in options.list_columns),
        ):
            if name is not None:
                self._check_column(name, option)
        self._kinds = self._inferred_kinds()
        self._root = self._chosen_root()
        self.n_files: int | None = self._check_ids()
        self._check_paths()

    @property
    def parts(self) -> Sequence[Source]:
        """Itself."""
        return (self,)

    @property
    def fields(self) -> Mapping[str, FieldKind]:
        """The columns and their kinds."""
        return dict(self._kinds)

    def conform(self, declared: Mapping[str, FieldKind], *, collection: str) -> None:
        """Take on the kinds that a collection's fields have. SourceError for a value that does not fit."""
        for name, kind in self._kinds.items():
            wanted = declared.get(name, kind)
            if wanted == kind:
                continue
            for row in self.table.rows:
                if not tables.fits(row.values.get(name), wanted, split=self._is_list(name)):
                    raise SourceError(
                        f"{self.path}, line {row.line}: {name} is {row.values[name]!r}, but collection "
                        f"{collection!r} holds {wanted} values in that field. Mend the cell or rename the "
                        "column (no picture is encoded again), or index into another collection"
                    )
            self._kinds[name] = wanted

    def files(self) -> Iterator[ImageFile]:
        """Every picture of every row."""
        kinds = [(name, kind, self._is_list(name)) for name, kind in self._kinds.items()]
        for row in self.table.rows:
            values = (
                (name, tables.typed(row.values.get(name), kind, split=split)) for name, kind, split in kinds
            )
            metadata = {name: value for name, value in values if value is not None}
            for column, text in self._pictures(row):
                yield image_file(
                    self.name, self._key(row, column, text), self._located(text), self._grouped(row, metadata)
                )

    # --- rows ------------------------------------------------------------------------------------

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

    def _grouped(self, row: tables.Row, metadata: Payload) -> Payload:
        if self.options.id_column is None:
            return metadata
        return {**metadata, "_group": str(row.values[self.options.id_column]).strip()}

    def _located(self, text: str) -> Path:
        """The picture's path: as written, or in another spelling if only that is there."""
        paths = [self._root / spelling for spelling in _spellings(text)]
        return paths[0] if len(paths) == 1 else next(filter(_exists, paths), paths[0])

    def _is_list(self, name: str) -> bool:
        return name in self.options.list_columns

    # --- what was asked for, checked before the run ------------------------------------------------

    def _chosen_image_columns(self) -> tuple[str, ...]:
        if self.options.image_columns:
            for name in self.options.image_columns:
                self._check_column(name, "--image-column")
            return tuple(dict.fromkeys(self.options.image_columns))
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

    def _inferred_kinds(self) -> dict[str, FieldKind]:
        others = [name for name in self.table.columns if name not in self._image_columns]
        kinds = tables.infer_kinds(self.table, others, lists=self.options.list_columns)
        if self.options.id_column is not None:
            kinds[self.options.id_column] = "keyword"
        return kinds

    def _chosen_root(self) -> Path:
        """The folder that the paths are relative to: as told, the catalogue's, or images/ beside it."""
        if self.options.image_root is not None:
            if not self.options.image_root.is_dir():
                raise SourceError(f"there is no folder {self.options.image_root}, given with --image-root")
            return self.options.image_root.resolve()
        beside = self.path.parent
        first = [text for row in self.table.rows[:50] for _, text in self._pictures(row)]
        for folder in (beside, *(beside / name for name in _FOLDERS_BESIDE)):
            if any(_exists(folder / spelling) for text in first for spelling in _spellings(text)):
                if folder != beside:
                    self.notes.append(f"pictures are taken from {folder} (--image-root names another folder)")
                return folder
        return beside

    def _check_ids(self) -> int:
        """The number of pictures, whose keys are all different."""
        column, n_empty = self.options.id_column, 0
        seen: dict[str, int] = {}
        for row in self.table.rows:
            if column is not None and not str(_or_empty(row.values.get(column))).strip():
                raise SourceError(f"{self.path}, line {row.line}: the id ({column}) is empty; fill it in")
            before = len(seen)
            for image_column, text in self._pictures(row):
                key = self._key(row, image_column, text)
                if key in seen:
                    raise self._twice(key, seen[key], row.line)
                seen[key] = row.line
            n_empty += len(seen) == before
        if not seen:
            raise SourceError(
                f"{self.path} names no picture in {', '.join(self._image_columns)}; nothing to index"
            )
        if n_empty:
            self.notes.append(
                f"{n_empty:,} of {len(self.table.rows):,} rows name no picture and are left out"
            )
        return len(seen)

    def _twice(self, key: str, first: int, second: int) -> SourceError:
        if self.options.id_column is not None:
            what = "rows have the id"
            advice = "If rows are photos of one part, leave --id-column out: each picture is a record"
        else:
            what, advice = "rows name the picture", "Name the column that tells them apart with --id-column"
        return SourceError(f"{self.path}: two {what} {key!r}, lines {first} and {second}. {advice}")

    def _check_paths(self) -> None:
        """No row may reach outside the pictures' folder, by '..', absolutely or by a link."""
        if self.options.allow_outside:
            return
        inside = _Inside(self._root if self.options.image_root else self.path.parent)
        for row in self.table.rows:
            for column, text in self._pictures(row):
                if not all(inside(self._root / spelling) for spelling in _spellings(text)):
                    raise SourceError(
                        f"{self.path}, line {row.line}: {column} is {text!r}, which lies outside "
                        f"{inside.folder}. If that is meant, name the folder with --image-root, or pass "
                        "--allow-outside"
                    )


class _Inside:
    """Says whether a path leads into the folder; every folder on the way is resolved once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._resolved: dict[Path, Path] = {}

    def __call__(self, path: Path) -> bool:
        if "\0" in str(path):
            return True  # no file has such a name, so nothing will be opened
        folder = self._resolved.get(path.parent)
        if folder is None:
            folder = self._resolved[path.parent] = path.parent.resolve()
        real = folder / path.name
        if path.name == ".." or real.is_symlink():
            real = real.resolve()
        return real.is_relative_to(self.folder)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False


def _spellings(text: str) -> list[str]:
    """The path, and how other systems would have written it: Windows' backslashes, macOS' decomposed kana."""
    found = [text]
    if os.sep == "/" and "\\" in text:
        found.append(text.replace("\\", "/"))
    if not text.isascii():
        found += [unicodedata.normalize(form, each) for form in ("NFC", "NFD") for each in tuple(found)]
    return list(dict.fromkeys(found))


def _or_empty(value: object) -> object:
    return "" if value is None else value
