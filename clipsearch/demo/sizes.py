"""What size a part has, as its makers state it. Draws sizes; knows nothing of pictures or surfaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numpy.random import Generator

from clipsearch.demo.parts import Facts
from clipsearch.demo.words import NAMES


@dataclass(frozen=True, slots=True)
class Size:
    """A size as it is written, as part numbers have it, and in millimetres where it has such a measure."""

    text: str  # M8 x 40 · Ø16 x 40 · Ø40 · 1/2" · 40 x 30 mm · 160 mm
    code: str
    diameter_mm: int | None = None
    length_mm: int | None = None
    bulk: float = 1.0  # price grows with it; 1 for M8 x 40


_THREADS = (3, 4, 5, 6, 8, 10, 12, 16)
_LENGTHS = (6, 8, 10, 12, 16, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90, 100, 120, 140, 160)
_SMALL = (8, 10, 12, 16, 20, 25, 32, 40)
_MEDIUM = (16, 20, 25, 32, 40, 50, 63, 80, 100, 125)
_LARGE = (63, 80, 100, 125, 160, 200)
_BARS = (100, 160, 200, 250, 315, 500)
_LEGS = (30, 40, 50, 60, 80, 100, 120)
_PIPES = (('1/4"', 8), ('3/8"', 10), ('1/2"', 15), ('3/4"', 20), ('1"', 25), ('1 1/4"', 32), ('2"', 50))

_THICKNESSES: Mapping[str, float] = {
    "countersunk slotted screw": 0.46,
    "countersunk phillips screw": 0.46,
    "countersunk torx screw": 0.46,
    "pan head phillips screw": 0.46,
    "pan head torx screw": 0.46,
    "pan head slotted screw": 0.46,
    "button head screw": 0.48,
    "carriage bolt": 0.44,
    "eye bolt": 0.32,
    "set screw": 0.72,
    "wing screw": 0.36,
    "dowel pin": 0.52,
    "cotter pin": 0.34,
    "rivet": 0.48,
    "clevis pin": 0.44,
    "compression spring": 1.05,
    "extension spring": 0.76,
}  # of a shank or a coil as it is modelled, where that is not half a unit
_UNTHREADED = {"dowel pin", "cotter pin", "rivet", "clevis pin", "retaining ring"}
_SPRINGS = {"compression spring", "extension spring", "torsion spring"}
_SECOND_LEGS: Mapping[str, float] = {
    "angle bracket": 1.0,
    "u bracket": 0.75,
    "gusset plate": 1.0,
    "z bracket": 0.65,
    "hinge": 0.8,
}  # of what is measured by two sides; the mending plate's depends on its holes
_LONG: Mapping[str, tuple[int, ...]] = {
    "rack": _BARS,
    "t handle": _LARGE,
    "pull handle": _LARGE,
    "crank handle": _LARGE,
    "turnbuckle": _LARGE,
    "wall hook": _MEDIUM,
    "s hook": _MEDIUM,
    "shackle": _MEDIUM,
    "chain": _MEDIUM,
}  # measured by their length alone
_ROUND: Mapping[str, tuple[int, ...]] = {
    "hand wheel": _LARGE,
    "caster": _LARGE,
    "ball knob": (20, 25, 32, 40, 50),
    "star knob": (20, 25, 32, 40, 50, 63),
    "shaft collar": _SMALL,
    "shaft coupling": _SMALL,
    "worm": _SMALL,
}  # measured by their diameter; everything else that turns comes in _MEDIUM


def draw_size(key: str, facts: Facts, rng: Generator) -> Size:
    """A size that suits the type and the drawn proportions."""
    if NAMES[key].family == "pipe fittings":
        return _pipe(rng)
    if key in _SECOND_LEGS or key == "mending plate":
        return _two_legs(key, facts, rng)
    if key in _LONG:
        length = int(rng.choice(_LONG[key]))
        return Size(f"{length} mm", f"{_teeth(facts)}{length}", length_mm=length, bulk=length / 40)
    if NAMES[key].family == "fasteners" or key in _SPRINGS:
        return _shank(key, facts, rng)
    diameter = int(rng.choice(_ROUND.get(key, _MEDIUM)))
    return Size(f"Ø{diameter}", f"{_teeth(facts)}{diameter}", diameter, bulk=diameter / 40)


def _shank(key: str, facts: Facts, rng: Generator) -> Size:
    """Thread or diameter, and the standard length next to that of the model."""
    spring = key in _SPRINGS
    sign = "Ø" if spring or key in _UNTHREADED else "M"
    diameter = int(rng.choice(_SMALL if spring else _THREADS))
    code = f"{sign.replace('Ø', 'D')}{diameter}"
    if "length" not in facts:
        return Size(f"{sign}{diameter}", code, diameter, bulk=diameter / 40)
    wanted = diameter * float(facts["length"]) / _THICKNESSES.get(key, 0.5)
    length = min(_LENGTHS, key=lambda mm: abs(mm - wanted))
    bulk = diameter / 40 if spring else diameter * length / 320
    return Size(f"{sign}{diameter} x {length}", f"{code}x{length}", diameter, length, bulk)


def _two_legs(key: str, facts: Facts, rng: Generator) -> Size:
    first = int(rng.choice(_LEGS))
    if key == "mending plate":  # a row of square fields, one a hole
        width = first // 2
        first = round(width * 1.46 * float(facts["holes"]) / 5) * 5
    else:
        width = round(first * _SECOND_LEGS[key] / 5) * 5
    return Size(f"{first} x {width} mm", f"{first}x{width}", length_mm=first, bulk=first / 40)


def _pipe(rng: Generator) -> Size:
    text, bore = _PIPES[int(rng.integers(len(_PIPES)))]
    return Size(text, str(bore), bore, bulk=bore / 40)


def _teeth(facts: Facts) -> str:
    return f"Z{facts['teeth']}-" if facts.get("teeth") else ""
