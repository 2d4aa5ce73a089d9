"""The pictures in zips and tars, with WebDataset's sidecars as fields. Writes nothing to the disk by name.

An archive is a source of its own, so records keep their ids whichever others are indexed beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from clipsearch.errors import ImageError, SourceError
from clipsearch.types import FieldKind, ImageFile
from indexer.sources.columns import Columns
from indexer.sources.combined import CombinedSource
from indexer.sources.ignore import IGNORE_FILE, MAX_IGNORE_BYTES, LeftOut, Rules
from indexer.sources.members import Member, OpenArchive
from indexer.sources.names import is_archive
from indexer.sources.samples import Contents, Sample, contents
from indexer.sources.shelf import Shelf, check, is_compressed
from indexer.sources.source import Source, SourceOptions

_MAX_LEARNT = 10_000  # sidecars of an archive that kinds are learnt from


def open_archives(paths: Sequence[Path], options: SourceOptions) -> Source:
    """The archives as one source, whose fields are those of the first, the middle and the last one.

    Raises SourceError for one that is no archive. One that turns out damaged later is read as far as
    that goes, told of, and not complete.
    """
    for path in paths:
        check(path)
    shelf, columns = Shelf(encoding=options.encoding), Columns()
    names = _names(paths, options.name)
    sources = [
        ArchiveSource(path, name, options, shelf=shelf, columns=columns)
        for path, name in zip(paths, names, strict=True)
    ]
    sample = dict.fromkeys([0] if is_compressed(paths[0]) else [0, len(paths) // 2, len(paths) - 1])
    columns.learn([row for i in sample for row in sources[i].rows(_MAX_LEARNT)], paths[0])
    return sources[0] if len(sources) == 1 else CombinedSource(sources, at_once=False)


class ArchiveSource:
    """One archive. Keys are its name and the member's, as in 00000.tar/000000001.jpg."""

    n_readers = 0

    def __init__(
        self, path: Path, name: str, options: SourceOptions, *, shelf: Shelf, columns: Columns
    ) -> None:
        self.path, self._options = path, options
        self.name, self.named = name, options.name is not None
        self.notes: list[str] = []
        self.n_files: int | None = None
        self.n_other = self.n_ignored = 0
        self.complete = False
        self._shelf, self._columns = shelf, columns
        self._prefix = Path(self.name).name

    @property
    def parts(self) -> Sequence[Source]:
        """Itself."""
        return (self,)

    @property
    def fields(self) -> Mapping[str, FieldKind]:
        """The columns and their kinds."""
        return dict(self._columns.kinds)

    def conform(self, declared: Mapping[str, FieldKind], *, collection: str) -> None:
        """Take on the kinds that a collection's fields have. SourceError where they cannot be taken on."""
        self._columns.conform(declared, str(self.path), collection)

    def rows(self, n: int) -> list[dict[str, Any]]:
        """The columns of at most n samples, from all over the archive."""
        archive = self._shelf.open(self.path)
        samples = [sample for sample in self._contents(archive).samples if sample.beside]
        step = max(1, -(-len(samples) // n))
        return [sample.values(archive.read) for sample in samples[::step]]

    def files(self) -> Iterator[ImageFile]:
        """Every picture, in the archive's order; the archive is looked through before the first."""
        self.complete = False
        try:
            archive = self._shelf.open(self.path)
            found = self._contents(archive)
        except SourceError as exc:  # was good when the run began, or is damaged further on
            self.notes.append(f"{self.path} is left out: {exc}")
            return
        self.n_files, self.n_other, self.n_ignored = len(found.samples), found.n_other, found.n_ignored
        self._tell(found, archive.damage)
        for sample in found.samples:
            yield self._file(sample, archive)
        self.complete = not archive.damage

    def _file(self, sample: Sample, archive: OpenArchive) -> ImageFile:
        picture = sample.picture
        where = f"{self.path}/{picture.name}"
        values = sample.values(archive.read) if sample.beside else {}
        return ImageFile(
            self.name,
            f"{self._prefix}/{picture.name}",
            where,
            picture.n_bytes,
            picture.mtime_ns,
            self._columns.payload(values, where, self.notes),
            partial(_read, self._shelf, self.path, archive.stamp, picture),
        )

    def _contents(self, archive: OpenArchive) -> Contents:
        members = archive.members()
        ignore_files = {m.name: m for m in members if m.name.rpartition("/")[2] == IGNORE_FILE}

        def read(folder: str) -> str | None:
            member = ignore_files.get(f"{folder}/{IGNORE_FILE}".lstrip("/"))
            if member is None or member.n_bytes > MAX_IGNORE_BYTES:
                return None
            try:
                return archive.read(member).decode("utf-8", "surrogateescape")
            except ImageError as exc:
                raise SourceError(f"{member.name} cannot be read: {exc}") from exc

        return contents(members, Rules(self._options, read), hidden=self._options.hidden)

    def _tell(self, found: Contents, damage: str) -> None:
        left_out = LeftOut()
        left_out.n_files = found.n_ignored
        self.notes += left_out.note(str(self.path))
        if found.n_further:
            self.notes.append(
                f"{found.n_further:,} pictures of {self.path} are left out: of several with one caption or "
                "one row of columns, the first of .jpg, .jpeg, .png and .webp is taken"
            )
        if damage:
            self.notes.append(
                f"{self.path} is damaged ({damage}): {len(found.samples):,} pictures were found in it, and "
                "nothing that was indexed from it is removed. Copy it again"
            )


def read_member(path: str) -> bytes | None:
    """The bytes of a picture in an archive, by its path as it was indexed; None if it is not there.

    Raises SourceError for an archive, and ImageError for a picture, that cannot be read.
    """
    for archive in reversed(Path(path).parents):
        if is_archive(archive.name) and archive.is_file():
            opened = _READ_BEFORE.open(archive)
            name = path[len(str(archive)) + 1 :]
            found = next((member for member in opened.members() if member.name == name), None)
            return None if found is None else opened.read(found)
    return None


_READ_BEFORE = Shelf()


def _names(paths: Sequence[Path], given: str | None) -> list[str]:
    """Each archive's path; or as the user named it, or named the folder that it is in."""
    if given is None:
        return [str(path) for path in paths]
    if is_archive(given) and len(paths) == 1:
        return [given]
    folder = Path(given).parent if is_archive(given) else Path(given)
    return [str(folder / path.name) for path in paths]


def _read(shelf: Shelf, path: Path, stamp: tuple[int, int], member: Member) -> bytes:
    """The picture's bytes, from the archive as it was when it was looked through."""
    where = f"{path}/{member.name}"
    try:
        archive = shelf.open(path)
        if archive.stamp != stamp:
            raise ImageError("unreadable", "the archive was changed meanwhile; run the same command again")
        return archive.read(member)
    except SourceError as exc:
        raise ImageError("unreadable", f"{where}: {exc}") from exc
    except ImageError as exc:
        raise ImageError(exc.reason, f"{where}: {exc}") from exc
