"""How much of the exact answer a collection's graph finds, and how many candidates it takes.

Owns the sampled queries and the measuring. Changes nothing in the collection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import StoreError
from clipsearch.store import Store
from clipsearch.store.ranking import SCORE_DIGITS
from clipsearch.types import Embeddings, Filter, Hit

EFS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
# Length of the noise on a stored unit vector: the query's cosine to it is 1 / sqrt(1 + 0.5 ** 2) = 0.89,
# that of another photo of the same thing.
NOISE = 0.5
_SAME = 2 * 10.0**-SCORE_DIGITS  # scores closer than that are one score

Progress: TypeAlias = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """What searches with one number of candidates gave. ef 0: the engine's own number."""

    ef: int
    recall: float  # of the exact answer, a mean over the queries
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Verification:
    """Graph against exact scan, over the same queries."""

    collection: str
    n_points: int
    n_indexed: int  # points behind the graph; 0: every search is exact
    n_queries: int
    k: int
    wanted: float
    current: Measured
    exact: Measured
    rows: tuple[Measured, ...]  # by rising ef

    @property
    def has_graph(self) -> bool:
        """Whether any search is not exact."""
        return self.n_indexed > 0

    @property
    def ok(self) -> bool:
        """Whether searches as they are now reach the wanted recall."""
        return self.current.recall >= self.wanted

    @property
    def enough(self) -> Measured | None:
        """The fewest candidates that reach the wanted recall; None: none of those tried does."""
        return next((row for row in self.rows if row.recall >= self.wanted), None)


def verify(
    store: Store,
    *,
    wanted: float = 0.98,
    n_queries: int = 200,
    k: int = 10,
    queries: Embeddings | None = None,
    filter: Filter | None = None,
    efs: Sequence[int] = EFS,
    seed: int = 0,
    on_progress: Progress = lambda what, done, total: None,
) -> Verification:
    """Compare the collection's graph with an exact scan at k hits.

    The queries are stored vectors with noise, and the rows of `queries` (Q, D) if given. Without a graph
    only the exact scan is timed. Raises StoreError for a collection without points.
    """
    vectors = sampled(store, n_queries, seed=seed)
    if queries is not None and len(queries):
        vectors = np.concatenate([vectors, queries])
    info = store.info()
    truth, exact = _exact(store, vectors, k, filter, on_progress)
    current, rows = exact, list[Measured]()
    if info.n_indexed:
        current = _measured(store, vectors, truth, k, filter, info.spec.hnsw_ef)
        for done, ef in enumerate(efs, start=1):
            on_progress("candidates", done, len(efs))
            rows.append(_measured(store, vectors, truth, k, filter, ef))
    return Verification(
        info.name, info.n_points, info.n_indexed, len(vectors), k, wanted, current, exact, tuple(rows)
    )


def sampled(store: Store, n: int, *, noise: float = NOISE, seed: int = 0) -> Embeddings:
    """At most n stored vectors, any of them as likely, each moved by noise in a random direction."""
    random = np.random.default_rng(seed)
    ids = _some((p.id for batch in store.scroll(with_payload=False) for p in batch), n, random)
    if not ids:
        raise StoreError(f"collection {store.name!r} is empty; index some pictures first")
    points = store.retrieve(ids, with_vectors=True)
    rows = np.stack([np.asarray(point.vectors["image"], dtype=np.float32) for point in points])
    moves = random.normal(size=rows.shape).astype(np.float32)
    rows = rows + noise * moves / np.linalg.norm(moves, axis=1, keepdims=True)
    made: Embeddings = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made


def _some(ids: Iterable[str], n: int, random: np.random.Generator) -> list[str]:
    """n of the ids, chosen while they pass by (Vitter's algorithm R)."""
    kept: list[str] = []
    for seen, one in zip(count(1), ids, strict=False):
        if len(kept) < n:
            kept.append(one)
        elif (place := int(random.integers(seen))) < n:
            kept[place] = one
    return kept


def _exact(
    store: Store, vectors: Embeddings, k: int, filter: Filter | None, on_progress: Progress
) -> tuple[list[list[Hit]], Measured]:
    truth: list[list[Hit]] = []
    times: list[float] = []
    for done, vector in enumerate(vectors, start=1):
        began = time.perf_counter()
        truth.append(store.search(vector, limit=k, filter=filter, exact=True, with_payload=False))
        times.append((time.perf_counter() - began) * 1e3)
        on_progress("exact scans", done, len(vectors))
    return truth, Measured(0, 1.0, *_middle(times))


def _measured(
    store: Store, vectors: Embeddings, truth: list[list[Hit]], k: int, filter: Filter | None, ef: int
) -> Measured:
    found: list[list[Hit]] = []
    times: list[float] = []
    for row in vectors[:, None]:  # (1, D), one by one, as searches come
        began = time.perf_counter()
        found += store.search_batch(row, limit=k, filter=filter, exact=False, with_payload=False, ef=ef)
        times.append((time.perf_counter() - began) * 1e3)
    recalls = [recall(hits, best) for hits, best in zip(found, truth, strict=True)]
    return Measured(ef, float(np.mean(recalls)), *_middle(times))


def recall(found: Sequence[Hit], exact: Sequence[Hit]) -> float:
    """The share of the exact answer that was found; of equal scores one is as good as another."""
    if not exact:
        return 1.0
    least = exact[-1].score - _SAME
    return min(1.0, sum(hit.score >= least for hit in found) / len(exact))


def _middle(times: Sequence[float]) -> NDArray[np.float64]:
    middle: NDArray[np.float64] = np.percentile(times, [50, 95])
    return middle
