"""A map as colours over its picture. Reads the picture; decides nothing about the map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipsearch.explain.placing import on_picture
from clipsearch.images import Source, decode

if TYPE_CHECKING:
    from clipsearch.explain.explaining import Explanation

MAX_SIDE, MIN_SIDE = 1280, 512  # pixels of the longer side; a thumbnail is enlarged
_COLOURS = ("1b0c41", "4a0c6b", "781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4")
"""Nine even steps of inferno (Smith and van der Walt 2015, CC0), whose lightness rises evenly."""


def overlay(explanation: Explanation, image: Source) -> NDArray[np.uint8]:
    """The upright picture, half grey, under the map's colours, (H, W, 3) of at most MAX_SIDE.

    The brightest yellow is the map's highest value; what the model never saw is dark and striped.
    Raises ImageError.
    """
    from PIL import Image

    longer = max(explanation.size)
    scale = min(max(longer, MIN_SIDE), MAX_SIDE) / longer
    width, height = (max(1, round(side * scale)) for side in explanation.size)
    picture = decode(image, min_side=min(width, height))
    plain = Image.fromarray(picture.pixels).resize((width, height), Image.Resampling.LANCZOS, picture.box)
    under = _half_grey(np.asarray(plain, np.float32))
    heat = on_picture(explanation.map, explanation.box, explanation.size, shape=(height, width))
    seen = ~np.isnan(heat)
    strength = np.nan_to_num(heat) / np.float32(max(float(explanation.map.max()), 1e-12))
    alpha: NDArray[np.float32] = 0.85 * np.sqrt(strength)[..., None]  # a weak region is seen, too
    shown: NDArray[np.float32] = under * (1 - alpha) + colours(strength) * alpha
    shown[~seen] = (under * _stripes(height, width)[..., None])[~seen]
    return np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def colours(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values from 0 to 1 as RGB (..., 3) from 0 to 255: violet, red, orange, yellow; lighter is more."""
    table = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in _COLOURS], np.float32)
    steps = np.linspace(0, 1, len(table))
    channels = [np.interp(strength, steps, table[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _half_grey(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    mixed: NDArray[np.float32] = 0.4 * pixels + 0.6 * grey[..., None]
    return mixed


def _stripes(height: int, width: int) -> NDArray[np.float32]:
    """Brightness of what was not seen: diagonal stripes of 8 pixels."""
    rows, columns = np.ogrid[:height, :width]
    return np.where((rows + columns) // 8 % 2, 0.35, 0.25).astype(np.float32)
