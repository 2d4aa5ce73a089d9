"""Light on a GBuffer: a procedural studio reflected in metal, plastic and paint. Knows no shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsearch.demo.render.sdf import Array, F
from clipsearch.demo.render.tracer import SUN, GBuffer

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Look:
    """A surface. colour is linear RGB: reflectance at normal incidence of a metal, albedo of a plastic."""

    colour: Colour
    metal: bool = True
    rough: float = 0.2  # 0 a mirror, 1 matt
    brushed: float = 0.0  # strength of the brush marks
    coat: float = 0.0  # gloss of a paint
    grain: float = 0.0  # of a cast or blasted surface


@dataclass(frozen=True, slots=True)
class Light:
    """The studio: where its boxes stand (degrees), how bright the key is, how warm (-1 to 1)."""

    azimuth: float = 0.0
    key: float = 1.0
    warmth: float = 0.0


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The table and wall: linear RGB, its fall-off from bottom to top, wood or plain."""

    colour: Colour = (0.72, 0.74, 0.76)
    gradient: float = 0.25
    wood: bool = False


def srgb(code: str) -> Colour:
    """Linear RGB of '#rrggbb'."""
    v = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    r, g, b = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return float(r), float(g), float(b)


def shade(
    buffer: GBuffer, look: Look, light: Light, backdrop: Backdrop, rng: np.random.Generator, *, size: int
) -> NDArray[np.uint8]:
    """The picture as uint8 (size, size, 3); the buffer's side must be a multiple of size.

    rng draws the grain. Averaging the buffer's pixels is the antialiasing.
    """
    picture = _table(buffer, backdrop)
    hit = buffer.hit
    normal = _roughened(buffer.normal[hit], buffer.position[hit], look, rng)
    surface = _metal if look.metal else _dielectric
    picture[hit] = surface(
        normal,
        buffer.view[hit],
        buffer.ambient[hit],
        buffer.sun[hit],
        look,
        light,
        np.array(backdrop.colour, F),
    )
    picture = picture * F(1.04)
    picture = picture * (1 + F(0.10) * picture) / (1 + picture * F(0.22))  # a soft shoulder for highlights
    picture = np.clip(picture, 0, 1) ** F(1 / 2.2)
    k = len(hit) // size
    averaged = picture.reshape(size, k, size, k, 3).mean((1, 3))
    return np.asarray(averaged * 255 + 0.5).astype(np.uint8)


def _table(buffer: GBuffer, backdrop: Backdrop) -> Array:
    side = len(buffer.hit)
    y = np.linspace(0, 1, side, dtype=F)[:, None, None]
    x = np.linspace(-1, 1, side, dtype=F)[None, :, None]
    colour = np.array(backdrop.colour, F)
    falloff = 1 + F(backdrop.gradient) * (y - F(0.55)) - F(0.10) * x * x
    picture = np.broadcast_to(colour * falloff, (side, side, 3)).astype(F)
    if backdrop.wood:
        p = buffer.position
        veins = np.sin(p[..., 1] * 14 + np.sin(p[..., 0] * 2.3) * 1.7)
        fibres = np.sin(p[..., 1] * 47 + p[..., 0] * 3)
        picture *= (1 + F(0.05) * (veins + fibres / 2))[..., None]
    ground = buffer.ground
    lit = (F(0.30) + F(0.70) * buffer.sun) * (F(0.25) + F(0.75) * buffer.ambient)
    picture[ground] *= lit[ground][:, None]
    return picture


def _roughened(normal: Array, position: Array, look: Look, rng: np.random.Generator) -> Array:
    """Normals tilted by brush marks around the part's axis and by grain."""
    tilted = normal
    if look.brushed:
        r = np.sqrt(position[:, 0] ** 2 + position[:, 1] ** 2)
        marks = np.sin(position[:, 2] * 190 + np.sin(r * 40) * 2) / 2 + np.sin(r * 230 + 1.3) / 2
        tilted = tilted + F(look.brushed) * marks[:, None] * np.array([0.3, 0.3, 1], F)
    if look.grain:
        tilted = tilted + rng.normal(0, look.grain, tilted.shape).astype(F)
    return tilted / np.linalg.norm(tilted, axis=1, keepdims=True)


