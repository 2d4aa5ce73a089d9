"""From what was typed to the source of a run: which kind of source each place is. Reads no picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from clipsearch import tables
from clipsearch.errors import SourceError
from indexer.sources.archives import open_archives
from indexer.sources.catalogue import CatalogueSource
from indexer.sources.combined import CombinedSource
from indexer.sources.folder import FilesSource, FolderSource
from indexer.sources.locations import Found, Place, Url, UrlList, expand
from indexer.sources.names import ARCHIVE_SUFFIXES, is_archive, suffix, with_slashes
from indexer.sources.source import Source, SourceOptions

_NOT_UNPACKED = frozenset({".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".lzh"})


def open_source(location: Path, options: SourceOptions) -> Source:
    """The source at a path: a folder, a catalogue, an archive or one picture.

    Raises SourceError (or TableError), before anything is written, for whatever is wrong with it.
    """
    if not _exists(location):
        raise SourceError(f"there is no file or folder at {location}; check the path")
    return _opened([Place(location, location.parent, "name")], options)


def open_sources(
    locations: Sequence[str], options: SourceOptions, *, stdin: BinaryIO | None = None
) -> Source:
    """One source for all locations, each a path, a pattern, a URL or - (see indexer.sources.locations).

    Single pictures count to their folder, those that a pattern of ours found to the folder where the
    search began: their ids are those they have when that folder is indexed. Raises as open_source does.
    """
    return _opened(list(expand(locations, hidden=options.hidden, stdin=stdin)), options)


def _opened(found: Sequence[Found], options: SourceOptions) -> Source:
    if not found:
        raise SourceError("nothing was named that could be indexed; give a folder, a file or a pattern")
    sources = _Sorted(found)
    _check_options(found, sources, options)
    opened = sources.open(options)
    return opened[0] if len(opened) == 1 else CombinedSource(opened)


class _Sorted:
    """The places by kind; what has one kind and one folder is one source."""

    def __init__(self, found: Sequence[Found]) -> None:
        self.urls: dict[Url | UrlList, None] = {}
        self.folders: dict[Path, None] = {}
        self.catalogues: dict[Path, None] = {}
        self.archives: dict[Path, None] = {}
        self.files: dict[tuple[Path, bool], list[str]] = {}  # (folder, by pattern): keys
        self._resolved: dict[Path, Path] = {}
        for place in found:
            if isinstance(place, Place):
                self._add(place)
            else:
                self.urls[place] = None

    @property
    def alone(self) -> bool:
        """Whether one picture was named, and nothing else."""
        named = [(by_pattern, len(keys)) for (_, by_pattern), keys in self.files.items()]
        return self.n_sources == 1 and named == [(False, 1)]

    @property
    def n_sources(self) -> int:
        """Sources with names of their own; archives of one folder can share a name."""
        folders = {archive.parent for archive in self.archives}
        named_alike = len({folder for folder, _ in self.files})
        return len(self.urls) + len(self.folders) + len(self.catalogues) + len(folders) + named_alike

    def open(self, options: SourceOptions) -> list[Source]:
        """Every source, the quick ones first."""
        alone = self.alone
        opened: list[Source] = [FolderSource(path, options) for path in self.folders]
        opened += [
            FilesSource(folder, keys, options, by_pattern=by_pattern, alone=alone)
            for (folder, by_pattern), keys in self.files.items()
        ]
        opened += [CatalogueSource(path, options) for path in self.catalogues]
        if self.archives:
            opened.append(open_archives(list(self.archives), options))
        return opened + [_remote(place, options) for place in self.urls]

    def _add(self, place: Place) -> None:
        path = place.path
        if path.is_dir():
            self.folders[path.resolve()] = None
        elif suffix(path.name) in tables.SUFFIXES and path.is_file():
            self.catalogues[path.resolve()] = None
        elif is_archive(path.name) and path.is_file():
            self.archives[self._real(path.parent) / path.name] = None
        else:
            root = self._real(place.root)
            key = with_slashes(str(path.relative_to(place.root)))
            self.files.setdefault((root, place.by == "pattern"), []).append(key)

    def _real(self, folder: Path) -> Path:
        """The folder without links; each is looked up once."""
        known = self._resolved.get(folder)
        if known is None:
            known = self._resolved[folder] = folder.resolve()
        return known


def _check_options(found: Sequence[Found], sources: _Sorted, options: SourceOptions) -> None:
    """Refuse what is meaningless for everything that was named, and one name for several sources."""
    if options.name is not None and sources.n_sources > 1:
        raise SourceError(
            f"--source-name {options.name} names one source, but {sources.n_sources:,} were given; index "
            "them one by one"
        )
    if sources.alone:
        (((_, _), (key,)),) = sources.files.items()
        if suffix(key) in _NOT_UNPACKED:
            raise SourceError(
                f"{key} is an archive of a kind that is not read here ({', '.join(ARCHIVE_SUFFIXES)} are); "
                "unpack it and index the folder"
            )
    if sources.catalogues or sources.urls:
        return
    given = options.for_catalogues_only()
    if sources.archives and "--encoding" in given:  # that of a zip's names
        given.remove("--encoding")
    if given:
        first = next(place.path for place in found if isinstance(place, Place))
        what = "a folder" if first.is_dir() else "no catalogue"
        raise SourceError(
            f"{first} is {what}; {', '.join(given)} is for catalogues ({', '.join(tables.SUFFIXES)})"
        )


def _remote(place: Url | UrlList, options: SourceOptions) -> Source:
    """Loaded on use: what lies elsewhere needs libraries that what lies here does not."""
    if isinstance(place, UrlList):
        from indexer.sources.urls import open_url_list

        return open_url_list(place.path, options)
    from indexer.sources.remote import open_remote

    return open_remote(place.text, options)


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except (OSError, ValueError):
        return False
