"""A picture again, to show it, by the path it was indexed under, where that is no file. Fetches nothing."""

from __future__ import annotations

from clipsearch.errors import ClipSearchError
from indexer.sources.archives import read_member
from indexer.sources.cells import read_cell


def read_stored(path: str) -> bytes | None:
    """The bytes of a picture in an archive or a table; None for other paths and for what is gone."""
    if "://" in path:
        return None
    for read in (read_member, read_cell):
        try:
            data = read(path)
        except (ClipSearchError, OSError, ValueError):
            continue
        if data is not None:
            return data
    return None
