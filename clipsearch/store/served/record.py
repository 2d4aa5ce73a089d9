"""The file `served.json` beside a collection: which process serves it, and how to reach it.

Only its user can read it, for it holds the key. Knows nothing of what is said to that process.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from clipsearch.files import replaced
from clipsearch.store.served.methods import protocol
from clipsearch.store.served.wire import Address, remove_address

FILE = "served.json"


@dataclass(frozen=True, slots=True)
class Record:
    """Who serves a collection."""

    pid: int
    address: Address
    key: str  # hexadecimal
    protocol: str
    started: str  # ISO 8601
    folder: list[int]  # the collection folder's device and inode: a copy of the folder is not served
    handlers: list[str]  # what else may be asked for, see Connection.call

    @classmethod
    def of(cls, folder: Path, address: Address, key: bytes, handlers: list[str]) -> Record:
        """This process's."""
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        return cls(os.getpid(), address, key.hex(), protocol(), started, _identity(folder), handlers)


def read(folder: Path) -> Record | None:
    """What is recorded beside the collection; None without a record, or with one that is another folder's."""
    try:
        found = Record(**json.loads((folder / FILE).read_text(encoding="utf-8")))
        bytes.fromhex(found.key)
        return found if found.folder == _identity(folder) else None
    except (OSError, ValueError, TypeError):
        return None


def write(folder: Path, record: Record) -> None:
    """Replace the record, atomically."""
    with (
        replaced(folder / FILE) as fresh,
        os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file,
    ):
        json.dump(asdict(record), file)


def sweep(folder: Path) -> None:
    """Remove what a process left that was killed while it served the collection. Its lock must be held."""
    found = read(folder)
    if found is not None:
        remove_address(found.address)
        remove(folder, found.address)


def remove(folder: Path, address: Address) -> None:
    """Remove the record, if it is still that of the address."""
    found = read(folder)
    if found is not None and found.address == address:
        with contextlib.suppress(OSError):
            (folder / FILE).unlink(missing_ok=True)


def _identity(folder: Path) -> list[int]:
    stat = folder.stat()
    return [stat.st_dev, stat.st_ino]
