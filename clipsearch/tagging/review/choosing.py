"""Which questions to ask a person: pictures and tags whose answers would teach most.

Owns the choice, on arrays. Knows no file and no store; asks nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import TaggingError
from clipsearch.tagging.scoring import Scorer
from clipsearch.types import Embeddings

RANDOM_SHARE = 0.2  # of the questions: answers to chosen ones alone are no fair sample of a label's tags
Why = Literal["uncertain", "at random"]
_PER_LABEL, _IN_ALL = 48, 100_000  # candidates kept
_CELLS = 4_000_000  # probabilities in memory at once
_AS_LIKELY = 0.5  # stands in for a threshold that no probability reaches
_COPY = 0.05  # what a picture just like one that was asked is still worth
_MOST_COMPARED = 500  # answered pictures of a label that candidates are compared with


@dataclass(frozen=True, slots=True)
class Proposal:
    """A question: has the picture this label?"""

    row: int  # of the picture, in the vectors given
    place: int  # of the label
    probability: float
    why: Why


@dataclass(frozen=True, slots=True)
class Known:
    """Pairs that need not be asked, in no order: pictures' rows (K,) and labels' places (K,).

    counts (C,): each label's answers, also about pictures that are not among those at hand.
    """

    rows: NDArray[np.intp]
    places: NDArray[np.intp]
    counts: NDArray[np.intp]

    @classmethod
    def of(cls, rows: Mapping[int, Collection[int]], counts: NDArray[np.intp]) -> Known:
        """From the places known of each row."""
        pairs = [(row, place) for row, places in rows.items() for place in places]
        both = np.array(pairs, np.intp).reshape(-1, 2)
        return cls(both[:, 0], both[:, 1], counts)


def propose(
    scorer: Scorer,
    vectors: Embeddings,
    *,
    n: int,
    known: Known | None = None,
    random_share: float = RANDOM_SHARE,
    seed: int = 0,
) -> list[Proposal]:
    """At most n questions about the pictures (N, D), label by label, each label's surest first.

    Most are "uncertain": the probability is near the label's threshold, the picture is unlike those asked
    about and answered, and the label is one of those with the fewest answers. A random_share is "at random"
    among the pictures that would get the label, so that the share that is right can be told without bias.
    The same for the same input. Raises TaggingError for fewer than one question.
    """
    if n < 1:
        raise TaggingError(f"{n} questions were asked for; ask for 1 or more")
    known = known or Known.of({}, np.zeros(len(scorer.weights), np.intp))
    near, given = _candidates(scorer, vectors, known, np.random.default_rng(seed))
    asking = _Asking(vectors, known)
    asking.at_random(given, round(n * random_share))
    asking.uncertain(near, n - len(asking.found))
    return sorted(asking.found, key=lambda one: (one.place, -one.probability, one.row))


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Pairs that may be asked, and what each costs: little is good. (M,) all."""

    rows: NDArray[np.intp]
    places: NDArray[np.intp]
    costs: NDArray[np.float64]
    probabilities: NDArray[np.float64]


class _Asking:
    """The questions chosen so far."""

    def __init__(self, vectors: Embeddings, known: Known) -> None:
        self._vectors, self._known = vectors, known
        self._counts = known.counts.astype(np.float64)
        self._pairs: set[tuple[int, int]] = set()
        self.found: list[Proposal] = []

    def at_random(self, given: _Candidates, n: int) -> None:
        """n questions about given labels, in turn, those with the fewest answers first."""
        by_label: dict[int, list[int]] = {}
        for i in np.argsort(given.costs, kind="stable"):
            by_label.setdefault(int(given.places[i]), []).append(int(i))
        lowest = {place: given.costs[some[0]] for place, some in by_label.items()}
        while n > 0 and by_label:
            place = min(by_label, key=lambda p: (self._counts[p], lowest[p]))
            self._ask(given, by_label[place].pop(0), "at random")
            n -= 1
            if not by_label[place]:
                del by_label[place]

    def uncertain(self, near: _Candidates, n: int) -> None:
        """n questions, the one worth most at each step, given those before it.

        Worth: 4 q (1 - q), q being the probability moved so that the threshold is at one half; times how
        far the picture is from those asked about, two at random being 1 apart; by 1 + the label's answers.
        """
        worth = 1 / np.cosh(near.costs / 2) ** 2  # = 4 q (1 - q) of q = sigmoid(cost)
        open_ = np.array([pair not in self._pairs for pair in zip(near.rows, near.places, strict=True)], bool)
        pictures, of = np.unique(near.rows, return_inverse=True)
        mine, typical = self._vectors[pictures], _typical(self._vectors)
        closest = self._answered(near)
        for one in self.found:
            closest = np.maximum(closest, (mine @ self._vectors[one.row])[of])
        for _ in range(min(n, int(open_.sum()))):
            apart = np.clip((1 - closest) / (1 - typical), 0, 1)
            value = worth * (_COPY + (1 - _COPY) * apart) / (1 + self._counts[near.places])
            best = int(np.argmax(np.where(open_, value, -1)))
            open_[best] = False
            self._ask(near, best, "uncertain")
            closest = np.maximum(closest, (mine @ self._vectors[near.rows[best]])[of])

    def _answered(self, near: _Candidates) -> NDArray[np.float32]:
        """The greatest cosine of each candidate and a picture that its own label was answered for; or -1."""
        closest = np.full(len(near.rows), -1, np.float32)
        for place in np.intersect1d(near.places, self._known.places):
            here = np.flatnonzero(near.places == place)
            answered = self._known.rows[self._known.places == place][:_MOST_COMPARED]
            cosines = self._vectors[near.rows[here]] @ self._vectors[answered].T
            closest[here] = cosines.max(axis=1)
        return closest

    def _ask(self, candidates: _Candidates, i: int, why: Why) -> None:
        row, place = int(candidates.rows[i]), int(candidates.places[i])
        self._counts[place] += 1
        self._pairs.add((row, place))
        self.found.append(Proposal(row, place, float(candidates.probabilities[i]), why))


