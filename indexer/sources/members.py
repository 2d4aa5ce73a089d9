"""What is in a tar or a zip, and the bytes of one member, from any thread. Writes no member to the disk.

A member's name is only a name: made harmless here, and never the path of a file that is written.
"""

from __future__ import annotations

import calendar
import contextlib
import io
import lzma
import os
import stat
import struct
import sys
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, Protocol

from clipsearch import images
from clipsearch.errors import ImageError
from indexer.sources.member_names import decoded, harmless

_MAX_HEADER_BYTES = 16 * 1024 * 1024  # what one header of a tar may claim for its long name
_NS = 10**9
_ENCRYPTED = 0x1  # bits of a zip member's flags
_UTF8 = 0x800
DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError),
    *(NotImplementedError, RuntimeError, ArithmeticError, LookupError, struct.error),
)
"""What the archive libraries raise for what they cannot make sense of."""


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive. place: its offset in a tar, its entry in a zip."""

    name: str  # with slashes, without a way out of the archive
    n_bytes: int
    mtime_ns: int
    place: int | zipfile.ZipInfo


class OpenArchive(Protocol):
    """An archive held open. Closed when nobody holds it any more."""

    stamp: tuple[int, int]  # bytes and date of the archive's file, by which it is the same
    damage: str  # after members(): why it could not be read to its end, or ""

    def members(self) -> list[Member]:
        """Its regular files in their order; of several with one name the last, as when it is unpacked."""

    def read(self, member: Member) -> bytes:
        """The member's bytes. Thread-safe. Raises ImageError, without the member's name."""


class OpenTar:
    """A tar that is not compressed, read by offsets."""

    def __init__(self, file: BinaryIO, *, encoding: str | None, stamp: tuple[int, int]) -> None:
        self._at = ReadAt(file)
        self._encoding, self.stamp = encoding, stamp
        self._members: list[Member] | None = None
        self.damage = ""

    def members(self) -> list[Member]:
        if self._members is None:
            found = list(self._headers())
            names = decoded([name for name, _ in found], self._encoding)
            self._members = _last_of_each(
                Member(harmless(name), info.size, info.mtime_ns, info.offset)
                for name, (_, info) in zip(names, found, strict=True)
            )
        return self._members

    def read(self, member: Member) -> bytes:
        _check_size(member)
        assert isinstance(member.place, int)
        try:
            data = self._at.read_at(member.place, member.n_bytes)
        except OSError as exc:
            raise ImageError("unreadable", f"{exc.strerror or exc}; check the disk") from exc
        if len(data) < member.n_bytes:
            raise ImageError("truncated", "the archive ends before the picture does; copy it again")
        return data

    def _headers(self) -> Iterator[tuple[bytes, _Header]]:
        """(name, what the header says) of each regular file, as far as the tar can be read."""
        try:
            with tarfile.TarFile(
                fileobj=_Cursor(self._at), mode="r", encoding="utf-8", errors="surrogateescape"
            ) as tar:
                before = -1
                while (info := tar.next()) is not None:
                    vars(tar)["members"].clear()  # it would keep every header
                    if not before < info.offset or info.size < 0:  # round and round, for ever
                        self.damage = "a header leads backwards"
                        return
                    before = info.offset
                    if info.isreg() and info.sparse is None:
                        yield (
                            info.name.encode("utf-8", "surrogateescape"),
                            _Header(info.offset_data, info.size, self._date(info.mtime)),
                        )
                if 0 < self._at.n_bytes - tar.offset < tarfile.BLOCKSIZE:
                    self.damage = "it ends in the middle of a header"
        except DAMAGED as exc:
            self.damage = str(exc) or type(exc).__name__

    def _date(self, mtime: float) -> int:
        """The member's, if it has one that can be; else the archive's."""
        return int(mtime * _NS) if 0 < mtime < 2**33 else self.stamp[1]


@dataclass(frozen=True, slots=True)
class _Header:
    offset: int
    size: int
    mtime_ns: int


class OpenZip:
    """A zip, read through its central directory."""

    def __init__(self, file: BinaryIO, *, encoding: str | None, stamp: tuple[int, int]) -> None:
        """Raises one of DAMAGED where there is no directory."""
        self._zip, self._lock = zipfile.ZipFile(file), threading.Lock()
        weakref.finalize(self, file.close)
        self._encoding, self.stamp = encoding, stamp
        self._members: list[Member] | None = None
        self.damage = ""

    def members(self) -> list[Member]:
        if self._members is None:
            infos = [
                info for info in self._zip.filelist if not info.filename.endswith("/") and _is_file(info)
            ]
            names = decoded([_raw_name(info) for info in infos], self._encoding)
            self._members = _last_of_each(
                Member(harmless(name.replace("\\", "/")), info.file_size, _zip_date(info), info)
                for name, info in zip(names, infos, strict=True)
            )
        return self._members

    def read(self, member: Member) -> bytes:
        _check_size(member)
        assert isinstance(member.place, zipfile.ZipInfo)
        if member.place.flag_bits & _ENCRYPTED:
            raise ImageError("unreadable", "it is encrypted; unpack it with its password first")
        try:
            with self._opened(member.place) as file:
                data = file.read(member.n_bytes)
        except NotImplementedError as exc:
            raise ImageError("unreadable", f"{exc}; pack it again, as a plain zip") from exc
        except DAMAGED as exc:
            raise ImageError("corrupt", f"{exc or type(exc).__name__}; copy the archive again") from exc
        if len(data) < member.n_bytes:
            raise ImageError("truncated", "the archive holds less of it than it says; copy it again")
        return data

    @contextlib.contextmanager
    def _opened(self, info: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
        """The member, whose bytes may be read while others are; zipfile counts its files without a lock."""
        with self._lock:
            file = self._zip.open(info)
        try:
            yield file
        finally:
            with self._lock:
                file.close()


class ReadAt:
    """A file read at any position from any thread; closed when nobody holds it any more."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._lock = file, threading.Lock()
        self.n_bytes = os.fstat(file.fileno()).st_size
        weakref.finalize(self, file.close)

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """The bytes; fewer at the file's end. Raises OSError."""
        if not 0 <= offset < self.n_bytes:
            return b""
        n_bytes = max(0, min(n_bytes, self.n_bytes - offset))
        if sys.platform == "win32":  # has no pread
            with self._lock:
                self._file.seek(offset)
                return self._file.read(n_bytes)
        return os.pread(self._file.fileno(), n_bytes, offset)


