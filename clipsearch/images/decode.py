"""One picture in, upright bounded RGB out. Owns the bounds; every failure leaves as an ImageError.

Knows nothing of models: how large a picture must stay is an argument.
"""

from __future__ import annotations

import io
import os
import stat
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import ImageError
from clipsearch.images import colour, jpeg
from clipsearch.images.formats import open_image
from clipsearch.images.reasons import refusal, translated

if TYPE_CHECKING:
    from PIL import Image

Source: TypeAlias = Union[Path, str, bytes, "Image.Image", NDArray[np.uint8]]

MAX_PIXELS = 178_956_970
"""Pixels in memory at once. Where Pillow itself gives up (2 x Image.MAX_IMAGE_PIXELS): 13,377 squared, which
costs 1.3 GB for the moment in which both Pillow's four bytes a pixel and our three exist. A sequential
JPEG is held at its scaled size only, so its original may have 64 times as many."""

MAX_BYTES = 512 * 1024 * 1024
"""Bytes of a file. JPEG, AVIF, HEIC and WebP are read whole; uncompressed, MAX_PIXELS in RGB are as many."""

_LARGE_PIXELS = 25_000_000  # 175 MB while it is decoded; a thread may have that much at any time
_large = threading.RLock()
_SLOW_PIXELS = 25_000_000  # where Pillow decodes in Python (QOI, BLP, plain PPM...): 1 us a pixel and more