def _candidates(
    scorer: Scorer, vectors: Embeddings, known: Known, rng: np.random.Generator
) -> tuple[_Candidates, _Candidates]:
    """Each label's pictures nearest to its threshold (the cost: how far, in logits), and some that get it
    (the cost: a number at random). Not those that are known."""
    n_labels = len(scorer.weights)
    most = max(2, min(_PER_LABEL, _IN_ALL // max(1, n_labels)))
    step = max(64, _CELLS // max(1, n_labels))
    thresholds = np.where(scorer.thresholds > 1, _AS_LIKELY, scorer.thresholds)
    by_picture, by_label = rng.random(len(vectors)), rng.random(n_labels)
    near, given = _Fewest(most), _Fewest(most)
    for start in range(0, len(vectors), step):
        found = scorer.probabilities(vectors[start : start + step])  # (B, C)
        rows = np.arange(start, start + len(found))
        here = (known.rows >= start) & (known.rows < start + step)
        is_known = np.zeros(found.shape, bool)
        is_known[known.rows[here] - start, known.places[here]] = True
        far = np.abs(_logit(found) - _logit(thresholds))
        near.add(np.where(is_known, np.inf, far), found, rows)
        lots = (by_picture[rows, None] + by_label) % 1
        given.add(np.where(is_known | (found < scorer.thresholds), np.inf, lots), found, rows)
    return near.candidates(), given.candidates()


class _Fewest:
    """Each label's pictures of least cost, while blocks go by."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._costs = self._found = np.empty((0, 0))  # (K, C)
        self._rows = np.empty((0, 0), np.intp)

    def add(self, costs: NDArray[np.float64], found: NDArray[np.float64], rows: NDArray[np.intp]) -> None:
        """A block's costs and probabilities (B, C), and its rows (B,)."""
        wide = np.broadcast_to(rows[:, None], costs.shape)
        if self._costs.size:
            costs = np.concatenate([self._costs, costs])
            found, wide = np.concatenate([self._found, found]), np.concatenate([self._rows, wide])
        if len(costs) > self._most:
            best = np.argpartition(costs, self._most - 1, axis=0)[: self._most]
            costs, wide = np.take_along_axis(costs, best, axis=0), np.take_along_axis(wide, best, axis=0)
            found = np.take_along_axis(found, best, axis=0)
        self._costs, self._found, self._rows = costs, found, wide

    def candidates(self) -> _Candidates:
        """Those whose cost is finite."""
        at, places = np.nonzero(np.isfinite(self._costs))
        return _Candidates(self._rows[at, places], places, self._costs[at, places], self._found[at, places])


def _logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probabilities, 1e-9, 1 - 1e-9)
    logits: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return logits


def _typical(vectors: Embeddings) -> float:
    """The median cosine of two pictures, from those at hand; below 1."""
    some = vectors[:: max(1, len(vectors) // 300)]
    if len(some) < 2:
        return 0.0
    cosines = (some @ some.T)[np.triu_indices(len(some), 1)]
    return min(float(np.median(cosines)), 1 - 1e-6)
