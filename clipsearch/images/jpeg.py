"""JPEGs the fast way: decoded by libjpeg-turbo straight at a reduced DCT scale, through simplejpeg.

Owns simplejpeg and the reading of JPEG headers. What it does not take (CMYK, 12 bits, damage that
libjpeg can live with) it leaves to Pillow by answering None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import ImageError
from clipsearch.images.colour import orientation_in
from clipsearch.images.reasons import refusal

SIGNATURE = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 without DHT, JPG, DAC
_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers without a length
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_SCAN_WORK = 4_000_000_000  # pixels x scans; ordinary files have ten scans, a bomb thousands


@dataclass(frozen=True, slots=True)
class Header:
    """What a JPEG says before its first scan. Sizes as stored, not upright."""

    width: int
    height: int
    bits: int
    components: int
    buffered: bool  # all coefficients are held at full size while decoding (progressive, several scans)
    exif: bytes
    xmp: bytes


@dataclass(frozen=True, slots=True)
class PlainJpeg:
    """A whole JPEG of the most ordinary kind: sequential, 8 bits, RGB in one scan. Sizes are upright."""

    data: bytes
    width: int
    height: int
    orientation: int  # EXIF's, 1 to 8


@dataclass(frozen=True, slots=True)
class Raster:
    """Decoded rows as stored: not yet turned. `covered` is what the original's area takes of them."""

    pixels: NDArray[np.uint8]
    covered: tuple[float, float]  # (width, height) in pixels of the raster; its last row may be half padding
    orientation: int


def read_header(data: bytes, name: str) -> Header | None:
    """The header, or None where it is odd enough that Pillow should judge.

    Raises ImageError("truncated") where the file ends before its first scan.
    """
    at, exif, xmp = 2, b"", b""
    frame: tuple[int, bytes] | None = None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if length < 2 or marker in (0x00, 0xD8, 0xD9):
            return None
        if at + 2 + length > len(data):
            break
        if marker in _FRAMES:
            frame = (marker, body)
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif += body[6:] if exif else body
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            xmp = body.split(b"\0", 1)[1]
        elif marker == 0xDA:
            return _header(frame, body, exif, xmp)
        at += 2 + length
    raise refusal("truncated", name, f"JPEG: it ends after {len(data):,} bytes, before the picture begins")


def plain_jpeg(data: bytes) -> PlainJpeg | None:
    """The JPEG if it is of the most ordinary kind, which any decoder takes; None for every other file."""
    if not data.startswith(SIGNATURE) or not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        return None
    try:
        header = read_header(data, "")
    except ImageError:
        return None
    if header is None or header.bits != 8 or header.components != 3 or header.buffered:
        return None
    orientation = orientation_in(header.exif, header.xmp)
    size = (header.width, header.height)
    return PlainJpeg(data, *(size[::-1] if orientation >= 5 else size), orientation)


def check_work(size: tuple[int, int], data: bytes, name: str) -> None:
    """Refuse a great many scans over a great many pixels: small to store, hours to decode."""
    scans = data.count(b"\xff\xda")
    if scans * size[0] * size[1] > _SCAN_WORK:
        raise refusal("too-large", name, f"JPEG: {scans:,} scans of {size[0]:,} x {size[1]:,} pixels")


def decode_scaled(
    data: bytes, header: Header, *, min_side: int | None, max_pixels: int, name: str
) -> Raster | None:
    """RGB at the least of the scales 1/8, 1/4, 1/2 and 1 that leaves min_side on the shorter side.

    None where Pillow should try. Raises ImageError("too-large") where the scaled picture, or what
    must be held to make it, is more than max_pixels.
    """
    import simplejpeg

    if header.components not in (1, 3):
        return None
    eighths = _eighths(header, min_side)
    width, height = -(-header.width * eighths // 8), -(-header.height * eighths // 8)
    if (header.width * header.height if header.buffered else width * height) > max_pixels:
        raise refusal("too-large", name, too_many(header.width, header.height, max_pixels))
    try:  # strict: libjpeg's warnings are errors, so a file cut anywhere never passes here
        pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=height, min_width=width, min_factor=1, strict=True
        )
    except (ValueError, RuntimeError):
        return None
    if pixels.shape[:2] != (height, width):
        return None
    covered = (header.width * eighths / 8, header.height * eighths / 8)
    return Raster(pixels, covered, orientation_in(header.exif, header.xmp))


def _eighths(header: Header, min_side: int | None) -> int:
    """The scale in eighths. Only powers of two: libjpeg-turbo has no fast transform for the others,
    7/8 takes longer than all of it (2.7 against 1.6 ms at 512 px) and comes out blurred (45 dB).
    """
    if min_side is None:
        return 8
    return next((n for n in (1, 2, 4) if min(header.width, header.height) * n >= 8 * min_side), 8)


def too_many(width: int, height: int, max_pixels: int) -> str:
    """The sentence about a picture over its bound."""
    return f"{width:,} x {height:,} pixels, and the bound is {max_pixels:,} in memory at once"


def _header(frame: tuple[int, bytes] | None, scan: bytes, exif: bytes, xmp: bytes) -> Header | None:
    if frame is None or len(frame[1]) < 6 or not scan:
        return None
    marker, body = frame
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if height == 0 or width == 0:  # the height may come after the scan (DNL): rare
        return None
    buffered = marker in _PROGRESSIVE or scan[0] < body[5]
    return Header(width, height, body[0], body[5], buffered, exif, xmp)
