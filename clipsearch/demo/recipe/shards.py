"""Rendered training pictures on disk: shards of pixels with what is said of each. Renders nothing.

A shard is NAME.npy, uint8 (N, 128, 128, 3), and NAME.jsonl with a line a picture:
{"group": "…", "en": ["full description", "other words", …], "ja": […]}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsearch.demo.recipe.architecture import SIDE
from clipsearch.errors import TuningError
from clipsearch.tuning.pairs import Pairs

LANGUAGES = ("en", "ja")


@dataclass(frozen=True, slots=True)
class ShardPictures:
    """Pictures of several shards one after another, read from disk as they are needed."""

    shards: Sequence[NDArray[np.uint8]]

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def rows(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        ends = np.array(list(accumulate(map(len, self.shards))))
        numbers = np.searchsorted(ends, indices, side="right")
        found = np.empty((len(indices), SIDE, SIDE, 3), dtype=np.uint8)
        for number in np.unique(numbers):
            mine = numbers == number
            shard = self.shards[number]
            found[mine] = shard[indices[mine] - (ends[number] - len(shard))]
        return found


def read_pairs(folder: Path) -> Pairs:
    """The pairs of every complete shard in the folder, in the order of their names.

    A shard counts once both its files are there. Raises TuningError where there
    is none, or where a shard's pictures and lines differ in number.
    """
    shards, captions, groups = [], [], []
    for pixels_path in sorted(folder.glob("[!.]*.npy")):
        lines_path = pixels_path.with_suffix(".jsonl")
        if not lines_path.exists() or pixels_path.stem.endswith(".tmp"):
            continue
        pixels = np.load(pixels_path, mmap_mode="r")
        lines = [json.loads(line) for line in lines_path.read_text(encoding="utf-8").splitlines()]
        if pixels.shape != (len(lines), SIDE, SIDE, 3):
            raise TuningError(
                f"{lines_path.name} has {len(lines)} lines and its pictures are {pixels.shape}, not "
                f"({len(lines)}, {SIDE}, {SIDE}, 3); render the shard again"
            )
        shards.append(pixels)
        captions += [_captions(line) for line in lines]
        groups += [line["group"] for line in lines]
    if not shards:
        raise TuningError(f"no shards (NAME.npy with NAME.jsonl) in {folder}; render some first")
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    codes = np.array([numbers[group] for group in groups], dtype=np.int64)
    return Pairs(ShardPictures(shards), captions, codes, channels=LANGUAGES)


def _captions(line: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Each language's captions, and twice the full description with a size at its end.

    A catalogue's descriptions end in a size that no picture shows; a model that has read sizes beside
    every kind of part learns to look past them.
    """
    rng = Random(line["group"] + line["en"][-1])
    sizes = [rng.choice(_SIZES)(rng) for _ in range(2)]
    english = [f"{line['en'][0]}, {size}" for size in sizes]
    japanese = [f"{line['ja'][0]} {size.replace(' x ', '×')}" for size in sizes]
    return (*line["en"], *english), (*line["ja"], *japanese)


_SIZES: tuple[Callable[[Random], str], ...] = (
    lambda rng: f"M{rng.choice((3, 4, 5, 6, 8, 10, 12, 16))}",
    lambda rng: f"M{rng.choice((3, 4, 5, 6, 8, 10, 12, 16))} x {rng.randrange(6, 160)}",
    lambda rng: f'{rng.choice(("1/4", "3/8", "1/2", "3/4", "1", "1 1/4", "2"))}"',
    lambda rng: f"Ø{rng.randrange(5, 130)}",
    lambda rng: f"{rng.randrange(5, 130)} mm",
)
