"""Bolts, screws and nuts. Heads are above z = 0, shanks below."""

from __future__ import annotations

from numpy.random import Generator

from clipsearch.demo.parts.built import Builder, Built
from clipsearch.demo.render.sdf import (
    Shape,
    blend,
    box,
    cone,
    cylinder,
    extrude,
    intersect,
    mirror,
    move,
    polygon,
    rectangle,
    rotate,
    sphere,
    star,
    subtract,
    thread,
    torus,
    union,
)


def drive(kind: str, r: float, depth: float) -> Shape:
    """The recess in a head of radius about r: slotted, phillips, hex or torx."""
    if kind == "slotted":
        return box(r * 1.5, r * 0.16, depth, 0.0)
    if kind == "phillips":
        return union(box(r * 0.78, r * 0.17, depth, 0), box(r * 0.17, r * 0.78, depth, 0))
    if kind == "hex":
        return extrude(polygon(6, r * 0.5), depth, 0)
    return extrude(star(6, r * 0.62, r * 0.40, 0.6), depth, 0)


def shank(rng: Generator, radius: float = 0.25, *, full: bool | None = None) -> tuple[Shape, float, bool]:
    """A threaded rod below z = 0, its length, and whether the thread runs over all of it."""
    span = rng.uniform(0.75, 1.7)
    full = bool(rng.random() < 0.5) if full is None else full
    pitch = rng.uniform(0.085, 0.11)
    if full:
        return move(thread(radius, pitch, radius * 0.19, span / 2), z=-span / 2), span, full
    threaded = span * rng.uniform(0.45, 0.6)
    plain = span - threaded
    return (
        union(
            move(cylinder(radius * 0.95, plain / 2 + 0.02, 0.01), z=-plain / 2),
            move(thread(radius, pitch, radius * 0.19, threaded / 2), z=-span + threaded / 2),
        ),
        span,
        full,
    )


def hex_bolt(rng: Generator) -> Built:
    """A hexagon head, a shank, a thread."""
    rod, span, full = shank(rng)
    half = 0.17  # of the head's height
    head = intersect(extrude(polygon(6, 0.44), half, 0.02), cone(0.62, 0.43, half * 1.02, 0.0))
    return union(move(head, z=half), rod), {"length": span, "thread": "fully" if full else "partially"}


def socket_cap_screw(rng: Generator) -> Built:
    """A cylinder head with a hexagon socket."""
    rod, span, _ = shank(rng)
    half = 0.25
    socket = move(extrude(polygon(6, 0.2), 0.2, 0), z=2 * half)
    head = subtract(move(cylinder(0.4, half, 0.035), z=half), socket)
    return union(head, rod), {"length": span, "drive": "hex"}


def countersunk(kind: str) -> Builder:
    """A flat head on a cone, by drive."""

    def build(rng: Generator) -> Built:
        rod, span, _ = shank(rng, 0.23, full=True)
        half = 0.16
        head = subtract(move(cone(0.22, 0.5, half, 0.01), z=-half), drive(kind, 0.36, 0.11))
        return union(head, move(rod, z=-0.05)), {"length": span, "drive": kind}

    return build


def pan_head(kind: str) -> Builder:
    """A rounded head, by drive."""

    def build(rng: Generator) -> Built:
        rod, span, _ = shank(rng, 0.23, full=True)
        head = intersect(move(sphere(0.62), z=-0.30), move(cylinder(0.46, 0.3, 0.04), z=0.25))
        recessed = subtract(head, move(drive(kind, 0.38, 0.12), z=0.34))
        return union(recessed, rod), {"length": span, "drive": kind}

    return build


def button_head(rng: Generator) -> Built:
    """A low dome with a hexagon socket."""
    rod, span, _ = shank(rng, 0.24, full=True)
    head = intersect(move(sphere(0.56), z=-0.28), move(cylinder(0.5, 0.3, 0.01), z=0.28))
    recessed = subtract(head, move(drive("hex", 0.40, 0.13), z=0.28))
    return union(recessed, rod), {"length": span, "drive": "hex"}


