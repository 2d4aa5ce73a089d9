"""Who finds something for a query: pictures by vector, records by their words, part numbers by their letters.

Each channel gives its hits best first, without payloads. Knows nothing of how channels are fused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clipsearch import lexical
from clipsearch.query import all_of
from clipsearch.search.asking import MAX_VIEWS, Wanted, named
from clipsearch.store import RESERVED, Store
from clipsearch.types import Filter, Hit, Ids, Not, Or, Phrase, Prefix

HEAD = 200
"""Hits of each channel that are fused. Fixed, so that a deep page sees the ranking the first page saw."""
_MIN_PREFIX = 3  # letters of a part number's beginning


@dataclass(frozen=True, slots=True)
class Found:
    """What the channels found. image: the pictures' own ranking, as far as HEAD; more of it by nearest."""

    image: list[Hit]
    words: list[Hit]
    exact: list[Hit]  # the record whose key was typed
    beginning: list[Hit]  # records whose key begins with what was typed
    nearest: Callable[[int], list[Hit]]  # the best n of the pictures' ranking


def find(wanted: Wanted, store: Store, *, exact: bool = False, image: list[Hit] | None = None) -> Found:
    """Ask the channels. image: the pictures' ranking where it was asked for already.

    exact: scan all vectors, use no graph. Raises QueryError, UnknownField, StoreError.
    """
    assert wanted.vector is not None
    condition = condition_of(wanted, store)

    def nearest(n: int) -> list[Hit]:
        if not wanted.has_feedback:
            assert wanted.vector is not None
            return store.search(
                wanted.vector, limit=n, filter=condition, exact=exact or None, with_payload=False
            )
        return store.recommend(
            wanted.likes,
            wanted.unlikes,
            target=wanted.target,
            limit=n,
            filter=condition,
            with_payload=False,
        )

    typed = wanted.query.record_id
    return Found(
        image=nearest(HEAD) if image is None else image,
        words=_by_words(wanted, store, condition),
        exact=[] if typed is None else _by_key(typed, wanted, store, condition),
        beginning=[] if typed is None else _by_beginning(typed, wanted, store, condition),
        nearest=nearest,
    )


def condition_of(wanted: Wanted, store: Store) -> Filter | None:
    """The query's filter, with what its quoted words demand, and without the examples themselves."""
    conditions: list[Filter] = [] if wanted.query.filter is None else [wanted.query.filter]
    if has_words(store):
        for term in wanted.query.terms:
            tokens = tuple(lexical.phrase_tokens(term.value)) if term.quoted else ()
            if tokens:
                conditions.append(Phrase(tokens) if term.weight > 0 else Not(Phrase(tokens)))
    if wanted.examples:
        conditions.append(Not(Ids(wanted.examples)))
    return all_of(conditions)


def has_words(store: Store) -> bool:
    """Whether the records have words besides their pictures' names."""
    kinds = store.spec.fields.items()
    return _has_channel(store) and any(k in ("keyword", "text") and name not in RESERVED for name, k in kinds)


def _has_channel(store: Store) -> bool:
    """Whether every record has the words that this version makes."""
    return store.spec.lexical == lexical.VERSION


def _by_words(wanted: Wanted, store: Store, condition: Filter | None) -> list[Hit]:
    if not wanted.words or not _has_channel(store):
        return []
    vector = lexical.query_vector(lexical.tokens(wanted.words))
    return store.search_sparse(vector, limit=HEAD, filter=condition, with_payload=False)


def _by_key(typed: str, wanted: Wanted, store: Store, condition: Filter | None) -> list[Hit]:
    """The pictures of the record, in order of key; a part number also in another letter case."""
    as_typed = _in_order(named(typed), wanted, store, condition, limit=MAX_VIEWS)
    tokens = tuple(lexical.phrase_tokens(typed))
    if as_typed or not tokens or not any(c.isdigit() for c in typed) or not _has_channel(store):
        return as_typed
    wording = _in_order(Phrase(tokens), wanted, store, condition, limit=MAX_VIEWS)
    same = typed.casefold()
    return [h for h in wording if same in (h.key.casefold(), str(h.payload.get("_group", "")).casefold())]


def _by_beginning(typed: str, wanted: Wanted, store: Store, condition: Filter | None) -> list[Hit]:
    """Records whose part number begins so; only where what was typed looks like a part number."""
    looks = len(typed) >= _MIN_PREFIX and " " not in typed and any(c.isdigit() for c in typed)
    if not looks:
        return []
    begun = Or(tuple(Prefix(f, s) for f in ("_key", "_group") for s in _spellings(typed)))
    return _in_order(begun, wanted, store, condition, limit=HEAD)


def _in_order(
    records: Filter, wanted: Wanted, store: Store, condition: Filter | None, *, limit: int
) -> list[Hit]:
    assert wanted.vector is not None
    both = all_of([records] if condition is None else [records, condition])
    return sorted(store.search(wanted.vector, limit=limit, filter=both), key=lambda hit: (hit.key, hit.id))


def _spellings(typed: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((typed, typed.upper(), typed.lower())))
