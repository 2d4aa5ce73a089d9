"""Points, vectors and ids, checked before an engine sees them. Knows no engine and keeps nothing."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import StoreError
from clipsearch.store.payload import shown, storable
from clipsearch.store.spec import IMAGE, LEXICAL
from clipsearch.types import CollectionSpec, FieldKind, Point, SparseVector

_IDS = 1000  # ids in one request
_LENGTHS = 128  # vectors whose lengths are looked at together; few enough to stay in the processor's cache
_VECTORS = frozenset({IMAGE, LEXICAL})
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def checked_points(
    points: Sequence[Point], spec: CollectionSpec, kinds: Mapping[str, FieldKind], name: str
) -> list[Point]:
    """The points as engines take them, but for their words: float32 rows, storable payloads.

    Raises StoreError for a vector that is missing, misshapen, zero or not finite, and for a bad id or value.
    """
    rows = [_dense(point, spec, name) for point in points]
    for start in range(0, len(rows), _LENGTHS):
        _check_lengths(rows[start : start + _LENGTHS], points[start : start + _LENGTHS])
    return [
        Point(checked_id(point.id), {IMAGE: row}, storable(point.payload, kinds))
        for point, row in zip(points, rows, strict=True)
    ]


def _check_lengths(rows: Sequence[NDArray[np.float32]], points: Sequence[Point]) -> None:
    """As check_dense for each. One by one they take 3 us, and let go of the GIL, which others then take."""
    matrix = np.concatenate(rows).reshape(len(rows), -1)  # (N, D)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.einsum("ij,ij->i", matrix, matrix)
    for i in np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0))).tolist():
        check_dense(rows[i], f"point {points[i].id}")


def _dense(point: Point, spec: CollectionSpec, name: str) -> NDArray[np.float32]:
    if IMAGE not in point.vectors or not _VECTORS.issuperset(point.vectors):
        raise StoreError(
            f"point {point.id} has the vectors {sorted(point.vectors)}; {IMAGE!r} is needed, "
            f"{LEXICAL!r} may be there, and is made anew"
        )
    dense = np.ascontiguousarray(point.vectors[IMAGE], dtype=np.float32)
    dim = spec.fingerprint.dim
    if dense.shape != (dim,):
        raise StoreError(
            f"point {point.id} has a vector of shape {dense.shape}; collection {name!r} holds {(dim,)}: "
            f"encode with {spec.fingerprint.model}, or index into a new collection"
        )
    return dense


def check_dense(vector: NDArray[np.float32], where: str) -> None:
    """Raise StoreError for a vector that has no direction."""
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        what = "is all zeros" if length == 0 else "holds NaN or infinity"
        raise StoreError(f"the image vector of {where} {what}; the picture was not encoded, encode it again")


def canonical_sparse(vector: SparseVector, where: str) -> SparseVector:
    """The vector with ascending, unique indices, as the engines want it; equal indices are summed."""
    terms: dict[int, float] = {}
    good = len(vector.indices) == len(vector.values)
    for index, value in zip(vector.indices, vector.values, strict=False):
        good = good and 0 <= index < 2**32 and math.isfinite(value)
        terms[int(index)] = terms.get(int(index), 0.0) + float(value)
    if not good:
        raise StoreError(
            f"the lexical vector of {where} needs as many finite values as indices, "
            "and indices from 0 to 2**32 - 1"
        )
    indices = sorted(terms)
    return SparseVector(indices, [terms[i] for i in indices])


def shown_point(point: Point) -> Point:
    """The point with its payload as the user gave it."""
    return Point(point.id, point.vectors, shown(point.payload))


def checked_id(value: str) -> str:
    """The id in its usual spelling; StoreError if it is no UUID."""
    if isinstance(value, str) and _UUID.fullmatch(value):
        return value
    try:
        return str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError) as exc:
        raise StoreError(f"point id {value!r} is not a UUID; make it with uuid.uuid5") from exc


def in_batches(ids: Iterable[str]) -> Iterator[list[str]]:
    """The ids, checked, without doubles, a thousand at a time."""
    unique = list(dict.fromkeys(checked_id(i) for i in ids))
    for start in range(0, len(unique), _IDS):
        yield unique[start : start + _IDS]
