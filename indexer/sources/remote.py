"""Addresses: what is on the web, and what fsspec's drivers list and read, such as s3://bucket/photos.

Knows no driver by name but those of the extras; a driver's credentials are its own affair.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from clipsearch import images, tables
from clipsearch.errors import ImageError, SourceError
from clipsearch.types import ImageFile
from indexer.sources.addresses import is_http, without_credentials
from indexer.sources.folder import WithoutColumns
from indexer.sources.ignore import LeftOut, Rules
from indexer.sources.names import is_archive, is_junk, suffix
from indexer.sources.source import Source, SourceOptions

N_READERS = 16
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_DATES = ("LastModified", "last_modified", "updated", "mtime", "created")  # as the drivers call it
_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "crc32c", "sha256", "blob_id", "checksum")
_UNKNOWN = 0  # n_bytes where a listing does not say
_PASSWORD = re.compile(r"://[^/\s@]*@")
_INT63 = 2**63 - 1


def open_remote(location: str, options: SourceOptions) -> Source:
    """The source at an address: one picture on the web, or all pictures below a prefix of a store.

    Raises SourceError where there is nothing, no driver, no permission, or what is there is no picture.
    """
    if is_http(location):
        from indexer.sources.urls import open_url

        _check_kind(location.partition("?")[0].partition("#")[0], location)
        return open_url(location, options)
    files, path = _driver(location)
    info = _info(files, path, location)
    if info.get("type") != "directory":
        _check_kind(path, location)
        return StoredFileSource(files, location, info, options)
    return StoreSource(files, path, location, options)


def check_driver(location: str) -> None:
    """Raise SourceError where the driver of a store is not there."""
    _driver(location)


def read_stored(location: str, max_bytes: int) -> bytes:
    """The bytes of one object by its address. Raises ImageError."""
    shown = without_credentials(location)
    try:
        files, path = _driver(location)
    except SourceError as exc:
        raise ImageError("unreachable", str(exc)) from exc
    return _read(files, path, shown, None, max_bytes)


class StoredFileSource(WithoutColumns):
    """One picture of a store; it has the id it has when its prefix is indexed."""

    n_readers = 1

    def __init__(self, files: Any, location: str, info: Mapping[str, Any], options: SourceOptions) -> None:
        super().__init__()
        folder, _, self._key = without_credentials(location).rstrip("/").rpartition("/")
        self.name, self.named = options.name or folder, options.name is not None
        self._at, self._files, self._info, self._options = folder, files, info, options
        self.n_files = 1

    def files(self) -> Iterator[ImageFile]:
        """The one."""
        yield _file(
            self.name, self._key, f"{self._at}/{self._key}", self._files, self._info, self._options.max_bytes
        )


class StoreSource(WithoutColumns):
    """Every picture below a prefix, folder by folder in order; one folder's listing is held at a time.

    A picture's state is its size and date in the listing, or its checksum where there is no date.
    """

    n_readers = N_READERS

    def __init__(self, files: Any, path: str, location: str, options: SourceOptions) -> None:
        super().__init__()
        self._files, self._top, self._options = files, path.rstrip("/"), options
        self.location = without_credentials(location).rstrip("/")
        self.name, self.named = options.name or self.location, options.name is not None
        self._rules = Rules(options)

    def files(self) -> Iterator[ImageFile]:
        """A picture as soon as its folder is listed; how many there are is known at the end."""
        self.complete, self.n_other = False, 0
        left_out, unreadable = LeftOut(), list[str]()
        n_found, waiting = 0, [""]
        while waiting:
            below = waiting.pop()
            try:
                entries = self._listed(below)
            except Exception as exc:  # a driver raises what it likes
                unreadable.append(f"{self.location}/{below}: {_said(exc)}")
                continue
            folders: list[str] = []
            for key, info in entries:
                if info.get("type") == "directory":
                    folders += self._taken_folder(key, left_out)
                elif self._is_taken(key, left_out):
                    n_found += 1
                    where = f"{self.location}/{key}"
                    yield _file(self.name, key, where, self._files, info, self._options.max_bytes)
            waiting += reversed(folders)
        self.n_files, self.n_ignored, self.complete = n_found, left_out.n_files, not unreadable
        self.notes += left_out.note(self.location)
        if unreadable:
            more = f" (and {len(unreadable) - 1:,} more)" if len(unreadable) > 1 else ""
            self.notes.append(f"{unreadable[0]}{more} could not be listed; what was indexed from there stays")

    def _listed(self, below: str) -> list[tuple[str, Mapping[str, Any]]]:
        """(key, what the listing says) of what is directly in a folder, in order."""
        at = f"{self._top}/{below}".rstrip("/") if below else self._top
        found = []
        for info in self._files.ls(at, detail=True):
            name = str(info["name"]).rstrip("/").removeprefix(self._files.root_marker)
            step = name.rpartition("/")[2]
            if name != at.removeprefix(self._files.root_marker) and step not in ("", ".", ".."):
                found.append((f"{below}/{step}".lstrip("/"), info))
        return sorted(found, key=lambda entry: entry[0])

    def _taken_folder(self, key: str, left_out: LeftOut) -> list[str]:
        if is_junk(key.rpartition("/")[2], hidden=self._options.hidden):
            return []
        if self._rules.leaves_out_folder(key):
            left_out.n_folders += 1
            return []
        return [key]

    def _is_taken(self, key: str, left_out: LeftOut) -> bool:
        name = key.rpartition("/")[2]
        if is_junk(name, hidden=self._options.hidden):
            return False
        if suffix(name) not in images.SUFFIXES:
            self.n_other += 1
            return False
        if self._rules.leaves_out(key):
            left_out.n_files += 1
            return False
        return True


def _driver(location: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path in it."""
    shown = without_credentials(location)
    scheme = location.partition("://")[0].lower()
    try:
        from fsspec.core import url_to_fs
    except ImportError as exc:
        raise SourceError(f'{shown} needs fsspec: pip install "clipsearch[remote]"') from exc
    if "::" in location:
        raise SourceError(f"{shown} is an address in an address, which is not read; copy what it means here")
    try:
        files, path = url_to_fs(location, use_listings_cache=False)
    except ImportError as exc:
        extra = _EXTRAS.get(scheme)
        advice = f'pip install "clipsearch[{extra}]"' if extra else f"install it ({exc})"
        raise SourceError(f"{shown} needs a driver for {scheme}:// that is not here: {advice}") from exc
    except Exception as exc:  # an unknown scheme, or a driver that lacks its settings
        raise SourceError(f"{shown} cannot be opened: {_said(exc)}; check the address") from exc
    return files, str(path)


