"""Files that are replaced whole or not at all. Knows no format but JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to. It takes its place when the block ends, or goes if that raises."""
    fresh = path.with_name(f".{_beginning(path.name)}.{uuid4().hex[:8]}.tmp")
    try:
        yield fresh
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _beginning(name: str, n_bytes: int = 100) -> str:
    """At most so many bytes of it, whole letters: file systems count bytes."""
    return os.fsencode(name)[:n_bytes].decode("utf-8", "ignore")


def write_json(path: Path, value: Any, *, ensure_ascii: bool = False) -> None:
    """Write the file so that a kill or a power cut leaves the old one or the new one, never a part."""
    with replaced(path) as fresh, fresh.open("w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=ensure_ascii, indent=1)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the folder's renames to the disk, where a system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
