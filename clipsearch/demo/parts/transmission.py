"""What turns: gears, springs, bearings, pulleys, couplings, cams."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from clipsearch.demo.parts.built import Built
from clipsearch.demo.render.sdf import (
    Array,
    F,
    box,
    capsule,
    circle,
    cylinder,
    extrude,
    gear_profile,
    helix,
    move,
    polar,
    revolve,
    rotate,
    sphere,
    subtract,
    subtract2,
    thread,
    torus,
    union,
)


def spur_gear(rng: Generator) -> Built:
    """Straight teeth, with or without holes in the web."""
    n = int(rng.choice([12, 16, 20, 24, 30, 36]))
    h = rng.uniform(0.14, 0.26)
    d = min(0.2, 2.2 / n)
    s = extrude(subtract2(gear_profile(n, 1, d), circle(0.2)), h, 0.012)
    holes = int(rng.choice([0, 0, 4, 5, 6]))
    if holes:
        s = subtract(s, polar(move(cylinder(0.13, 1, 0), x=0.55), holes))
    else:
        s = (
            subtract(s, move(extrude(subtract2(circle(0.74), circle(0.36)), 0.07, 0.0), z=h))
            if rng.random() < 0.5
            else s
        )
    s = union(s, subtract(move(cylinder(0.34, h + 0.08, 0.02)), cylinder(0.2, 2, 0)))
    return s, {"teeth": n, "holes": holes}


def bevel_gear(rng: Generator) -> Built:
    """Teeth on a cone."""
    n = int(rng.choice([14, 16, 20, 24]))
    h = 0.26

    def distance(p: Array) -> Array:
        z = np.clip(p[:, 2], -h, h)
        k = F(1) - (z + F(h)) * F(0.62)
        a = np.arctan2(p[:, 1], p[:, 0])
        d = np.sqrt(p[:, 0] ** 2 + p[:, 1] ** 2)
        t = np.abs(((a * F(n / (2 * np.pi))) % 1) - F(0.5)) * 2
        w = np.clip((F(0.5) - t) / F(0.4) + F(0.5), 0, 1)
        g = (d - k * (F(0.86) + F(0.14) * w)) * F(0.5)
        return np.maximum(g, np.abs(p[:, 2]) - F(h))

    return subtract(union(distance, move(cylinder(0.42, 0.2, 0.02), z=-0.4)), cylinder(0.2, 2, 0)), {
        "teeth": n
    }


def sprocket(rng: Generator) -> Built:
    """Pointed teeth for a roller chain."""
    n = int(rng.choice([11, 13, 15, 18, 21]))

    def profile(x: Array, y: Array) -> Array:
        a = np.arctan2(y, x)
        d = np.sqrt(x * x + y * y)
        t = np.abs(((a * F(n / (2 * np.pi))) % 1) - F(0.5)) * 2
        return (d - (F(1) - F(min(0.26, 2.4 / n)) * np.sqrt(np.maximum(t, 0)))) * F(0.5)

    s = extrude(subtract2(profile, circle(0.2)), 0.07, 0.012)
    holes = int(rng.choice([0, 4, 5, 6]))
    if holes:
        s = subtract(s, polar(move(cylinder(0.12, 1, 0), x=0.5), holes))
    return subtract(union(s, move(cylinder(0.34, 0.14, 0.02), z=0.14)), cylinder(0.2, 2, 0)), {
        "teeth": n,
        "holes": holes,
    }


def worm(rng: Generator) -> Built:
    """A coarse thread on a shaft."""
    return union(thread(0.42, 0.30, 0.16, 0.62), cylinder(0.2, 1.1, 0.03)), {}


def rack(rng: Generator) -> Built:
    """Teeth on a bar."""
    n = int(rng.choice([8, 10, 12]))
    w = 1.3

    def distance(p: Array) -> Array:
        t = np.abs(((p[:, 0] * F(n / (2 * w))) % 1) - F(0.5)) * 2
        k = np.clip((F(0.5) - t) / F(0.45) + F(0.5), 0, 1)
        top = (p[:, 2] - (F(0.05) + F(0.2) * k)) * F(0.55)
        return np.maximum(
            np.maximum(top, -p[:, 2] - F(0.25)), np.maximum(np.abs(p[:, 0]) - F(w), np.abs(p[:, 1]) - F(0.22))
        )

    return distance, {"teeth": n}


def compression_spring(rng: Generator) -> Built:
    """An open coil."""
    ring = rng.uniform(0.38, 0.55)
    t = int(rng.integers(5, 9))
    pitch = rng.uniform(0.21, 0.30)
    r = rng.uniform(0.055, 0.08)
    return helix(ring, r, pitch, t), {"length": t * pitch}


def extension_spring(rng: Generator) -> Built:
    """A closed coil with two loops."""
    ring, r = 0.32, 0.06
    t = int(rng.integers(7, 11))
    span = t * r * 2.15
    body = helix(ring, r, r * 2.15, t)
    hook = rotate(torus(0.26, r), "x", 90)
    at = span / 2 + 0.26
    return union(body, move(hook, z=at), move(hook, z=-at)), {"length": span}


def torsion_spring(rng: Generator) -> Built:
    """A closed coil with two legs."""
    ring, r = 0.42, 0.065
    t = 4
    span = t * r * 2.3
    return union(
        helix(ring, r, r * 2.3, t),
        capsule((ring, 0, span / 2 - 0.05), (ring + 0.1, 1.1, span / 2 - 0.05), r),
        capsule((ring, 0, -span / 2 + 0.05), (ring + 0.1, -1.1, -span / 2 + 0.05), r),
    ), {}


def ball_bearing(rng: Generator) -> Built:
    """Two rings and balls between."""
    n = int(rng.choice([8, 9, 10]))
    h = 0.22
    outer = extrude(subtract2(circle(1), circle(0.80)), h, 0.03)
    inner = extrude(subtract2(circle(0.56), circle(0.36)), h, 0.03)
    groove = torus(0.68, 0.17)
    return union(
        subtract(union(outer, inner), groove),
        polar(move(sphere(0.15), x=0.68), n),
        extrude(subtract2(circle(0.715), circle(0.645)), 0.05, 0),
    ), {}


def roller_bearing(rng: Generator) -> Built:
    """Two rings and rollers between."""
    n = int(rng.choice([10, 12]))
    h = 0.34
    outer = extrude(subtract2(circle(1), circle(0.84)), h, 0.03)
    inner = extrude(subtract2(circle(0.54), circle(0.36)), h * 1.0, 0.03)
    return union(outer, inner, polar(move(cylinder(0.125, h * 0.9, 0.02), x=0.69), n)), {}


def pulley(rng: Generator) -> Built:
    """A disc with a V groove."""

    def profile(q: Array, z: Array) -> Array:
        v = np.maximum(np.abs(z) - F(0.3), q - F(1))
        groove = (np.abs(z) * F(1.4) - (q - F(0.66))) * F(0.58)
        return np.maximum(v, -groove)

    body = revolve(profile)
    holes = int(rng.choice([0, 4, 5]))
    b = subtract(body, *([polar(move(cylinder(0.13, 1, 0), x=0.42), holes)] if holes else []))
    return subtract(union(b, cylinder(0.28, 0.4, 0.02)), cylinder(0.16, 2, 0)), {"holes": holes}


def timing_pulley(rng: Generator) -> Built:
    """A toothed drum between two flanges."""
    n = int(rng.choice([16, 20, 24]))
    t = extrude(gear_profile(n, 0.78, 0.07, 0.6, 0.2), 0.38, 0)
    fl = union(move(cylinder(0.95, 0.05, 0.01), z=0.42), move(cylinder(0.95, 0.05, 0.01), z=-0.42))
    return subtract(union(t, fl, move(cylinder(0.45, 0.2, 0.02), z=0.6)), cylinder(0.2, 2, 0)), {"teeth": n}


def shaft_collar(rng: Generator) -> Built:
    """A slit ring with a clamping screw's hole."""
    return subtract(
        extrude(subtract2(circle(0.8), circle(0.45)), 0.26, 0.03),
        move(rotate(cylinder(0.13, 0.5, 0), "y", 90), x=0.9),
        move(box(0.5, 0.025, 1, 0), x=-0.7),
    ), {}


