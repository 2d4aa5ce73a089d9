"""Searcher: a Query over one collection -> a Page of hits.

Embeds the query's terms, combines them into one vector and asks the store. Knows nothing of the
engine behind the store, of files on disk other than query pictures, or of how results are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from clipsearch import query as query_language
from clipsearch.errors import ModelMismatch, QueryError, SourceError
from clipsearch.settings import Settings
from clipsearch.types import Filter, Fingerprint, Hit, Match, Or, Page, Query, Term

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder
    from clipsearch.store import Store

MAX_LIMIT = 10_000
MAX_OFFSET = 1_000_000
_MAX_VIEWS = 100  # pictures of one record


class Searcher:
    """One collection, ready to be asked. Keeps its encoder warm; close it, or use it with `with`."""

    def __init__(self, store: Store, encoder: Encoder) -> None:
        """Raises ModelMismatch if the collection was made by another model than `encoder`."""
        require_same_model(store.name, store.spec.fingerprint, encoder.fingerprint)
        self.store = store
        self.encoder = encoder

    def search(
        self,
        text: str | Query = "",
        *,
        image: str | Path | Sequence[str | Path] = (),
        filter: str | Filter | Iterable[str | Filter] = (),
        top: int = 10,
        offset: int = 0,
    ) -> Page:
        """The best hits for words, pictures or both, best first.

        text: the query language (see clipsearch.query), or a parsed Query.
        filter: conditions such as "material=brass", all of which must hold.
        A text that is a record's key, typed exactly, puts that record first; its `why` says so.
        With a filter alone, hits are the records it lets through, in order of key, with score 0.
        Raises QueryError, UnknownField, ImageError (a query picture), StoreError.
        """
        if not 1 <= top <= MAX_LIMIT:
            raise QueryError(f"top must be from 1 to {MAX_LIMIT:,}, not {top}")
        if not 0 <= offset <= MAX_OFFSET:
            raise QueryError(f"offset must be from 0 to {MAX_OFFSET:,}, not {offset}")
        query = self._query(text, image, filter)
        if not query.terms:
            return self._browse(query, top, offset)
        vector = self._vector(query.terms)
        exact = self._exact(query, vector)
        near = self.store.search(vector, limit=offset + top + 1 + len(exact), filter=query.filter)
        first = {hit.id for hit in exact}
        ranked = exact + [hit for hit in near if hit.id not in first]
        page = tuple(ranked[offset : offset + top])
        return Page(page, offset, top, has_more=len(ranked) > offset + top, query=query)

    def _query(
        self,
        text: str | Query,
        image: str | Path | Sequence[str | Path],
        filter: str | Filter | Iterable[str | Filter],
    ) -> Query:
        fields = self.store.spec.fields
        wanted = [filter] if isinstance(filter, str) or not isinstance(filter, Iterable) else list(filter)
        conditions = [
            query_language.parse_filter(f, fields=fields) if isinstance(f, str) else f for f in wanted
        ]
        query = text if isinstance(text, Query) else query_language.parse(text, fields=fields)
        if conditions:
            query = replace(query, filter=query_language.all_of([*_conditions(query.filter), *conditions]))
        pictures = [image] if isinstance(image, (str, Path)) else list(image)
        terms = (*query.terms, *(Term("image", str(path)) for path in pictures))
        if not terms and query.filter is None:
            raise QueryError("nothing to search for: give words, a picture (--image FILE) or a filter")
        if terms and all(term.weight <= 0 for term in terms):
            raise QueryError(
                "every term is a minus term; give something to be near to as well", text=query.text
            )
        return replace(query, terms=terms, record_id=None if pictures else query.record_id)

    def _vector(self, terms: Sequence[Term]) -> NDArray[np.float32]:
        """The query's unit vector (D,): positives' weighted sum, minus what is left of each negative."""
        texts = [term for term in terms if term.kind == "text"]
        images = [term for term in terms if term.kind == "image"]
        vectors = (
            dict(zip(texts, self.encoder.encode_texts([t.value for t in texts]), strict=True))
            if texts
            else {}
        )
        if images:
            paths = [_picture(term) for term in images]
            vectors |= dict(zip(images, self.encoder.encode_images(paths), strict=True))
        return combine([(vectors[term], term.weight) for term in terms])

    def _exact(self, query: Query, vector: NDArray[np.float32]) -> list[Hit]:
        """The record whose key was typed exactly: all its pictures, in order of key."""
        if query.record_id is None:
            return []
        named = Or((Match("_key", (query.record_id,)), Match("_group", (query.record_id,))))
        both = query_language.all_of([named, *_conditions(query.filter)])
        found = self.store.search(vector, limit=_MAX_VIEWS, filter=both)
        return [
            replace(hit, why={"exact key": 1.0, **hit.why}) for hit in sorted(found, key=lambda hit: hit.key)
        ]

    def _browse(self, query: Query, top: int, offset: int) -> Page:
        hits: list[Hit] = []
        for batch in self.store.scroll(filter=query.filter, batch_size=1000):
            hits += [Hit(point.id, 0.0, point.payload, {"filter": 1.0}) for point in batch]
        hits.sort(key=lambda hit: (hit.key, hit.id))
        page = tuple(hits[offset : offset + top])
        return Page(page, offset, top, has_more=len(hits) > offset + top, query=query)

    def close(self) -> None:
        """Give the collection and the encoder back."""
        self.store.close()
        self.encoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open(collection: str | None = None, *, settings: Settings | None = None, **options: Any) -> Searcher:
    """A Searcher over `collection` (default: the settings'), with the model that made it.

    options: any of Settings' fields (data, url, device, …). Raises CollectionNotFound,
    CollectionLocked, ModelNotFound, ModelMismatch, StoreUnavailable.
    """
    from clipsearch.encoder import Encoder
    from clipsearch.store import open_store

    settings = settings or Settings.load(collection=collection, **options)
    store = open_store(collection or settings.collection, settings)
    try:
        made = store.spec.fingerprint
        encoder = Encoder.open(
            made.model, device=settings.device, cache=settings.cache, exact=made.decode == "exact"
        )
        return Searcher(store, encoder)
    except BaseException:
        store.close()
        raise


def combine(parts: Sequence[tuple[NDArray[np.float32], float]]) -> NDArray[np.float32]:
    """One unit vector (D,) from weighted unit vectors; a negative weight pushes away.

    The positives are summed and normalised to p. From each negative n only the part that is not
    along p is taken, n - (n.p)p, so that "bracket -bolt" does not push away what both share.
    """
    positive = np.sum([vector * weight for vector, weight in parts if weight > 0], axis=0)
    direction = positive / max(float(np.linalg.norm(positive)), 1e-12)
    result = direction.copy()
    for vector, weight in parts:
        if weight < 0:
            result += weight * (vector - float(vector @ direction) * direction)
    unit: NDArray[np.float32] = (result / max(float(np.linalg.norm(result)), 1e-12)).astype(np.float32)
    return unit


def require_same_model(collection: str, stored: Fingerprint, current: Fingerprint) -> None:
    """Raises ModelMismatch, naming both, unless vectors of the two can be compared."""

    def essence(fingerprint: Fingerprint) -> tuple[object, ...]:
        return (fingerprint.weights_sha256, fingerprint.preprocessing, fingerprint.tokenizer_sha256)

    if essence(stored) == essence(current) and stored.dim == current.dim:
        return
    what = "model" if stored.weights_sha256 != current.weights_sha256 else "preprocessing or tokenizer"
    raise ModelMismatch(
        f"collection {collection!r} was indexed with {stored.model} ({_version(stored)}, {stored.dim} dims), "
        f"but {current.model} ({_version(current)}, {current.dim} dims) is another {what}. "
        "Search with the first, or index again into another collection: "
        f"clipsearch index … --collection {collection}-2 --model {current.model}"
    )


def _version(fingerprint: Fingerprint) -> str:
    return fingerprint.revision[:8] or f"weights {fingerprint.weights_sha256[:8]}"


def _picture(term: Term) -> Path:
    path = Path(term.value).expanduser()
    if not path.is_file():
        raise SourceError(f"there is no picture at {term.value}; check the path")
    return path


def _conditions(condition: Filter | None) -> list[Filter]:
    return [] if condition is None else [condition]
