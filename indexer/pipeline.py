"""From files to decoded pictures, in order and with a bounded look-ahead. Knows no model and no store.

Reading, hashing and decoding run in threads (the decoders release the GIL) while the caller encodes.
"""

from __future__ import annotations

import hashlib
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipsearch import images
from clipsearch.errors import ImageError
from clipsearch.types import ImageFile, Preprocessing
from indexer.sources import is_missing


@dataclass(frozen=True, slots=True)
class Loaded:
    """A picture ready for the model, or the reason why it is not.

    pixels is None where `same_as` names a record with the same content, and where it failed.
    """

    file: ImageFile
    id: str
    sha256: str | None = None
    pixels: NDArray[np.uint8] | None = None  # (height, width, 3), as the model wants it
    width: int = 0  # the original's, upright
    height: int = 0
    same_as: str | None = None
    error: ImageError | None = None


def _nobody(sha256: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Loader:
    """How pictures are loaded. known says which record has a content already (None: nobody)."""

    preprocessing: Preprocessing
    exact: bool = False
    known: Callable[[str], str | None] = _nobody

    def knowing(self, known: Callable[[str], str | None]) -> Loader:
        """This loader, which does not decode what is known."""
        return replace(self, known=known)

    def load(self, file: ImageFile, id: str) -> Loaded:
        """One picture. Never raises for a picture's own faults: they are in .error."""
        data = b""
        try:
            data = _read(file)
            sha256 = hashlib.sha256(data).hexdigest()
            same_as = self.known(sha256)
            if same_as is not None:
                return Loaded(file, id, sha256, same_as=same_as)
            pixels, (width, height) = images.load(data, self.preprocessing, exact=self.exact)
        except ImageError as exc:
            named = str(exc).replace(f"a picture of {len(data):,} bytes", file.path)
            return Loaded(file, id, error=ImageError(exc.reason, named))
        return Loaded(file, id, sha256, pixels, width, height)


def load_all(
    files: Iterable[tuple[ImageFile, str]], loader: Loader, *, workers: int, look_ahead: int
) -> Generator[Loaded, None, None]:
    """Every file loaded, in order; at most `look_ahead` are held at once, whatever their sizes.

    Close it to end early: what is under way is finished, the rest is not begun.
    """
    todo = iter(files)
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        pending: deque[Future[Loaded]] = deque(
            pool.submit(loader.load, file, id) for file, id in islice(todo, look_ahead)
        )
        try:
            while pending:
                loaded = pending.popleft().result()
                for file, id in islice(todo, 1):
                    pending.append(pool.submit(loader.load, file, id))
                yield loaded
        finally:
            for future in pending:
                future.cancel()


def _read(file: ImageFile) -> bytes:
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