def shaft_coupling(rng: Generator) -> Built:
    """A cylinder with slits and two screws' holes."""
    b = cylinder(0.5, 0.85, 0.03)
    slots = [
        move(box(0.62, 0.62, 0.022, 0), x=(0.22 if i % 2 else -0.22), z=z)
        for i, z in enumerate((-0.3, -0.1, 0.1, 0.3))
    ]
    return subtract(
        b,
        cylinder(0.2, 2, 0),
        *slots,
        move(rotate(cylinder(0.08, 0.3, 0), "x", 90), y=-0.5, z=0.62),
        move(rotate(cylinder(0.08, 0.3, 0), "x", 90), y=-0.5, z=-0.62),
    ), {}


def cam(rng: Generator) -> Built:
    """An egg on a hub."""

    def egg(x: Array, y: Array) -> Array:
        d1 = np.sqrt(x * x + y * y) - F(0.55)
        d2 = np.sqrt((x - F(0.55)) ** 2 + y * y) - F(0.22)
        # tangent hull by capsule of varying radius
        t = np.clip(x / F(0.55), 0, 1)
        d3 = np.sqrt((x - t * F(0.55)) ** 2 + y * y) - (F(0.55) - t * F(0.33))
        return np.minimum(np.minimum(d1, d2), d3 * F(0.85))

    return subtract(
        union(extrude(egg, 0.14, 0.02), cylinder(0.3, 0.26, 0.02)),
        cylinder(0.18, 1, 0),
        move(box(0.05, 0.05, 1, 0), y=0.18),
    ), {}
