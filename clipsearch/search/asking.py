"""What is asked: a query's terms and examples as vectors and words.

Owns how terms are embedded and combined, and what an unwanted term is compared with. Searches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipsearch import lexical
from clipsearch.encoder import Encoder
from clipsearch.errors import QueryError
from clipsearch.search.pictures import picture
from clipsearch.store import Store
from clipsearch.types import Filter, Match, Or, Query, SearchOptions, Term

Vector = NDArray[np.float32]  # (D,), of length 1
MAX_VIEWS = 100  # pictures of one record


@dataclass(frozen=True, slots=True)
class Unwanted:
    """A minus term. beside: the vector of what is wanted together with it ("brass bolt" for bolt -brass)."""

    beside: Vector
    weight: float  # above 0
    tokens: tuple[str, ...] = ()  # its wording; () for a picture or a record


def _none() -> NDArray[np.float32]:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A query, embedded. Without a vector it is a filter alone."""

    query: Query
    vector: Vector | None = None
    by: Literal["text", "image"] = "text"  # what the vector was made of; image: also in part
    words: str = ""  # for the words' channel
    unwanted: tuple[Unwanted, ...] = ()
    likes: NDArray[np.float32] = field(default_factory=_none)  # (P, D) examples of feedback
    unlikes: NDArray[np.float32] = field(default_factory=_none)  # (N, D)
    target: Vector | None = None  # of the terms alone, where there are examples too
    examples: tuple[str, ...] = ()  # ids that are not shown: they were asked with

    @property
    def has_feedback(self) -> bool:
        """Whether examples say what is wanted or not, besides the vector."""
        return len(self.likes) + len(self.unlikes) > 0


class Embedded:
    """The vectors of many queries' texts and pictures, each computed once and together."""

    def __init__(self, encoder: Encoder, queries: Sequence[Query]) -> None:
        """Raises SourceError, ImageError (a query picture), EncoderError."""
        texts = sorted({text for query in queries for text in _texts(query)})
        self._texts: dict[str, Vector] = (
            dict(zip(texts, encoder.encode_texts(texts), strict=True)) if texts else {}
        )
        places = sorted({t.value for query in queries for t in query.terms if t.kind == "image"})
        sources: list[Path | bytes] = [picture(place) for place in places]
        self._images: dict[str, Vector] = (
            dict(zip(places, encoder.encode_images(sources), strict=True)) if places else {}
        )

    def text(self, words: str) -> Vector:
        return self._texts[words]

    def image(self, place: str) -> Vector:
        return self._images[place]


def ask(query: Query, options: SearchOptions, embedded: Embedded, store: Store) -> Wanted:
    """The query as vectors and words. Raises QueryError for a record that is not there, or no positive."""
    records = {
        key: _record(key, store)
        for key in dict.fromkeys(
            [*(t.value for t in query.terms if t.kind == "id"), *options.like, *options.unlike]
        )
    }
    parts = [(_vector(term, embedded, records), term.weight) for term in _merged(query.terms)]
    positive = [(vector, weight) for vector, weight in parts if weight > 0]
    likes, unlikes = (
        np.array([records[key][1] for key in keys], np.float32).reshape(len(keys), store.spec.fingerprint.dim)
        for keys in (options.like, options.unlike)
    )
    examples = tuple(id for ids, _ in records.values() for id in ids)
    if not positive and not len(likes):
        if parts or len(unlikes):
            raise QueryError(
                "every term is a minus term; give something to be near to as well", text=query.text
            )
        return Wanted(query)
    target = combine(positive) if positive else None
    liked = [(row, 1.0) for row in likes]
    return Wanted(
        query=query,
        vector=combine([*positive, *liked]),
        by="text" if not liked and all(t.kind == "text" for t in query.terms if t.weight > 0) else "image",
        words=" ".join(t.value for t in query.terms if t.kind == "text" and t.weight > 0),
        unwanted=tuple(_unwanted(query, positive, embedded, records)),
        likes=likes,
        unlikes=unlikes,
        target=target,
        examples=examples,
    )


def combine(parts: Sequence[tuple[Vector, float]]) -> Vector:
    """One unit vector (D,): the weighted sum of unit vectors."""
    total = np.sum([vector * np.float32(weight) for vector, weight in parts], axis=0)
    unit: Vector = (total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32)
    return unit


def _unwanted(
    query: Query,
    positive: Sequence[tuple[Vector, float]],
    embedded: Embedded,
    records: Mapping[str, tuple[list[str], Vector]],
) -> list[Unwanted]:
    found = []
    for term in query.terms:
        if term.weight >= 0:
            continue
        context = _beside(query, term)
        if context is not None:
            vector = embedded.text(context)
        elif positive:
            vector = combine([(combine(positive), 1.0), (_vector(term, embedded, records), 1.0)])
        else:
            vector = _vector(term, embedded, records)
        tokens = tuple(lexical.phrase_tokens(term.value)) if term.kind == "text" else ()
        found.append(Unwanted(vector, -term.weight, tokens))
    return found


def _beside(query: Query, unwanted: Term) -> str | None:
    """The wanted words with the unwanted ones among them; None unless both are words alone."""
    wanted = [t for t in query.terms if t.weight > 0]
    if unwanted.kind != "text" or not wanted or any(t.kind != "text" for t in wanted):
        return None
    return f"{unwanted.value} {' '.join(t.value for t in wanted)}"


def _texts(query: Query) -> list[str]:
    """Every text that must be embedded to ask the query."""
    texts = [t.value for t in _merged(query.terms) if t.kind == "text"]
    besides = [_beside(query, t) for t in query.terms if t.weight < 0]
    return texts + [text for text in besides if text is not None]


def _merged(terms: Sequence[Term]) -> list[Term]:
    """The terms, quoted words of weight 1 back among the plain words: together they say one thing."""
    plain = [t for t in terms if t.kind == "text" and t.weight == 1.0]
    quoted = [t for t in plain if t.quoted]
    base = next((t for t in plain if not t.quoted), None)
    joined = sorted([*quoted, *([base] if base else [])], key=lambda t: t.position)
    if not quoted or len(joined) < 2:
        return list(terms)
    one = Term("text", " ".join(t.value for t in joined), 1.0, joined[0].position)
    return [one, *(t for t in terms if t not in joined)]


def _vector(term: Term, embedded: Embedded, records: Mapping[str, tuple[list[str], Vector]]) -> Vector:
    if term.kind == "text":
        return embedded.text(term.value)
    if term.kind == "image":
        return embedded.image(term.value)
    return records[term.value][1]


def _record(key: str, store: Store) -> tuple[list[str], Vector]:
    """The ids of a record's pictures, and their mean direction."""
    found = store.scroll(filter=named(key), batch_size=MAX_VIEWS, with_vectors=True)
    points = next(iter(found), [])
    if not points:
        raise QueryError(
            f"there is no record {key!r} in collection {store.name!r}; give the key as hits show it"
        )
    vectors = [np.asarray(point.vectors["image"], np.float32) for point in points]
    return [point.id for point in points], combine([(vector, 1.0) for vector in vectors])


def named(key: str) -> Filter:
    """Holds for the pictures of the record with that key."""
    return Or((Match("_key", (key,)), Match("_group", (key,))))
