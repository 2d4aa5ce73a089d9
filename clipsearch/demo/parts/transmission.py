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
    teeth = int(rng.choice([12, 16, 20, 24, 30, 36]))
    half = rng.uniform(0.14, 0.26)
    wheel = extrude(subtract2(gear_profile(teeth, 1, min(0.2, 2.2 / teeth)), circle(0.2)), half, 0.012)
    holes = int(rng.choice([0, 0, 4, 5, 6]))
    if holes:
        wheel = subtract(wheel, polar(move(cylinder(0.13, 1, 0), x=0.55), holes))
    elif rng.random() < 0.5:
        wheel = subtract(wheel, move(extrude(subtract2(circle(0.74), circle(0.36)), 0.07, 0.0), z=half))
    hub = subtract(cylinder(0.34, half + 0.08, 0.02), cylinder(0.2, 2, 0))
    return union(wheel, hub), {"teeth": teeth, "holes": holes}


def bevel_gear(rng: Generator) -> Built:
    """Teeth on a cone."""
    teeth = int(rng.choice([14, 16, 20, 24]))
    half = 0.26

    def distance(p: Array) -> Array:
        z = np.clip(p[:, 2], -half, half)
        taper = F(1) - (z + F(half)) * F(0.62)
        angle = np.arctan2(p[:, 1], p[:, 0])
        d = np.sqrt(p[:, 0] ** 2 + p[:, 1] ** 2)
        off_tooth = np.abs(((angle * F(teeth / (2 * np.pi))) % 1) - F(0.5)) * 2
        height = np.clip((F(0.5) - off_tooth) / F(0.4) + F(0.5), 0, 1)
        flank = (d - taper * (F(0.86) + F(0.14) * height)) * F(0.5)
        return np.maximum(flank, np.abs(p[:, 2]) - F(half))

    hub = move(cylinder(0.42, 0.2, 0.02), z=-0.4)
    return subtract(union(distance, hub), cylinder(0.2, 2, 0)), {"teeth": teeth}


def sprocket(rng: Generator) -> Built:
    """Pointed teeth for a roller chain."""
    teeth = int(rng.choice([11, 13, 15, 18, 21]))

    def profile(x: Array, y: Array) -> Array:
        angle = np.arctan2(y, x)
        d = np.sqrt(x * x + y * y)
        off_tooth = np.abs(((angle * F(teeth / (2 * np.pi))) % 1) - F(0.5)) * 2
        depth = F(min(0.26, 2.4 / teeth))
        return (d - (F(1) - depth * np.sqrt(np.maximum(off_tooth, 0)))) * F(0.5)

    wheel = extrude(subtract2(profile, circle(0.2)), 0.07, 0.012)
    holes = int(rng.choice([0, 4, 5, 6]))
    if holes:
        wheel = subtract(wheel, polar(move(cylinder(0.12, 1, 0), x=0.5), holes))
    hub = move(cylinder(0.34, 0.14, 0.02), z=0.14)
    return subtract(union(wheel, hub), cylinder(0.2, 2, 0)), {"teeth": teeth, "holes": holes}


def worm(rng: Generator) -> Built:
    """A coarse thread on a shaft."""
    return union(thread(0.42, 0.30, 0.16, 0.62), cylinder(0.2, 1.1, 0.03)), {}


def rack(rng: Generator) -> Built:
    """Teeth on a bar."""
    teeth = int(rng.choice([8, 10, 12]))
    half = 1.3  # of its length

    def distance(p: Array) -> Array:
        off_tooth = np.abs(((p[:, 0] * F(teeth / (2 * half))) % 1) - F(0.5)) * 2
        height = np.clip((F(0.5) - off_tooth) / F(0.45) + F(0.5), 0, 1)
        top = (p[:, 2] - (F(0.05) + F(0.2) * height)) * F(0.55)
        ends = np.maximum(np.abs(p[:, 0]) - F(half), np.abs(p[:, 1]) - F(0.22))
        return np.maximum(np.maximum(top, -p[:, 2] - F(0.25)), ends)

    return distance, {"teeth": teeth}


def compression_spring(rng: Generator) -> Built:
    """An open coil."""
    radius = rng.uniform(0.38, 0.55)
    turns = int(rng.integers(5, 9))
    pitch = rng.uniform(0.21, 0.30)
    wire = rng.uniform(0.055, 0.08)
    return helix(radius, wire, pitch, turns), {"length": turns * pitch}


def extension_spring(rng: Generator) -> Built:
    """A closed coil with two loops."""
    wire = 0.06
    turns = int(rng.integers(7, 11))
    span = turns * wire * 2.15
    loop = rotate(torus(0.26, wire), "x", 90)
    at = span / 2 + 0.26
    return union(helix(0.32, wire, wire * 2.15, turns), move(loop, z=at), move(loop, z=-at)), {"length": span}