class _Cursor(io.BytesIO):
    """A position of its own in a file that others read as well, for tarfile's headers."""

    def __init__(self, file: ReadAt) -> None:
        super().__init__()
        self._of, self._position = file, 0
        self._window, self._start = b"", 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._position = offset if whence == 0 else self._position + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        begin = self._position - self._start
        if not 0 <= begin <= begin + size <= len(self._window):
            self._window = self._of.read_at(self._position, max(size, 4 * tarfile.BLOCKSIZE))
            self._start, begin = self._position, 0
        data = self._window[begin : begin + size]
        self._position += len(data)
        return data


def _last_of_each(members: Iterator[Member]) -> list[Member]:
    by_name: dict[str, Member] = {}
    for member in members:
        by_name.pop(member.name, None)
        by_name[member.name] = member
    by_name.pop("", None)  # a name that is none
    return list(by_name.values())


def _check_size(member: Member) -> None:
    if member.n_bytes > images.MAX_BYTES:
        raise ImageError("too-large", f"{member.n_bytes:,} bytes, over the bound of {images.MAX_BYTES:,}")


def _is_file(info: zipfile.ZipInfo) -> bool:
    """Whether it is a regular file; what was not packed on Unix says nothing, and is."""
    mode = info.external_attr >> 16
    return stat.S_IFMT(mode) in (0, stat.S_IFREG)


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    """The name's bytes, which zipfile decodes as cp437 where no flag says that they are UTF-8."""
    with contextlib.suppress(UnicodeEncodeError):
        return info.filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")
    return info.filename.encode("utf-8", "surrogatepass")


def _zip_date(info: zipfile.ZipInfo) -> int:
    """The date to two seconds, and in the rest the checksum: other content is another file."""
    try:
        seconds = calendar.timegm(info.date_time)
    except ValueError:  # month 0
        seconds = 0
    return seconds * _NS + info.CRC % _NS
