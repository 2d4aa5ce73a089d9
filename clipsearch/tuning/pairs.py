"""Pairs of pictures and captions, and the batches made of them. Knows nothing of models or losses."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import TuningError

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Pictures(Protocol):
    """Pictures by row number, already the model's size; shards on disk or an array in memory."""

    def __len__(self) -> int: ...

    def rows(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures of these rows, uint8 (B, H, W, 3)."""
        ...


@dataclass(frozen=True, slots=True)
class ArrayPictures:
    """Pictures in one array, uint8 (N, H, W, 3)."""

    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)

    def rows(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.pixels[indices]


@dataclass(frozen=True, slots=True)
class _First:
    pictures: Pictures
    n: int

    def __len__(self) -> int:
        return self.n

    def rows(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.pictures.rows(indices)


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows. captions[c][i] is the caption of rows[i] in channel c; same[c] (B, B) is for the losses."""

    rows: NDArray[np.int64]
    captions: tuple[tuple[str, ...], ...]
    same: tuple[NDArray[np.bool_], ...]


@dataclass(frozen=True)
class Pairs:
    """N pictures, what is said of each, and which belong together.

    captions[i][c] are the interchangeable captions of picture i in channel c (a language, say); a batch
    draws one from each channel. groups (N,) numbers what shows the same thing: pictures of one group are
    never negatives of each other.
    """

    pictures: Pictures
    captions: Sequence[Sequence[Sequence[str]]]
    groups: NDArray[np.int64]
    channels: tuple[str, ...] = ("caption",)

    def __post_init__(self) -> None:
        sizes = (len(self.pictures), len(self.captions), len(self.groups))
        if len(set(sizes)) != 1 or not sizes[0]:
            raise TuningError(
                f"{sizes[0]} pictures, {sizes[1]} captions and {sizes[2]} groups do not make pairs; "
                "each picture needs its captions and its group"
            )
        for i, row in enumerate(self.captions):
            if len(row) != len(self.channels) or not all(row):
                raise TuningError(f"picture {i} lacks a caption in one of: {', '.join(self.channels)}")

    def __len__(self) -> int:
        return len(self.groups)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of captions, groups and a sample of 64 pictures: names the data a model was made from."""
        digest = hashlib.sha256(repr((len(self), self.channels)).encode())
        for row in self.captions:
            digest.update("\x1f".join("\x1e".join(channel) for channel in row).encode())
        digest.update(np.ascontiguousarray(self.groups).tobytes())
        sample = np.linspace(0, len(self) - 1, min(64, len(self))).astype(np.int64)
        digest.update(np.ascontiguousarray(self.pictures.rows(sample)).tobytes())
        return digest.hexdigest()

    def first(self, n: int) -> Pairs:
        """The first n pairs."""
        return replace(
            self, pictures=_First(self.pictures, n), captions=self.captions[:n], groups=self.groups[:n]
        )

    def batches(self, size: int, *, seed: int, epoch: int) -> Iterator[Batch]:
        """One epoch of full batches, each row at most once, the same for the same seed and epoch."""
        rng = np.random.default_rng([seed, epoch])
        for rows in _grouped_apart(rng.permutation(len(self)), self.groups, min(size, len(self))):
            yield self._batch(rows, rng)

    def _batch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        captions, same = [], []
        twins = self.groups[rows][:, None] == self.groups[rows][None, :]
        for c in range(len(self.channels)):
            pools = [self.captions[i][c] for i in rows]
            chosen = tuple(
                pool[int(u * len(pool))] for pool, u in zip(pools, rng.random(len(pools)), strict=True)
            )
            captions.append(chosen)
            same.append(twins | _also_true(pools, chosen))
        return Batch(rows, tuple(captions), tuple(same))


def _also_true(pools: Sequence[Sequence[str]], chosen: Sequence[str]) -> NDArray[np.bool_]:
    """(B, B) bool: text j is also one of picture i's own captions ("a bolt" is true of every bolt)."""
    sets = [frozenset(pool) for pool in pools]
    return np.array([[text in own for text in chosen] for own in sets], dtype=bool)


def _grouped_apart(
    order: NDArray[np.int64], groups: NDArray[np.int64], size: int
) -> Iterator[NDArray[np.int64]]:
    """Full batches in this order; a row whose group is already in the batch waits for the next one.

    Where too many wait (a few large groups) they go in together, and the losses mask them.
    """
    queue = deque(order.tolist())
    for _ in range(len(order) // size):
        batch: list[int] = []
        waiting: list[int] = []
        present: set[int] = set()
        while queue and len(batch) < size:
            row = queue.popleft()
            if groups[row] in present and len(waiting) < 4 * size:
                waiting.append(row)
            else:
                batch.append(row)
                present.add(int(groups[row]))
        short = size - len(batch)
        queue.extendleft(reversed(waiting[short:]))
        yield np.array(batch + waiting[:short], dtype=np.int64)


def augment(pixels: Tensor, generator: Generator) -> Tensor:
    """Pictures slightly moved, scaled, mirrored and relit; float (B, 3, H, W) in 0..255, same shape.

    Scale and shift stay within 8 %, light within 12 % and colour temperature within 4 %, so that brass
    stays brass. Mirroring suits captions without left and right. Edges repeat.
    """
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    n = len(pixels)

    def uniform(spread: float, *shape: int) -> Tensor:
        return (torch.rand(n, *shape, generator=generator) * 2 - 1) * spread

    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    scale = 1 + uniform(0.08)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = scale * mirror, scale
    theta[:, :, 2] = uniform(0.08, 2)
    grid = affine_grid(theta, list(pixels.shape), align_corners=False)
    moved = grid_sample(pixels, grid.to(pixels.device), padding_mode="border", align_corners=False)
    warmth = uniform(0.04)
    light = (1 + uniform(0.12))[:, None] * torch.stack([1 + warmth, torch.ones(n), 1 - warmth], dim=1)
    return (moved * light[:, :, None, None].to(pixels.device)).clamp_(0, 255)
