"""Where pictures come from: folders, files, catalogues, archives, URLs. Opens no picture and no collection.

A new kind of source is a file here and a line in `opening`; the pipeline sees only `Source`.
"""

from __future__ import annotations

from indexer.sources.catalogue import CatalogueSource
from indexer.sources.combined import CombinedSource
from indexer.sources.folder import FilesSource, FolderSource
from indexer.sources.opening import open_source, open_sources
from indexer.sources.source import Source, SourceOptions, is_missing

__all__ = [
    "CatalogueSource",
    "CombinedSource",
    "FilesSource",
    "FolderSource",
    "Source",
    "SourceOptions",
    "is_missing",
    "open_source",
    "open_sources",
]
