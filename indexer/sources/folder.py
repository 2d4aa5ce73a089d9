"""A folder's pictures, and one picture alone. Knows junk by its name and pictures by their suffix."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clipsearch import images
from clipsearch.errors import SourceError
from clipsearch.types import FieldKind, ImageFile
from indexer.sources.source import Source, SourceOptions, image_file

_JUNK_NAMES = frozenset(
    {"@eaDir", "#recycle", "@Recycle", "Thumbs.db", "__MACOSX", "$RECYCLE.BIN", "System Volume Information"}
    | {"lost+found", ".DS_Store"}
)


class WithoutColumns:
    """A source that knows no more of its pictures than their names."""

    name: str
    named: bool
    n_files: int | None = None
    n_other = 0
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
    """Every picture below a folder, by name; symbolic links to folders are not followed."""

    def __init__(self, folder: Path, options: SourceOptions) -> None:
        super().__init__()
        self.folder, self._hidden = folder.resolve(), options.hidden
        self.name, self.named = options.name or str(self.folder), options.name is not None
        try:
            os.scandir(self.folder).close()
        except OSError as exc:
            raise SourceError(f"{self.folder} cannot be read: {exc.strerror}; check its permissions") from exc

    def files(self) -> Iterator[ImageFile]:
        """Names first, so that their number is known; each is looked at when its turn comes."""
        found = self._names()
        self.n_files = sum(len(names) for _, _, names in found)
        for folder, below, names in found:
            prefix = below.replace(os.sep, "/") + "/" if below else ""
            for name in names:
                yield image_file(self.name, prefix + name, Path(folder, name))

    def _names(self) -> list[tuple[str, str, list[str]]]:
        """(folder, its path below ours, names of its pictures), in order."""
        found: list[tuple[str, str, list[str]]] = []
        unreadable: list[str] = []
        self.n_other = n_links = 0
        top = str(self.folder)
        for folder, subfolders, files in os.walk(
            top, onerror=lambda exc: unreadable.append(str(exc.filename))
        ):
            subfolders[:] = sorted(name for name in subfolders if not self._is_junk(name))
            n_links += sum(_is_link(f"{folder}{os.sep}{name}") for name in subfolders)
            there = [name for name in files if not self._is_junk(name)]
            pictures = sorted(name for name in there if _suffix(name) in images.SUFFIXES)
            self.n_other += len(there) - len(pictures)
            found.append((folder, folder[len(top) :].strip(os.sep), pictures))
        self.complete = not unreadable
        if n_links:
            self.notes.append(
                f"{n_links:,} links to folders were not followed; index those folders by themselves"
            )
        if unreadable:
            more = f" and {len(unreadable) - 1:,} more" if len(unreadable) > 1 else ""
            self.notes.append(f"{unreadable[0]}{more} could not be read; what was indexed from there stays")
        return found

    def _is_junk(self, name: str) -> bool:
        if name in _JUNK_NAMES or name.startswith("._"):
            return True
        return name.startswith(".") and not self._hidden


class FileSource(WithoutColumns):
    """One picture; its folder is the source, so that indexing the folder later finds it unchanged."""

    n_files: int | None = 1

    def __init__(self, path: Path, options: SourceOptions) -> None:
        super().__init__()
        self.path = path.parent.resolve() / path.name
        self.name, self.named = options.name or str(self.path.parent), options.name is not None

    def files(self) -> Iterator[ImageFile]:
        """The one."""
        yield image_file(self.name, self.path.name, self.path)


def _is_link(path: str) -> bool:
    return os.path.islink(path)  # noqa: PTH114 -- Path.is_symlink raises where a path is too long


def _suffix(name: str) -> str:
    """Path(name).suffix in lower case, in a tenth of the time."""
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""
