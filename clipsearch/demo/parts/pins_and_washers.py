"""Washers, pins, rivets and rings."""

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
    hypot,
    intersect,
    move,
    polar,
    rectangle,
    rotate,
    sphere,
    subtract,
    subtract2,
    torus,
    union,
    union2,
)


def flat_washer(rng: Generator) -> Built:
    """A flat ring."""
    bore = rng.uniform(0.32, 0.5)
    return extrude(subtract2(circle(0.8), circle(bore)), rng.uniform(0.05, 0.09), 0.012), {}


def fender(rng: Generator) -> Built:
    """A wide ring with a small hole."""
    return extrude(subtract2(circle(0.9), circle(0.2)), 0.045, 0.01), {}


def split_washer(rng: Generator) -> Built:
    """A ring, cut and twisted."""
    radius, half = 0.56, 0.1

    def distance(p: Array) -> Array:
        angle, d = np.arctan2(p[:, 1], p[:, 0]), hypot(p)
        body = np.maximum(np.abs(d - F(radius)) - F(0.16), np.abs(p[:, 2] - angle * F(0.045)) - F(half))
        gap = (F(np.pi) - np.abs(angle)) * d - F(0.035)
        return np.maximum(body, -gap) * F(0.85)

    return distance, {}


def tooth_washer(rng: Generator) -> Built:
    """A ring with twisted teeth outside."""
    count = int(rng.integers(10, 15))
    ring = extrude(subtract2(circle(0.62), circle(0.36)), 0.035, 0.005)
    tooth = move(rotate(box(0.16, 0.085, 0.03, 0.005), "x", 28), x=0.70)
    return union(ring, polar(tooth, count)), {}


def dowel_pin(rng: Generator) -> Built:
    """A plain cylinder."""
    span = rng.uniform(0.8, 1.4)
    return cylinder(0.26, span, 0.05), {"length": 2 * span}


def cotter_pin(rng: Generator) -> Built:
    """An eye with two legs of unequal length."""
    span = rng.uniform(1.3, 1.8)
    eye = move(rotate(torus(0.22, 0.085), "x", 90), z=0.12)
    long = capsule((0.09, 0, -0.1), (0.1035, 0, -span), 0.085)
    short = capsule((-0.09, 0, -0.1), (-0.1035, 0, -span * 0.88), 0.085)
    return union(eye, long, short), {"length": span}


def rivet(rng: Generator) -> Built:
    """A dome on a plain shank."""
    span = rng.uniform(0.6, 1.1)
    head = intersect(move(sphere(0.5), z=-0.14), move(cylinder(0.6, 0.3, 0), z=0.3))
    rod = move(cylinder(0.24, span / 2, 0.02), z=-span / 2 + 0.02)
    return union(head, rod), {"length": span}


def clevis_pin(rng: Generator) -> Built:
    """A flat head and a cross hole."""
    span = rng.uniform(1.1, 1.7)
    head = move(cylinder(0.38, 0.09, 0.02), z=0.09)
    rod = move(cylinder(0.22, span / 2, 0.03), z=-span / 2)
    cross_hole = move(rotate(cylinder(0.065, 1, 0), "x", 90), z=-span + 0.2)
    return subtract(union(head, rod), cross_hole), {"length": span}


def retaining_ring(rng: Generator) -> Built:
    """An open ring with two eyes."""
    ring = subtract2(circle(0.72), circle(0.58, 0, 0.03), rectangle(0.16, 0.6, 0, 0, -0.7))
    eyes = union2(circle(0.14, 0.24, -0.60), circle(0.14, -0.24, -0.60))
    outline = subtract2(union2(ring, eyes), circle(0.06, 0.24, -0.6), circle(0.06, -0.24, -0.6))
    return extrude(outline, 0.045, 0.008), {}
