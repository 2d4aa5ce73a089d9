"""Archives held open, a few at a time; compressed tars unpacked while they are. Knows no pictures."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import shutil
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from clipsearch.errors import SourceError
from indexer.sources.member_names import check_encoding
from indexer.sources.members import DAMAGED, OpenArchive, OpenTar, OpenZip

_MOST = 2  # archives open at once
_CHUNK = 1024 * 1024
_MOST_TIMES, _ALWAYS = 100, 1024**3
"""An archive may unpack to 100 times its size, and to 1 GiB in any case: pictures shrink by far less."""
_KEPT_FREE = 1024**3  # of the disk with the temporary files


_Read = Callable[[int], bytes]  # at most so many bytes, which come before an error in those that follow


@dataclass(slots=True)
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    archive: OpenArchive | None = None


class Shelf:
    """Opens archives and keeps the last used. Thread-safe.

    What is taken off the shelf is closed, and its temporary file gone, when its last reader is done.
    """

    def __init__(self, *, encoding: str | None = None) -> None:
        """encoding: of names that are not UTF-8. Raises SourceError if there is none of that name."""
        check_encoding(encoding)
        self._encoding = encoding
        self._slots: OrderedDict[Path, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, path: Path) -> OpenArchive:
        """The archive. Raises SourceError where nothing of it can be read."""
        with self._lock:
            slot = self._slots.setdefault(path, _Slot())
            self._slots.move_to_end(path)
            while len(self._slots) > _MOST:
                self._slots.popitem(last=False)
        with slot.lock:  # one unpacks, whoever else wants it waits
            if slot.archive is None or slot.archive.stamp != stamp(path):
                slot.archive = _opened(path, self._encoding)
            return slot.archive


def stamp(path: Path) -> tuple[int, int]:
    """Bytes and date of a file, by which it is the same."""
    with _readable(path):
        status = path.stat()
    return status.st_size, status.st_mtime_ns


def is_compressed(path: Path) -> bool:
    """Whether the archive has to be unpacked as a whole to be read."""
    with _readable(path), path.open("rb") as file:
        return _unpacker(file.read(8)) is not None


def check(path: Path) -> None:
    """Raise SourceError for what is no archive, without reading it all."""
    with _readable(path), path.open("rb") as file:
        begin = file.read(tarfile.BLOCKSIZE)
        if _unpacker(begin) is not None or zipfile.is_zipfile(file):
            return
        if begin.startswith(b"PK"):
            raise SourceError(f"{path} is a zip without an end; it was not copied whole, so copy it again")
        if not begin.strip(b"\0"):
            raise SourceError(f"{path} is empty; copy it again")
        try:
            tarfile.TarInfo.frombuf(begin, "utf-8", "surrogateescape")
        except tarfile.TarError as exc:
            raise SourceError(f"{path} is no archive, whatever its name says ({exc})") from exc


def _opened(path: Path, encoding: str | None) -> OpenArchive:
    with _readable(path), contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        unpacker = _unpacker(file.read(8))
        file.seek(0)
        known_by = stamp(path)
        if unpacker is not None:
            unpacked, damage = _unpacked(unpacker(file), path)
            archive = OpenTar(unpacked, encoding=encoding, stamp=known_by)
            archive.damage = damage
            return archive
        opened: OpenArchive
        if zipfile.is_zipfile(file):
            opened = OpenZip(file, encoding=encoding, stamp=known_by)
        else:
            opened = OpenTar(file, encoding=encoding, stamp=known_by)
        stack.pop_all()  # it is the archive's now
        return opened


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Damage as a SourceError."""
    try:
        yield
    except OSError as exc:
        raise SourceError(
            f"{path} cannot be read: {exc.strerror or exc}; check that you may read it"
        ) from exc
    except DAMAGED as exc:
        raise SourceError(f"{path} is no archive that can be read ({exc}); copy it again") from exc


# --- unpacking -------------------------------------------------------------------------------------


def _unpacker(begin: bytes) -> Callable[[BinaryIO], _Read] | None:
    """What unpacks a file that begins so; None: it is not compressed."""
    if begin.startswith(b"\x1f\x8b"):
        return lambda file: gzip.GzipFile(fileobj=file).read1
    if begin.startswith(b"BZh"):
        return lambda file: bz2.BZ2File(file).read1
    if begin.startswith(b"\xfd7zXZ\0"):
        return lambda file: lzma.LZMAFile(file).read1
    if begin.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd
    return None


def _zstd(file: BinaryIO) -> _Read:
    """pyarrow has the only zstd that is here in any case; this is all that this package asks of it."""
    import pyarrow as pa

    return cast(_Read, pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd").read)


def _unpacked(read: _Read, path: Path) -> tuple[BinaryIO, str]:
    """A temporary file without a name, with what could be unpacked; and why that is not all.

    Raises SourceError for what unpacks to more than an archive of pictures does.
    """
    free = shutil.disk_usage(tempfile.gettempdir()).free - _KEPT_FREE
    most = min(max(_ALWAYS, _MOST_TIMES * path.stat().st_size), max(free, 0))
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 -- the archive closes it
    n_bytes = 0
    try:
        while chunk := read(_CHUNK):
            n_bytes += len(chunk)
            if n_bytes > most:
                raise SourceError(
                    f"{path} unpacks to more than {most:,} bytes, 100 times its size or more than there is "
                    f"room for in {tempfile.gettempdir()}; unpack it yourself, or set TMPDIR to a larger disk"
                )
            file.write(chunk)
        damage = ""
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as exc:
        damage = str(exc) or type(exc).__name__
    except SourceError:
        file.close()
        raise
    file.flush()
    return file, damage
