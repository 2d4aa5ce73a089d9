"""Points, vectors and ids, checked before an engine sees them. Knows no engine and keeps nothing."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import StoreError
from clipsearch.store.payload import storable
from clipsearch.store.spec import IMAGE, LEXICAL
from clipsearch.types import CollectionSpec, FieldKind, Point, SparseVector

_IDS = 1000  # ids in one request


def checked_point(point: Point, spec: CollectionSpec, kinds: Mapping[str, FieldKind], name: str) -> Point:
    """The point as engines take it: float32 rows, canonical sparse vectors, a storable payload.

    Raises StoreError for a vector that is missing, misshapen, zero or not finite, and for a bad id or value.
    """
    where = f"point {point.id}"
    unknown = set(point.vectors) - {IMAGE, LEXICAL}
    if unknown or IMAGE not in point.vectors:
        raise StoreError(
            f"{where} has the vectors {sorted(point.vectors)}; {IMAGE!r} is needed, {LEXICAL!r} may be given"
        )
    dense = np.ascontiguousarray(point.vectors[IMAGE], dtype=np.float32)
    dim = spec.fingerprint.dim
    if dense.shape != (dim,):
        raise StoreError(
            f"{where} has a vector of shape {dense.shape}; collection {name!r} holds {(dim,)}: "
            f"encode with {spec.fingerprint.model}, or index into a new collection"
        )
    check_dense(dense, where)
    vectors: dict[str, NDArray[np.float32] | SparseVector] = {IMAGE: dense}
    lexical = point.vectors.get(LEXICAL)
    if isinstance(lexical, SparseVector) and len(lexical.indices):
        vectors[LEXICAL] = canonical_sparse(lexical, where)
    return Point(checked_id(point.id), vectors, storable(point.payload, kinds))


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


def checked_id(value: str) -> str:
    """The id in its usual spelling; StoreError if it is no UUID."""
    try:
        return str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError) as exc:
        raise StoreError(f"point id {value!r} is not a UUID; make it with uuid.uuid5") from exc


def in_batches(ids: Iterable[str]) -> Iterator[list[str]]:
    """The ids, checked, without doubles, a thousand at a time."""
    unique = list(dict.fromkeys(checked_id(i) for i in ids))
    for start in range(0, len(unique), _IDS):
        yield unique[start : start + _IDS]
