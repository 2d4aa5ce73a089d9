"""Knobs, handles, hinges, hooks, wheels and rigging."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from clipsearch.demo.parts.built import Built
from clipsearch.demo.render.sdf import (
    Array,
    F,
    Shape,
    blend,
    box,
    capsule,
    circle,
    cylinder,
    extrude,
    length,
    mirror,
    move,
    polar,
    rectangle,
    rotate,
    sphere,
    star,
    subtract,
    subtract2,
    thread,
    torus,
    union,
)


def ball_knob(rng: Generator) -> Built:
    """A ball on a stud."""
    return union(
        move(sphere(0.52), z=0.45),
        move(cylinder(0.27, 0.12, 0.03), z=-0.05),
        move(thread(0.14, 0.08, 0.03, 0.3), z=-0.4),
    ), {}


def star_knob(rng: Generator) -> Built:
    """A lobed grip on a stud."""
    lobes = int(rng.choice([5, 6, 7]))
    return union(
        extrude(star(lobes, 0.78, 0.58, 0.7), 0.2, 0.1),
        move(cylinder(0.3, 0.2, 0.03), z=-0.3),
        move(thread(0.15, 0.08, 0.03, 0.35), z=-0.75),
    ), {}


def t_handle(rng: Generator) -> Built:
    """A cross bar on a stud."""
    return union(
        capsule((-0.6, 0, 0), (0.6, 0, 0), 0.14),
        move(cylinder(0.15, 0.28, 0.02), z=-0.3),
        move(thread(0.13, 0.08, 0.03, 0.35), z=-0.85),
    ), {}


def hinge(rng: Generator) -> Built:
    """Two leaves around a knuckle."""
    width, half = rng.uniform(0.5, 0.7), rng.uniform(0.7, 0.95)
    count = int(rng.choice([2, 3]))  # of holes in each leaf
    leaves = mirror(move(box(width / 2, 0.035, half, 0.01), x=width / 2 + 0.06), 0)
    groove = extrude(subtract2(circle(0.2), circle(0.085)), 0.012, 0)
    grooves = [move(groove, z=-half + 2 * half * (i + 1) / 5) for i in range(4)]
    hole = rotate(cylinder(0.07, 0.3, 0), "x", 90)
    holes = [
        mirror(move(hole, x=width * 0.62 + 0.06, z=-half + 2 * half * (i + 0.5) / count), 0)
        for i in range(count)
    ]
    return subtract(union(leaves, cylinder(0.115, half, 0.015)), *grooves, *holes), {"holes": 2 * count}


def pull_handle(rng: Generator) -> Built:
    """A bar on two feet."""
    half = rng.uniform(0.75, 1.0)
    radius = rng.uniform(0.085, 0.13)
    foot = half * 0.88
    return blend(
        0.08,
        capsule((-half, 0, 0.5), (half, 0, 0.5), radius),
        capsule((-foot, 0, 0.5), (-foot, 0, 0), radius),
        capsule((foot, 0, 0.5), (foot, 0, 0), radius),
    ), {}


def hook(rng: Generator) -> Built:
    """A hook on a plate with two holes."""
    wire = 0.11

    def arc(p: Array) -> Array:
        x, z = p[:, 0], p[:, 2] + F(0.45)
        ring = length(length(x, z) - F(0.42), p[:, 1]) - F(wire)
        top = length(x, z - F(0.42), p[:, 1]) - F(wire)
        side = length(x + F(0.42), z, p[:, 1]) - F(wire)
        return np.where((x < 0) & (z > 0), np.minimum(top, side), ring)

    plate = move(box(0.28, 0.05, 0.34, 0.02), z=0.62, y=0.08)
    hole = rotate(cylinder(0.06, 0.4, 0), "x", 90)
    return subtract(
        union(arc, capsule((0, 0, -0.03), (0, 0, 0.4), wire), plate),
        move(hole, z=0.8, x=0.14),
        move(hole, z=0.8, x=-0.14),
    ), {"holes": 2}


def s_hook(rng: Generator) -> Built:
    """Two open rings, opposed."""
    wire = 0.1

    def half(sign: int) -> Shape:
        def distance(p: Array) -> Array:
            x, z = p[:, 0] * F(sign), p[:, 2] * F(sign) - F(0.4)
            ring = length(length(x, z) - F(0.4), p[:, 1]) - F(wire)
            low = length(x, z + F(0.4), p[:, 1]) - F(wire)
            side = length(x + F(0.4), z, p[:, 1]) - F(wire)
            return np.where((x < 0) & (z < 0), np.minimum(low, side), ring)

        return distance

    return union(half(1), half(-1)), {}


def caster(rng: Generator) -> Built:
    """A wheel in a fork under a plate."""
    recess = cylinder(0.3, 0.1, 0.0)
    wheel = subtract(cylinder(0.55, 0.18, 0.08), move(recess, z=0.2), move(recess, z=-0.2))
    cheek = box(0.16, 0.04, 0.42, 0.03)
    fork = union(
        *[move(cheek, y=side * 0.27, z=0.3) for side in (-1, 1)],
        move(box(0.2, 0.31, 0.04, 0.02), z=0.7),
    )
    plate = move(box(0.5, 0.42, 0.045, 0.03), z=0.86)
    hole = cylinder(0.07, 0.3, 0)
    holes = [move(hole, x=x * 0.36, y=y * 0.29, z=0.86) for x in (-1, 1) for y in (-1, 1)]
    return union(
        rotate(wheel, "x", 90),
        fork,
        rotate(cylinder(0.1, 0.36, 0.01), "x", 90),
        move(cylinder(0.2, 0.08, 0), z=0.78),
        subtract(plate, *holes),
    ), {"holes": 4}


def crank(rng: Generator) -> Built:
    """An arm with a turning grip."""
    arm = extrude(rectangle(0.62, 0.17, 0.17), 0.07, 0.02)
    hub = move(cylinder(0.28, 0.16, 0.02), x=-0.5)
    return union(
        subtract(union(arm, hub), move(cylinder(0.13, 1, 0), x=-0.5)),
        move(cylinder(0.06, 0.5, 0), x=0.5, z=0.3),
        move(cylinder(0.15, 0.33, 0.06), x=0.5, z=0.52),
    ), {}


def hand_wheel(rng: Generator) -> Built:
    """A rim, spokes, a hub."""
    count = int(rng.choice([3, 4, 5]))
    spokes = polar(capsule((0.1, 0, 0), (0.85, 0, 0.0), 0.075), count)
    wheel = blend(0.05, torus(0.88, 0.11), spokes, cylinder(0.24, 0.2, 0.02))
    return subtract(wheel, cylinder(0.11, 1, 0)), {}


def turnbuckle(rng: Generator) -> Built:
    """A frame with an eye at either end."""
    body = subtract(box(0.2, 0.2, 0.62, 0.06), box(0.4, 0.10, 0.42, 0))

    def end(side: int) -> Shape:
        rod = thread(0.11, 0.07, 0.025, 0.35)
        return union(move(rod, z=side * 0.8), move(rotate(torus(0.2, 0.07), "x", 90), z=side * 1.3))

    return union(body, end(1), end(-1)), {}


def shackle(rng: Generator) -> Built:
    """A bow closed by a pin."""
    wire = 0.11

    def arc(p: Array) -> Array:
        bow = length(length(p[:, 0], np.maximum(p[:, 2], 0)) - F(0.42), p[:, 1]) - F(wire)
        legs = length(np.abs(p[:, 0]) - F(0.42), p[:, 1]) - F(wire)
        return np.where(p[:, 2] > 0, bow, np.maximum(legs, -p[:, 2] - F(0.7)))

    ears = mirror(move(rotate(cylinder(0.2, 0.1, 0.02), "y", 90), x=0.42, z=-0.7), 0)
    pin = union(
        move(rotate(cylinder(0.1, 0.7, 0.01), "y", 90), z=-0.7),
        move(rotate(torus(0.14, 0.05), "x", 90), x=0.85, z=-0.7),
    )
    return union(arc, ears, pin), {}


def chain_link(rng: Generator) -> Built:
    """Two links."""

    def link(p: Array) -> Array:
        q = length(np.maximum(np.abs(p[:, 0]) - F(0.4), 0), p[:, 1]) - F(0.38)
        return length(q, p[:, 2]) - F(0.13)

    return union(move(link, x=-0.3), move(rotate(link, "x", 80), x=0.62)), {}