def torsion_spring(rng: Generator) -> Built:
    """A closed coil with two legs."""
    radius, wire, turns = 0.42, 0.065, 4
    end = turns * wire * 2.3 / 2 - 0.05
    return union(
        helix(radius, wire, wire * 2.3, turns),
        capsule((radius, 0, end), (radius + 0.1, 1.1, end), wire),
        capsule((radius, 0, -end), (radius + 0.1, -1.1, -end), wire),
    ), {}


def ball_bearing(rng: Generator) -> Built:
    """Two rings and balls between."""
    count = int(rng.choice([8, 9, 10]))
    half = 0.22
    outer = extrude(subtract2(circle(1), circle(0.80)), half, 0.03)
    inner = extrude(subtract2(circle(0.56), circle(0.36)), half, 0.03)
    cage = extrude(subtract2(circle(0.715), circle(0.645)), 0.05, 0)
    races = subtract(union(outer, inner), torus(0.68, 0.17))
    return union(races, polar(move(sphere(0.15), x=0.68), count), cage), {}


def roller_bearing(rng: Generator) -> Built:
    """Two rings and rollers between."""
    count = int(rng.choice([10, 12]))
    half = 0.34
    outer = extrude(subtract2(circle(1), circle(0.84)), half, 0.03)
    inner = extrude(subtract2(circle(0.54), circle(0.36)), half, 0.03)
    return union(outer, inner, polar(move(cylinder(0.125, half * 0.9, 0.02), x=0.69), count)), {}


def pulley(rng: Generator) -> Built:
    """A disc with a V groove."""

    def profile(radius: Array, z: Array) -> Array:
        disc = np.maximum(np.abs(z) - F(0.3), radius - F(1))
        groove = (np.abs(z) * F(1.4) - (radius - F(0.66))) * F(0.58)
        return np.maximum(disc, -groove)

    wheel = revolve(profile)
    holes = int(rng.choice([0, 4, 5]))
    if holes:
        wheel = subtract(wheel, polar(move(cylinder(0.13, 1, 0), x=0.42), holes))
    return subtract(union(wheel, cylinder(0.28, 0.4, 0.02)), cylinder(0.16, 2, 0)), {"holes": holes}


def timing_pulley(rng: Generator) -> Built:
    """A toothed drum between two flanges."""
    teeth = int(rng.choice([16, 20, 24]))
    drum = extrude(gear_profile(teeth, 0.78, 0.07, 0.6, 0.2), 0.38, 0)
    flange = cylinder(0.95, 0.05, 0.01)
    flanges = union(move(flange, z=0.42), move(flange, z=-0.42))
    hub = move(cylinder(0.45, 0.2, 0.02), z=0.6)
    return subtract(union(drum, flanges, hub), cylinder(0.2, 2, 0)), {"teeth": teeth}


def shaft_collar(rng: Generator) -> Built:
    """A slit ring with a clamping screw's hole."""
    ring = extrude(subtract2(circle(0.8), circle(0.45)), 0.26, 0.03)
    screw_hole = move(rotate(cylinder(0.13, 0.5, 0), "y", 90), x=0.9)
    return subtract(ring, screw_hole, move(box(0.5, 0.025, 1, 0), x=-0.7)), {}


def shaft_coupling(rng: Generator) -> Built:
    """A cylinder with slits and two screws' holes."""
    slits = [
        move(box(0.62, 0.62, 0.022, 0), x=(0.22 if i % 2 else -0.22), z=z)
        for i, z in enumerate((-0.3, -0.1, 0.1, 0.3))
    ]
    screw_hole = move(rotate(cylinder(0.08, 0.3, 0), "x", 90), y=-0.5)
    return subtract(
        cylinder(0.5, 0.85, 0.03),
        cylinder(0.2, 2, 0),
        *slits,
        move(screw_hole, z=0.62),
        move(screw_hole, z=-0.62),
    ), {}


def cam(rng: Generator) -> Built:
    """An egg on a hub."""

    def egg(x: Array, y: Array) -> Array:
        base = np.sqrt(x * x + y * y) - F(0.55)
        nose = np.sqrt((x - F(0.55)) ** 2 + y * y) - F(0.22)
        along = np.clip(x / F(0.55), 0, 1)  # between them, a circle that shrinks from base to nose
        flank = np.sqrt((x - along * F(0.55)) ** 2 + y * y) - (F(0.55) - along * F(0.33))
        return np.minimum(np.minimum(base, nose), flank * F(0.85))

    key_way = move(box(0.05, 0.05, 1, 0), y=0.18)
    return subtract(
        union(extrude(egg, 0.14, 0.02), cylinder(0.3, 0.26, 0.02)), cylinder(0.18, 1, 0), key_way
    ), {}
