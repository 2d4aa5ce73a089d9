"""One order of all hits: the channels fused, penalties taken off, the rest of the pictures behind.

Owns the formulas of fusion and of negation. The order is one and the same for every page of a query.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clipsearch.query import all_of
from clipsearch.search.asking import Unwanted, Vector, Wanted
from clipsearch.search.channels import HEAD, Found, has_words
from clipsearch.store import Store
from clipsearch.types import Hit, Ids, Phrase

RRF_K = 5
"""Cormack, Clarke and Buettcher (2009), reciprocal rank fusion: the sum over channels of w / (k + rank).

Mean reciprocal rank over thirteen ways to ask for a part of the demo (1,794 queries; the channel's trust
squared): with words 1 and k 60, as published, .80, for a hit that is first in one channel alone comes
behind those that are mediocre in both, part numbers above all; k 5 .88. With words 3: k 2 .974, 5 .973,
10 .968, 20 .957, 60 .905; at k 5 words 2 .968, 4 .974, but 4 loses where the record has other words than
the query. The words alone .925, the pictures alone .564.
"""
WEIGHTS = {"image": 1.0, "words": 3.0, "key": 2.0}
# Share of the first ten that still has what was excluded / share that is right, on the demo's pictures in
# English: strength 1 .038/.829, 2 .024/.790, 3 .019/.760, 4 .017/.738; with pictures of z above -1/4 paying
# as well, strength 1 .033/.818, 2 .018/.753. Subtracting half the vector: .050/.783, all of it: .028/.605.
_STRENGTH = 2.0  # of a minus term of weight 1
# Of a penalty that hits by words pay. In Japanese, where many a record's words do not know what is unwanted,
# .016 survive with 0.25, .014 with 1, .051 with 0; in English .988, .963 and .989 are right.
_LESS = 0.25
_AROUND = 200  # of the nearest pictures, over which a penalty is standardised; 100 and 300 do as well


@dataclass(frozen=True, slots=True)
class Ranking:
    """All hits of a query in order: the head, exact hits first, then the rest of the pictures' ranking."""

    head: list[Hit]
    seen: frozenset[str]  # ids of all that the head was made of
    found: Found
    scale: float  # of the fused score; 0: pictures alone, whose score is the cosine

    def rest(self, begin: int, end: int) -> list[Hit]:
        """A range of the hits behind the head: the pictures' ranking without what was seen."""
        if end <= begin or len(self.found.image) < HEAD:
            return []
        ranked = self.found.nearest(len(self.seen) + end)  # at most all of seen are among them
        rest = [(rank, hit) for rank, hit in enumerate(ranked, start=1) if hit.id not in self.seen]
        if not self.scale:
            return [_with_cosine(hit) for _, hit in rest[begin:end]]
        weight = self.scale * WEIGHTS["image"]
        return [_fused(hit, {"image": weight / (RRF_K + rank)}) for rank, hit in rest[begin:end]]


def rank(wanted: Wanted, found: Found, store: Store, *, trust_in_words: float = 1.0) -> Ranking:
    """The order of what the channels found.

    With pictures alone a hit's score is its cosine, less penalties; otherwise it is the fused score, 1.0
    for a hit that is first in each channel. trust_in_words scales the weight of the words' channel.
    """
    images = penalised(found.image, wanted.unwanted, store)
    weights = {
        "image": WEIGHTS["image"] if images else 0.0,
        "words": WEIGHTS["words"] * trust_in_words**2 if found.words else 0.0,
        "key": WEIGHTS["key"] if found.beginning else 0.0,
    }
    scale = (RRF_K + 1) / sum(weights.values()) if found.words or found.beginning else 0.0
    behind = _holding([*images, *found.words, *found.beginning], wanted.unwanted, store)
    if not behind:  # the records' words do not know what is unwanted; only the pictures can tell
        found = replace(found, words=_discounted(found.words, images))
    head = _behind(_fuse(images, found, weights, scale) if scale else images, behind)
    exact = [
        replace(hit, payload={}, why={"exact key": 1.0, **hit.why}, cosine=hit.score) for hit in found.exact
    ]
    first = {hit.id for hit in exact}
    seen = frozenset(first.union(hit.id for hit in head))
    return Ranking([*exact, *(hit for hit in head if hit.id not in first)], seen, found, scale)


