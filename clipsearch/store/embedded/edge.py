"""Qdrant Edge's own objects: configuration, indexes, points, questions, and its errors made ours.

With its neighbours here and `clipsearch.store.build` the only places that name qdrant_edge. Knows no
collection folder; filters are the dialect's.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import ClipSearchError, StoreError
from clipsearch.store.payload import stored_name
from clipsearch.store.protocol import Examples, Question
from clipsearch.store.spec import IMAGE, LEXICAL, TEXT
from clipsearch.types import FieldKind, Point, SparseVector

# The graph, as benchmarks/engine.py measures it at 100,000 x 512 on two cores. No links by payload values
# (payload_m): they cost several times as much to build, and lead nowhere under a filter that no one value
# makes, such as a box on a map. ACORN instead, which looks past neighbours that the filter leaves out.
GRAPH_M, GRAPH_EF = 16, 200  # links of a point, candidates while it is linked
SEARCH_EF = 128  # candidates of a search that names no number
# Points that pass a filter, or the whole collection, are scanned when they are this few.
SCAN_BELOW = 12_000


def engine_version() -> str:
    """Which engine writes these files."""
    from importlib.metadata import version

    return f"qdrant-edge-py {version('qdrant-edge-py')}"


def load_shard(path: Path) -> Any:
    """The shard in the folder. The lock must be held: a second load() damages the first's files."""
    import qdrant_edge

    with without_panic_trace():
        return qdrant_edge.EdgeShard.load(str(path))


def config(dim: int, *, graph: bool = False) -> Any:
    """The engine's configuration. graph: build HNSW over everything when optimised."""
    import qdrant_edge as edge

    extra: dict[str, Any] = {}
    if graph:
        # One segment, every vector in the graph. Kept only in the generation that a build makes.
        extra["optimizers"] = edge.EdgeOptimizersConfig(indexing_threshold=1, default_segment_number=1)
        extra["hnsw_config"] = edge.HnswIndexConfig(
            m=GRAPH_M,
            ef_construct=GRAPH_EF,
            payload_m=0,
            full_scan_threshold=math.ceil(SCAN_BELOW * dim * 4 / 1024),  # in KB of vectors
        )
    return edge.EdgeConfig(
        vectors={IMAGE: edge.EdgeVectorParams(size=dim, distance=edge.Distance.Cosine)},
        sparse_vectors={LEXICAL: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        **extra,
    )


def field_index(name: str, kind: FieldKind) -> Any:
    """The payload index for this field."""
    import qdrant_edge as edge

    if name == TEXT:  # tokens of ours, written as they are to be found
        return edge.TextIndexParams(
            tokenizer=edge.TokenizerType.Whitespace, lowercase=False, phrase_matching=True
        )
    if kind == "text":
        return edge.TextIndexParams(tokenizer=edge.TokenizerType.Multilingual, lowercase=True)
    if kind == "keyword":
        return edge.KeywordIndexParams(prefix=True)
    # qdrant-edge-py 0.9.0 sends MatchValue(True) as the number 1, which no boolean equals: true/false are
    # stored and matched as 1/0 here and come back as booleans.
    names = {"integer": "Integer", "float": "Float", "bool": "Integer", "geo": "Geo"}
    return getattr(edge.PayloadSchemaType, names.get(kind, "Datetime"))


def well_indexed(shard: Any, name: str, kind: FieldKind) -> bool:
    """Whether the field has the index that field_index describes, and not an earlier version's."""
    found = {key.strip('"'): index for key, index in shard.info().payload_schema.items()}
    index = found.get(stored_name(name))
    if name == TEXT:
        return index is not None and bool(getattr(index.params, "phrase_matching", False))
    if kind == "keyword":
        return index is not None and bool(getattr(index.params, "prefix", False))
    return index is not None


def vector_in(vectors: Mapping[str, NDArray[np.float32] | SparseVector]) -> dict[str, Any]:
    """Named vectors as the engine takes them."""
    # The row's buffer: 9 us for 512 numbers, where a list takes 27 and the NumPy row itself 400.
    return {
        name: _vector(vector) if isinstance(vector, SparseVector) else vector.data
        for name, vector in vectors.items()
    }


def search_params(*, exact: bool | None, ef: int, filtered: bool) -> Any:
    """How to search. ef 0: the engine's own number."""
    import qdrant_edge as edge

    acorn = edge.AcornSearchParams(enable=True, max_selectivity=1.0) if filtered and not exact else None
    return edge.SearchParams(hnsw_ef=ef or SEARCH_EF, exact=bool(exact), acorn=acorn)


def query_in(question: Question, using: str) -> Any:
    """What is asked, as the engine takes it."""
    import qdrant_edge as edge

    if not isinstance(question, Examples):
        return edge.Query.Nearest(_vector(question), using=using)
    likes = [vector.tolist() for vector in question.likes]
    unlikes = [vector.tolist() for vector in question.unlikes]
    if question.target is None:
        return edge.Query.RecommendBestScore(edge.RecommendQuery(likes, unlikes), using=using)
    pairs = [edge.ContextPair(like, unlike) for like, unlike in zip(likes, unlikes, strict=True)]
    return edge.Query.Discover(edge.DiscoverQuery(question.target.tolist(), pairs), using=using)


def _vector(vector: NDArray[np.float32] | SparseVector) -> Any:
    import qdrant_edge as edge

    if isinstance(vector, SparseVector):
        return edge.SparseVector(list(vector.indices), list(vector.values))
    return vector.tolist()


def point_out(record: Any) -> Point:
    """The engine's record as a Point; vectors are {} where none were asked for."""
    vectors: dict[str, NDArray[np.float32] | SparseVector] = {}
    for name, vector in (record.vector or {}).items():
        if name == LEXICAL:
            vectors[name] = SparseVector(list(vector.indices), list(vector.values))
        else:
            vectors[name] = np.asarray(vector, dtype=np.float32)
    return Point(str(record.id), vectors, record.payload or {})


@contextlib.contextmanager
def translated(collection: str, doing: str) -> Iterator[None]:
    """Turn the engine's bare Exceptions, and its panics, into StoreError."""
    try:
        yield
    except ClipSearchError:
        raise
    except OSError as exc:
        raise StoreError(f"{doing} collection {collection!r} failed: {exc}; {_next_step(str(exc))}") from exc
    except BaseException as exc:
        # A panic in the engine's Rust is pyo3's PanicException, which derives from BaseException.
        if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
            raise
        text = " ".join(str(exc).split())[:300]
        raise StoreError(f"{doing} collection {collection!r} failed: {text}; {_next_step(text)}") from exc


def _next_step(text: str) -> str:
    if "No space left" in text or "os error 28" in text:
        return "the disk is full: free some space and run the same command again, nothing stored is lost"
    unwritable = ("Permission denied", "Read-only file system", "[Errno 2]", "Not a directory")
    if any(words in text for words in unwritable):
        return "the folder cannot be written: mend its permissions, or set CLIPSEARCH_DATA to another one"
    if "not initialized" in text:
        return "it was closed: open it again"
    return (
        "if opening it again does not help its files are damaged: index again into a new collection, "
        "or delete this one and index again"
    )


@contextlib.contextmanager
def without_panic_trace() -> Iterator[None]:
    """Keep what Rust prints on a panic from the terminal; other output on stderr is passed on.

    Rust writes to file descriptor 2 itself, so nothing less than a swapped descriptor silences it.
    """
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all, as under pythonw
        yield
        return
    failed = True
    with tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        os.dup2(caught.fileno(), 2)
        try:
            yield
            failed = False
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            text = b"" if failed else caught.read()
            if text:
                os.write(2, text)
