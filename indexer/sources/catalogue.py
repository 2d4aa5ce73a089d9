"""The pictures that a table names or holds, with the table's columns. Opens no picture."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clipsearch import tables
from clipsearch.errors import SourceError
from clipsearch.types import FieldKind, ImageFile, Payload
from indexer.sources import cells
from indexer.sources.addresses import is_address, without_credentials
from indexer.sources.cell_paths import Inside, exists, located, spellings
from indexer.sources.cells import Cell
from indexer.sources.elsewhere import Elsewhere
from indexer.sources.source import Source, SourceOptions, image_file
from indexer.sources.unique import Unique

_FOLDERS_BESIDE = ("images", "Images", "photos", "pictures")


class CatalogueSource:
    """One row is one record; each of its pictures is a point. Every other column is a field.

    A picture is a path, an address (http://, https://, s3://, …), or bytes in the table itself.
    """

    complete = True

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.path, self.options = path.resolve(), options
        self.name, self.named = options.name or str(self.path), options.name is not None
        self.notes: list[str] = []
        self.n_other = 0
        self.table = tables.read_table(self.path, encoding=options.encoding)
        if not len(self.table.rows):
            raise SourceError(f"{path} has no rows; there is nothing to index")
        self._stamp = cells.stamp(self.path)
        self._elsewhere = Elsewhere(options)
        self._image_columns = self._chosen_image_columns()
        self._id_column = self._chosen_id_column()
        for name in options.list_columns:
            self._check_column(name, "--list-column")
        self._named = {n for n in self._image_columns if cells.names_are_keys(self.table, n)}
        self._kinds = self._inferred_kinds()
        self._root = self._chosen_root()
        self._again: frozenset[int] = frozenset()  # numbers of pictures that name an address once more
        self.n_files: int | None = self._check_ids()
        self._check_paths()
        self.n_readers = self._elsewhere.n_readers
        if self.table.left_out:
            self.notes.append(f"{self.path}: {', '.join(self.table.left_out)} is no data and left out")

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
            for row in self.table.only([name]):
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
        number = -1
        for row in self.table.only([*self._kinds, *self._key_columns]):
            values = (
                (name, tables.typed(row.values.get(name), kind, split=split)) for name, kind, split in kinds
            )
            metadata = {name: value for name, value in values if value is not None}
            for cell in self._pictures(row):
                number += 1
                if number not in self._again:
                    yield self._file(row, cell, self._grouped(row, metadata))

    # --- rows ------------------------------------------------------------------------------------

    @property
    def _key_columns(self) -> list[str]:
        """The columns that say which pictures there are."""
        return [*self._image_columns, *([] if self._id_column is None else [self._id_column])]

    def _pictures(self, row: tables.Row) -> Iterator[Cell]:
        return cells.cells(self.table, self._image_columns, row)

    def _file(self, row: tables.Row, cell: Cell, metadata: Payload) -> ImageFile:
        key = self._key(row, cell)
        if cell.is_bytes:
            return cells.bytes_file(self.name, key, self.table, row, cell, self._stamp, metadata)
        if cell.is_path:
            return image_file(self.name, key, located(self._root, cell.text), metadata)
        return self._elsewhere.file(self.name, key, cell.text, metadata)

    def _key(self, row: tables.Row, cell: Cell) -> str:
        """The record's key: its id (and the column, for further pictures), or the picture's own name.

        Bytes without names have the number of their row.
        """
        if self._id_column is not None:
            key = str(row.values[self._id_column]).strip()
        elif cell.is_bytes and cell.column not in self._named:
            key = str(row.line)
        else:
            return without_credentials(cell.text)
        return key if cell.column == self._image_columns[0] else f"{key}#{cell.column}"

    def _grouped(self, row: tables.Row, metadata: Payload) -> Payload:
        if self._id_column is None:
            return metadata
        return {**metadata, "_group": str(row.values[self._id_column]).strip()}

    def _is_list(self, name: str) -> bool:
        return name in self.options.list_columns

    # --- what was asked for, checked before the run ------------------------------------------------

    def _chosen_image_columns(self) -> tuple[str, ...]:
        if self.options.image_columns:
            for name in self.options.image_columns:
                self._check_column(name, "--image-column")
            return tuple(dict.fromkeys(self.options.image_columns))
        guess = cells.guessed_image_column(self.table)
        if guess is None:
            raise SourceError(
                f"{self.path} has no column of pictures that could be guessed; name it with --image-column. "
                f"Its columns: {', '.join(self.table.columns)}"
            )
        self.notes.append(f"pictures are taken from column {guess!r} (--image-column names another)")
        return (guess,)

    def _chosen_id_column(self) -> str | None:
        if self.options.id_column is not None:
            self._check_column(self.options.id_column, "--id-column")
            return self.options.id_column
        if self.options.image_columns:
            return None
        guess = cells.guessed_id_column(self.table, self._image_columns)
        if guess is not None:
            self.notes.append(f"records are named by column {guess!r} (--id-column names another)")
        return guess

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
        taken = {*self._image_columns, *self.table.blobs}
        others = [name for name in self.table.columns if name not in taken]
        kinds = tables.infer_kinds(self.table, others, lists=self.options.list_columns)
        kinds, prose = cells.with_prose(kinds)
        if prose:
            self.notes.append(f"column {prose[0]!r} is taken as free text, word by word")
        if self._id_column is not None:
            kinds[self._id_column] = "keyword"
        return kinds

    def _chosen_root(self) -> Path:
        """The folder that the paths are relative to: as told, the catalogue's, or images/ beside it."""
        if self.options.image_root is not None:
            if not self.options.image_root.is_dir():
                raise SourceError(f"there is no folder {self.options.image_root}, given with --image-root")
            return self.options.image_root.resolve()
        beside = self.path.parent
        first = cells.first_paths(self.table, self._image_columns)
        for folder in (beside, *(beside / name for name in _FOLDERS_BESIDE)):
            if any(exists(folder / spelling) for text in first for spelling in spellings(text)):
                if folder != beside:
                    self.notes.append(f"pictures are taken from {folder} (--image-root names another folder)")
                return folder
        return beside

    def _check_ids(self) -> int:
        """The number of pictures, whose keys are all different."""
        column, n_empty = self._id_column, 0
        keys = Unique()
        for row in self.table.only(self._key_columns):
            if column is not None and not str(_or_empty(row.values.get(column))).strip():
                raise SourceError(f"{self.path}, line {row.line}: the id ({column}) is empty; fill it in")
            before = len(keys)
            for cell in self._pictures(row):
                keys.add(self._key(row, cell))
            n_empty += len(keys) == before
        if not len(keys):
            raise SourceError(
                f"{self.path} names no picture in {', '.join(self._image_columns)}; nothing to index"
            )
        if n_empty:
            self.notes.append(
                f"{n_empty:,} of {len(self.table.rows):,} rows name no picture and are left out"
            )
        self._again = self._repeated_addresses(keys)
        if self._again:
            self.notes.append(f"{len(self._again):,} rows of {self.path} repeat an address and are left out")
        return len(keys) - len(self._again)

    def _repeated_addresses(self, keys: Unique) -> frozenset[int]:
        """Their numbers; lists from the web repeat themselves. Raises SourceError for others that do."""
        rows = self.table.only(self._key_columns)
        pictures = ((self._key(row, cell), row.line) for row in rows for cell in self._pictures(row))
        numbered = ((key, (number, line)) for number, (key, line) in enumerate(pictures))
        again = set[int]()
        for key, (_, first), (number, second) in keys.repeated(numbered):
            if self._id_column is not None or not is_address(key):
                raise self._twice(key, first, second)
            again.add(number)
        return frozenset(again)

    def _twice(self, key: str, first: int, second: int) -> SourceError:
        if self._id_column is not None:
            what = "rows have the id"
            advice = "If rows are photos of one part, leave --id-column out: each picture is a record"
        else:
            what, advice = "rows name the picture", "Name the column that tells them apart with --id-column"
        return SourceError(f"{self.path}: two {what} {key!r}, lines {first} and {second}. {advice}")

    def _check_paths(self) -> None:
        """No row may reach outside the pictures' folder, by '..', absolutely or by a link."""
        inside = Inside(self._root if self.options.image_root else self.path.parent)
        for row in self.table.only(self._image_columns):
            for cell in self._pictures(row):
                if cell.is_bytes:
                    continue
                if not cell.is_path:
                    self._elsewhere.meet(cell.text)
                elif not self.options.allow_outside and not self._is_inside(cell.text, inside):
                    raise SourceError(
                        f"{self.path}, line {row.line}: {cell.column} is {cell.text!r}, which lies outside "
                        f"{inside.folder}. If that is meant, name the folder with --image-root, or pass "
                        "--allow-outside"
                    )

    def _is_inside(self, text: str, inside: Inside) -> bool:
        return all(inside(self._root / spelling) for spelling in spellings(text))


def _or_empty(value: object) -> object:
    return "" if value is None else value
