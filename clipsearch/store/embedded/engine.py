"""An Engine on Qdrant Edge: one collection in one folder, owned by this process.

Owns the shard, when it is flushed, and the switch to a generation with a graph. The lock is held by
whoever made this engine, from before the shard is loaded until close() has ended.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from clipsearch.errors import StoreError
from clipsearch.store import filters
from clipsearch.store.embedded import edge, graph
from clipsearch.store.embedded.bools import bool_in, bool_keys, bool_out
from clipsearch.store.embedded.dialect import EdgeDialect
from clipsearch.store.embedded.folder import Folder, copy_sparse
from clipsearch.store.lock import CollectionLock
from clipsearch.store.payload import json_path, stored_name
from clipsearch.store.protocol import Question
from clipsearch.store.ranking import SCORE_DIGITS
from clipsearch.types import CollectionSpec, FieldKind, Filter, Hit, Point, Scalar

# Points; below, the scan misses nothing and takes 7 ms at most. At 100,000 x 512 it takes 18 ms and the graph
# 1.2 ms at recall .9935, after 46 s of building: python benchmarks/engine.py --sizes
GRAPH_ABOVE = 50_000
_STALE = 0.1  # rebuild the graph when more than this share of the points is outside of it
_FLUSH_EVERY = 4096  # points; the write-ahead log replays ~18k points/s when a killed run is reopened
# The engine writes through memory maps of sparse files: on a full disk the process dies of SIGBUS and
# no exception is seen (seen on a 64 MB tmpfs). So space is asked for before.
MIN_FREE = 128 << 20


class EdgeEngine:
    """One shard of Qdrant Edge."""

    batch_size = 512

    def __init__(self, folder: Folder, lock: CollectionLock, shard: Any, spec: CollectionSpec) -> None:
        self.name, self.location = folder.name, str(folder.path)
        self.graph_above, self.min_free = GRAPH_ABOVE, MIN_FREE
        self._folder, self._lock, self._shard, self._spec = folder, lock, shard, spec
        self._bools = bool_keys(spec.fields)
        self._writing = threading.RLock()
        self._unflushed = 0
        self._left_graph = 0  # points written anew, which the graph has no more; not yet noted in the folder
        self._clean = folder.closed_with() is not None

    def translate(self, filter: Filter | None, kinds: Mapping[str, FieldKind]) -> Any:
        """The filter in the engine's objects."""
        return None if filter is None else filters.translate(filter, kinds, EdgeDialect())

    # --- writing -------------------------------------------------------------------------------

    def put(self, points: Sequence[Point]) -> None:
        """Store points; they survive kill -9 once this has returned."""
        import qdrant_edge

        with edge.translated(self.name, "writing to"):
            rows = [
                qdrant_edge.Point(p.id, edge.vector_in(p.vectors), self._payload_in(p.payload))
                for p in points
            ]
        if self.n_indexed():
            self._left_graph += len(
                self.fetch([p.id for p in points], with_vectors=False, with_payload=False)
            )
        self._update(qdrant_edge.UpdateOperation.upsert_points(rows), n=len(rows))

    def remove(self, ids: Sequence[str]) -> None:
        """Delete points by id."""
        import qdrant_edge

        self._update(qdrant_edge.UpdateOperation.delete_points(list(ids)), n=len(ids))

    def merge_payload(self, ids: Sequence[str], payload: Mapping[str, Any]) -> None:
        """Set fields of points that are there."""
        import qdrant_edge

        values = self._payload_in(payload)
        self._update(qdrant_edge.UpdateOperation.set_payload(list(ids), values), n=len(ids))

    def drop_payload(self, ids: Sequence[str], keys: Sequence[str]) -> None:
        """Remove fields of points that are there."""
        import qdrant_edge

        paths = [f'"{key}"' for key in keys]
        self._update(qdrant_edge.UpdateOperation.delete_payload(list(ids), paths), n=len(ids))

    def index_fields(self, fields: Mapping[str, FieldKind]) -> None:
        """Index fields; booleans that were stored before the field was declared are made findable."""
        import qdrant_edge

        for name, kind in fields.items():
            index = edge.field_index(name, kind)
            self._update(qdrant_edge.UpdateOperation.create_field_index(json_path(name), index))
        new = bool_keys(fields)
        self._bools |= new
        for key in new:
            self._recode_bools(key)

    def unindexed(self, fields: Mapping[str, FieldKind]) -> dict[str, FieldKind]:
        """Those of the fields without an index, or with an earlier version's."""
        with edge.translated(self.name, "reading"):
            return {n: kind for n, kind in fields.items() if not edge.well_indexed(self._shard, n, kind)}

    def save_spec(self, spec: CollectionSpec) -> None:
        """Keep the spec beside the shard."""
        with edge.translated(self.name, "writing to"):
            if spec.lexical != self._spec.lexical and self.n_indexed():
                # Every point was written anew, and so out of the graph: the next optimize() builds another.
                self._folder.switch(self._folder.current()[0])
            self._folder.write_spec(spec, engine=edge.engine_version())
        self._spec = spec

    # --- reading -------------------------------------------------------------------------------

    def fetch(self, ids: Sequence[str], *, with_vectors: bool, with_payload: bool) -> list[Point]:
        """Those of the points that are there, in any order."""
        with edge.translated(self.name, "reading"):
            records = self._shard.retrieve(list(ids), with_payload, with_vectors)
            return [self._point_out(record) for record in records]

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
        """For each question its hits by falling score."""
        import qdrant_edge

        with edge.translated(self.name, "searching"):
            requests = [
                qdrant_edge.QueryRequest(
                    limit=limit,
                    query=edge.query_in(question, using),
                    filter=filter,
                    params=edge.search_params(exact=exact, ef=ef, filtered=filter is not None),
                    with_payload=with_payload,
                )
                for question in questions
            ]
            if len(requests) == 1:
                found = [self._shard.query(requests[0])]
            else:
                found = self._shard.query_batch(qdrant_edge.QueryBatchRequest(requests))
            return [[self._hit_out(p) for p in one] for one in found]

    def page(
        self, after: Any, *, limit: int, filter: Any, with_vectors: bool, with_payload: bool
    ) -> tuple[list[Point], Any]:
        """One batch of a scroll by id."""
        import qdrant_edge

        with edge.translated(self.name, "reading"):
            request = qdrant_edge.ScrollRequest(
                offset=after, limit=limit, filter=filter, with_payload=with_payload, with_vector=with_vectors
            )
            records, following = self._shard.scroll(request)
            return [self._point_out(record) for record in records], following

    def count(self, filter: Any) -> int:
        """How many points match, exactly."""
        import qdrant_edge

        with edge.translated(self.name, "reading"):
            return int(self._shard.count(qdrant_edge.CountRequest(exact=True, filter=filter)))

    def facet(self, field: str, *, filter: Any, limit: int) -> list[tuple[Scalar, int]]:
        """Values and counts of an indexed field."""
        import qdrant_edge

        request = qdrant_edge.FacetRequest(json_path(field), limit=limit, exact=True, filter=filter)
        with edge.translated(self.name, "reading"):
            hits = self._shard.facet(request).hits
        is_bool = stored_name(field) in self._bools
        return [(bool(hit.value) if is_bool else hit.value, hit.count) for hit in hits]

    def n_indexed(self) -> int:
        """Points behind the graph of the current generation."""
        return max(0, self._folder.current()[1] - self._left_graph)

    # --- life ----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write everything to disk."""
        with self._writing, edge.translated(self.name, "flushing"):
            self._shard.flush()
            self._unflushed = 0
            if self._left_graph:
                self._folder.switch(self._folder.current()[0], n_graph=self.n_indexed())
                self._left_graph = 0

    def close(self) -> None:
        """Flush, note the number of points, and let the next process in."""
        with self._writing:
            try:
                if not self._clean:
                    self.flush()
                    with edge.translated(self.name, "closing"):
                        self._folder.mark_closed(self.count(None))
            finally:
                try:
                    with edge.translated(self.name, "closing"):
                        self._shard.close()
                finally:
                    self._lock.release()

    def optimize(self) -> None:
        """Build a graph in a child process on a copy, and switch to it; searches go on meanwhile.

        Does nothing below `graph_above` points, or where the graph still covers nearly all of them.
        """
        with self._writing:
            n_points, n_graph = self.count(None), self.n_indexed()
            if n_points < self.graph_above or n_points - n_graph <= _STALE * n_points:
                return
            self.flush()
            old, _ = self._folder.current()
            new = self._folder.next_generation()
            try:
                self._room(graph.bytes_needed(old), "building the graph of")
                with edge.translated(self.name, "copying"):
                    copy_sparse(old, new)
                graph.build(new, n_points, collection=self.name)
                with edge.translated(self.name, "opening the graph of"):
                    shard = edge.load_shard(new)
                    self._folder.switch(new, n_graph=n_points)
            except BaseException:
                if self._folder.current()[0] == old:
                    shutil.rmtree(new, ignore_errors=True)
                else:  # interrupted just after the switch
                    self._shard = shard
                raise
            self._shard = shard  # the old one closes when the last search on it has ended
            shutil.rmtree(old, ignore_errors=True)

    # --- parts ---------------------------------------------------------------------------------

    def _update(self, operation: Any, *, n: int = 0) -> None:
        with self._writing:
            self._room(0, "writing to")
            with edge.translated(self.name, "writing to"):
                if self._clean:
                    self._folder.mark_open()
                    self._clean = False
                self._shard.update(operation)
            self._unflushed += n
            if self._unflushed >= _FLUSH_EVERY:
                self.flush()

    def _room(self, n_bytes: int, doing: str) -> None:
        free = shutil.disk_usage(self._folder.path).free
        if free < n_bytes + self.min_free:
            raise StoreError(
                f"{doing} collection {self.name!r} needs {(n_bytes + self.min_free) >> 20} MB of free disk, "
                f"and {self._folder.path} has {free >> 20} MB. Free some space and run the same command "
                "again; nothing acknowledged is lost"
            )

    def _payload_in(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(payload, dict) and self._bools.isdisjoint(payload):
            return payload
        return {k: bool_in(v) if k in self._bools else v for k, v in payload.items()}

    def _payload_out(self, payload: Mapping[str, Any] | None) -> dict[str, Any]:
        if not payload or self._bools.isdisjoint(payload):
            return dict(payload or {})
        return {k: bool_out(v) if k in self._bools else v for k, v in payload.items()}

    def _point_out(self, record: Any) -> Point:
        point = edge.point_out(record)
        return Point(point.id, point.vectors, self._payload_out(point.payload))

    def _hit_out(self, found: Any) -> Hit:
        payload = self._payload_out(found.payload) if found.payload else {}
        return Hit(str(found.id), round(found.score, SCORE_DIGITS), payload)

    def _recode_bools(self, key: str) -> None:
        after: Any = None
        while True:
            points, after = self.page(after, limit=1000, filter=None, with_vectors=False, with_payload=True)
            alike: dict[str, list[Point]] = {}  # by their value: one write for each different one
            for point in points:
                if key in point.payload:
                    alike.setdefault(repr(point.payload[key]), []).append(point)
            for some in alike.values():
                self.merge_payload([p.id for p in some], {key: some[0].payload[key]})
            if after is None:
                return
