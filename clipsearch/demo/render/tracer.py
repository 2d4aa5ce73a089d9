"""Sphere tracing of a shape into a GBuffer: where light could fall, and on what. Knows no colour.

One GBuffer can be shaded many times (see shading.py), which is how the training set gets large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsearch.demo.render.sdf import Array, F, Shape

SUN = np.array([-0.45, -0.35, 0.82], F) / F(np.linalg.norm([-0.45, -0.35, 0.82]))  # toward the key light
_REACH = 1.7  # parts are modelled within this cube


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the eye is, around the part's middle. Degrees; fill is the part's share of the frame."""

    azimuth: float
    elevation: float
    roll: float = 0.0
    fov: float = 24.0
    fill: float = 0.86
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class GBuffer:
    """What each pixel of a square picture sees. Arrays are (size, size) or (size, size, 3)."""

    hit: NDArray[np.bool_]  # the part
    ground: NDArray[np.bool_]  # the table it lies on
    normal: Array
    position: Array
    view: Array  # unit, from the eye
    ambient: Array  # 1 open, 0 hidden from the sky
    sun: Array  # 1 lit by the key light, 0 in its shadow


def trace(shape: Shape, camera: Camera, size: int) -> GBuffer:
    """The GBuffer of a shape lying on the ground at its lowest point."""
    low, high = _bounds(shape)
    eye, rays = _rays(low, high, camera, size)
    hit, position = _first_hits(shape, eye, rays, low, high)
    normal = np.zeros_like(rays)
    normal[:, 2] = 1
    if hit.any():
        normal[hit] = _normals(shape, position[hit])
    down = rays[:, 2] < -1e-3
    to_ground = (low[2] - eye[2]) / np.where(np.abs(rays[:, 2]) < 1e-4, F(-1e-4), rays[:, 2])
    ground = ~hit & down & (to_ground > 0)
    position[ground] = (eye + rays * to_ground[:, None])[ground]

    radius = float(np.linalg.norm(high - low) / 2)
    middle = ((low + high) / 2).astype(F)
    near = (hit | ground) & (((position - middle) ** 2).sum(1) < (radius * 2.6) ** 2)
    ambient, sun = np.ones(len(rays), F), np.ones(len(rays), F)
    ambient[near] = _ambient(shape, position[near], normal[near], low[2])
    sun[near] = _sunlight(shape, position[near], normal[near], 2 * radius)
    plane, space = (size, size), (size, size, 3)
    return GBuffer(
        hit.reshape(plane),
        ground.reshape(plane),
        normal.reshape(space),
        position.reshape(space),
        rays.reshape(space),
        ambient.reshape(plane),
        sun.reshape(plane),
    )


def _bounds(shape: Shape, samples: int = 28) -> tuple[Array, Array]:
    """Corners of a box around the shape, from its distances on a coarse grid."""
    line = np.linspace(-_REACH, _REACH, samples, dtype=F)
    step = line[1] - line[0]
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    inside = grid[shape(grid) < step * 0.8]
    return inside.min(0) - step * F(0.4), inside.max(0) + step * F(0.4)


def _rays(low: Array, high: Array, camera: Camera, size: int) -> tuple[Array, Array]:
    """The eye (3,) and a unit ray per pixel (size * size, 3), framing the box between the corners."""
    middle = (low + high) / 2
    x, y, z = ((low[i], high[i]) for i in range(3))
    corners = np.array([[a, b, c] for a in x for b in y for c in z]) - middle
    azimuth, elevation, roll, half = np.radians(
        [camera.azimuth, camera.elevation, camera.roll, camera.fov / 2]
    )
    forward = -np.array(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    )
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    right, up = (
        np.cos(roll) * right + np.sin(roll) * up,
        -np.sin(roll) * right + np.cos(roll) * up,
    )
    distance = np.linalg.norm(high - low) / 2 / np.sin(half)
    extent = max(np.abs(corners @ right).max(), np.abs(corners @ up).max()) / distance / camera.fill
    across = (np.arange(size) + 0.5) / size * 2 - 1
    u, v = np.meshgrid(across + camera.shift[0], -across + camera.shift[1])
    rays = forward + (u * extent)[..., None] * right + (v * extent)[..., None] * up
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return (middle - forward * distance).astype(F), rays.reshape(-1, 3).astype(F)


