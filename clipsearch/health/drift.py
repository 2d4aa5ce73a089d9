"""Drift: how far a collection's vectors are from those its model gives now, on a sample of its pictures.

Owns which pictures are taken and how much each precision may differ. Opens neither store nor model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import ImageError
from clipsearch.types import Point

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder

Reader: TypeAlias = Callable[[str], Path | bytes | None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Least cosines of a stored and a fresh vector: of one picture, and of all in the mean."""

    least: float
    mean: float


@dataclass(frozen=True, slots=True)
class Drift:
    """cosines: of stored and fresh vectors (N,), of pictures as they were indexed. Others are only counted.

    changed: keys of pictures whose bytes are no longer those indexed. unreadable: of those gone or damaged.
    worst: key of the least cosine.
    """

    cosines: NDArray[np.float32]
    worst: str
    changed: tuple[str, ...]
    unreadable: tuple[str, ...]


# Re-encoded in fp32 on this CPU the demo's vectors come back at 1.00000; another processor's sums differ in
# the sixth digit. bf16 has 8 bits of mantissa. int8 against fp32 has .9996 in the mean and .985 at the least
# (benchmarks/int8.py); another model, another crop or another resize is below all of these.
_LIMITS = {
    "fp32": Limits(0.999, 0.9999),
    "bf16": Limits(0.99, 0.998),
    "fp16": Limits(0.995, 0.999),
    "int8": Limits(0.97, 0.998),
}


def limits_for(made: str, now: str) -> Limits:
    """What a collection made at one precision may differ when encoded at another: the looser of the two."""
    known = [_LIMITS.get(precision, _LIMITS["bf16"]) for precision in (made, now)]
    return min(known, key=lambda limits: limits.mean)


def drift_of(points: Sequence[Point], encoder: Encoder, read: Reader, *, n: int) -> Drift:
    """Compare the first n points whose pictures can be read and are as indexed; vectors must be with them."""
    cosines: list[float] = []
    keys: list[str] = []
    changed: list[str] = []
    unreadable: list[str] = []
    for point in points:
        if len(cosines) == n:
            break
        key = str(point.payload.get("_key", point.id))
        data = _bytes(read, str(point.payload.get("_path", "")))
        if data is None:
            unreadable.append(key)
            continue
        recorded = point.payload.get("_sha256")
        if recorded and hashlib.sha256(data).hexdigest() != recorded:
            changed.append(key)
            continue
        try:
            fresh = encoder.encode_images([data])[0]
        except ImageError:
            unreadable.append(key)
            continue
        stored = np.asarray(point.vectors["image"], np.float32)
        cosines.append(float(stored @ fresh / np.linalg.norm(stored)))
        keys.append(key)
    worst = keys[int(np.argmin(cosines))] if cosines else ""
    return Drift(np.array(cosines, np.float32), worst, tuple(changed), tuple(unreadable))


def _bytes(read: Reader, path: str) -> bytes | None:
    try:
        found = read(path)
        return found.read_bytes() if isinstance(found, Path) else found
    except OSError:
        return None
