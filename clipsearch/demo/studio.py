"""How parts are photographed: cameras, lights and tables drawn from a seed."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from clipsearch.demo.looks import SURFACES
from clipsearch.demo.parts import TYPES
from clipsearch.demo.render import Backdrop, Camera, GBuffer, Light, shade, trace
from clipsearch.demo.render.sdf import Shape

# sRGB of the table, and how often it is met; the last is wood
_TABLES = (
    ((0.87, 0.88, 0.89), 0.25),
    ((0.93, 0.93, 0.93), 0.20),
    ((0.70, 0.71, 0.72), 0.15),
    ((0.88, 0.85, 0.80), 0.12),
    ((0.76, 0.82, 0.87), 0.12),
    ((0.55, 0.56, 0.58), 0.08),
    ((0.62, 0.47, 0.33), 0.08),
)


def photograph(key: str, shape: Shape, rng: Generator, *, size: int) -> GBuffer:
    """The part as a camera at a random place sees it; size is of the buffer, twice the picture's."""
    part = TYPES[key]
    return trace(part.placed(shape), _camera(part.pose, rng), size)


def develop(buffer: GBuffer, surface: str, rng: Generator, *, size: int) -> NDArray[np.uint8]:
    """The buffer in a surface, under a random light, on a random table; uint8 (size, size, 3)."""
    light = Light(float(rng.uniform(-50, 50)), float(rng.uniform(0.85, 1.2)), float(rng.uniform(-0.5, 0.6)))
    return shade(buffer, SURFACES[surface].look, light, _backdrop(rng), rng, size=size)


def _camera(pose: str, rng: Generator) -> Camera:
    azimuth = float(rng.uniform(-115, -60) if pose == "flat" else rng.uniform(-100, -20))
    elevation, roll = float(rng.uniform(22, 52)), float(rng.uniform(-5, 5))
    fill = float(rng.uniform(0.74, 0.9))
    x, y = rng.uniform(-0.05, 0.05, 2)
    return Camera(azimuth, elevation, roll, fill=fill, shift=(float(x), float(y)))


def _backdrop(rng: Generator) -> Backdrop:
    i = int(rng.choice(len(_TABLES), p=[share for _, share in _TABLES]))
    r, g, b = np.array(_TABLES[i][0]) ** 2.2 * rng.uniform(0.9, 1.08)
    return Backdrop((float(r), float(g), float(b)), float(rng.uniform(0.1, 0.4)), wood=i == len(_TABLES) - 1)
