"""How a check asks: the whole search, or one of its channels, through the same code. Judges no hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clipsearch import query as query_language
from clipsearch.errors import CollectionNotFound
from clipsearch.search import Question, Searcher, combine
from clipsearch.search.answering import answer, filled
from clipsearch.search.asking import Embedded, Wanted, ask
from clipsearch.search.channels import find
from clipsearch.settings import Settings
from clipsearch.store import all_fields
from clipsearch.types import Hit, Page, SearchOptions


def searcher_of(collection: str, settings: Settings | None = None) -> Searcher:
    """The collection, ready to be asked, with a calibration of its own: none is read and none is kept.

    Raises CollectionNotFound, which says how the demo collection is made; otherwise as search.open does.
    """
    from clipsearch.encoder import Encoder
    from clipsearch.store import open_store

    settings = settings or Settings.load(collection=collection)
    try:
        store = open_store(collection, settings)
    except CollectionNotFound as exc:
        raise CollectionNotFound(f"{exc}\nThe demo collection is made by: clipsearch demo") from exc
    return Searcher(store, Encoder.open(store.spec.fingerprint.model, cache=settings.cache, device="cpu"))


def whole(searcher: Searcher, texts: Sequence[str], *, top: int = 10) -> list[Page]:
    """What a person gets who types the texts."""
    return searcher.search_many([Question(text) for text in texts], SearchOptions(top=top))


def pictures_alone(searcher: Searcher, texts: Sequence[str], *, top: int = 10) -> list[Page]:
    """What the same search gives where records have no words and no part numbers."""
    options = SearchOptions(top=top)
    return [
        answer(_wordless(wanted), options, searcher.store, searcher.calibration)
        for wanted in _wanted(searcher, texts)
    ]


def words_alone(searcher: Searcher, texts: Sequence[str], *, top: int = 10) -> list[list[Hit]]:
    """The words' channel by itself."""
    return [
        filled(find(wanted, searcher.store).words[:top], searcher.store)
        for wanted in _wanted(searcher, texts)
    ]


def subtracted(
    searcher: Searcher, pairs: Sequence[tuple[str, str]], weight: float, *, top: int = 10
) -> list[list[Hit]]:
    """The pictures nearest to wanted - weight * unwanted, for pairs of both: plain vector subtraction."""
    texts = sorted({text for pair in pairs for text in pair})
    vectors = dict(zip(texts, searcher.encoder.encode_texts(texts), strict=True))
    return [
        searcher.store.search(combine([(vectors[yes], 1.0), (vectors[no], -weight)]), limit=top)
        for yes, no in pairs
    ]


def _wanted(searcher: Searcher, texts: Sequence[str]) -> list[Wanted]:
    fields = all_fields(searcher.store.spec)
    queries = [query_language.parse(text, fields=fields) for text in texts]
    embedded = Embedded(searcher.encoder, queries)
    return [ask(query, SearchOptions(), embedded, searcher.store) for query in queries]


def _wordless(wanted: Wanted) -> Wanted:
    terms = tuple(replace(term, quoted=False) for term in wanted.query.terms)
    return replace(
        wanted,
        query=replace(wanted.query, terms=terms, record_id=None),
        words="",
        unwanted=tuple(replace(term, tokens=()) for term in wanted.unwanted),
    )
