"""What a file's name says: picture, archive, or nothing to look at. Opens no file."""

from __future__ import annotations

import os

_JUNK_NAMES = frozenset(
    {"@eaDir", "#recycle", "@Recycle", "Thumbs.db", "__MACOSX", "$RECYCLE.BIN", "System Volume Information"}
    | {"lost+found", ".DS_Store"}
)
ARCHIVE_SUFFIXES = (
    *(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst"),
)


def is_junk(name: str, *, hidden: bool) -> bool:
    """Whether a file or folder of that name is some system's own, or hidden and not asked for."""
    if name in _JUNK_NAMES or name.startswith("._"):
        return True
    return name.startswith(".") and not hidden


def suffix(name: str) -> str:
    """Path(name).suffix in lower case, in a tenth of the time."""
    stem, dot, rest = name.rpartition(".")
    return f".{rest.lower()}" if dot and stem else ""


def is_archive(name: str) -> bool:
    """Whether the name is that of an archive which can be indexed."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def with_slashes(path: str) -> str:
    """A path as it is in a key, the same on every system."""
    return path if os.sep == "/" else path.replace(os.sep, "/")
