"""Why a picture cannot be used: the stable codes, and every vendor's exception turned into one of them.

Owns the wording of picture errors. Opens nothing.
"""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType

from clipsearch.errors import ImageError

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "unreadable": "the file cannot be read; check that it exists and that you may read it",
        "unreachable": "it could not be had over the network; open the address in a browser, and if that "
        "works run the same command again with --retry-failed",
        "empty": "the file has 0 bytes; copy it again from its source",
        "not-an-image": "the content is no picture format known here, whatever the name says",
        "truncated": "the file ends before the picture does; copy it again from its source",
        "corrupt": "the picture's data is damaged; copy it again or save it anew with another program",
        "unsupported": "the format is known but is not decoded here; convert it to JPEG or PNG",
        "too-large": "more pixels or bytes than the bound; shrink the picture or raise the bound",
        "unwritable": "the picture cannot be written; check the folder, its permissions and the free space",
    }
)
"""Reason code of ImageError -> what it means and what to do next, in one line."""

_TRUNCATED = (
    "truncated",
    "unexpected end",
    "premature end",
    "end of file",
    "end-of-file",
    "end of data",
    "not enough data",
    "not enough image data",
    "buffer is not large enough",
    "but only got",
    "ran out of",
    "no more data",
)
_UNSUPPORTED = (
    "cannot find loader",
    "not available",
    "support not installed",
    "unsupported",
    "not supported",
    "not implemented",
    "unknown compression",
    "unrecognized image mode",
    "unknown image mode",
    "cannot handle",
    "unimplemented",
)
_DISK = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.ENOENT,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EIO,
        errno.ESTALE,
        errno.ELOOP,
    }
    | {
        errno.ENAMETOOLONG,
        errno.EMFILE,
        errno.ENFILE,
        errno.EBUSY,
        errno.ENXIO,
        errno.ENODEV,
        errno.ETIMEDOUT,
    }
)


def refusal(reason: str, name: str, detail: str = "") -> ImageError:
    """An ImageError that says which picture, which fact decided it, and what to do next."""
    what = f"{name}: {detail}; " if detail else f"{name}: "
    return ImageError(reason, what + REASONS[reason])


def translated(exc: Exception, name: str, *, form: str = "") -> ImageError:
    """The ImageError for whatever a decoder raised. `form` is the format's name where it is known."""
    detail = " ".join(str(exc).split())[:200] or type(exc).__name__
    if form and form not in detail:
        detail = f"{form}: {detail}"
    return refusal(_reason(exc), name, detail)


def _reason(exc: Exception) -> str:
    text = str(exc).lower()
    if isinstance(exc, MemoryError) or type(exc).__name__.startswith("DecompressionBomb"):
        return "too-large"
    if isinstance(exc, OSError) and exc.errno in _DISK:
        return "unreadable"
    if isinstance(exc, (EOFError, struct.error)) or any(words in text for words in _TRUNCATED):
        return "truncated"
    if isinstance(exc.__cause__, (EOFError, struct.error, IndexError)):  # Pillow wraps them in a SyntaxError
        return "truncated"
    if isinstance(exc, zlib.error):
        return "corrupt"
    if isinstance(exc, NotImplementedError) or any(words in text for words in _UNSUPPORTED):
        return "unsupported"
    return "corrupt"