def _first_hits(
    shape: Shape, eye: Array, rays: Array, low: Array, high: Array
) -> tuple[NDArray[np.bool_], Array]:
    """Which rays meet the shape (N,), and where (N, 3). Only rays through its box are marched."""
    inverse = 1 / np.where(np.abs(rays) < 1e-6, F(1e-6), rays)
    a, b = (low - eye) * inverse, (high - eye) * inverse
    enter, leave = np.minimum(a, b).max(1), np.maximum(a, b).min(1)
    candidates = np.nonzero(leave > np.maximum(enter, 0))[0]
    travelled, met = _march(shape, eye, rays[candidates], enter[candidates], leave[candidates])
    hit = np.zeros(len(rays), bool)
    hit[candidates[met]] = True
    position = np.zeros_like(rays)
    position[candidates] = eye + rays[candidates] * travelled[:, None]
    return hit, position


def _march(
    shape: Shape, eye: Array, rays: Array, start: Array, end: Array, *, steps: int = 72, touch: float = 0.0012
) -> tuple[Array, NDArray[np.bool_]]:
    """Distance travelled per ray, and whether it met the shape; finished rays are dropped on the way."""
    travelled, met = start.copy(), np.zeros(len(rays), bool)
    live, t = np.arange(len(rays)), start.copy()
    for _ in range(steps):
        d = shape(eye + rays * t[:, None])
        done = d < F(touch) * np.maximum(t * F(0.25), 1)
        t = t + np.where(done, F(0), np.maximum(d, F(0.0008)))
        travelled[live] = t
        met[live[done]] = True
        going = ~(done | (t > end))
        if not going.any():
            break
        if going.mean() < 0.97:
            live, rays, t, end = live[going], rays[going], t[going], end[going]
    return travelled, met


def _normals(shape: Shape, points: Array) -> Array:
    """Unit gradients by four differences on a tetrahedron."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], F)
    gradient = np.zeros_like(points)
    for corner in corners:
        gradient += corner * shape(points + corner * F(0.0022))[:, None]
    return gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), F(1e-9))


def _ambient(shape: Shape, points: Array, normals: Array, ground: float) -> Array:
    """Openness to the sky, from how much nearer surfaces are along the normal than they would be alone."""
    hidden, weight = np.zeros(len(points), F), 1.0
    for reach in (0.03, 0.09, 0.2, 0.38):
        ahead = points + normals * F(reach)
        d = np.maximum(shape(ahead), 0)
        if reach > 0.03:
            d = np.minimum(d, np.maximum(ahead[:, 2] - F(ground), 0))
        hidden += F(weight) * (F(reach) - np.minimum(d, F(reach))) / F(reach)
        weight *= 0.72
    return np.clip(1 - hidden * F(0.36), F(0.02), F(1))


def _sunlight(shape: Shape, points: Array, normals: Array, far: float) -> Array:
    """Soft shadows: the narrowest clearance on the way to the key light, relative to the distance."""
    lit, t = np.ones(len(points), F), np.full(len(points), 0.03, F)
    start, live = points + normals * F(0.012), np.arange(len(points))
    for _ in range(22):
        d = shape(start[live] + SUN * t[live][:, None])
        lit[live] = np.minimum(lit[live], np.clip(F(9) * d / t[live], 0, 1))
        t[live] += np.clip(d, F(0.02), F(0.25))
        live = live[(lit[live] > 0.01) & (t[live] < far)]
        if not len(live):
            break
    return lit