def carriage_bolt(rng: Generator) -> Built:
    """A smooth dome over a square neck."""
    rod, span, _ = shank(rng, 0.22)
    head = intersect(move(sphere(0.66), z=-0.42), move(cylinder(0.56, 0.3, 0.01), z=0.28))
    neck = move(box(0.21, 0.21, 0.13, 0.01), z=-0.08)
    return union(head, neck, move(rod, z=-0.1)), {"length": span}


def eye_bolt(rng: Generator) -> Built:
    """A ring on a threaded shank."""
    rod, span, _ = shank(rng, 0.16)
    ring = move(rotate(torus(0.34, 0.12), "x", 90), z=0.42)
    return blend(0.06, ring, cylinder(0.24, 0.04, 0.01), rod), {"length": span}


def set_screw(rng: Generator) -> Built:
    """A headless thread with a hexagon socket."""
    span = rng.uniform(0.7, 1.1)
    socket = move(extrude(polygon(6, 0.18), 0.2, 0), z=span / 2)
    return subtract(thread(0.36, 0.13, 0.07, span / 2), socket), {"length": span, "drive": "hex"}


def wing_screw(rng: Generator) -> Built:
    """Two wings on a thread."""
    rod, span, _ = shank(rng, 0.18, full=True)
    rng.uniform(0.45, 0.6)  # drawn and not used: kept, so that a seed goes on making the same parts
    wing = rotate(extrude(rectangle(0.16, 0.26, 0.12), 0.06, 0.03), "x", 90)
    wings = mirror(move(wing, x=0.36, z=0.34), 0)
    return blend(0.06, move(cone(0.27, 0.2, 0.16, 0.02), z=0.14), wings, rod), {"length": span}


def hex_nut(rng: Generator) -> Built:
    """A hexagon with a threaded bore."""
    half = rng.uniform(0.2, 0.3)
    body = intersect(extrude(polygon(6, 0.6), half, 0.015), sphere(0.73 if half < 0.26 else 0.76))
    return subtract(body, thread(0.36, 0.09, 0.05, 1)), {}


def square_nut(rng: Generator) -> Built:
    """A square with a threaded bore."""
    half = rng.uniform(0.16, 0.24)
    return subtract(extrude(rectangle(0.55, 0.55, 0.03), half, 0.03), thread(0.33, 0.09, 0.05, 1)), {}


def wing_nut(rng: Generator) -> Built:
    """A cone with two wings."""
    lean = rng.uniform(28, 42)
    wing = rotate(rotate(extrude(rectangle(0.19, 0.36, 0.15), 0.07, 0.04), "x", 90), "y", lean)
    wings = mirror(move(wing, x=0.56, z=0.36), 0)
    return subtract(blend(0.1, cone(0.40, 0.30, 0.26, 0.03), wings), thread(0.2, 0.08, 0.04, 1)), {}


def acorn_nut(rng: Generator) -> Built:
    """A hexagon closed by a dome."""
    base = move(intersect(extrude(polygon(6, 0.5), 0.22, 0.015), sphere(0.62)), z=-0.2)
    dome = union(move(cylinder(0.40, 0.1, 0.02), z=0.05), move(sphere(0.40), z=0.14))
    return subtract(union(base, dome), move(thread(0.26, 0.09, 0.04, 0.3), z=-0.3)), {}


def flange_nut(rng: Generator) -> Built:
    """A hexagon on a flange."""
    hexagon = intersect(extrude(polygon(6, 0.5), 0.28, 0.015), sphere(0.66))
    flange = move(cone(0.78, 0.62, 0.06, 0.02), z=-0.24)
    return subtract(union(hexagon, flange), thread(0.3, 0.09, 0.05, 1)), {}


def coupling_nut(rng: Generator) -> Built:
    """A long hexagon."""
    half = rng.uniform(0.75, 1.0)
    return subtract(extrude(polygon(6, 0.38), half, 0.02), thread(0.22, 0.1, 0.04, 2)), {}
