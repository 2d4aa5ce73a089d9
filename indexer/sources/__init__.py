"""Where pictures come from: a folder, one file, or a catalogue. Opens no picture and no collection.

A new kind of source is a file here and a line in `open_source`; the pipeline sees only `Source`.
"""

from __future__ import annotations

from pathlib import Path

from clipsearch import tables
from clipsearch.errors import SourceError
from indexer.sources.catalogue import CatalogueSource
from indexer.sources.folder import FileSource, FolderSource
from indexer.sources.source import Source, SourceOptions, is_missing

__all__ = [
    "CatalogueSource",
    "FileSource",
    "FolderSource",
    "Source",
    "SourceOptions",
    "is_missing",
    "open_source",
]


def open_source(location: Path, options: SourceOptions) -> Source:
    """The source at a path: a folder, a catalogue (.csv, .tsv, .jsonl, .parquet) or one picture.

    Raises SourceError (or TableError), before anything is written, for whatever is wrong with it.
    """
    if location.suffix.lower() in tables.SUFFIXES and location.is_file():
        return CatalogueSource(location, options)
    if given := options.for_catalogues_only():
        what = "a folder" if location.is_dir() else "no catalogue"
        raise SourceError(
            f"{location} is {what}; {', '.join(given)} is for catalogues ({', '.join(tables.SUFFIXES)})"
        )
    if location.is_dir():
        return FolderSource(location, options)
    if not location.exists():
        raise SourceError(f"there is no file or folder at {location}; check the path")
    return FileSource(location, options)
