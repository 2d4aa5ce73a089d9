"""Questions put to an engine, and their hits in order: pages, ties, payloads, pairs of examples.

Knows no vendor. The filter comes translated, the vectors checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import StoreError
from clipsearch.store import ranking
from clipsearch.store.payload import shown
from clipsearch.store.points import check_dense, in_batches
from clipsearch.store.protocol import Engine, Examples, Question
from clipsearch.types import CollectionSpec, Hit

MAX_PAIRS = 64  # of examples: each costs two comparisons with every candidate


@dataclass(frozen=True, slots=True)
class Way:
    """What the questions of one request have in common."""

    using: str  # the vector's name
    why: str  # what the hits' scores are called
    filter: Any  # the engine's
    exact: bool | None
    ef: int
    with_payload: bool


def ask(engine: Engine, questions: Sequence[Question], limit: int, offset: int, way: Way) -> list[list[Hit]]:
    """For each question its page of hits, best first, ties by id."""
    if offset < 0 or limit < 0:
        raise StoreError(f"offset {offset} and limit {limit} must not be negative")
    if limit == 0 or not len(questions):
        return [[] for _ in questions]

    def first(some: Sequence[Question], n: int) -> list[list[Hit]]:
        payload = way.with_payload and offset == 0
        return engine.nearest(
            some,
            using=way.using,
            limit=n,
            filter=way.filter,
            exact=way.exact,
            ef=way.ef,
            with_payload=payload,
        )

    wanted = offset + limit
    pages: list[list[Hit]] = []
    for question, hits in zip(questions, first(questions, wanted + 1), strict=True):
        again: Callable[[int], list[Hit]] = lambda n, q=question: first([q], n)[0]  # type: ignore[misc] # noqa: E731
        best = ranking.page(hits, again, asked=wanted + 1, wanted=wanted)[offset:]
        if offset and way.with_payload:
            best = _with_payloads(engine, best)
        pages.append([Hit(h.id, h.score, shown(h.payload), {way.why: h.score}) for h in best])
    return pages


def checked_rows(vectors: NDArray[np.float32], spec: CollectionSpec, name: str) -> NDArray[np.float32]:
    """The question's vectors as float32 (Q, D). StoreError for another shape, or one without direction."""
    dim = spec.fingerprint.dim
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.size == 0:
        return rows.reshape(0, dim)
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise StoreError(
            f"a query vector of shape {rows.shape[1:]} does not fit collection {name!r}, "
            f"whose vectors have {dim} dimensions; encode the query with {spec.fingerprint.model}"
        )
    for row in rows:
        check_dense(row, "the query")
    return rows


def examples(
    likes: NDArray[np.float32], unlikes: NDArray[np.float32], target: NDArray[np.float32] | None
) -> Examples:
    """The question that asks for what is like likes (P, D) and target (D,) and unlike unlikes (N, D)."""
    near, far = _unit(likes), _unit(unlikes)
    aim = None if target is None else _unit(target[None])[0]
    if aim is not None and near and far:
        # Round by round, each like with another unlike, so that a cut leaves none of the likes out.
        every = (
            (near[i], far[(i + shift) % len(far)]) for shift in range(len(far)) for i in range(len(near))
        )
        pairs = list(islice(every, MAX_PAIRS))
        return Examples([like for like, _ in pairs], [unlike for _, unlike in pairs], aim)
    near += [] if aim is None else [aim]
    if not near and not far:
        raise StoreError("recommending needs at least one example; give what to be like, or unlike")
    return Examples(near, far)


def _unit(rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    # qdrant-client's in-memory mode compares examples as they are given; servers normalise them.
    return [row / np.linalg.norm(row) for row in rows]


def _with_payloads(engine: Engine, hits: list[Hit]) -> list[Hit]:
    # A deep page asks for ids only and then for its own payloads: the skipped hits' are not moved.
    payloads = {
        point.id: point.payload
        for some in in_batches(hit.id for hit in hits)
        for point in engine.fetch(some, with_vectors=False, with_payload=True)
    }
    return [Hit(hit.id, hit.score, payloads[hit.id]) for hit in hits if hit.id in payloads]
