"""From an upright picture to a model's pixels, as the model's reference processor makes them.

Owns resize, crop and normalisation. Knows neither files nor models: `Preprocessing` says it all.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from clipsearch.images.decode import MAX_BYTES, MAX_PIXELS, Decoded, Source, decode
from clipsearch.types import Preprocessing

Box = tuple[float, float, float, float]
_WASTE = 16  # a resized picture of more than this many times its crop is not made whole


def load(
    source: Source,
    preprocessing: Preprocessing,
    *,
    exact: bool = False,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    name: str | None = None,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The picture fitted to the model, (height, width, 3), and the original's upright (width, height).

    JPEGs are decoded at the scale that leaves at least twice the model's size; exact: at full size.
    name: what errors call it. Raises ImageError.
    """
    side = 2 * max(preprocessing.height, preprocessing.width, preprocessing.shortest_edge or 0)
    picture = decode(
        source, min_side=side, exact=exact, max_pixels=max_pixels, max_bytes=max_bytes, name=name
    )
    return fit(picture, preprocessing), (picture.width, picture.height)


def fit(picture: NDArray[np.uint8] | Decoded, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Resize (antialiased) and centre-crop to (height, width, 3), as transformers' PIL processors do.

    Sizes, offsets and the black border around a crop larger than its picture follow
    transformers.image_transforms (get_resize_output_image_size, center_crop). A Decoded keeps the
    proportions of its original, which scaling may have rounded.
    """
    if not isinstance(picture, Decoded):
        picture = Decoded(picture, picture.shape[1], picture.shape[0])
    width, height = resized_size(picture.width, picture.height, preprocessing)
    crop_height, crop_width = preprocessing.height, preprocessing.width
    if not preprocessing.crop:
        return _resized(picture, (width, height), preprocessing)
    scaled = picture.pixels.shape[:2] != (picture.height, picture.width)
    if scaled or width * height > _WASTE * crop_width * crop_height:
        middle = _resized_middle(picture, (width, height), preprocessing)
        return _cropped(middle, crop_height, crop_width)
    return _cropped(_resized(picture, (width, height), preprocessing), crop_height, crop_width)


def normalise(batch: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """(B, height, width, 3) uint8 to contiguous float32 (B, 3, height, width): (x * rescale - mean) / std.

    As one multiplication and one subtraction in place, within 1e-6 of the reference's three steps.
    """
    n, height, width, channels = batch.shape
    result = np.empty((n, channels, height, width), dtype=np.float32)
    for channel, (mean, std) in enumerate(zip(preprocessing.mean, preprocessing.std, strict=True)):
        plane = result[:, channel]
        np.multiply(batch[..., channel], np.float32(preprocessing.rescale / std), out=plane, dtype=np.float32)
        plane -= np.float32(mean / std)
    return result


def resized_size(width: int, height: int, preprocessing: Preprocessing) -> tuple[int, int]:
    """(width, height) of a picture after the resize, before the crop."""
    edge = preprocessing.shortest_edge
    if edge is None:
        return preprocessing.width, preprocessing.height
    short, long = sorted((width, height))
    longer = int(edge * long / short)
    return (edge, longer) if width <= height else (longer, edge)


def _resized(
    picture: Decoded, size: tuple[int, int], preprocessing: Preprocessing, box: Box | None = None
) -> NDArray[np.uint8]:
    from PIL import Image

    box = box or picture.box
    height, width = picture.pixels.shape[:2]
    if size == (width, height) and box is None:
        return picture.pixels
    image = Image.fromarray(picture.pixels)
    resample = Image.Resampling[preprocessing.resample.upper()]
    return np.asarray(image.resize(size, resample, box=box, reducing_gap=None), dtype=np.uint8)


def _resized_middle(
    picture: Decoded, size: tuple[int, int], preprocessing: Preprocessing
) -> NDArray[np.uint8]:
    """The part that the crop will keep, resized alone.

    A third cheaper at 3:2, and the only way for a very long picture: a line of 65,500 x 1 pixels at
    224 would be 3 gigapixels. Pillow's box is float32, so now and then a value differs by one from
    resizing it all; a picture at full size is therefore resized whole, equal to the last bit.
    """
    height, width = picture.pixels.shape[:2]
    left, top, right, bottom = picture.box or (0.0, 0.0, float(width), float(height))
    spans = []
    for full, wanted, start, end in (
        (size[0], preprocessing.width, left, right),
        (size[1], preprocessing.height, top, bottom),
    ):
        first = max(0, (full - wanted) // 2)
        last = min(full, first + wanted)
        step = (end - start) / full
        spans.append((start + first * step, start + last * step, last - first))
    (x0, x1, columns), (y0, y1, rows) = spans
    return _resized(picture, (columns, rows), preprocessing, (x0, y0, x1, y1))


def _cropped(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = pixels.shape[:2]
    top, left = (rows - height) // 2, (columns - width) // 2
    if top >= 0 and left >= 0:
        return np.ascontiguousarray(pixels[top : top + height, left : left + width])
    # a crop larger than the picture is bordered with black, rounded as center_crop rounds
    padded = np.zeros((max(height, rows), max(width, columns), 3), dtype=np.uint8)
    down = math.ceil((padded.shape[0] - rows) / 2)
    across = math.ceil((padded.shape[1] - columns) / 2)
    padded[down : down + rows, across : across + columns] = pixels
    top, left = max(0, top + down), max(0, left + across)
    return np.ascontiguousarray(padded[top : top + height, left : left + width])
