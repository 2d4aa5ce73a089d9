"""Records' pictures, to look at or to show: files, and members of archives and tables. Fetches nothing."""

from __future__ import annotations

from pathlib import Path

from clipsearch.cli.lazy import outer


def picture(path: str) -> Path | bytes | None:
    """The file, or the bytes of a picture in an archive or a table; None for what is gone or elsewhere."""
    if not path:
        return None
    if Path(path).is_file():
        return Path(path)
    data: bytes | None = outer("indexer.sources.stored:read_stored")(path)
    return data
