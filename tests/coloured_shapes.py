"""Pictures with a known truth for training tests: one coloured shape each, drawn with NumPy."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from clipsearch.tuning.pairs import ArrayPictures, Pairs

COLOURS = {
    "red": ("赤い", (210, 40, 40)),
    "green": ("緑の", (40, 170, 60)),
    "blue": ("青い", (40, 70, 210)),
    "yellow": ("黄色い", (230, 210, 50)),
    "white": ("白い", (245, 245, 245)),
    "purple": ("紫の", (140, 50, 170)),
}
SHAPES = {"disc": "円盤", "square": "四角", "ring": "輪", "cross": "十字", "bar": "棒", "wedge": "くさび"}
COMBINATIONS = list(product(COLOURS, SHAPES))


def shapes(
    n: int, *, seed: int = 0, side: int = 32, combinations: list[tuple[str, str]] | None = None
) -> Pairs:
    """n pictures; group = combination; channels English and Japanese, the full caption first."""
    rng = np.random.default_rng(seed)
    chosen = combinations or COMBINATIONS
    numbers = rng.integers(0, len(chosen), n)
    pixels = np.stack([_draw(chosen[i], rng, side) for i in numbers])
    captions = [_captions(*chosen[i]) for i in numbers]
    groups = np.array([COMBINATIONS.index(chosen[i]) for i in numbers], dtype=np.int64)
    return Pairs(ArrayPictures(pixels), captions, groups, channels=("en", "ja"))


def _captions(colour: str, shape: str) -> tuple[tuple[str, ...], ...]:
    japanese = COLOURS[colour][0] + SHAPES[shape]
    return (f"a {colour} {shape}", f"{shape}, {colour}"), (japanese, f"{japanese}の写真")


def _draw(combination: tuple[str, str], rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    colour, shape = combination
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5 - rng.uniform(-0.1, 0.1, (2, 1, 1))
    r = rng.uniform(0.22, 0.34)
    inside = {
        "disc": np.hypot(x, y) < r,
        "square": np.maximum(abs(x), abs(y)) < r,
        "ring": (np.hypot(x, y) < r) & (np.hypot(x, y) > 0.55 * r),
        "cross": (np.minimum(abs(x), abs(y)) < 0.3 * r) & (np.maximum(abs(x), abs(y)) < r),
        "bar": (abs(y) < 0.25 * r) & (abs(x) < r),
        "wedge": (abs(y) < r) & (abs(x) < (y + r) / 2),
    }[shape]
    ground = rng.uniform(40, 110)
    picture = np.where(inside[..., None], COLOURS[colour][1], ground) + rng.normal(0, 8, (side, side, 3))
    return picture.clip(0, 255).astype(np.uint8)
