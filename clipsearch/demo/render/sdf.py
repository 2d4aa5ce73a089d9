"""Signed-distance shapes: functions of points (N, 3) float32 to distances (N,). Knows nothing of light.

Negative inside, positive outside; where a formula over-estimates the distance it is scaled down, so
that a sphere tracer never steps through the surface. Lengths are in units of the part: about 1 across.
The primitives follow Inigo Quilez, "Distance functions". 2-D profiles are functions of (x, y).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]
Shape: TypeAlias = Callable[[Array], Array]
Profile: TypeAlias = Callable[[Array, Array], Array]

F = np.float32
_TURN = F(2 * np.pi)


def length(*components: Array) -> Array:
    """Euclidean length of vectors given by component."""
    total = components[0] * components[0]
    for component in components[1:]:
        total = total + component * component
    return np.asarray(np.sqrt(total))


def hypot(point: Array) -> Array:
    """Distance of each point from the z axis."""
    return length(point[:, 0], point[:, 1])


# --- solids -------------------------------------------------------------------------------------


def sphere(radius: float) -> Shape:
    """A ball around the origin."""
    return lambda p: length(p[:, 0], p[:, 1], p[:, 2]) - F(radius)


def box(x: float, y: float, z: float, edge: float = 0.02) -> Shape:
    """A box of half-sizes x, y, z with edges rounded by `edge`."""
    half = np.array([x - edge, y - edge, z - edge], F)

    def distance(p: Array) -> Array:
        q = np.abs(p) - half
        m = np.maximum(q, 0)
        return length(m[:, 0], m[:, 1], m[:, 2]) + np.minimum(q.max(1), 0) - F(edge)

    return distance


def extrude(profile: Profile, half_height: float, edge: float = 0.02) -> Shape:
    """A profile pulled along z, with edges rounded by `edge`."""
    return lambda p: _slab(profile(p[:, 0], p[:, 1]), p[:, 2], half_height, edge)


def revolve(profile: Profile) -> Shape:
    """A profile of (radius, z) turned around the z axis."""
    return lambda p: profile(hypot(p), p[:, 2])


def cylinder(radius: float, half_height: float, edge: float = 0.02) -> Shape:
    """A cylinder along z with edges rounded by `edge`."""
    return lambda p: _slab(hypot(p) - F(radius), p[:, 2], half_height, edge)


def torus(radius: float, tube: float) -> Shape:
    """A ring around z."""
    return lambda p: length(hypot(p) - F(radius), p[:, 2]) - F(tube)


def capsule(start: tuple[float, float, float], end: tuple[float, float, float], radius: float) -> Shape:
    """A rod with round ends between two points."""
    a = np.array(start, F)
    along = np.array(end, F) - a
    squared = F(along @ along)

    def distance(p: Array) -> Array:
        offset = p - a
        share = np.clip((offset @ along) / squared, 0, 1)[:, None]
        q = offset - share * along
        return length(q[:, 0], q[:, 1], q[:, 2]) - F(radius)

    return distance


def cone(low: float, high: float, half_height: float, edge: float = 0.015) -> Shape:
    """A cut cone along z with radius `low` at the bottom and `high` at the top."""
    slant = np.hypot(low - high, 2 * half_height)

    def distance(p: Array) -> Array:
        q, z = hypot(p), p[:, 2]
        side = ((q - F((low + high) / 2)) * F(2 * half_height) + z * F(low - high)) / F(slant)
        a, b = side + F(edge), np.abs(z) - F(half_height) + F(edge)
        return length(np.maximum(a, 0), np.maximum(b, 0)) + np.minimum(np.maximum(a, b), 0) - F(edge)

    return distance


def thread(radius: float, pitch: float, depth: float, half_height: float) -> Shape:
    """A threaded rod along z, right-handed, one start."""

    def distance(p: Array) -> Array:
        turn = np.arctan2(p[:, 1], p[:, 0]) * F(1 / (2 * np.pi))
        groove = np.abs(((p[:, 2] / F(pitch) - turn) % 1) - F(0.5)) * 2
        d = hypot(p) - F(radius) + F(depth) * groove
        return np.maximum(d * F(0.75), np.abs(p[:, 2]) - F(half_height))

    return distance


def helix(radius: float, wire: float, pitch: float, turns: float) -> Shape:
    """A coil of round wire around z."""

    def distance(p: Array) -> Array:
        turn = np.arctan2(p[:, 1], p[:, 0]) / _TURN
        nearest = np.round(p[:, 2] / F(pitch) - turn) + turn
        off = p[:, 2] - nearest * F(pitch)
        over = np.maximum(np.abs(nearest) - F(turns / 2), 0) * F(pitch)
        return (length(hypot(p) - F(radius), np.abs(off) + over) - F(wire)) * F(0.7)

    return distance


def _slab(across: Array, z: Array, half_height: float, edge: float) -> Array:
    a, b = across + F(edge), np.abs(z) - F(half_height - edge)
    return length(np.maximum(a, 0), np.maximum(b, 0)) + np.minimum(np.maximum(a, b), 0) - F(edge)


# --- profiles -----------------------------------------------------------------------------------


def circle(radius: float, cx: float = 0, cy: float = 0) -> Profile:
    """A disc."""
    return lambda x, y: length(x - F(cx), y - F(cy)) - F(radius)


def rectangle(width: float, height: float, corner: float = 0.0, cx: float = 0, cy: float = 0) -> Profile:
    """A rectangle of half-sizes width, height with rounded corners."""

    def distance(x: Array, y: Array) -> Array:
        a = np.abs(x - F(cx)) - F(width - corner)
        b = np.abs(y - F(cy)) - F(height - corner)
        return length(np.maximum(a, 0), np.maximum(b, 0)) + np.minimum(np.maximum(a, b), 0) - F(corner)

    return distance


def polygon(sides: int, inradius: float) -> Profile:
    """A regular polygon with a flat side toward +x."""
    sector = F(2 * np.pi / sides)

    def distance(x: Array, y: Array) -> Array:
        angle = (np.arctan2(y, x) + sector / 2) % sector - sector / 2
        return np.asarray(length(x, y) * np.cos(angle) - F(inradius))

    return distance


def star(points: int, outer: float, inner: float, steepness: float = 0.5) -> Profile:
    """A wavy disc: a knob's lobes, a six-lobe drive."""

    def distance(x: Array, y: Array) -> Array:
        wave = np.cos(F(points) * np.arctan2(y, x))
        return np.asarray(
            (length(x, y) - (F((outer + inner) / 2) + F((outer - inner) / 2) * wave)) * F(steepness)
        )

    return distance


