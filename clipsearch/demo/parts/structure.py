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
    leg, half_width, half_thick = rng.uniform(0.75, 1.0), rng.uniform(0.3, 0.45), 0.055
    count = int(rng.choice([1, 2, 3]))  # of holes in each plate
    plate = move(box(leg / 2, half_width, half_thick, 0.012), x=leg / 2)
    wall = move(box(half_thick, half_width, leg / 2, 0.012), z=leg / 2)
    hole = cylinder(0.085, 0.3, 0)
    holes = []
    for i in range(count):
        at = leg * (i + 1) / (count + 1) + 0.06
        holes += [move(hole, x=at), move(rotate(hole, "y", 90), z=at)]
    return subtract(union(plate, wall), *holes), {"holes": 2 * count}


def flat_plate(rng: Generator) -> Built:
    """A flat plate with a row of holes."""
    count = int(rng.choice([2, 3, 4, 5]))
    half = 0.38 * count  # of its length
    holes = [move(cylinder(0.1, 1, 0), x=-half + half * 2 * (i + 0.5) / count) for i in range(count)]
    return subtract(extrude(rectangle(half, 0.26, 0.26), 0.05, 0.012), *holes), {"holes": count}


def u_bracket(rng: Generator) -> Built:
    """Three plates."""
    half_width, height, half_depth, half_thick = 0.5, rng.uniform(0.6, 0.9), 0.3, 0.055
    base = box(half_width, half_depth, half_thick, 0.012)
    walls = mirror(move(box(half_thick, half_depth, height / 2, 0.012), x=half_width, z=height / 2), 0)
    through = move(rotate(cylinder(0.11, 2, 0), "y", 90), z=height * 0.7)
    return subtract(union(base, walls), cylinder(0.11, 0.3, 0), through), {"holes": 3}


def gusset(rng: Generator) -> Built:
    """A triangle with three holes."""

    def triangle(x: Array, y: Array) -> Array:
        return np.maximum(np.maximum(-x - F(0.6), -y - F(0.6)), (x + y) * F(0.7071) - F(0.1))

    hole = cylinder(0.09, 1, 0)
    holes = [move(hole, x=x, y=y) for x, y in ((-0.42, 0.35), (0.35, -0.42), (-0.42, -0.42))]
    return subtract(extrude(triangle, 0.05, 0.012), *holes), {"holes": 3}


def z_bracket(rng: Generator) -> Built:
    """Two plates, offset."""
    leg, half_width, half_thick = 0.55, 0.35, 0.055
    plate = box(leg / 2, half_width, half_thick, 0.01)
    web = box(half_thick, half_width, 0.3 + half_thick, 0.01)
    hole = cylinder(0.09, 0.3, 0)
    return subtract(
        union(move(plate, x=leg / 2, z=0.3), move(plate, x=-leg / 2, z=-0.3), web),
        move(hole, x=0.33, z=0.3),
        move(hole, x=-0.33, z=-0.3),
    ), {"holes": 2}
