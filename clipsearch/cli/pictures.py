"""Pictures to look at or to show: files, folders of them, members of archives and tables. Fetches nothing."""

from __future__ import annotations

from pathlib import Path

from clipsearch.cli.lazy import outer
from clipsearch.errors import SourceError


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder and below it, by their names' endings. Raises SourceError where none is."""
    from clipsearch import images

    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in images.SUFFIXES and p.is_file())
    if not found:
        raise SourceError(f"there is no picture in {folder}; give a folder with photos")
    return found


def picture(path: str) -> Path | bytes | None:
    """The file, or the bytes of a picture in an archive or a table; None for what is gone or elsewhere."""
    if not path:
        return None
    if Path(path).is_file():
        return Path(path)
    data: bytes | None = outer("indexer.sources.stored:read_stored")(path)
    return data
