"""One picture from where it lies to a model's pixels: read, hashed, recognised, decoded. Knows no threads.

Every failure of a picture becomes a value here, and the run goes on.
"""

from __future__ import annotations

import hashlib
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipsearch import images
from clipsearch.errors import ImageError
from clipsearch.images import PlainJpeg
from clipsearch.types import ImageFile, Preprocessing
from indexer.sources import is_missing

_BIG_FILE = 64 << 20  # bytes; read and decoded one at a time


@dataclass(frozen=True, slots=True)
class Work:
    """One picture whose turn has come. edited: only its columns changed, its content is that of sha256."""

    file: ImageFile
    id: str
    sha256: str | None = None
    edited: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """A picture with its vector, or what it is instead.

    Exactly one of these holds: vector is set; same_as names a record with the same content; edited; error
    says why it cannot be used.
    """

    file: ImageFile
    id: str
    sha256: str | None = None
    vector: NDArray[np.float32] | None = None  # (D,), of length 1
    width: int = 0  # the original's, upright
    height: int = 0
    same_as: str | None = None
    edited: bool = False
    error: ImageError | None = None
    pixels: NDArray[np.uint8] | None = None  # (height, width, 3), on the way to the encoder only
    jpeg: PlainJpeg | None = None  # or not decoded yet: the GPU will


def nobody(sha256: str) -> str | None:
    return None


def nothing(jpeg: PlainJpeg) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Loader:
    """How pictures are loaded. known says which record has a content already (None: nobody).

    left: which JPEGs are not decoded here.
    """

    preprocessing: Preprocessing
    exact: bool = False
    known: Callable[[str], str | None] = nobody
    left: Callable[[PlainJpeg], bool] = nothing

    def load(self, file: ImageFile, id: str, data: bytes | ImageError | None = None) -> Loaded:
        """One picture. Never raises for a picture's own faults: they are in .error.

        data: its bytes where they were read before, or why they could not be.
        """
        if file.n_bytes > _BIG_FILE:
            with images.one_at_a_time():
                return self._load(file, id, data)
        return self._load(file, id, data)

    def _load(self, file: ImageFile, id: str, data: bytes | ImageError | None) -> Loaded:
        sha256 = None
        try:
            if isinstance(data, ImageError):
                raise data
            content = read(file) if data is None else data
            sha256 = hashlib.sha256(content).hexdigest()
            same_as = self.known(sha256)
            if same_as is not None:
                return Loaded(file, id, sha256, same_as=same_as)
            jpeg = images.plain_jpeg(content) if self.left is not nothing else None
            if jpeg is not None and self.left(jpeg):
                return Loaded(file, id, sha256, width=jpeg.width, height=jpeg.height, jpeg=jpeg)
            pixels, (width, height) = images.load(
                content, self.preprocessing, exact=self.exact, name=file.path
            )
        except ImageError as exc:
            return Loaded(file, id, sha256, error=exc)
        return Loaded(file, id, sha256, width=width, height=height, pixels=pixels)


def decoded(item: Loaded, loader: Loader) -> Loaded:
    """The picture of a JPEG that was left, decoded here after all."""
    if item.jpeg is None:
        return item
    again = replace(loader, known=nobody, left=nothing).load(item.file, item.id, item.jpeg.data)
    return replace(again, sha256=item.sha256)


class Claims:
    """Who of the pictures under way has which content, so that no content is encoded twice."""

    def __init__(self, known: Callable[[str], str | None]) -> None:
        self._known = known
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}  # sha256 -> id

    def loader(self, loader: Loader, id: str) -> Loader:
        """A loader that asks here who else has the content, in the name of id."""
        return replace(loader, known=lambda sha256: self._claim(sha256, id))

    def settle(self, batch: Sequence[Loaded]) -> None:
        """Forget these: whoever comes now finds them where they were written."""
        with self._lock:
            for item in batch:
                if item.sha256 is not None and self._owners.get(item.sha256) == item.id:
                    del self._owners[item.sha256]

    def _claim(self, sha256: str, id: str) -> str | None:
        known = self._known(sha256)
        if known is not None:
            return known
        with self._lock:
            owner = self._owners.setdefault(sha256, id)
        return None if owner == id else owner


def read(file: ImageFile) -> bytes:
    """The picture's bytes. Raises ImageError."""
    if is_missing(file):
        raise ImageError(
            "unreadable", f"{file.path}: there is no such file, or it may not be looked at; check the path"
        )
    if file.read is not None:
        return file.read()
    path = Path(file.path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device would never end
            raise ImageError("unreadable", f"{file.path}: not a regular file; take it out of the folder")
        if status.st_size > images.MAX_BYTES:
            raise ImageError(
                "too-large", f"{file.path}: {status.st_size:,} bytes, over the bound of {images.MAX_BYTES:,}"
            )
        return path.read_bytes()
    except OSError as exc:
        raise ImageError(
            "unreadable", f"{file.path}: {exc.strerror or exc}; check that you may read it"
        ) from exc
