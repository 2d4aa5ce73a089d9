"""Whether two pictures are the same one, by looking at small thumbnails of both. Knows no collection.

The same after: re-encoding (JPEG 30 and up, PNG), resizing, a crop of up to 5 % a side, and brighter or
darker, or more or less contrast, as long as little is lost to pure white. Not the same: another colour or
none, mirrored, turned, or changed in a spot of a tenth of the width or more (a third of such spots of 3 %
still pass). `python benchmarks/dupes.py pictures` prints how often each is told right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch import images
from clipsearch.types import Preprocessing

_Array: TypeAlias = NDArray[Any]

SIDE = 64
_CELL = 8  # a spot that differs is looked for in cells of 8 x 8 of the 64 x 64
_COARSE = SIDE // 2  # crops are aligned on half the size
_FIT = Preprocessing(SIDE, SIDE, None, False, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# The worst cell's difference, as a share of the picture's contrast. Of 84 hardware-store pictures the same
# one had at most .133 (0.3 of the size at JPEG 30; most have .01 to .05) and 2,733 pairs of different ones,
# the demo's two views of a part among them, at least .179.
MAX_DIFFERENCE = 0.15
_MAX_COLOUR, _MAX_COLOUR_CELL = 2.5, 11.0  # of 255, on average and in the worst cell; JPEG 30 has 1.6 and 5
_CLEARLY_SAME = 0.1  # no crop is tried below
_MAX_SCALE, _MAX_SHIFT = 0.14, 0.11 * _COARSE  # 5 % off both sides is a scale of 1.11
_HOPELESS = 0.6  # correlation after three steps of alignment; what is the same is past .9 by then
_WHITE, _BLACK = 248, 7  # beyond, brightness was lost and tells nothing


@dataclass(frozen=True, slots=True)
class Look:
    """A picture at a glance: (64, 64, 3) RGB stretched to a square, and the original's upright size."""

    pixels: NDArray[np.uint8]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """same: whether it is one picture. difference: of the worst spot, a share of the contrast, 0 and up."""

    same: bool
    difference: float
    cropped: bool = False


def look_at(source: images.Source, *, name: str | None = None) -> Look:
    """The picture at a glance. Raises ImageError."""
    pixels, (width, height) = images.load(source, _FIT, name=name)
    return Look(pixels, width, height)


def compare(a: Look, b: Look) -> Verdict:
    """Whether two looks are of one picture, as it stands or lightly cropped; about a millisecond."""
    first, second = a.pixels.astype(np.float32), b.pixels.astype(np.float32)
    verdict = _judged(first, second, np.array([1.0, 0.0, 1.0, 0.0]), cropped=False)
    if verdict.difference < _CLEARLY_SAME or not _may_be_crop(a, b):
        return verdict
    placed = _aligned(_halved(first @ _LUMA), _halved(second @ _LUMA))
    if placed is None:
        return verdict
    crop = _judged(first, second, placed, cropped=True)
    return crop if crop.difference < verdict.difference else verdict


def _may_be_crop(a: Look, b: Look) -> bool:
    return abs(math.log(a.width * b.height / (a.height * b.width))) <= _MAX_SCALE


def _judged(a: _Array, b: _Array, place: NDArray[np.float64], *, cropped: bool) -> Verdict:
    """a and b laid over each other at `place`, evened out in brightness and contrast, and compared."""
    ys, xs, inside = _grid(place, SIDE)
    x3, y3 = _smoothed(a), _smoothed(_sampled(b, ys, xs))
    x, y = x3 @ _LUMA, y3 @ _LUMA
    lost_x, lost_y = _lost(x) & inside, _lost(y) & inside
    if lost_x.sum() > lost_y.sum():  # predict the one that lost more from the other
        x3, y3, x, y, lost_y = y3, x3, y, x, lost_x
    known = inside & ~lost_y
    if known.sum() < SIDE * SIDE // 20:
        known = inside
    mean_x, mean_y = x[known].mean(), y[known].mean()
    spread = ((x - mean_x) ** 2)[known].sum()
    gain = ((x - mean_x) * (y - mean_y))[known].sum() / (spread + 1e-3)
    gain = np.float32(np.clip(gain, 0.6, 1.6))
    rest = np.where(inside, y - np.clip(mean_y + gain * (x - mean_x), 0, 255), 0)
    worst = float(np.sqrt(_cells(rest**2).max()))
    difference = worst / max(4.0, float(y[inside].std()))
    tint = (y3 - y[..., None]) - gain * (x3 - x[..., None])
    tints = _cells(np.abs(np.where((inside & ~lost_y)[..., None], tint, 0)))
    same_colour = float(tints.max()) <= _MAX_COLOUR_CELL and float(tints.mean()) <= _MAX_COLOUR
    return Verdict(difference <= MAX_DIFFERENCE and same_colour, difference, cropped)


