"""Many points in columns: their vectors are one matrix in the message's block. Knows no sockets.

One by one, 512 points of 512 numbers would be 512 small arrays with 512 headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np

from clipsearch.store.points import canonical_sparse
from clipsearch.store.served.codec import Block, Codec, Json, codec, decode_array, encode_array
from clipsearch.store.spec import IMAGE, LEXICAL
from clipsearch.types import Point, SparseVector

_NONE = -1  # the length of a sparse vector that is not there


def encode_points(points: Sequence[Point], block: Block) -> Json:
    """Points as columns; those whose vectors do not fit into columns one by one, for the store to refuse."""
    points = points if isinstance(points, (list, tuple)) else list(points)
    if not _fit(points):
        return ["rows", *[codec(Point).encode(point, block) for point in points]]
    ids, payloads = [p.id for p in points], [p.payload for p in points]
    images: list[Any] = [p.vectors[IMAGE] for p in points if IMAGE in p.vectors]
    matrix = encode_array(np.stack(images), block, "<f4") if images else None  # (N, D)
    return ["columns", ids, payloads, matrix, _encode_sparse(points, block)]


def decode_points(value: Json, block: memoryview) -> list[Point]:
    """What encode_points was given; vectors lie in the message's own memory."""
    if value[0] == "rows":
        return [codec(Point).decode(row, block) for row in value[1:]]
    _, ids, payloads, matrix, sparse = value
    vectors: list[dict[str, Any]] = [{} for _ in ids]
    if matrix is not None:
        for names, row in zip(vectors, decode_array(matrix, block), strict=True):
            names[IMAGE] = row
    if sparse is not None:
        _decode_sparse(vectors, sparse, block)
    return [Point(*row) for row in zip(ids, vectors, payloads, strict=True)]


POINTS = Codec(encode_points, decode_points)


def _fit(points: Sequence[Point]) -> bool:
    """Whether all have an image vector of one length, or none has, and no other dense one."""
    if not points:
        return True
    first = points[0].vectors.get(IMAGE)
    shape = getattr(first, "shape", None)
    if (first is not None and not isinstance(first, np.ndarray)) or (shape is not None and len(shape) != 1):
        return False
    return all(
        getattr(p.vectors.get(IMAGE), "shape", None) == shape
        and len(p.vectors) == (shape is not None) + isinstance(p.vectors.get(LEXICAL), SparseVector)
        for p in points
    )


def _encode_sparse(points: Sequence[Point], block: Block) -> Json:
    sparse = [p.vectors.get(LEXICAL) for p in points]
    there = [vector for vector in sparse if isinstance(vector, SparseVector)]
    if not there:
        return None
    if any(len(vector.indices) != len(vector.values) for vector in there):
        _refuse(points)
    lengths = [len(v.indices) if isinstance(v, SparseVector) else _NONE for v in sparse]
    try:
        indices = np.fromiter(chain.from_iterable(v.indices for v in there), "<i8")
    except OverflowError:
        _refuse(points)
    values = np.fromiter(chain.from_iterable(v.values for v in there), "<f8")
    columns = ((np.array(lengths), "<i8"), (indices, "<i8"), (values, "<f8"))
    return [encode_array(column, block, dtype) for column, dtype in columns]


def _decode_sparse(vectors: list[dict[str, Any]], sparse: Json, block: memoryview) -> None:
    lengths, indices, values = (decode_array(column, block).tolist() for column in sparse)
    edges = pairwise(accumulate((max(n, 0) for n in lengths), initial=0))
    for names, n, (start, end) in zip(vectors, lengths, edges, strict=True):
        if n != _NONE:
            names[LEXICAL] = SparseVector(indices[start:end], values[start:end])


def _refuse(points: Sequence[Point]) -> None:
    """Raise the store's own error for the sparse vector that cannot be sent."""
    for point in points:
        vector = point.vectors.get(LEXICAL)
        if isinstance(vector, SparseVector):
            canonical_sparse(vector, f"point {point.id}")
