"""A sidecar's file: read whole, and replaced whole or not at all, with its mode.

Knows no XMP.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from clipsearch.files import replaced
from clipsearch.tagging.sidecars.packet import MAX_BYTES, Refused


def read(path: Path) -> bytes | None:
    """The file's content; None where there is none. Raises Refused for what is no plain file or too large."""
    try:
        mode = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode.st_mode):
        raise Refused(f"{path.name} is no plain file")
    if mode.st_size > MAX_BYTES:
        raise Refused(f"{path.name} has {mode.st_size:,} bytes, more than the {MAX_BYTES:,} that are read")
    return path.read_bytes()


def put(path: Path, fresh: bytes | None, expected: bytes | None) -> None:
    """Make this the file's content, on the disk when this returns but for its folder; None: remove it.

    Raises Refused where the file is not what was expected any more; OSError, and nothing is changed then.
    """
    if read(path) != expected:
        raise Refused(f"{path.name} was changed by something else in the meantime; run this again")
    if expected is not None:
        refuse_protected(path)
    if fresh is None:
        path.unlink(missing_ok=True)
        return
    with replaced(path) as beside:
        with beside.open("xb") as file:
            file.write(fresh)
            file.flush()
            os.fsync(file.fileno())
        if expected is not None:
            look_like(path, beside)
            os.utime(beside)


def refuse_protected(path: Path) -> None:
    """Raises Refused where nobody may write the file, though its folder would let it be replaced."""
    if not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise Refused(f"{path.name} is write-protected")


def look_like(path: Path, beside: Path) -> None:
    """Give one file the other's owner, mode, times and attributes, as far as the file system has them."""
    facts = path.stat()
    if (facts.st_uid, facts.st_gid) != ((own := beside.stat()).st_uid, own.st_gid):
        with suppress(OSError, AttributeError):  # only root may give files away
            os.chown(beside, facts.st_uid, facts.st_gid)
    with suppress(OSError):
        shutil.copystat(path, beside)


def why(error: Exception) -> str:
    """The reason, of a refusal or a file system's error."""
    if isinstance(error, OSError):
        return f"it cannot be written: {error.strerror or error}"
    return str(error)