@dataclass(frozen=True, slots=True)
class Decoded:
    """An upright picture.

    pixels: (H, W, 3) RGB, C-contiguous, perhaps read-only and perhaps smaller than the original.
    width, height: of the original, upright. box: the part (left, top, right, bottom) of pixels that
    the original covers, where scaling left a fraction of a row or column over; None: all of it.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    box: tuple[float, float, float, float] | None = None


def decode(
    source: Source,
    *,
    min_side: int | None = None,
    exact: bool = False,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    name: str | None = None,
) -> Decoded:
    """The picture upright in RGB; the first frame or page where there are several.

    With min_side a JPEG is decoded at the least scale that keeps its shorter side at min_side or
    more (exact: never scaled). name: what errors call it. Thread-safe; threads decode very large
    pictures one after the other. Raises ImageError with a reason of REASONS and nothing else.
    """
    name = name or _name(source)
    side = None if exact else min_side
    try:
        if isinstance(source, np.ndarray):
            return _from_array(source, name)
        if not isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)):
            return _from_pillow(source, name, max_pixels=max_pixels)
        with _opened(source, name, max_bytes) as stream:
            if stream.read(len(jpeg.SIGNATURE)) == jpeg.SIGNATURE:
                stream.seek(0)
                return _from_jpeg(stream.read(), name, min_side=side, max_pixels=max_pixels)
            with open_image(stream, name) as image:
                return _from_pillow(image, name, max_pixels=max_pixels)
    except ImageError:
        raise
    except Exception as exc:  # decoders raise nearly everything on damaged input
        raise translated(exc, name) from exc


def one_at_a_time() -> AbstractContextManager[object]:
    """The lock under which threads decode very large pictures, so that memory is bounded for all of them."""
    return _large


def _room_for(pixels: int) -> AbstractContextManager[object]:
    return _large if pixels > _LARGE_PIXELS else nullcontext()


def _name(source: Source) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    if isinstance(source, np.ndarray):
        return f"an array of {source.dtype} {source.shape}"
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"a picture of {len(source):,} bytes"
    return getattr(source, "filename", "") or "a Pillow image"


def _opened(source: Path | str | bytes, name: str, max_bytes: int) -> BinaryIO:
    if not isinstance(source, (str, os.PathLike)):
        _check_bytes(len(source), name, max_bytes)
        return io.BytesIO(source)
    try:
        found = Path(source).stat()
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            raise refusal("unreadable", name, "not a regular file")
        _check_bytes(found.st_size, name, max_bytes)
        return Path(source).open("rb")
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        raise refusal("unreadable", name, getattr(exc, "strerror", None) or str(exc)) from exc


def _check_bytes(n_bytes: int, name: str, max_bytes: int) -> None:
    if n_bytes == 0:
        raise refusal("empty", name)
    if n_bytes > max_bytes:
        raise refusal("too-large", name, f"{n_bytes:,} bytes, and the bound is {max_bytes:,}")


def _from_jpeg(data: bytes, name: str, *, min_side: int | None, max_pixels: int) -> Decoded:
    header = jpeg.read_header(data, name)
    if header is not None:
        if header.bits != 8:
            raise refusal("unsupported", name, f"JPEG with {header.bits} bits a sample")
        if header.buffered:
            jpeg.check_work((header.width, header.height), data, name)
        held = header.width * header.height if header.buffered or min_side is None else 0
        with _room_for(held):
            raster = jpeg.decode_scaled(data, header, min_side=min_side, max_pixels=max_pixels, name=name)
        if raster is not None:
            return _upright(raster, (header.width, header.height))
    with open_image(io.BytesIO(data), name) as image:
        if header is None:
            jpeg.check_work(image.size, data, name)
        side = min_side if header is not None and not header.buffered else None
        return _from_pillow(image, name, max_pixels=max_pixels, min_side=side)


def _from_pillow(image: Image.Image, name: str, *, max_pixels: int, min_side: int | None = None) -> Decoded:
    form = image.format or ""
    width, height = image.size
    drafted: Any = None
    try:
        if min_side is not None and min(width, height) >= 2 * min_side:
            drafted = image.draft(None, (min_side, min_side))  # only JPEG's plugin scales
        _check_pixels(image, name, max_pixels)
        with _room_for(image.width * image.height):
            image.load()
            orientation = colour.orientation_of(image)
            pixels = colour.to_rgb(image)
    except ImageError:
        raise
    except Exception as exc:
        raise translated(exc, name, form=form) from exc
    if drafted:
        return _upright(jpeg.Raster(pixels, drafted[1][2:], orientation), (width, height))
    width, height = image.size  # TIFF turns itself and ICO corrects its size while loading
    return _upright(jpeg.Raster(pixels, (width, height), orientation), (width, height))


def _check_pixels(image: Image.Image, name: str, max_pixels: int) -> None:
    from PIL import Image

    width, height = image.size
    tiles = getattr(image, "tile", ())
    if any(tile[0] in Image.DECODERS for tile in tiles) and width * height > _SLOW_PIXELS:
        bound = min(max_pixels, _SLOW_PIXELS)
        raise refusal(
            "too-large", name, f"{image.format}, decoded slowly: {jpeg.too_many(width, height, bound)}"
        )
    if width * height > max_pixels:
        raise refusal("too-large", name, jpeg.too_many(width, height, max_pixels))


def _from_array(pixels: NDArray[np.uint8], name: str) -> Decoded:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise refusal("unsupported", name, "an array of a picture is uint8 of shape (height, width, 3)")
    return Decoded(np.ascontiguousarray(pixels), pixels.shape[1], pixels.shape[0])


def _upright(raster: jpeg.Raster, size: tuple[int, int]) -> Decoded:
    height, width = raster.pixels.shape[:2]
    right, bottom = width - raster.covered[0], height - raster.covered[1]  # padding after the picture
    pixels = colour.turned(raster.pixels, raster.orientation)
    turn = raster.orientation
    if turn >= 5:
        size, right, bottom, turn = size[::-1], bottom, right, turn - 4
    if right == bottom == 0:
        return Decoded(pixels, *size)
    height, width = pixels.shape[:2]
    left, right = (right, 0.0) if turn in (2, 3) else (0.0, right)
    top, bottom = (bottom, 0.0) if turn in (3, 4) else (0.0, bottom)
    return Decoded(pixels, *size, (left, top, width - right, height - bottom))