def _aligned(a: _Array, b: _Array) -> NDArray[np.float64] | None:
    """Scale and shift (sx, tx, sy, ty) that lay b over a: Lucas and Kanade 1981, with gain and offset.

    a, b: (32, 32); the result is for 64 x 64. None: they are nowhere near each other.
    """
    a, b = _smoothed(a), _smoothed(b)
    gy, gx = np.gradient(b)
    centred = np.arange(_COARSE, dtype=np.float32) - (_COARSE - 1) / 2
    place, best, found = np.array([1.0, 0.0, 1.0, 0.0]), _HOPELESS, None
    for step in range(10):
        if np.abs(place[[0, 2]] - 1).max() > _MAX_SCALE or np.abs(place[[1, 3]]).max() > _MAX_SHIFT:
            break
        ys, xs, inside = _grid(place, _COARSE)
        laid = _sampled(b, ys, xs)
        correlation = _correlation(a[inside], laid[inside])
        if correlation > best:
            best, found = correlation, place.copy()
        elif step >= 3 and found is None:
            break
        across, down = _sampled(gx, ys, xs), _sampled(gy, ys, xs)
        columns = [across * centred, across, down * centred[:, None], down, -a, -np.ones_like(a)]
        matrix = np.stack([column[inside] for column in columns], axis=1).astype(np.float64)  # (pixels, 6)
        normal = matrix.T @ matrix + np.eye(6) * 1e-3
        moved = np.linalg.solve(normal, -matrix.T @ laid[inside])
        place += np.clip(moved[:4], [-0.06, -1.0, -0.06, -1.0], [0.06, 1.0, 0.06, 1.0])
    return None if found is None else found * [1, 2, 1, 2]


def _grid(place: NDArray[np.float64], side: int) -> tuple[_Array, _Array, NDArray[np.bool_]]:
    """Rows and columns of b for each of a's, and which of a's (side, side) pixels b covers."""
    centred = np.arange(side, dtype=np.float32) - (side - 1) / 2
    xs = (place[0] * centred + place[1] + (side - 1) / 2).astype(np.float32)
    ys = (place[2] * centred + place[3] + (side - 1) / 2).astype(np.float32)
    covered = [(v >= -0.3) & (v <= side - 0.7) for v in (ys, xs)]
    return ys, xs, covered[0][:, None] & covered[1][None]


def _sampled(picture: _Array, ys: _Array, xs: _Array) -> _Array:
    """(H, W) or (H, W, 3) at rows ys and columns xs, bilinear; the border goes on outside."""
    for axis, at in ((0, ys), (1, xs)):
        first = np.clip(np.floor(at), 0, picture.shape[axis] - 2).astype(np.intp)
        shape = [1] * picture.ndim
        shape[axis] = -1
        part = np.clip(at - first, 0, 1).astype(np.float32).reshape(shape)
        picture = picture.take(first, axis) * (1 - part) + picture.take(first + 1, axis) * part
    return picture


def _smoothed(picture: _Array) -> _Array:
    """Each pixel with its neighbours, (1, 2, 1) / 4 both ways: takes out JPEG's noise."""
    padded = np.pad(picture, ((1, 1), (1, 1)) + ((0, 0),) * (picture.ndim - 2), mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    smooth: _Array = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / np.float32(16)
    return smooth


def _halved(grey: _Array) -> _Array:
    halved: _Array = grey.reshape(_COARSE, 2, _COARSE, 2).mean((1, 3))
    return halved


def _cells(picture: _Array) -> _Array:
    n = SIDE // _CELL
    cells: _Array = picture.reshape(n, _CELL, n, _CELL, -1).mean((1, 3))
    return cells


def _lost(grey: _Array) -> NDArray[np.bool_]:
    return (grey > _WHITE) | (grey < _BLACK)


def _correlation(a: _Array, b: _Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-3))
