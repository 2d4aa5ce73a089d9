"""One query's page: ranked, rearranged, with confidences. Embeds nothing.

The head of a ranking (some hundred hits) can be rearranged; behind it the pictures' own order goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from clipsearch import lexical
from clipsearch.search import rows
from clipsearch.search.asking import Wanted
from clipsearch.search.channels import find
from clipsearch.search.confidence import CONFIDENT, Calibration, confidences
from clipsearch.search.ranking import Ranking, rank
from clipsearch.store import Store, all_fields
from clipsearch.types import Hit, Page, Query, SearchOptions

_STEP = 25  # hits whose confidence is looked at together at first; then twice as many, and so on
_DIVERSE = 100  # hits that diversity rearranges
_WALK = 20_000  # hits that grouping looks through


def answer(
    wanted: Wanted,
    options: SearchOptions,
    store: Store,
    calibration: Calibration,
    *,
    nearest: list[Hit] | None = None,
) -> Page:
    """The page that options ask for. nearest: the pictures' ranking where it was asked for already."""
    found = find(wanted, store, exact=options.exact, image=nearest)
    known = _known(wanted, found.words, store)
    ranking = rank(wanted, found, store, trust_in_words=known)
    made = _Answer(wanted, options, store, calibration, ranking, known)
    made.rearrange()
    return made.page()


def browse(query: Query, options: SearchOptions, store: Store) -> Page:
    """The records that a filter alone lets through, by key, or by the field to sort by."""
    hits: list[Hit] = []
    for batch in store.scroll(filter=query.filter, batch_size=1000):
        hits += [Hit(point.id, 0.0, point.payload, {"filter": 1.0}) for point in batch]
    hits.sort(key=lambda hit: (hit.key, hit.id))
    if options.group_by:
        hits = rows.grouped(hits, options.group_by)
    if options.sort:
        hits = rows.sorted_by(hits, options.sort)
    end = options.offset + options.top
    return Page(
        tuple(hits[options.offset : end]), options.offset, options.top, has_more=len(hits) > end, query=query
    )


@dataclass(slots=True)
class _Answer:
    wanted: Wanted
    options: SearchOptions
    store: Store
    calibration: Calibration
    ranking: Ranking
    known: float  # share of the query's words that the best record holds
    n_confident: int = 0
    n_sure: int = 0  # hits of the head whose confidence is known

    def rearrange(self) -> None:
        """Bring the head into the order that is asked for, and find out how far it is confident."""
        options = self.options
        if options.unique or options.diversity > 0:
            self._look_alikes()
        if options.group_by is not None:
            self._group(options.group_by)
        self._judge(to_the_end=options.min_confidence is not None)
        if options.min_confidence is not None:
            kept = [h for h in self.ranking.head if (h.confidence or 0.0) >= options.min_confidence]
            self.ranking = replace(self.ranking, head=kept)
            self.n_confident = _leading(kept)
        if options.sort is not None:
            head, n = self.ranking.head, self.n_confident
            self.ranking = replace(self.ranking, head=rows.sorted_by(head[:n], options.sort) + head[n:])

    def page(self) -> Page:
        """The hits from offset to offset + top."""
        begin, end = self.options.offset, self.options.offset + self.options.top
        head = self.ranking.head
        hits = head[begin : end + 1]
        if self.options.group_by is None and self.options.min_confidence is None:
            hits = hits + self.ranking.rest(max(0, begin - len(head)), end + 1 - len(head))
        has_more = len(hits) > self.options.top
        hits = hits[: self.options.top]
        known = max(0, min(self.n_sure - begin, len(hits)))
        page = hits[:known] + (self._confident(hits[known:]) if hits[known:] else [])
        return Page(tuple(page), begin, self.options.top, has_more, self.n_confident, self.wanted.query)

    # --- steps -----------------------------------------------------------------------------------

    def _look_alikes(self) -> None:
        head = filled(self.ranking.head, self.store)
        points = self.store.retrieve([hit.id for hit in head], with_vectors=True)
        vectors = {p.id: np.asarray(p.vectors["image"], np.float32) for p in points}
        head = [hit for hit in head if hit.id in vectors]
        if self.options.unique:
            head = rows.unique(head, vectors)
        if self.options.diversity > 0:
            exact = [hit for hit in head if "exact key" in hit.why]
            near = [hit for hit in head if "exact key" not in hit.why]
            some = rows.diverse(near[:_DIVERSE], vectors, self.options.diversity)
            head = [*exact, *some, *near[_DIVERSE:]]
        self.ranking = replace(self.ranking, head=head)

    def _group(self, field: str) -> None:
        """Make the head the groups of the whole ranking, as far as the page needs them."""
        needed = self.options.offset + self.options.top + 1
        hits = filled(self.ranking.head, self.store)
        groups = rows.grouped(hits, field)
        n = 0
        while len(groups) < needed and n < _WALK:
            step = max(needed, 100) * 2
            more = filled(self.ranking.rest(n, n + step), self.store)
            hits += more
            groups = rows.grouped(hits, field)
            n += step
            if len(more) < step:
                break
        self.ranking = replace(self.ranking, head=groups)

    def _judge(self, *, to_the_end: bool) -> None:
        """Fill in confidences from the beginning of the head, up to the first step that is not confident."""
        head, step = list(self.ranking.head), _STEP
        while self.n_sure < len(head):
            part = slice(self.n_sure, self.n_sure + step)
            some = self._confident(head[part])
            head[part] = some  # fewer, where records were deleted meanwhile
            self.n_sure, step = self.n_sure + len(some), 2 * step
            self.n_confident = _leading(head[: self.n_sure])
            if self.n_confident < self.n_sure and not to_the_end:
                break
        self.ranking = replace(self.ranking, head=head)

    def _confident(self, hits: Sequence[Hit]) -> list[Hit]:
        return confidences(
            filled(hits, self.store), self.wanted, self.calibration, self.store, known=self.known
        )


def filled(hits: Sequence[Hit], store: Store) -> list[Hit]:
    """The hits with their payloads; those that were deleted meanwhile are left out."""
    missing = [hit.id for hit in hits if not hit.payload]
    if not missing:
        return list(hits)
    payloads = {point.id: point.payload for point in store.retrieve(missing)}
    return [
        hit if hit.payload else replace(hit, payload=payloads[hit.id])
        for hit in hits
        if hit.payload or hit.id in payloads
    ]


def _leading(hits: Sequence[Hit]) -> int:
    """How many of the first hits are confident, until one is not."""
    return next((i for i, h in enumerate(hits) if (h.confidence or 0.0) < CONFIDENT), len(hits))


def _known(wanted: Wanted, words: Sequence[Hit], store: Store) -> float:
    """The share of the query's words that the best hit of the words' channel holds: how far to trust it."""
    kinds = all_fields(store.spec)
    return max(
        (lexical.matched(wanted.words, h.payload, kinds) for h in filled(words[:1], store)), default=0.0
    )
