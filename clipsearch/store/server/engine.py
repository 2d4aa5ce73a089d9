"""An Engine on a Qdrant server, through qdrant-client.

Owns the requests; retries and errors are the connection's. Writes wait until the server has applied them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsearch.store import filters
from clipsearch.store.payload import json_path, stored_name
from clipsearch.store.protocol import Examples, Question
from clipsearch.store.ranking import SCORE_DIGITS
from clipsearch.store.server.connection import Connection
from clipsearch.store.server.dialect import ServerDialect
from clipsearch.store.spec import IMAGE, LEXICAL, TEXT, to_json
from clipsearch.types import CollectionSpec, FieldKind, Filter, Hit, Point, Scalar, SparseVector

METADATA = "clipsearch"  # our key in the collection's metadata


class ServerEngine:
    """One collection of a server."""

    batch_size = 128  # points; a request stays well below the server's 32 MB at 1536 dimensions

    def __init__(self, name: str, connection: Connection) -> None:
        self.name, self.location = name, connection.address
        self._connection, self._client = connection, connection.client

    def translate(self, filter: Filter | None, kinds: Mapping[str, FieldKind]) -> Any:
        """The filter in the client's models."""
        return None if filter is None else filters.translate(filter, kinds, ServerDialect())

    # --- writing -------------------------------------------------------------------------------

    def put(self, points: Sequence[Point]) -> None:
        """Store points and wait until they can be found."""
        from qdrant_client import models

        rows = [
            models.PointStruct(
                id=p.id, vector={n: _vector_in(v) for n, v in p.vectors.items()}, payload=dict(p.payload)
            )
            for p in points
        ]
        self._call(self._client.upsert, points=rows, wait=True)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete points by id."""
        from qdrant_client import models

        chosen = models.PointIdsList(points=list(ids))
        self._call(self._client.delete, points_selector=chosen, wait=True)

    def merge_payload(self, ids: Sequence[str], payload: Mapping[str, Any]) -> None:
        """Set fields of points that are there."""
        self._call(self._client.set_payload, payload=dict(payload), points=list(ids), wait=True)

    def drop_payload(self, ids: Sequence[str], keys: Sequence[str]) -> None:
        """Remove fields of points that are there."""
        paths = [f'"{key}"' for key in keys]
        self._call(self._client.delete_payload, keys=paths, points=list(ids), wait=True)

    def index_fields(self, fields: Mapping[str, FieldKind]) -> None:
        """Index fields; those that are indexed already stay as they are."""
        for name, kind in fields.items():
            index = _field_index(name, kind)
            path = json_path(name)
            self._call(self._client.create_payload_index, field_name=path, field_schema=index, wait=True)

    def unindexed(self, fields: Mapping[str, FieldKind]) -> dict[str, FieldKind]:
        """Those of the fields without an index, or with an earlier version's."""
        schema = self._call(self._client.get_collection).payload_schema
        found = {key.strip('"'): index for key, index in schema.items()}
        return {
            name: kind
            for name, kind in fields.items()
            if not _well_indexed(found.get(stored_name(name)), name, kind)
        }

    def save_spec(self, spec: CollectionSpec, *, ready: bool = True) -> None:
        """Keep the spec in the collection's metadata. ready: its indexes are all there."""
        self._call(self._client.update_collection, metadata={METADATA: {**to_json(spec), "ready": ready}})

    # --- reading -------------------------------------------------------------------------------

    def fetch(self, ids: Sequence[str], *, with_vectors: bool, with_payload: bool) -> list[Point]:
        """Those of the points that are there, in any order."""
        records = self._call(
            self._client.retrieve, ids=list(ids), with_payload=with_payload, with_vectors=with_vectors
        )
        return [_point_out(record) for record in records]

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
        """For each question its hits by falling score, in one request."""
        from qdrant_client import models

        requests = [
            models.QueryRequest(
                query=_query_in(question),
                using=using,
                limit=limit,
                filter=filter,
                params=models.SearchParams(exact=bool(exact), hnsw_ef=ef or None) if exact or ef else None,
                with_payload=with_payload,
            )
            for question in questions
        ]
        answers = self._call(self._client.query_batch_points, requests=requests)
        return [[_hit_out(found) for found in one.points] for one in answers]

    def page(
        self, after: Any, *, limit: int, filter: Any, with_vectors: bool, with_payload: bool
    ) -> tuple[list[Point], Any]:
        """One batch of a scroll by id."""
        records, following = self._call(
            self._client.scroll,
            offset=after,
            limit=limit,
            scroll_filter=filter,
            with_payload=with_payload,
            with_vectors=with_vectors,
        )
        return [_point_out(record) for record in records], following

    def count(self, filter: Any) -> int:
        """How many points match, exactly."""
        return int(self._call(self._client.count, count_filter=filter, exact=True).count)

    def facet(self, field: str, *, filter: Any, limit: int) -> list[tuple[Scalar, int]]:
        """Values and counts of an indexed field."""
        answer = self._call(
            self._client.facet, key=json_path(field), facet_filter=filter, limit=limit, exact=True
        )
        return [(hit.value, hit.count) for hit in answer.hits]

    def n_indexed(self) -> int:
        """Vectors behind a graph, as the server counts them."""
        return int(self._call(self._client.get_collection).indexed_vectors_count or 0)

    # --- life ----------------------------------------------------------------------------------

    def optimize(self) -> None:
        """Nothing: a server builds its graphs by itself."""

    def flush(self) -> None:
        """Nothing: every write waited for the server."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _call(self, function: Any, **kwargs: Any) -> Any:
        return self._connection.call(function, self.name, **kwargs)


def _field_index(name: str, kind: FieldKind) -> Any:
    from qdrant_client import models

    if name == TEXT:  # tokens of ours, written as they are to be found
        return models.TextIndexParams(
            type=models.TextIndexType.TEXT,
            tokenizer=models.TokenizerType.WHITESPACE,
            lowercase=False,
            phrase_matching=True,
        )
    if kind == "text":
        return models.TextIndexParams(
            type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.MULTILINGUAL, lowercase=True
        )
    if kind == "keyword":
        return models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, prefix=True)
    return models.PayloadSchemaType(kind)


def _well_indexed(index: Any, name: str, kind: FieldKind) -> bool:
    if name == TEXT:
        return bool(getattr(getattr(index, "params", None), "phrase_matching", False))
    if kind == "keyword":
        return bool(getattr(getattr(index, "params", None), "prefix", False))
    return index is not None


def _query_in(question: Question) -> Any:
    from qdrant_client import models

    if not isinstance(question, Examples):
        return _vector_in(question)
    likes = [_vector_in(vector) for vector in question.likes]
    unlikes = [_vector_in(vector) for vector in question.unlikes]
    if question.target is None:
        best = models.RecommendStrategy.BEST_SCORE
        return models.RecommendQuery(
            recommend=models.RecommendInput(positive=likes, negative=unlikes, strategy=best)
        )
    pairs = [models.ContextPair(positive=p, negative=n) for p, n in zip(likes, unlikes, strict=True)]
    return models.DiscoverQuery(
        discover=models.DiscoverInput(target=_vector_in(question.target), context=pairs)
    )


def _vector_in(vector: NDArray[np.float32] | SparseVector) -> Any:
    from qdrant_client import models

    if isinstance(vector, SparseVector):
        return models.SparseVector(indices=list(vector.indices), values=list(vector.values))
    return vector.tolist()


def _hit_out(found: Any) -> Hit:
    return Hit(str(found.id), round(found.score, SCORE_DIGITS), found.payload or {})


def _point_out(record: Any) -> Point:
    vectors: dict[str, NDArray[np.float32] | SparseVector] = {}
    for name, vector in (record.vector or {}).items():
        if name == LEXICAL:
            vectors[name] = SparseVector(list(vector.indices), list(vector.values))
        elif name == IMAGE:
            vectors[name] = np.asarray(vector, dtype=np.float32)
    return Point(str(record.id), vectors, record.payload or {})
