"""What a collection can do, and what an engine must offer for it. No code of either.

`Store` is what the rest of clipsearch uses. `Engine` is the thin vendor side: `Collection` puts the
rules (checks, order, paging, kinds) on top of it once, so both engines behave alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch.types import (
    CollectionInfo,
    CollectionSpec,
    FieldKind,
    Filter,
    Hit,
    Payload,
    Point,
    Scalar,
    SparseVector,
)


class Store(Protocol):
    """One open collection. Safe to share between threads; close it, or use `with`."""

    @property
    def name(self) -> str: ...
    @property
    def spec(self) -> CollectionSpec: ...

    def upsert(self, points: Sequence[Point]) -> None:
        """Insert points, replacing those of the same id. Acknowledged points survive kill -9."""

    def delete(self, ids: Iterable[str]) -> None:
        """Remove points; ids that are not there are no error."""

    def retrieve(self, ids: Iterable[str], *, with_vectors: bool = False) -> list[Point]:
        """The points in the order of ids; those that are not there are left out."""

    def search(
        self,
        vector: NDArray[np.float32],
        *,
        limit: int,
        offset: int = 0,
        filter: Filter | None = None,
        exact: bool | None = None,
        with_payload: bool = True,
    ) -> list[Hit]:
        """Hits nearest to vector (D,), best first, ties by id. exact: never use a graph.

        with_payload=False: payloads are {}, for rankings that are looked at in part.
        """

    def search_batch(
        self,
        vectors: NDArray[np.float32],
        *,
        limit: int,
        offset: int = 0,
        filter: Filter | None = None,
        exact: bool | None = None,
        with_payload: bool = True,
        ef: int | None = None,
    ) -> list[list[Hit]]:
        """search for every row of vectors (Q, D).

        ef: candidates that a search by graph keeps (more: surer and slower); None: the collection's own.
        """

    def search_sparse(
        self,
        vector: SparseVector,
        *,
        limit: int,
        offset: int = 0,
        filter: Filter | None = None,
        with_payload: bool = True,
    ) -> list[Hit]:
        """Hits by the "lexical" vector, weighted by inverse document frequency, best first."""

    def recommend(
        self,
        likes: NDArray[np.float32],
        unlikes: NDArray[np.float32],
        *,
        target: NDArray[np.float32] | None = None,
        limit: int,
        offset: int = 0,
        filter: Filter | None = None,
        with_payload: bool = True,
    ) -> list[Hit]:
        """Hits by examples: likes (P, D) and unlikes (N, D), either may be empty, and a target (D,).

        With a target, likes and unlikes: Qdrant's discovery, pairs of each like with each unlike.
        Otherwise its recommendation by best score, the target being one more like. Scores order hits
        and are no cosines. Best first, ties by id; the examples' own points are not left out.
        """

    def scroll(
        self,
        *,
        filter: Filter | None = None,
        batch_size: int = 1000,
        with_vectors: bool = False,
        with_payload: bool = True,
    ) -> Iterator[list[Point]]:
        """Every point, in batches, by id. Only one batch is in memory at a time."""

    def count(self, filter: Filter | None = None) -> int:
        """How many points there are, or match."""

    def facet(self, field: str, *, filter: Filter | None = None, limit: int = 20) -> list[tuple[Scalar, int]]:
        """The field's most frequent values with their counts, most frequent first."""

    def set_payload(self, ids: Iterable[str], payload: Payload) -> None:
        """Merge payload into the points; a value of None removes the field. Missing ids are passed over."""

    def set_payloads(self, changes: Sequence[tuple[str, Payload]]) -> None:
        """set_payload for many points, each (id, payload) with values of its own."""

    def mark_words(self) -> None:
        """Note that every point has the words that this version makes: all were written by it."""

    def add_fields(self, fields: Mapping[str, FieldKind]) -> None:
        """Declare further payload fields and index them, also for points already there."""

    def set_hnsw_ef(self, n: int) -> None:
        """Keep n candidates in every search by graph from now on; 0: the engine's own number."""

    def info(self) -> CollectionInfo: ...
    def optimize(self) -> None:
        """Make a large collection fast to search; does nothing where that is not needed."""

    def flush(self) -> None:
        """Return when everything acknowledged is on disk."""

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Examples:
    """A question by examples, unit vectors (D,): Qdrant's recommendation by best score, or with a target
    its discovery, for which likes[i] and unlikes[i] are a pair."""

    likes: Sequence[NDArray[np.float32]]
    unlikes: Sequence[NDArray[np.float32]]
    target: NDArray[np.float32] | None = None


Question: TypeAlias = NDArray[np.float32] | SparseVector | Examples


class Engine(Protocol):
    """One collection of a vector database. Filters, payload keys and ids come checked and translated.

    Payloads are stored values under stored names both ways; points that come back have string ids.
    """

    name: str
    location: str
    batch_size: int  # points in one write

    def translate(self, filter: Filter | None, kinds: Mapping[str, FieldKind]) -> Any: ...
    def put(self, points: Sequence[Point]) -> None: ...
    def remove(self, ids: Sequence[str]) -> None: ...
    def fetch(self, ids: Sequence[str], *, with_vectors: bool, with_payload: bool) -> list[Point]: ...
    def nearest(
        self,
        questions: Sequence[Question],
        *,
        using: str,
        limit: int,
        filter: Any,
        exact: bool | None,
        ef: int,
        with_payload: bool,
    ) -> list[list[Hit]]:
        """For each question its hits by falling score. ef: 0 is the engine's own number."""

    def page(
        self, after: Any, *, limit: int, filter: Any, with_vectors: bool, with_payload: bool
    ) -> tuple[list[Point], Any]:
        """One batch of a scroll and what to pass as `after` for the next (None: that was the last)."""

    def count(self, filter: Any) -> int: ...
    def facet(self, field: str, *, filter: Any, limit: int) -> list[tuple[Scalar, int]]: ...
    def merge_payload(self, ids: Sequence[str], payload: Mapping[str, Any]) -> None: ...
    def drop_payload(self, ids: Sequence[str], keys: Sequence[str]) -> None: ...
    def index_fields(self, fields: Mapping[str, FieldKind]) -> None: ...
    def unindexed(self, fields: Mapping[str, FieldKind]) -> dict[str, FieldKind]:
        """Those of the fields that have no index, or one that an earlier version made and is not enough."""

    def save_spec(self, spec: CollectionSpec) -> None: ...
    def n_indexed(self) -> int: ...
    def optimize(self) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...
