"""Pipe fittings: flanges, bends, branches, ends, a valve."""

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
    cone,
    cylinder,
    extrude,
    intersect,
    length,
    move,
    polar,
    polygon,
    rectangle,
    rotate,
    sphere,
    subtract,
    subtract2,
    thread,
    union,
)


def pipe_flange(rng: Generator) -> Built:
    """A bolted disc with a conical neck."""
    count = int(rng.choice([4, 6, 8]))
    hole = move(cylinder(0.095 if count > 4 else 0.11, 1, 0), x=0.78)
    disc = subtract(
        extrude(subtract2(circle(1), circle(0.36)), 0.09, 0.02), polar(hole, count, np.pi / count)
    )
    neck = move(subtract(cone(0.58, 0.46, 0.2, 0.02), cylinder(0.36, 2, 0)), z=0.28)
    return union(disc, neck), {"holes": count}


def blind_flange(rng: Generator) -> Built:
    """A bolted disc, closed."""
    count = int(rng.choice([4, 6, 8]))
    disc = subtract(cylinder(1, 0.11, 0.02), polar(move(cylinder(0.1, 1, 0), x=0.78), count))
    return union(disc, move(cylinder(0.55, 0.05, 0.02), z=0.13)), {"holes": count}


def _bend(ring: float, r: float) -> Shape:
    """A quarter of a torus in the xz plane, from (0, 0, ring) to (ring, 0, 0)."""

    def distance(p: Array) -> Array:
        x, z = p[:, 0] - F(ring), p[:, 2] - F(ring)
        bend = length(length(x, z) - F(ring), p[:, 1]) - F(r)
        upper = (length(p[:, 0], p[:, 1]) - F(r)).clip(0) ** 2 + np.maximum(z, 0) ** 2
        lower = (length(p[:, 2], p[:, 1]) - F(r)).clip(0) ** 2 + np.maximum(x, 0) ** 2
        return np.where((x <= 0) & (z <= 0), bend, np.sqrt(np.minimum(upper, lower)))

    return distance


def elbow(rng: Generator) -> Built:
    """A quarter bend with two sockets."""
    bend, radius = 0.62, 0.34

    def ends(socket: Shape, distance: float) -> tuple[Shape, Shape]:
        return move(socket, z=distance), move(rotate(socket, "y", 90), x=distance)

    body = union(_bend(bend, radius), *ends(cylinder(radius + 0.08, 0.17), bend + 0.14))
    bore = (_bend(bend, radius - 0.1), *ends(cylinder(radius - 0.08, 0.4, 0), bend + 0.3))
    return subtract(body, *bore), {}


def _arms(directions: list[tuple[int, int, int]], r: float = 0.32, reach: float = 0.8) -> Shape:
    """Pipes from the origin along axes, each with a socket at its end."""
    solids: list[Shape] = []
    bores: list[Shape] = []
    for dx, dy, dz in directions:

        def end(shape: Shape, distance: float, d: tuple[int, int, int] = (dx, dy, dz)) -> Shape:
            turned = shape if d[2] else rotate(shape, "y" if d[0] else "x", 90)
            return move(turned, *(axis * distance for axis in d))

        near = reach - 0.3
        solids.append(capsule((0, 0, 0), (dx * near, dy * near, dz * near), r))
        solids.append(end(cylinder(r + 0.08, 0.16), reach - 0.16))
        bores.append(end(cylinder(r - 0.09, 0.52, 0), reach - 0.4))
    return subtract(blend(0.06, *solids), *bores)


def tee(rng: Generator) -> Built:
    """Three sockets."""
    return _arms([(1, 0, 0), (-1, 0, 0), (0, 0, 1)]), {}


def cross(rng: Generator) -> Built:
    """Four sockets."""
    return _arms([(1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1)]), {}


def reducer(rng: Generator) -> Built:
    """A wide socket narrowing to a small one."""
    body = union(
        move(cylinder(0.6, 0.24, 0.02), z=-0.42),
        cone(0.56, 0.32, 0.22, 0.01),
        move(cylinder(0.36, 0.2, 0.02), z=0.38),
    )
    return subtract(body, move(cylinder(0.46, 0.3, 0), z=-0.5), cylinder(0.22, 2, 0)), {}


def pipe_plug(rng: Generator) -> Built:
    """A thread with a square head."""
    taper = intersect(move(thread(0.42, 0.12, 0.06, 0.34), z=-0.3), move(cone(0.38, 0.46, 0.4, 0), z=-0.28))
    head = move(extrude(rectangle(0.26, 0.26, 0.03), 0.18, 0.02), z=0.2)
    return union(taper, head, move(cylinder(0.44, 0.04, 0.01), z=0.05)), {}


def pipe_cap(rng: Generator) -> Built:
    """A dome on a ring."""
    ring = extrude(polygon(8, 0.6), 0.2, 0.03) if rng.random() < 0.5 else cylinder(0.62, 0.25, 0.03)
    dome = intersect(move(sphere(0.75), z=-0.3), move(cylinder(0.6, 0.4, 0.02), z=0.3))
    return subtract(union(ring, dome), move(cylinder(0.44, 0.3, 0), z=-0.3)), {}


def hose_barb(rng: Generator) -> Built:
    """Barbs, a hexagon, a thread."""
    barbs = [move(cone(0.34, 0.24, 0.14, 0.01), z=0.25 + i * 0.24) for i in range(4)]
    body = union(
        *barbs,
        move(cylinder(0.24, 0.6, 0.0), z=0.6),
        extrude(polygon(6, 0.44), 0.15, 0.02),
        move(thread(0.32, 0.1, 0.05, 0.3), z=-0.4),
    )
    return subtract(body, cylinder(0.15, 3, 0)), {}


def valve(rng: Generator) -> Built:
    """A ball body, two hexagons, a lever."""
    hexagon = rotate(extrude(polygon(6, 0.38), 0.14, 0.02), "y", 90)
    body = union(
        rotate(cylinder(0.3, 0.8, 0.02), "y", 90),
        sphere(0.42),
        move(cylinder(0.22, 0.3, 0.02), z=0.45),
        move(hexagon, x=0.7),
        move(hexagon, x=-0.7),
    )
    lever = move(box(0.62, 0.12, 0.04, 0.03), x=0.45, z=0.8)
    return union(subtract(body, rotate(cylinder(0.2, 2, 0), "y", 90)), lever), {}
