"""Brackets and plates."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from clipsearch.demo.parts.built import Built
from clipsearch.demo.render.sdf import (
    Array,
    F,
    box,
    cylinder,
    extrude,
    mirror,
    move,
    rectangle,
    rotate,
    subtract,
    union,
)


def l_bracket(rng: Generator) -> Built:
    """Two plates at a right angle."""
    a, w, t = rng.uniform(0.75, 1.0), rng.uniform(0.3, 0.45), 0.055
    n = int(rng.choice([1, 2, 3]))
    plate = move(box(a / 2, w, t, 0.012), x=a / 2)
    wall = move(box(t, w, a / 2, 0.012), z=a / 2)
    hs = []
    for i in range(n):
        x = a * (i + 1) / (n + 1) + 0.06
        hs += [move(cylinder(0.085, 0.3, 0), x=x), move(rotate(cylinder(0.085, 0.3, 0), "y", 90), z=x)]
    return subtract(union(plate, wall), *hs), {"holes": 2 * n}


def flat_plate(rng: Generator) -> Built:
    """A flat plate with a row of holes."""
    n = int(rng.choice([2, 3, 4, 5]))
    span = 0.38 * n
    return subtract(
        extrude(rectangle(span, 0.26, 0.26), 0.05, 0.012),
        *[move(cylinder(0.1, 1, 0), x=-span + span * 2 * (i + 0.5) / n) for i in range(n)],
    ), {"holes": n}


def u_bracket(rng: Generator) -> Built:
    """Three plates."""
    w, h, d, t = 0.5, rng.uniform(0.6, 0.9), 0.3, 0.055
    base = box(w, d, t, 0.012)
    s = mirror(move(box(t, d, h / 2, 0.012), x=w, z=h / 2), 0)
    return subtract(
        union(base, s), cylinder(0.11, 0.3, 0), move(rotate(cylinder(0.11, 2, 0), "y", 90), z=h * 0.7)
    ), {"holes": 3}


def gusset(rng: Generator) -> Built:
    """A triangle with three holes."""

    def tri(x: Array, y: Array) -> Array:
        return np.maximum(np.maximum(-x - F(0.6), -y - F(0.6)), (x + y) * F(0.7071) - F(0.1))

    p = extrude(tri, 0.05, 0.012)
    hs = [
        move(cylinder(0.09, 1, 0), x=-0.42, y=0.35),
        move(cylinder(0.09, 1, 0), x=0.35, y=-0.42),
        move(cylinder(0.09, 1, 0), x=-0.42, y=-0.42),
    ]
    return subtract(p, *hs), {"holes": 3}


def z_bracket(rng: Generator) -> Built:
    """Two plates, offset."""
    t = 0.055
    a, w = 0.55, 0.35
    s = union(
        move(box(a / 2, w, t, 0.01), x=a / 2, z=0.3),
        move(box(a / 2, w, t, 0.01), x=-a / 2, z=-0.3),
        box(t, w, 0.3 + t, 0.01),
    )
    return subtract(
        s, move(cylinder(0.09, 0.3, 0), x=0.33, z=0.3), move(cylinder(0.09, 0.3, 0), x=-0.33, z=-0.3)
    ), {"holes": 2}
