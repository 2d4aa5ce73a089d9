"""Pictures made for the tests, and how alike two are. Real files are read by the tests that need them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from clipsearch import images
from clipsearch.errors import ImageError
from clipsearch.types import Preprocessing

CLIP = Preprocessing(
    height=224,
    width=224,
    shortest_edge=224,
    crop=True,
    resample="bicubic",
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
)
SIGLIP = Preprocessing(
    height=256,
    width=256,
    shortest_edge=None,
    crop=False,
    resample="bicubic",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
ORIENTATION = 0x0112
UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored(upright: Image.Image, orientation: int) -> Image.Image:
    """The picture as a camera stores it, for an EXIF orientation that turns it upright again."""
    return upright.transpose(UNDO[orientation]) if orientation in UNDO else upright


def photo(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Something with edges, gradients and texture, like a photo is and noise is not."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 40), max(2, width // 40), 3), dtype=np.uint8)
    smooth = np.asarray(
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=float
    )
    fine = rng.normal(0, 1, (max(2, height // 3), max(2, width // 3)))
    grain = np.asarray(Image.fromarray(fine.astype(np.float32)).resize((width, height)))
    y, x = np.mgrid[:height, :width]
    edges = 40.0 * ((x // max(1, width // 7) + y // max(1, height // 5)) % 2)
    return np.clip(smooth + 6 * grain[:, :, None] + edges[:, :, None] - 20, 0, 255).astype(np.uint8)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return 100.0 if error == 0 else float(10 * np.log10(255**2 / error))


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def refused(source, **options) -> ImageError:
    with pytest.raises(ImageError) as caught:
        images.decode(source, **options)
    assert caught.value.reason in images.REASONS
    return caught.value
