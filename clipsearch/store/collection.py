"""One open collection: the rules that both engines share.

Owns checks of points, vectors and filters, the order of hits, pages, batches, and the declared fields.
Knows no vendor; an `Engine` does the storing and searching.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import StoreError
from clipsearch.store.asking import Way, ask, checked_rows, examples
from clipsearch.store.editing import edit, edits
from clipsearch.store.filters import unknown_field
from clipsearch.store.payload import shown, storable
from clipsearch.store.points import canonical_sparse, checked_points, in_batches, shown_point
from clipsearch.store.protocol import Engine, Store
from clipsearch.store.spec import IMAGE, LEXICAL, all_fields, check_fields, check_kinds
from clipsearch.store.wording import change_words, merged, of_this_version, with_words
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
        self._changing = threading.Lock()  # a point that is read and written again is not written meanwhile

    @property
    def spec(self) -> CollectionSpec:
        """The maker of the vectors and the declared fields."""
        return self._spec

    # --- writing -------------------------------------------------------------------------------

    def upsert(self, points: Sequence[Point]) -> None:
        """Insert points, replacing those of the same id; all are checked before the first is stored.

        Their words are made of their payloads; a lexical vector that comes with a point is not taken.
        """
        points = list(points)
        rows = checked_points(points, self._spec, self._kinds, self.name)
        with self._changing:
            self._put(with_words(rows, [point.payload for point in points], self._kinds))

    def delete(self, ids: Iterable[str]) -> None:
        """Remove points; ids that are not there are no error."""
        with self._changing:
            for some in in_batches(ids):
                self._open.remove(some)

    def set_payload(self, ids: Iterable[str], payload: Payload) -> None:
        """Merge payload into the points; a value of None removes the field.

        Where their words change, the points are read and written whole: on a server, what another client
        does to one of them meanwhile is lost.
        """
        made = edit(payload, self._kinds)
        words = change_words(payload, self._kinds)
        with self._changing:
            for some in in_batches(ids):
                found = self._open.fetch(some, with_vectors=words, with_payload=words)
                if words:
                    self._put(merged(found, dict.fromkeys(some, made), self._kinds))
                    continue
                there = [point.id for point in found]
                if there and made.values:
                    self._open.merge_payload(there, made.values)
                if there and made.removed:
                    self._open.drop_payload(there, sorted(made.removed))

    def set_payloads(self, changes: Sequence[tuple[str, Payload]]) -> None:
        """set_payload for points that each have a payload of their own; all are checked before the first.

        The points are read and written whole, with their words.
        """
        made = edits(changes, self._kinds)
        for some in in_batches(made):
            with self._changing:
                found = self._open.fetch(some, with_vectors=True, with_payload=True)
                self._put(merged(found, made, self._kinds))

    def mark_words(self) -> None:
        """Note that every point has the words that this version makes: all were written by it."""
        self._save(of_this_version(self._spec))

    def add_fields(self, fields: Mapping[str, FieldKind]) -> None:
        """Declare further fields and index them. StoreError if one is declared with another kind."""
        check_fields(fields)
        check_kinds(fields, self._kinds, self.name)
        new = {name: kind for name, kind in fields.items() if name not in self._kinds}
        missing = self._open.unindexed(self._kinds)  # an earlier version indexed less
        if missing or new:
            self._open.index_fields({**missing, **new})
        if not new:
            return
        self._make_places({name: kind for name, kind in new.items() if kind == "geo"})
        self._save(replace(self._spec, fields={**self._spec.fields, **new}))

    def set_hnsw_ef(self, n: int) -> None:
        """Keep n candidates in every search by graph from now on; 0: the engine's own number."""
        if n < 0:
            raise StoreError(f"hnsw_ef {n} must not be negative; 0 means the engine's own number")
        if n != self._spec.hnsw_ef:
            self._save(replace(self._spec, hnsw_ef=n))

    def unindexed(self) -> list[str]:
        """Fields without an index, or with an earlier version's; add_fields makes them."""
        return list(self._open.unindexed(self._kinds))

    # --- reading -------------------------------------------------------------------------------

    def retrieve(self, ids: Iterable[str], *, with_vectors: bool = False) -> list[Point]:
        """The points in the order of ids; those that are not there are left out."""
        found: list[Point] = []
        for some in in_batches(ids):
            points = self._open.fetch(some, with_vectors=with_vectors, with_payload=True)
            by_id = {point.id: shown_point(point) for point in points}
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
                yield [shown_point(point) for point in points]
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
        with_payload: bool = True,
    ) -> list[Hit]:
        """Hits nearest to vector (D,), best first, ties by id; why is {"image": cosine}."""
        rows = np.asarray(vector, dtype=np.float32)[None]  # (1, D)
        return self.search_batch(
            rows, limit=limit, offset=offset, filter=filter, exact=exact, with_payload=with_payload
        )[0]

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
        """search for every row of vectors (Q, D)."""
        rows = checked_rows(vectors, self._spec, self.name)
        way = replace(self._way(IMAGE, filter, with_payload, ef=ef or 0), exact=exact)
        return ask(self._open, list(rows), limit, offset, way)

    def search_sparse(
        self,
        vector: SparseVector,
        *,
        limit: int,
        offset: int = 0,
        filter: Filter | None = None,
        with_payload: bool = True,
    ) -> list[Hit]:
        """Hits by the "lexical" vector, best first, ties by id; why is {"lexical": score}."""
        sparse = canonical_sparse(vector, "the query")
        if not sparse.indices:
            return []
        way = self._way(LEXICAL, filter, with_payload)
        return ask(self._open, [sparse], limit, offset, way)[0]

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
        """Hits by examples, best first, ties by id; why is {"examples": score}, which is no cosine."""
        near, far = (checked_rows(some, self._spec, self.name) for some in (likes, unlikes))
        aim = None if target is None else checked_rows(target[None], self._spec, self.name)[0]
        asked = examples(near, far, aim)
        way = self._way(IMAGE, filter, with_payload, why="examples")
        return ask(self._open, [asked], limit, offset, way)[0]

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

    def _put(self, rows: Sequence[Point]) -> None:
        for start in range(0, len(rows), self._open.batch_size):
            self._open.put(rows[start : start + self._open.batch_size])

    def _way(
        self, using: str, filter: Filter | None, with_payload: bool, *, why: str = "", ef: int = 0
    ) -> Way:
        chosen = self._open.translate(filter, self._kinds)
        return Way(using, why or using, chosen, None, ef or self._spec.hnsw_ef, with_payload)

    def _save(self, spec: CollectionSpec) -> None:
        self._open.save_spec(spec)
        self._spec, self._kinds = spec, all_fields(spec)

    def _make_places(self, kinds: Mapping[str, FieldKind]) -> None:
        """Text that was stored before its field was declared becomes places."""
        for point in (point for batch in self.scroll() for point in batch) if kinds else ():
            told = {name: point.payload[name] for name in kinds if name in point.payload}
            if told:
                self._open.merge_payload([point.id], storable(told, kinds))


if TYPE_CHECKING:
    _a_collection_is_a_store: type[Store] = Collection