def gear_profile(teeth: int, radius: float, depth: float, duty: float = 0.5, slope: float = 0.35) -> Profile:
    """A toothed disc; duty is the tooth's share of the pitch, slope the width of its flanks."""

    def distance(x: Array, y: Array) -> Array:
        phase = np.abs(((np.arctan2(y, x) * F(teeth / (2 * np.pi))) % 1) - F(0.5)) * 2
        tooth = np.clip((F(duty) - phase) / F(slope) + F(0.5), 0, 1)
        return np.asarray((length(x, y) - (F(radius - depth) + F(depth) * tooth)) * F(0.55))

    return distance


def union2(*profiles: Profile) -> Profile:
    """Everything in any of the profiles."""
    return lambda x, y: np.minimum.reduce([profile(x, y) for profile in profiles])


def subtract2(profile: Profile, *cuts: Profile) -> Profile:
    """The profile without the cuts."""
    return lambda x, y: np.maximum.reduce([profile(x, y), *[-cut(x, y) for cut in cuts]])


# --- combining and placing ----------------------------------------------------------------------


def union(*shapes: Shape) -> Shape:
    """Everything in any of the shapes."""

    def distance(p: Array) -> Array:
        d = shapes[0](p)
        for shape in shapes[1:]:
            d = np.minimum(d, shape(p))
        return d

    return distance


def blend(width: float, *shapes: Shape) -> Shape:
    """The union with fillets of about `width` where shapes meet."""

    def distance(p: Array) -> Array:
        d = shapes[0](p)
        for shape in shapes[1:]:
            e = shape(p)
            h = np.maximum(F(width) - np.abs(d - e), 0) / F(width)
            d = np.minimum(d, e) - h * h * F(width / 4)
        return d

    return distance


def subtract(shape: Shape, *cuts: Shape) -> Shape:
    """The shape without the cuts."""

    def distance(p: Array) -> Array:
        d = shape(p)
        for cut in cuts:
            d = np.maximum(d, -cut(p))
        return d

    return distance


def intersect(*shapes: Shape) -> Shape:
    """What all the shapes share."""

    def distance(p: Array) -> Array:
        d = shapes[0](p)
        for shape in shapes[1:]:
            d = np.maximum(d, shape(p))
        return d

    return distance


def move(shape: Shape, x: float = 0, y: float = 0, z: float = 0) -> Shape:
    """The shape moved by (x, y, z)."""
    offset = np.array([x, y, z], F)
    return lambda p: shape(p - offset)


def rotate(shape: Shape, axis: str, degrees: float) -> Shape:
    """The shape turned around axis x, y or z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3, dtype=F)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return lambda p: shape(p @ matrix)


def polar(shape: Shape, count: int, phase: float = 0.0) -> Shape:
    """`count` copies of the shape at +x, around z."""
    sector = F(2 * np.pi / count)

    def distance(p: Array) -> Array:
        angle = (np.arctan2(p[:, 1], p[:, 0]) - F(phase) + sector / 2) % sector - sector / 2
        d = hypot(p)
        return shape(np.stack([d * np.cos(angle), d * np.sin(angle), p[:, 2]], 1))

    return distance


def mirror(shape: Shape, axis: int) -> Shape:
    """The shape and its mirror image across axis 0, 1 or 2."""

    def distance(p: Array) -> Array:
        q = p.copy()
        q[:, axis] = np.abs(q[:, axis])
        return shape(q)

    return distance
