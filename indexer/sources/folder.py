"""A folder's pictures, and pictures named one by one. Tells them by their names; opens none."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clipsearch import images
from clipsearch.errors import SourceError
from clipsearch.types import FieldKind, ImageFile
from indexer.sources.ignore import IGNORE_FILE, MAX_IGNORE_BYTES, LeftOut, ReadIgnoreFile, Rules
from indexer.sources.names import is_archive, is_junk, suffix, with_slashes
from indexer.sources.source import Source, SourceOptions, image_file


class WithoutColumns:
    """A source that knows no more of its pictures than their names."""

    name: str
    named: bool
    n_files: int | None = None
    n_other = 0
    n_ignored = 0  # pictures left out by --include, --exclude or an ignore file
    n_readers = 0
    complete = False

    def __init__(self) -> None:
        self.notes: list[str] = []

    @property
    def parts(self) -> Sequence[Source]:
        """Itself."""
        return (self,)

    @property
    def fields(self) -> Mapping[str, FieldKind]:
        return {}

    def files(self) -> Iterator[ImageFile]:
        """Every picture, in a stable order."""
        raise NotImplementedError

    def conform(self, declared: Mapping[str, FieldKind], *, collection: str) -> None:
        """There is nothing to conform."""


class FolderSource(WithoutColumns):
    """Every picture below a folder, by name; symbolic links to folders are not followed.

    What the rules leave out (indexer.sources.ignore) is not there for the run: a record that was
    indexed before the rule was made counts as gone, and --sync removes it.
    """

    def __init__(self, folder: Path, options: SourceOptions) -> None:
        super().__init__()
        self.folder, self._hidden = folder.resolve(), options.hidden
        self.name, self.named = options.name or str(self.folder), options.name is not None
        self._rules = Rules(options, ignore_files_in(self.folder))
        self._archives: list[str] = []
        try:
            os.scandir(self.folder).close()
        except OSError as exc:
            raise SourceError(f"{self.folder} cannot be read: {exc.strerror}; check its permissions") from exc

    def files(self) -> Iterator[ImageFile]:
        """Names first, so that their number is known; each is looked at when its turn comes."""
        found = self._names()
        self.n_files = sum(len(names) for _, _, names in found)
        for folder, prefix, names in found:
            for name in names:
                yield image_file(self.name, prefix + name, Path(folder, name))

    def _names(self) -> list[tuple[str, str, list[str]]]:
        """(folder, what its pictures' keys begin with, names of its pictures), in order."""
        found: list[tuple[str, str, list[str]]] = []
        unreadable: list[str] = []
        left_out = LeftOut()
        self.n_other = n_links = 0
        self._archives.clear()
        top = str(self.folder)
        for folder, subfolders, files in os.walk(
            top, onerror=lambda exc: unreadable.append(str(exc.filename))
        ):
            below = with_slashes(folder[len(top) :].strip(os.sep))
            prefix = f"{below}/" if below else ""
            subfolders[:] = self._subfolders(prefix, subfolders, left_out)
            n_links += sum(_is_link(f"{folder}{os.sep}{name}") for name in subfolders)
            found.append((folder, prefix, self._pictures(prefix, files, left_out)))
        self.complete = not unreadable
        self.n_ignored = left_out.n_files
        self.notes += [*left_out.note(top), *self._links_note(n_links), *self._archives_note()]
        if unreadable:
            more = f" and {len(unreadable) - 1:,} more" if len(unreadable) > 1 else ""
            self.notes.append(f"{unreadable[0]}{more} could not be read; what was indexed from there stays")
        return found

    def _subfolders(self, prefix: str, names: list[str], left_out: LeftOut) -> list[str]:
        """Those to go into, in order."""
        there = sorted(name for name in names if not is_junk(name, hidden=self._hidden))
        kept = [name for name in there if not self._rules.leaves_out_folder(prefix + name)]
        left_out.n_folders += len(there) - len(kept)
        return kept

    def _pictures(self, prefix: str, names: list[str], left_out: LeftOut) -> list[str]:
        """The pictures' names, in order; the rest is counted."""
        there = [name for name in names if not is_junk(name, hidden=self._hidden) and name != IGNORE_FILE]
        pictures = sorted(name for name in there if suffix(name) in images.SUFFIXES)
        self.n_other += len(there) - len(pictures)
        self._archives += [prefix + name for name in there if is_archive(name)]
        kept = [name for name in pictures if not self._rules.leaves_out(prefix + name)]
        left_out.n_files += len(pictures) - len(kept)
        return kept

    def _links_note(self, n_links: int) -> list[str]:
        if not n_links:
            return []
        return [f"{n_links:,} links to folders were not followed; index those folders by themselves"]

    def _archives_note(self) -> list[str]:
        if not self._archives:
            return []
        first = self.folder / min(self._archives)
        return [
            f"{len(self._archives):,} archives in {self.folder} were passed over; to index what is in them, "
            f"name them: clipsearch index {shlex.quote(str(first))}"
        ]


class FilesSource(WithoutColumns):
    """Pictures of one folder that were named one by one; never all there is, so nothing is gone.

    The folder is the source, so that indexing it later finds them unchanged. by_pattern: they were
    found, not named, so the folder's ignore files count. alone: it is the only thing that was named,
    and so a picture whatever its suffix says.
    """

    def __init__(
        self, folder: Path, keys: Sequence[str], options: SourceOptions, *, by_pattern: bool, alone: bool
    ) -> None:
        """keys: paths below the folder, with slashes."""
        super().__init__()
        self.folder = folder
        self.name, self.named = options.name or str(folder), options.name is not None
        rules = Rules(options, ignore_files_in(folder)) if by_pattern else Rules(options)
        there = list(dict.fromkeys(keys))
        pictures = there if alone else [key for key in there if suffix(key) in images.SUFFIXES]
        self._keys = [key for key in pictures if not rules.leaves_out(key)]
        self.n_files = len(self._keys)
        self.n_other = len(there) - len(pictures)
        left_out = LeftOut()
        left_out.n_files = self.n_ignored = len(pictures) - len(self._keys)
        self.notes += left_out.note(self.name)

    def files(self) -> Iterator[ImageFile]:
        """In the order in which they were named."""
        for key in self._keys:
            yield image_file(self.name, key, self.folder / key)


def ignore_files_in(top: Path) -> ReadIgnoreFile:
    """Reads the ignore files of a folder's tree. SourceError for one that is there and cannot be read."""

    def read(folder: str) -> str | None:
        path = top / folder / IGNORE_FILE
        try:
            if not path.is_file():  # a pipe would never end
                return None
        except OSError:  # a path too long
            return None
        try:
            with path.open("rb") as file:
                return os.fsdecode(file.read(MAX_IGNORE_BYTES))
        except OSError as exc:
            raise SourceError(
                f"{path} cannot be read: {exc.strerror}; what it leaves out would be indexed, so check its "
                "permissions"
            ) from exc

    return read


def _is_link(path: str) -> bool:
    return os.path.islink(path)  # noqa: PTH114 -- Path.is_symlink raises where a path is too long
