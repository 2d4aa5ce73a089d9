"""Vectors and payloads like those of a picture collection, for benchmarks; measures nothing.

Pictures crowd: a few thousand things, some of them photographed often, each vector its thing's centre plus
noise. All lie in a narrow cone, and a few directions hold most of the variance, as CLIP's do. Queries are
never stored points: further pictures of the things, or "words", which lie beside the pictures' cone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from clipsearch.types import Embeddings, Payload

CENTRES = 3000
_CONE = 0.5  # length of the common direction; a centre's is 1
_GAP = 0.8  # length of the words' own direction
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
DAYS = 1000


@dataclass(frozen=True, slots=True)
class Setting:
    """How hard a graph has it. noise: against a centre's length 1. power: of the variances' decay."""

    name: str
    noise: float
    power: float
    words: bool = False


SETTINGS = (
    Setting("crowded", noise=0.3, power=0.5),
    Setting("usual", noise=0.7, power=0.5),
    Setting("words", noise=0.7, power=0.5, words=True),
    Setting("spread", noise=1.0, power=0.25),
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Payload columns of n records; row i belongs to record i."""

    part: NDArray[np.int64]  # 0..99: one value is 1 %
    material: NDArray[np.int64]  # 0..9: one value is 10 %
    look: NDArray[np.int64]  # 0..9, by what the picture shows: alike pictures have one value
    price: NDArray[np.float64]  # 0..100, even
    day: NDArray[np.int64]  # 0..DAYS - 1
    latitude: NDArray[np.float64]  # 30..50
    longitude: NDArray[np.float64]  # 130..150

    def payloads(self) -> Iterator[Payload]:
        """Record by record."""
        for i in range(len(self.part)):
            yield {
                "part": f"P-{self.part[i]:02}",
                "material": f"m{self.material[i]}",
                "look": f"l{self.look[i]}",
                "holes": int(self.part[i]),
                "price": float(self.price[i]),
                "made": (BEGIN + timedelta(days=int(self.day[i]))).isoformat(),
                "place": f"{self.latitude[i]},{self.longitude[i]}",
            }


def make(
    setting: Setting, n: int, n_queries: int, *, dim: int, seed: int = 0
) -> tuple[Embeddings, Embeddings, Columns]:
    """Stored vectors (n, dim), queries (n_queries, dim), and the stored records' columns."""
    random = np.random.default_rng(seed)
    scale = np.arange(1, dim + 1) ** -setting.power
    scale /= np.sqrt(dim * np.mean(scale**2))
    centres = random.normal(size=(CENTRES, dim)) * scale  # of length 1, about
    cone, gap = (_unit(random.normal(size=(1, dim))) for _ in range(2))
    often = np.arange(1, CENTRES + 1) ** -0.8  # a power law: some things are photographed often
    things = random.choice(CENTRES, size=n, p=often / often.sum())
    wanted = random.choice(CENTRES, size=n_queries, p=often / often.sum())

    def pictures(of: NDArray[np.int64]) -> NDArray[np.float64]:
        return centres[of] + setting.noise * random.normal(size=(len(of), dim)) * scale + _CONE * cone

    stored, queries = pictures(things), pictures(wanted)
    if setting.words:
        queries += _GAP * gap - _CONE * cone
    columns = Columns(
        part=random.integers(0, 100, n),
        material=random.integers(0, 10, n),
        look=things % 10,
        price=random.random(n) * 100,
        day=random.integers(0, DAYS, n),
        latitude=30 + random.random(n) * 20,
        longitude=130 + random.random(n) * 20,
    )
    return _unit(stored).astype(np.float32), _unit(queries).astype(np.float32), columns


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    made: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made
