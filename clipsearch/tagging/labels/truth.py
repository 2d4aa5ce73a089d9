"""Labels and the collection's vectors together: what a fit is given, and what need not be asked.

Owns which keys are found in the collection. Fits nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsearch.store import Store
from clipsearch.tagging.labels.said import Labels, Rules, Said
from clipsearch.tagging.scoring import Examples
from clipsearch.tagging.vocabulary import Vocabulary
from clipsearch.types import Match, Or, Payload, Point

MOST_RECORDS = 20_000  # a curve of two numbers and a bias a label has long settled by then
_MOST_CELLS = 200_000_000  # of the truth, a byte each
_AT_ONCE = 500  # keys in one filter
_RATHER_SCAN = 5_000  # more keys than these: going through the collection is faster


@dataclass(frozen=True, slots=True)
class Found:
    """Examples, and what became of the labels' keys."""

    examples: Examples
    keys: tuple[str, ...]  # of the examples' pictures
    missing: tuple[str, ...]  # keys of labels that no picture of the collection has
    n_left_out: int = 0  # keys that were more than enough


def examples(labels: Labels, store: Store, vocabulary: Vocabulary, *, most: int = MOST_RECORDS) -> Found:
    """The pictures that something is known of: their vectors, and for every label 1, 0 or -1 (not known).

    A key is a picture's, or else a record's: all its pictures. What follows from what was said is filled in,
    but for labels that are known by narrower ones alone and that no picture lacks: that is no sample of them.
    Of more than `most` keys some are taken, always the same. Raises TaggingError for a contradiction.
    """
    n = len(vocabulary)
    taken = _sample(labels, max(1, min(most, _MOST_CELLS // max(1, n))))
    rules, rows = Rules(vocabulary), list[tuple[str, str, NDArray[np.float32], NDArray[np.int8]]]()
    seen, told = set[str](), set[int]()
    for point in _points(taken, store):
        if not (said := said_of(point.payload, labels, rules)):
            continue
        told |= set(rules.closed(said.spoken)) if said.complete else said.has
        truth = np.full(n, 0 if said.complete else -1, np.int8)
        for place, has in rules.closed(said.spoken).items():
            truth[place] = has
        key, group = str(point.payload.get("_key", "")), str(point.payload.get("_group", ""))
        seen |= {key, group}
        rows.append((key, group or point.id, np.asarray(point.vectors["image"], np.float32), truth))
    vectors = np.array([row[2] for row in rows], np.float32).reshape(-1, store.spec.fingerprint.dim)
    matrix = np.array([row[3] for row in rows], np.int8).reshape(-1, n)
    lacked = (matrix == 0).any(axis=0)
    matrix[:, [place for place in range(n) if not lacked[place] and place not in told]] = -1
    return Found(
        Examples(vectors, matrix, tuple(row[1] for row in rows)),
        tuple(row[0] for row in rows),
        tuple(key for key in taken if key not in seen),
        len(labels) - len(taken),
    )


def said_of(payload: Payload, labels: Labels, rules: Rules) -> Said:
    """What was said of a picture: by its own key, and where that says nothing, by its record's."""
    one, whole = (labels.by_key.get(str(payload.get(name, "")), Said()) for name in ("_key", "_group"))
    return rules.over(one, whole)


def _sample(labels: Labels, most: int) -> Sequence[str]:
    """At most so many keys; always the same ones, as far as they are there."""
    keys = list(labels)
    if len(keys) <= most:
        return keys
    return sorted(keys, key=lambda key: hashlib.sha256(key.encode("utf-8", "replace")).digest())[:most]


def _points(keys: Sequence[str], store: Store) -> Iterator[Point]:
    """The pictures with these keys, or of these records, each once."""
    wanted, given = set(keys), set[str]()
    if len(keys) > _RATHER_SCAN:
        for batch in store.scroll(with_vectors=True):
            yield from (p for p in batch if {p.payload.get("_key"), p.payload.get("_group")} & wanted)
        return
    for start in range(0, len(keys), _AT_ONCE):
        some = tuple(keys[start : start + _AT_ONCE])
        for batch in store.scroll(filter=Or((Match("_key", some), Match("_group", some))), with_vectors=True):
            for point in batch:
                if point.id not in given:
                    given.add(point.id)
                    yield point