def _info(files: Any, path: str, location: str) -> Mapping[str, Any]:
    """What the store says is there."""
    shown = without_credentials(location)
    try:
        info: Mapping[str, Any] = files.info(path)
    except FileNotFoundError as exc:
        raise SourceError(f"there is nothing at {shown}; check the address") from exc
    except Exception as exc:  # a driver raises what it likes
        raise SourceError(
            f"{shown} cannot be looked at: {_said(exc)}; check the address and that you may read it"
        ) from exc
    return info


def _check_kind(path: str, location: str) -> None:
    """Refuse a table or an archive, which would have to be here."""
    if suffix(path.rpartition("/")[2]) in tables.SUFFIXES or is_archive(path):
        raise SourceError(
            f"{without_credentials(location)} is no picture; catalogues and archives are read from this "
            "machine. Copy it here and index the copy, with --source-name to keep its records' ids"
        )


def _file(
    source: str, key: str, where: str, files: Any, info: Mapping[str, Any], max_bytes: int
) -> ImageFile:
    size = info.get("size")
    n_bytes = size if isinstance(size, int) and size >= 0 else None
    read = partial(_read, files, str(info["name"]), where, n_bytes, max_bytes)
    return ImageFile(source, key, where, n_bytes or _UNKNOWN, _stamp(info), {}, read)


def _read(files: Any, path: str, where: str, n_bytes: int | None, max_bytes: int) -> bytes:
    """The object's bytes. Raises ImageError.

    n_bytes: as it was listed; None: not known, and asked for first.
    """
    try:
        if n_bytes is None:
            n_bytes = files.info(path).get("size")
        if n_bytes is not None and n_bytes > max_bytes:
            raise _too_large(where, f"{n_bytes:,} bytes", max_bytes)
        if n_bytes is None:
            with files.open(path, "rb") as file:
                data = bytes(file.read(max_bytes + 1))
        else:
            data = bytes(files.cat_file(path))
    except ImageError:
        raise
    except Exception as exc:  # a driver raises what it likes
        raise ImageError("unreachable", f"{where}: {_said(exc)}; {images.REASONS['unreachable']}") from exc
    if len(data) > max_bytes:
        raise _too_large(where, "more bytes", max_bytes)
    return data


def _too_large(where: str, what: str, max_bytes: int) -> ImageError:
    return ImageError(
        "too-large", f"{where}: {what}, over the bound of {max_bytes:,}; raise it with --max-bytes"
    )


def _stamp(info: Mapping[str, Any]) -> int:
    """A number that is another when the object is: its date in nanoseconds, or of its checksum."""
    for name in _DATES:
        value = info.get(name)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            value = value.timestamp()
        if isinstance(value, (int, float)):
            return int(value * 1e9) % _INT63
    mark = "\0".join(str(info[name]) for name in _MARKS if info.get(name))
    return int.from_bytes(hashlib.sha256(mark.encode()).digest()[:8], "big") % _INT63 if mark else 0


def _said(exc: Exception) -> str:
    """The driver's words, without a password that may be in them."""
    if isinstance(exc, FileNotFoundError):  # whose words are only the path
        return "there is nothing there"
    return _PASSWORD.sub("://", " ".join(str(exc).split()))[:200] or type(exc).__name__
