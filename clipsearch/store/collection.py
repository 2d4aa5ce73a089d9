"""One open collection: the rules that both engines share.

Owns checks of points, vectors and filters, the order of hits, pages, batches, and the declared fields.
Knows no vendor; an `Engine` does the storing and searching.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import StoreError
from clipsearch.store import ranking
from clipsearch.store.filters import unknown_field
from clipsearch.store.payload import gone, shown, storable, stored_name
from clipsearch.store.points import canonical_sparse, check_dense, checked_points, in_batches
from clipsearch.store.protocol import Engine, Store
from clipsearch.store.spec import IMAGE, LEXICAL, all_fields, check_fields
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


class Collection:
    """A Store on an Engine."""

    def __init__(self, spec: CollectionSpec, engine: Engine) -> None:
        self.name = engine.name
        self._spec = spec
        self._kinds = all_fields(spec)
        self._engine: Engine | None = engine

    @property
    def spec(self) -> CollectionSpec:
        """The maker of the vectors and the declared fields."""
        return self._spec

    # --- writing -------------------------------------------------------------------------------

    def upsert(self, points: Sequence[Point]) -> None:
        """Insert points, replacing those of the same id; all are checked before the first is stored."""
        engine = self._open
        rows = checked_points(points, self._spec, self._kinds, self.name)
        for start in range(0, len(rows), engine.batch_size):
            engine.put(rows[start : start + engine.batch_size])

    def delete(self, ids: Iterable[str]) -> None:
        """Remove points; ids that are not there are no error."""
        for some in in_batches(ids):
            self._open.remove(some)

    def set_payload(self, ids: Iterable[str], payload: Payload) -> None:
        """Merge payload into the points; a value of None removes the field."""
        values = storable(payload, self._kinds)
        removed = [stored_name(name) for name in gone(payload)]
        for some in in_batches(ids):
            there = [p.id for p in self._open.fetch(some, with_vectors=False, with_payload=False)]
            if there and values:
                self._open.merge_payload(there, values)
            if there and removed:
                self._open.drop_payload(there, removed)

    def add_fields(self, fields: Mapping[str, FieldKind]) -> None:
        """Declare further fields and index them. StoreError if one is declared with another kind."""
        check_fields(fields)
        for name, kind in fields.items():
            if self._kinds.get(name, kind) != kind:
                raise StoreError(
                    f"field {name!r} of collection {self.name!r} holds {self._kinds[name]} values and cannot "
                    f"hold {kind} ones; rename it, or index into a new collection"
                )
        new = {name: kind for name, kind in fields.items() if name not in self._kinds}
        if not new:
            return
        spec = replace(self._spec, fields={**self._spec.fields, **new})
        self._open.index_fields(new)
        self._open.save_spec(spec)
        self._spec, self._kinds = spec, all_fields(spec)

    # --- reading -------------------------------------------------------------------------------

    def retrieve(self, ids: Iterable[str], *, with_vectors: bool = False) -> list[Point]:
        """The points in the order of ids; those that are not there are left out."""
        found: list[Point] = []
        for some in in_batches(ids):
            points = self._open.fetch(some, with_vectors=with_vectors, with_payload=True)
            by_id = {point.id: _shown(point) for point in points}
            found += [by_id[i] for i in some if i in by_id]
        return found

    def scroll(
        self,
        *,
        filter: Filter | None = None,
        batch_size: int = 1000,
        with_vectors: bool = False,
        with_payload: bool = True,
    ) -> Iterator[list[Point]]:
        """Every point, in batches, by id."""
        chosen = self._open.translate(filter, self._kinds)
        after: Any = None
        while True:
            points, after = self._open.page(
                after, limit=batch_size, filter=chosen, with_vectors=with_vectors, with_payload=with_payload
            )
            if points:
                yield [_shown(point) for point in points]
            if after is None:
                return

    def count(self, filter: Filter | None = None) -> int:
        """How many points there are, or match."""
        return self._open.count(self._open.translate(filter, self._kinds))

    def facet(self, field: str, *, filter: Filter | None = None, limit: int = 20) -> list[tuple[Scalar, int]]:
        """The field's most frequent values with their counts, most frequent first, ties by value."""
        kind = self._kinds.get(field)
        if kind is None:
            raise unknown_field(field, self._kinds)
        if kind not in ("keyword", "integer", "bool"):
            raise StoreError(
                f"field {field!r} holds {kind} values, which are not counted one by one; "
                "keyword, integer and bool fields are"
            )
        chosen = self._open.translate(filter, self._kinds)
        # A few more than asked for, so that a tie at the edge comes out in one order nearly always.
        counts = [
            (shown({field: value})[field], n)
            for value, n in self._open.facet(field, filter=chosen, limit=limit + 50)
        ]
        return sorted(counts, key=lambda item: (-item[1], item[0]))[:limit]  # type: ignore[return-value]

    def search(
        self,
        vector: NDArray[np.float32],
        *,
        limit: int,
        offset: int = 0,
        filter: Filter | None = None,
        exact: bool | None = None,
    ) -> list[Hit]:
        """Hits nearest to vector (D,), best first, ties by id; why is {"image": cosine}."""
        rows = np.asarray(vector, dtype=np.float32)[None]  # (1, D)
        return self.search_batch(rows, limit=limit, offset=offset, filter=filter, exact=exact)[0]

    def search_batch(
        self,
        vectors: NDArray[np.float32],
        *,
        limit: int,
        offset: int = 0,
        filter: Filter | None = None,
        exact: bool | None = None,
    ) -> list[list[Hit]]:
        """search for every row of vectors (Q, D)."""
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        dim = self._spec.fingerprint.dim
        if rows.ndim != 2 or rows.shape[1] != dim:
            raise StoreError(
                f"a query vector of shape {rows.shape[1:]} does not fit collection {self.name!r}, "
                f"whose vectors have {dim} dimensions; encode the query with {self._spec.fingerprint.model}"
            )
        for row in rows:
            check_dense(row, "the query")
        return self._ranked(list(rows), IMAGE, limit, offset, filter, exact)

    def search_sparse(
        self, vector: SparseVector, *, limit: int, offset: int = 0, filter: Filter | None = None
    ) -> list[Hit]:
        """Hits by the "lexical" vector, best first, ties by id; why is {"lexical": score}."""
        sparse = canonical_sparse(vector, "the query")
        if not sparse.indices:
            return []
        return self._ranked([sparse], LEXICAL, limit, offset, filter, None)[0]

    def info(self) -> CollectionInfo:
        """What the collection holds now."""
        n_points = self._open.count(None)
        n_indexed = min(n_points, self._open.n_indexed())
        return CollectionInfo(self.name, self._spec, n_points, self._open.location, n_indexed)

    # --- life ----------------------------------------------------------------------------------

    def optimize(self) -> None:
        """Make a large collection fast to search; does nothing where that is not needed."""
        self._open.optimize()

    def flush(self) -> None:
        """Return when everything acknowledged is on disk."""
        self._open.flush()

    def close(self) -> None:
        """Flush and let go of the collection; a second call does nothing."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _open(self) -> Engine:
        if self._engine is None:
            raise StoreError(f"collection {self.name!r} was closed; open it again")
        return self._engine

    # --- parts ---------------------------------------------------------------------------------

    def _ranked(
        self,
        vectors: Sequence[NDArray[np.float32] | SparseVector],
        using: str,
        limit: int,
        offset: int,
        filter: Filter | None,
        exact: bool | None,
    ) -> list[list[Hit]]:
        if offset < 0 or limit < 0:
            raise StoreError(f"offset {offset} and limit {limit} must not be negative")
        engine, chosen = self._open, self._open.translate(filter, self._kinds)
        if limit == 0 or not len(vectors):
            return [[] for _ in vectors]

        def ask(some: Sequence[NDArray[np.float32] | SparseVector], n: int) -> list[list[Hit]]:
            return engine.nearest(
                some, using=using, limit=n, filter=chosen, exact=exact, with_payload=offset == 0
            )

        wanted = offset + limit
        pages: list[list[Hit]] = []
        for vector, first in zip(vectors, ask(vectors, wanted + 1), strict=True):
            again: Callable[[int], list[Hit]] = lambda n, v=vector: ask([v], n)[0]  # type: ignore[misc] # noqa: E731
            best = ranking.page(first, again, asked=wanted + 1, wanted=wanted)[offset:]
            pages.append(self._with_payloads(best) if offset else [_shown_hit(h, using) for h in best])
        return [[replace(hit, why={using: hit.score}) for hit in best] for best in pages]

    def _with_payloads(self, hits: list[Hit]) -> list[Hit]:
        # A deep page asks for ids only and then for its own payloads: the skipped hits' are not moved.
        payloads = {point.id: point.payload for point in self.retrieve([hit.id for hit in hits])}
        return [replace(hit, payload=payloads[hit.id]) for hit in hits if hit.id in payloads]


def _shown(point: Point) -> Point:
    return Point(point.id, point.vectors, shown(point.payload))


def _shown_hit(hit: Hit, using: str) -> Hit:
    return Hit(hit.id, hit.score, shown(hit.payload), {using: hit.score})


if TYPE_CHECKING:
    _a_collection_is_a_store: type[Store] = Collection
