"""Any Pillow mode to RGB uint8, and EXIF orientation. Knows nothing of files and bounds.

How a mode becomes RGB:
- alpha (RGBA, LA, PA, premultiplied RGBa and La, palette or single-colour transparency): over white;
- CMYK and YCCK: Pillow's plain conversion (Adobe's inversion is undone by the JPEG plugin);
- 16-bit grey: the upper eight bits, as the formats define 65535 to be white;
- 32-bit integers: as they are within 0..255, otherwise stretched from their least to their greatest
  (PGM's are 16-bit grey: see above); floats: within 0..1 times 255, within 0..255 as they are,
  otherwise stretched; NaN is black;
- colour profiles are ignored: encoders were trained on pictures decoded that way, and the reference
  processors ignore them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION_TAG = 0x0112
_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels as (H, W, 3) RGB, C-contiguous, not turned. The image is left as it was."""
    mode = image.mode
    if mode.startswith("I;16"):
        return _from_16_bit(image)
    if mode in ("I", "F"):
        return _grey(_eight_bits(np.asarray(image), sixteen=mode == "I" and image.format == "PPM"))
    if image.has_transparency_data:
        return _over_white(image)
    if mode != "RGB":
        image = image.convert("RGB")
    return np.asarray(image, dtype=np.uint8)


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or the block is broken. Call after load()."""
    try:
        value = int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a broken block raises nearly anything, and must not cost the picture
        return 1
    return value if 1 <= value <= 8 else 1


def orientation_in(exif: bytes, xmp: bytes) -> int:
    """EXIF orientation in a JPEG's APP1 payloads, read the way `orientation_of` reads a picture's."""
    if not exif and b"Orientation" not in xmp:
        return 1
    from PIL import Image

    carrier = Image.Image()
    carrier.info = {"exif": exif, "xmp": xmp} if exif else {"xmp": xmp}
    return orientation_of(carrier)


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The pixels upright, C-contiguous, for an EXIF orientation of 1 to 8."""
    if orientation >= 5:  # 5 to 8 are 1 to 4 of the transposed picture
        pixels, orientation = pixels.transpose(1, 0, 2), orientation - 4
    vertical = slice(None, None, -1) if orientation in (3, 4) else slice(None)
    horizontal = slice(None, None, -1) if orientation in (2, 3) else slice(None)
    return np.ascontiguousarray(pixels[vertical, horizontal])


def _over_white(image: Image.Image) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", rgba.size, (255, 255, 255))
    white.paste(rgba, (0, 0), rgba)
    return np.asarray(white, dtype=np.uint8)


def _from_16_bit(image: Image.Image) -> NDArray[np.uint8]:
    values = np.asarray(image)
    grey = (values >> 8).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[values == clear] = 255
    return _grey(grey)


def _eight_bits(values: NDArray[Any], *, sixteen: bool) -> NDArray[np.uint8]:
    if sixteen:
        clipped: NDArray[np.uint8] = np.clip(values >> 8, 0, 255).astype(np.uint8)
        return clipped
    integers = values.dtype.kind in "iu"
    finite = values if integers else values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = float(finite.min()), float(finite.max())
    if low >= 0 and high <= 255 and (integers or high > 1):
        scale, low = 1.0, 0.0
    elif low >= 0 and high <= 1 and not integers:
        scale, low = 255.0, 0.0
    else:
        scale = 255.0 / (high - low) if high > low else 0.0
    stretched = (values.astype(np.float64) - low) * scale
    stretched = np.nan_to_num(stretched, nan=0.0, posinf=255.0, neginf=0.0)
    return np.clip(np.rint(stretched), 0, 255).astype(np.uint8)


def _grey(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(values[:, :, None], 3, axis=2)