def _metal(
    normal: Array, view: Array, ambient: Array, sun: Array, look: Look, light: Light, floor: Array
) -> Array:
    """Coloured mirror of the studio, with Schlick's Fresnel term."""
    facing = np.clip(-(normal * view).sum(1), 0, 1)
    reflected = _studio(view + 2 * facing[:, None] * normal, look.rough, light, floor)
    colour = np.array(look.colour, F)
    fresnel = colour + (1 - colour) * ((1 - facing) ** 5)[:, None]
    open_ = (F(0.18) + F(0.82) * ambient) * (F(0.55) + F(0.45) * sun)
    lit = np.clip(normal @ SUN, 0, 1) * sun
    body = colour * (F(0.10) * lit + F(0.05))[:, None] * ambient[:, None]
    return np.asarray(reflected * fresnel * open_[:, None] * F(1.05) + body)


def _dielectric(
    normal: Array, view: Array, ambient: Array, sun: Array, look: Look, light: Light, floor: Array
) -> Array:
    """Diffuse colour under sky and key light, with a clear reflection on top."""
    facing = np.clip(-(normal * view).sum(1), 0, 1)
    fresnel = (1 - facing) ** 5
    sky = (F(0.42) + F(0.30) * normal[:, 2]) * F(0.55)
    key = F(0.85 * light.key) * np.clip(normal @ SUN, 0, 1) * sun
    tint = 1 + F(light.warmth) * np.array([0.1, 0, -0.1], F)
    diffuse = np.array(look.colour, F) * (sky + key)[:, None] * tint * (F(0.2) + F(0.8) * ambient)[:, None]
    reflected = _studio(view + 2 * facing[:, None] * normal, look.rough, light, floor)
    gloss = (F(0.04 + 0.05 * look.coat) + F(0.6) * fresnel) * (F(0.3) + F(0.7) * ambient)
    return np.asarray(diffuse + gloss[:, None] * reflected * F(1 - 0.75 * look.rough))


def _studio(direction: Array, rough: float, light: Light, floor: Array) -> Array:
    """The studio seen in a direction (N, 3): sky, four softboxes, floor; rough blurs every edge."""
    turn = np.radians(light.azimuth)
    c, s = F(np.cos(turn)), F(np.sin(turn))
    x = direction[:, 0] * c + direction[:, 1] * s
    y = -direction[:, 0] * s + direction[:, 1] * c
    z = direction[:, 2]
    w = 0.06 + 0.9 * rough  # half-width of an edge
    top = _step(0.62 - w, 0.62 + w, z) * F(1.25)
    side = _step(0.55 - w, 0.55 + w, x * F(0.86) + z * F(0.2)) * F(1.35)
    side = side * _step(-0.35 - w, -0.35 + w, -np.abs(z - F(0.25)))
    back = _step(0.72 - w, 0.72 + w, -x * F(0.8) - y * F(0.45) + z * F(0.15)) * F(0.85)
    front = _step(0.82 - w, 0.82 + w, -y * F(0.92) + z * F(0.3)) * F(0.9)
    sky = F(0.10) + F(0.34) * _step(-0.1, 1.0, z)
    below = _step(0.05 + w / 2, -0.25 - w / 2, z)
    bright = (sky + F(light.key) * (top + side + back + front)) * (1 - below)
    tint = 1 + F(light.warmth) * np.array([0.12, 0, -0.14], F)
    return np.asarray(bright[:, None] * tint + below[:, None] * floor * F(0.42))


def _step(low: float, high: float, x: Array) -> Array:
    """Smoothstep from low to high (or down, if high is the lower)."""
    t = np.clip((x - F(low)) / F(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