def penalised(hits: Sequence[Hit], unwanted: Iterable[Unwanted], store: Store) -> list[Hit]:
    """Pictures in a new order: score = cosine - 2 * w * s * max(0, z), for each unwanted term.

    z standardises, over the 200 nearest pictures, how much nearer a picture is to the wanted words with
    the unwanted among them ("brass bolt") than to the wanted words alone; s is the standard deviation of
    their cosines. A picture that is no nearer pays nothing, where subtracting the vector of "brass" also
    pushes away whatever else looks like it. `python -m clipsearch.demo evaluate-negation` compares both.
    """
    some = list(unwanted)
    if not some or not hits:
        return [_with_cosine(hit) for hit in hits]
    ids = [hit.id for hit in hits]
    cosines = np.array([hit.score for hit in hits])  # (N,)
    besides = cosines_with(store, ids, [term.beside for term in some])  # (U, N)
    near = slice(0, _AROUND)
    penalty = np.zeros(len(ids))
    for term, beside in zip(some, besides, strict=True):
        excess = beside - cosines
        z = (excess - excess[near].mean()) / max(float(excess[near].std()), 1e-6)
        penalty += _STRENGTH * term.weight * float(cosines[near].std()) * np.maximum(0.0, z)
    scored = [
        replace(hit, score=hit.score - float(p), cosine=hit.score, why={**hit.why, "unwanted": -float(p)})
        for hit, p in zip(hits, penalty, strict=True)
    ]
    return sorted(scored, key=lambda hit: (-hit.score, hit.id))


def _discounted(words: list[Hit], images: Sequence[Hit]) -> list[Hit]:
    """The words' hits in a new order: a score by words is divided by 1 + penalty / (4 s), of its picture."""
    penalty = {hit.id: -hit.why.get("unwanted", 0.0) for hit in images}
    if not words or not any(penalty.values()):
        return words
    spread = max(float(np.std([hit.cosine or 0.0 for hit in images[:_AROUND]])), 1e-6)
    return sorted(
        words, key=lambda hit: (-hit.score / (1 + _LESS * penalty.get(hit.id, 0.0) / spread), hit.id)
    )


def cosines_with(store: Store, ids: Sequence[str], vectors: Sequence[Vector]) -> NDArray[np.float64]:
    """The cosines of points (N) and unit vectors (V), as (V, N); the vectors stay in the engine."""
    if not ids or not len(vectors):
        return np.zeros((len(vectors), len(ids)))
    place = {id: i for i, id in enumerate(ids)}
    made = np.zeros((len(vectors), len(ids)))
    found = store.search_batch(
        np.stack(vectors).astype(np.float32), limit=len(ids), filter=Ids(tuple(ids)), with_payload=False
    )
    for row, hits in zip(made, found, strict=True):
        for hit in hits:
            row[place[hit.id]] = hit.score
    return made


def _fuse(images: Sequence[Hit], found: Found, weights: Mapping[str, float], scale: float) -> list[Hit]:
    parts: dict[str, dict[str, float]] = {}
    hits: dict[str, Hit] = {}
    ranked = {
        "image": list(enumerate(images, start=1)),
        "words": list(enumerate(found.words, start=1)),
        "key": [(1, hit) for hit in found.beginning],  # each of them as good as the other
    }
    for name, channel in ranked.items():
        for rank, hit in channel:
            hits.setdefault(hit.id, hit if name == "image" else Hit(hit.id, 0.0, {}))
            parts.setdefault(hit.id, {})[name] = scale * weights[name] / (RRF_K + rank)
    fused = [_fused(hits[id], why) for id, why in parts.items()]
    return sorted(fused, key=lambda hit: (-hit.score, hit.id))


def _fused(hit: Hit, why: dict[str, float]) -> Hit:
    return Hit(hit.id, sum(why.values()), hit.payload, why, hit.cosine)  # replace() takes ten times as long


def _with_cosine(hit: Hit) -> Hit:
    return Hit(hit.id, hit.score, hit.payload, hit.why, hit.score)


def _holding(hits: Iterable[Hit], unwanted: Iterable[Unwanted], store: Store) -> set[str]:
    """Ids of the hits whose words hold an unwanted term."""
    ids = tuple(dict.fromkeys(hit.id for hit in hits))
    holding: set[str] = set()
    if ids and has_words(store):
        for term in unwanted:
            if term.tokens:
                condition = all_of([Ids(ids), Phrase(term.tokens)])
                held = store.search(term.beside, limit=len(ids), filter=condition, with_payload=False)
                holding |= {hit.id for hit in held}
    return holding


def _behind(hits: list[Hit], behind: Collection[str]) -> list[Hit]:
    """Hits of those ids marked and behind the others; in order otherwise."""
    if not behind:
        return hits
    marked = [replace(h, why={**h.why, "unwanted words": -1.0}) if h.id in behind else h for h in hits]
    return sorted(marked, key=lambda hit: hit.id in behind)
