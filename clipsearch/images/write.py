"""Pictures out: JPEG and PNG files, whole or not at all. Decodes nothing."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipsearch.files import replaced
from clipsearch.images.reasons import refusal


def save_jpeg(pixels: NDArray[np.uint8], path: Path | str, *, quality: int = 85) -> None:
    """Write (H, W, 3) RGB as a JPEG with 4:2:0 colour. A reader sees the old file or the new one.

    Raises ImageError("unwritable").
    """
    import simplejpeg

    contiguous = np.ascontiguousarray(pixels)
    _replace(
        Path(path),
        simplejpeg.encode_jpeg(contiguous, quality=quality, colorspace="RGB", colorsubsampling="420"),
    )


def save_png(pixels: NDArray[np.uint8], path: Path | str) -> None:
    """Write (H, W, 3) RGB as a PNG. A reader sees the old file or the new one.

    Raises ImageError("unwritable").
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    _replace(Path(path), buffer.getvalue())


def _replace(path: Path, data: bytes) -> None:
    try:
        with replaced(path) as beside:
            beside.write_bytes(data)
    except OSError as exc:
        raise refusal("unwritable", str(path), exc.strerror or str(exc)) from exc
