"""Filters of known selectivity over the columns of vectors.py, and the same in NumPy; measures nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from vectors import BEGIN, Columns

from clipsearch.types import And, FieldKind, Filter, Match, Near, Range, Within

FIELDS: dict[str, FieldKind] = {
    "part": "keyword",
    "material": "keyword",
    "look": "keyword",
    "holes": "integer",
    "price": "float",
    "made": "datetime",
    "place": "geo",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A filter, and which records it lets pass; None: all of them."""

    name: str
    filter: Filter | None
    mask: Callable[[], NDArray[np.bool_]] | None


def cases(c: Columns) -> list[Case]:
    """No filter; then about 1 %, 10 % and 50 % of the records by each kind of field."""
    metal = Match("material", ("m3",))
    half = Range("price", gte=30, lt=80)
    return [
        Case("none", None, None),
        Case("keyword 1 %", Match("part", ("P-07",)), lambda: c.part == 7),
        Case("integer 1 %", Match("holes", (7,)), lambda: c.part == 7),
        Case("float 1 %", Range("price", gte=50, lt=51), lambda: (c.price >= 50) & (c.price < 51)),
        Case("date 1 %", _days(400, 409), lambda: (c.day >= 400) & (c.day <= 409)),
        Case("near 1 %", Near("place", 40, 140, 142_000), lambda: _metres(c, 40, 140) < 142_000),
        Case("keyword 10 %", metal, lambda: c.material == 3),
        Case("look 10 %", Match("look", ("l3",)), lambda: c.look == 3),
        Case("integer 10 %", Range("holes", gte=20, lt=30), lambda: (c.part >= 20) & (c.part < 30)),
        Case("float 10 %", Range("price", gte=50, lt=60), lambda: (c.price >= 50) & (c.price < 60)),
        Case("date 10 %", _days(400, 499), lambda: (c.day >= 400) & (c.day <= 499)),
        Case("box 10 %", Within("place", 35, 132, 41.3, 138.3), lambda: _box(c, 35, 132, 41.3, 138.3)),
        Case("two, 5 %", And((metal, half)), lambda: (c.material == 3) & (c.price >= 30) & (c.price < 80)),
        Case("float 50 %", half, lambda: (c.price >= 30) & (c.price < 80)),
        Case("float 90 %", Range("price", lt=90), lambda: c.price < 90),
    ]


def _days(first: int, last: int) -> Range:
    day = [(BEGIN + timedelta(days=n)).date().isoformat() for n in (first, last)]
    return Range("made", gte=day[0], lte=day[1])


def _box(c: Columns, south: float, west: float, north: float, east: float) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (
        (c.latitude > south) & (c.latitude < north) & (c.longitude > west) & (c.longitude < east)
    )
    return inside


def _metres(c: Columns, latitude: float, longitude: float) -> NDArray[np.float64]:
    """Great-circle distances by the haversine formula, the earth's mean radius being 6,371,008.8 m."""
    here, there = np.radians(latitude), np.radians(c.latitude)
    east = np.radians(c.longitude - longitude)
    half = np.sin((there - here) / 2) ** 2 + np.cos(here) * np.cos(there) * np.sin(east / 2) ** 2
    distances: NDArray[np.float64] = 2 * 6_371_008.8 * np.arcsin(np.sqrt(half))
    return distances
