"""The order of hits rearranged: as different as asked for, look-alikes and groups as one row.

Each function takes hits in order and gives hits in order. Knows nothing of how the order came about.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clipsearch.types import Hit, PayloadValue

Vectors = Mapping[str, NDArray[np.float32]]  # unit vectors (D,) by id
LOOK_ALIKE = 0.97
"""Cosine of two pictures from which on --unique shows one of them."""


def diverse(hits: Sequence[Hit], vectors: Vectors, amount: float) -> list[Hit]:
    """The hits by maximal marginal relevance (Carbonell and Goldstein 1998).

    Each next hit has the greatest (1 - amount) * relevance - amount * cosine with the nearest hit before
    it; relevance is the score, scaled to 0..1 over these hits.
    """
    if len(hits) < 2:
        return list(hits)
    scores = np.array([hit.score for hit in hits])
    relevance = (scores - scores.min()) / max(float(np.ptp(scores)), 1e-12)
    rows = np.stack([vectors[hit.id] for hit in hits])
    nearest = np.zeros(len(hits))
    left = np.ones(len(hits), bool)
    order: list[int] = []
    for _ in hits:
        gain = np.where(left, (1 - amount) * relevance - amount * nearest, -np.inf)
        best = int(np.argmax(gain))
        order.append(best)
        left[best] = False
        nearest = np.maximum(nearest, rows @ rows[best])
    return [hits[i] for i in order]


def unique(hits: Sequence[Hit], vectors: Vectors) -> list[Hit]:
    """One hit for pictures that look alike: the first, with the others' keys."""
    kept: list[int] = []
    others: dict[int, list[str]] = {}
    rows = np.stack([vectors[hit.id] for hit in hits]) if hits else np.zeros((0, 1), np.float32)
    for i, hit in enumerate(hits):
        like = rows[kept] @ rows[i] if kept else np.zeros(0)
        if like.size and like.max() >= LOOK_ALIKE:
            others[kept[int(np.argmax(like))]].append(hit.key)
        else:
            kept.append(i)
            others[i] = []
    return [replace(hits[i], others=(*hits[i].others, *others[i])) for i in kept]


def grouped(hits: Iterable[Hit], field: str) -> list[Hit]:
    """One hit for each value of the field: the first, with the others' keys. Without a value: its own row."""
    rows: dict[Hashable, Hit] = {}
    for hit in hits:
        of = group_of(hit, field)
        if of in rows:
            first = rows[of]
            rows[of] = replace(first, others=(*first.others, hit.key, *hit.others))
        else:
            rows[of] = hit
    return list(rows.values())


def group_of(hit: Hit, field: str) -> Hashable:
    """What the hit belongs to: the field's value, else itself."""
    value = hit.payload.get(field)
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return hit.id if value is None else ("value", str(value))


def sorted_by(hits: Sequence[Hit], field: str) -> list[Hit]:
    """The hits by a field's value, rising; "-field": falling. Those without a value come last."""
    falling, name = field.startswith("-"), field.removeprefix("-")
    there = [hit for hit in hits if hit.payload.get(name) is not None]
    missing = [hit for hit in hits if hit.payload.get(name) is None]
    return sorted(there, key=lambda hit: _key(hit.payload[name]), reverse=falling) + missing


def _key(value: PayloadValue) -> tuple[int, float, str]:
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, (bool, int, float)):
        return (0, float(value), "")
    return (1, 0.0, str(value))
