"""Which labels a picture is given: candidates of one matrix product, exclusive groups, broader labels.

Works on vectors and numbers; knows no words, and not where the scorer's numbers come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging.scoring.scorer import Scorer
from clipsearch.tagging.vocabulary import Vocabulary
from clipsearch.types import Embeddings

_Ints: TypeAlias = NDArray[np.int64]
_LOGITS = 1 << 22  # of one block: 16 MB; a quarter and four times that were slower by 5 and 12 %
_FEWEST_ROWS, _MOST_ROWS = 64, 1 << 14  # of a block: with fewer the product is slow, more have no number
_ONE = np.float32(1).view(np.uint32)


@dataclass(frozen=True, slots=True)
class Given:
    """Labels given to pictures, a row for each: sorted by picture, then by falling confidence."""

    pictures: _Ints  # (G,) rows of the vectors
    places: _Ints  # (G,) of labels in the vocabulary
    confidences: NDArray[np.float32]  # (G,)
    implied: NDArray[np.bool_]  # (G,) by a narrower label

    def __len__(self) -> int:
        return len(self.pictures)


class Decider:
    """One vocabulary's labels, decided by one scorer. Safe to use from several threads."""

    def __init__(self, scorer: Scorer, vocabulary: Vocabulary) -> None:
        """The scorer's C rows are the vocabulary's labels, its groups the vocabulary's."""
        self._scorer = scorer
        thresholds = np.clip(scorer.thresholds, 1e-9, 1 - 1e-9)
        least = np.log(thresholds) - np.log1p(-thresholds) - scorer.offsets
        self._least = np.where(scorer.thresholds > 1, np.inf, least).astype(np.float32)  # of the bare product
        self._groups = list(vocabulary.groups.values())
        self._parents = np.array([vocabulary.places.get(name, -1) for name in vocabulary.groups], np.int64)
        self._members = np.array([place for places in self._groups for place in places], np.int64)
        self._sizes = np.array([len(places) for places in self._groups], np.int64)
        self._member_starts = np.cumsum(self._sizes) - self._sizes
        n = len(vocabulary)
        self._group_of = np.full(n, -1, np.int64)
        self._group_of[self._members] = np.repeat(np.arange(len(self._groups)), self._sizes)
        above = [vocabulary.ancestors(place) for place in range(n)]
        self._n_above = np.array([len(some) for some in above], np.int64)
        self._above = np.array([place for some in above for place in some], np.int64)
        self._above_starts = np.concatenate([[0], np.cumsum(self._n_above)])
        self._has_broader = bool(len(self._above))
        has_narrower = np.zeros(n, bool)
        has_narrower[self._above] = True
        self._may_conflict = bool((has_narrower & (self._group_of >= 0)).any())
        self._below: dict[int, set[int]] = {}
        for place, some in enumerate(above if self._may_conflict else []):
            for broader in some:
                self._below.setdefault(broader, set()).add(place)

    def decide(self, vectors: Embeddings) -> Given:
        """The labels given to pictures with these vectors (N, D)."""
        rows = min(max(_FEWEST_ROWS, _LOGITS // max(len(self._least), 1)), _MOST_ROWS)
        shape = (min(rows, len(vectors)), len(self._least))
        room = np.empty(shape, np.float32), np.empty(shape, bool)
        parts = []
        for start in range(0, len(vectors), rows):
            given = self._with_broader(self._block(vectors[start : start + rows], *room))
            parts.append(replace(given, pictures=given.pictures + start))
        return _joined(parts)

    # --- steps -----------------------------------------------------------------------------------

    def _block(self, vectors: Embeddings, products: NDArray[np.float32], enough: NDArray[np.bool_]) -> Given:
        """products, enough: room for (B, C) of each, used again for every block."""
        products, enough = products[: len(vectors)], enough[: len(vectors)]
        np.matmul(vectors, self._scorer.weights.T, out=products)
        np.greater_equal(products, self._least, out=enough)
        pictures, places = np.divmod(np.flatnonzero(enough), products.shape[1])
        groups = self._group_of[places]
        alone = groups < 0
        if alone.all():
            return self._alone(products, pictures, places)
        found = self._alone(products, pictures[alone], places[alone])
        is_asked = np.zeros(len(vectors) * len(self._groups), bool)  # pairs of a picture and a group
        is_asked[pictures[~alone] * len(self._groups) + groups[~alone]] = True
        pairs = np.flatnonzero(is_asked)
        return _joined([found, *self._one_of(products, *np.divmod(pairs, len(self._groups)))])

    def _alone(self, products: NDArray[np.float32], pictures: _Ints, places: _Ints) -> Given:
        logits = products[pictures, places] + self._scorer.offsets[places]
        return _given(pictures, places, 1 / (1 + np.exp(-logits)))

    def _one_of(self, products: NDArray[np.float32], pictures: _Ints, groups: _Ints) -> tuple[Given, Given]:
        """For pairs of a picture and a group with candidates: the one label, or the parent where they tie.

        All groups at once: the pairs' members lie one after the other in rows of their own lengths.
        """
        sizes = self._sizes[groups]
        ends = np.cumsum(sizes)
        starts = ends - sizes
        members = self._members[np.repeat(self._member_starts[groups] - starts, sizes) + np.arange(ends[-1])]
        logits = products[np.repeat(pictures, sizes), members] + self._scorer.offsets[members]
        shares, some = _softmax_with_none(logits, starts, sizes)
        best = _first_highest(shares, starts, sizes)
        clear = shares[best] >= self._scorer.thresholds[members[best]]
        one = _given(pictures[clear], members[best[clear]], shares[best[clear]])
        parents = self._parents[groups]
        tied = ~clear & (parents >= 0) & (some >= self._scorer.thresholds[parents])
        either = _given(pictures[tied], parents[tied], some[tied], implied=True)
        return one, either

    def _with_broader(self, given: Given) -> Given:
        """Broader labels added, each with the confidence of the surest label below it; each label once."""
        if self._has_broader and len(given):
            n_above = self._n_above[given.places]
            source = np.repeat(np.arange(len(given)), n_above)
            step = np.arange(len(source)) - np.repeat(np.cumsum(n_above) - n_above, n_above)
            broader = Given(
                given.pictures[source],
                self._above[self._above_starts[given.places[source]] + step],
                given.confidences[source],
                np.ones(len(source), bool),
            )
            given = _each_once(_joined([given, broader]), len(self._least))
            if self._may_conflict:
                given = self._without_conflicts(given)
        return _surest_first(given)

    def _without_conflicts(self, given: Given) -> Given:
        """Of an exclusive group the surest label alone, also where broader labels were implied into it.

        What is less sure goes with all that is narrower.
        """
        groups = self._group_of[given.places]
        inside = np.flatnonzero(groups >= 0)
        pairs = np.stack([given.pictures[inside], groups[inside]], axis=1)
        _, which, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
        crowded = np.unique(given.pictures[inside[counts[which] > 1]])
        if not len(crowded):
            return given
        kept = np.ones(len(given), bool)
        starts = np.searchsorted(given.pictures, crowded, side="left")
        ends = np.searchsorted(given.pictures, crowded, side="right")
        for start, end in zip(starts, ends, strict=True):
            some = given.places[start:end]
            lost: set[int] = set()
            taken: set[int] = set()
            for i in np.argsort(-given.confidences[start:end], kind="stable"):
                group = int(groups[start + i])
                if group < 0 or int(some[i]) in lost:
                    continue
                if group in taken:
                    lost |= {int(some[i])} | self._below.get(int(some[i]), set())
                taken.add(group)
            kept[start:end] = [int(place) not in lost for place in some]
        return _taken(given, np.flatnonzero(kept))


def _given(
    pictures: _Ints, places: _Ints, confidences: NDArray[np.floating], *, implied: bool = False
) -> Given:
    return Given(pictures, places, confidences.astype(np.float32), np.full(len(pictures), implied))


def _joined(parts: Sequence[Given]) -> Given:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return _given(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Given(
        np.concatenate([part.pictures for part in parts]),
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.confidences for part in parts]),
        np.concatenate([part.implied for part in parts]),
    )


def _taken(given: Given, rows: _Ints) -> Given:
    return Given(given.pictures[rows], given.places[rows], given.confidences[rows], given.implied[rows])


def _surest_first(given: Given) -> Given:
    """By picture, then by falling confidence, then by place.

    A positive float32's bits rise with it, so one sort of whole numbers does for three: 14 bits of a
    picture's row in its block, 30 of a confidence of at most 1, 20 of a place.
    """
    falling = _ONE - given.confidences.view(np.uint32)
    keys = (given.pictures.astype(np.uint64) << 50) | (falling.astype(np.uint64) << 20)
    return _taken(given, np.argsort(keys | given.places.astype(np.uint64)))


def _softmax_with_none(
    logits: NDArray[np.float32], starts: _Ints, sizes: _Ints
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row's shares beside a "none" of logit 0, and each row's sum: P(one of them, whichever)."""
    top = np.maximum(np.maximum.reduceat(logits, starts), 0).astype(np.float64)
    odds = np.exp(logits - np.repeat(top, sizes))
    sums = np.add.reduceat(odds, starts)
    whole = sums + np.exp(-top)
    return odds / np.repeat(whole, sizes), sums / whole


def _first_highest(shares: NDArray[np.float64], starts: _Ints, sizes: _Ints) -> _Ints:
    """Where each row's highest share is; the first of equals."""
    highest = np.repeat(np.maximum.reduceat(shares, starts), sizes)
    places = np.flatnonzero(shares == highest)
    return places[np.searchsorted(places, starts)]


def _each_once(given: Given, n_labels: int) -> Given:
    """Each picture's labels once, by picture: the surest, and not implied if any of them is not."""
    keys = (given.pictures * n_labels + given.places) * 2 + given.implied
    order = np.argsort(keys)
    given, keys = _taken(given, order), keys[order] // 2
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    surest = np.maximum.reduceat(given.confidences, starts)
    return Given(given.pictures[starts], given.places[starts], surest, given.implied[starts])
