"""Where a map lies on the upright original: the resize and the crop, undone. Reads and draws no picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clipsearch.images import resized_size
from clipsearch.types import Preprocessing

Box = tuple[float, float, float, float]


def seen_box(size: tuple[int, int], preprocessing: Preprocessing, grid: tuple[int, int]) -> Box:
    """(left, top, right, bottom) of the map in pixels of the upright original of size (width, height).

    Reaches over the picture's edge where the crop is larger than the picture. grid: (rows, columns).
    Follows clipsearch.images.fit; patches that do not fill the input leave its right and lower edge unseen.
    """
    resized = resized_size(*size, preprocessing)
    inputs = (preprocessing.width, preprocessing.height)
    ends = []
    for full, shown, wanted, n in zip(size, resized, inputs, grid[::-1], strict=True):
        first = (shown - wanted) // 2 if preprocessing.crop else 0
        covered = wanted // n * n
        ends.append((first * full / shown, (first + covered) * full / shown))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom


def on_picture(
    relevance: NDArray[np.float32], box: Box, size: tuple[int, int], *, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """A map (rows, columns) over the whole picture, (height, width) = shape; NaN where the model saw nothing.

    box: the map's place in a picture of size (width, height). Between patches the values are interpolated.
    """
    from PIL import Image

    across, down = shape[1] / size[0], shape[0] / size[1]
    left, right = round(box[0] * across), round(box[2] * across)
    top, bottom = round(box[1] * down), round(box[3] * down)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    patches = Image.fromarray(np.ascontiguousarray(relevance, np.float32))
    large = np.asarray(patches.resize((right - left, bottom - top), Image.Resampling.BILINEAR))
    whole = np.full(shape, np.nan, np.float32)
    inside = large[max(0, -top) : shape[0] - top, max(0, -left) : shape[1] - left]
    top, left = max(0, top), max(0, left)
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return whole
