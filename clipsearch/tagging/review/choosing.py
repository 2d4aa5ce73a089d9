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
_BEST = 8  # candidates that a label's worth is the mean of
_COPY = 0.001  # what a picture just like one that was asked is still worth
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

    Most are "uncertain", drawn by lot: the nearer the probability is to the label's threshold and the less
    the picture is like those asked about and answered, the likelier; labels with few answers first. A
    random_share is "at random" among the pictures that would get the label, so that the share that is right
    can be told without bias. The same for the same input. Raises TaggingError for fewer than one question.
    """
    if n < 1:
        raise TaggingError(f"{n} questions were asked for; ask for 1 or more")
    known = known or Known.of({}, np.zeros(len(scorer.weights), np.intp))
    thresholds = np.where(scorer.thresholds > 1, _AS_LIKELY, scorer.thresholds)
    near, given = _candidates(scorer, vectors, known, thresholds, np.random.default_rng(seed))
    asking = _Asking(vectors, known)
    asking.at_random(given, round(n * random_share))
    asking.uncertain(near, _worth(near.probabilities, thresholds[:, None]), n - len(asking.found))
    return sorted(asking.found, key=lambda one: (one.place, -one.probability, one.row))


@dataclass(frozen=True, slots=True)
class _Candidates:
    """K pictures of each label that may be asked about, (C, K) all. Of little cost first; inf: none there."""

    rows: NDArray[np.intp]
    costs: NDArray[np.float64]
    probabilities: NDArray[np.float64]


class _Asking:
    """The questions chosen so far."""

    def __init__(self, vectors: Embeddings, known: Known) -> None:
        self._vectors, self._known = vectors, known
        self._counts = known.counts.astype(np.float64)
        self.found: list[Proposal] = []

    def at_random(self, given: _Candidates, n: int) -> None:
        """n questions about given labels, in turn, those with the fewest answers first."""
        costs = given.costs.copy()
        n = min(n, int(np.isfinite(costs).sum()))
        for _ in range(n):
            lowest = costs.min(axis=1)  # (C,)
            counts = np.where(np.isfinite(lowest), self._counts, np.inf)
            place = int(np.lexsort((lowest, counts))[0])
            drawn = int(costs[place].argmin())
            costs[place, drawn] = np.inf
            self._ask(given, place, drawn, "at random")

    def uncertain(self, near: _Candidates, worths: NDArray[np.float64], n: int) -> None:
        """n questions, one after the other: about the label that is worth most, a picture by lot.

        A candidate is worth its uncertainty (C, K) times how far the picture is from those asked about, two
        pictures at random being 1 apart; a label its best candidates' mean, by 1 + its answers.
        """
        lots = near.costs * worths
        worths = np.where(np.isfinite(near.costs) & ~self._asked(near), worths, 0)
        pictures, of = np.unique(near.rows, return_inverse=True)
        mine, typical = self._vectors[pictures], _typical(self._vectors)
        of = of.reshape(near.rows.shape)
        closest = self._answered(near)
        for one in self.found:
            closest = np.maximum(closest, (mine @ self._vectors[one.row])[of])
        best = min(_BEST, worths.shape[1])
        for _ in range(min(n, int((worths > 0).sum()))):
            values = worths * np.clip((1 - closest) / (1 - typical), _COPY, 1)
            by_label = np.partition(values, -best, axis=1)[:, -best:].mean(axis=1) / (1 + self._counts)
            place = int(by_label.argmax())
            with np.errstate(divide="ignore", invalid="ignore"):
                turns = np.where(values[place] > 0, lots[place] / values[place], np.inf)
            drawn = int(turns.argmin())
            worths[place, drawn] = 0
            self._ask(near, place, drawn, "uncertain")
            closest = np.maximum(closest, (mine @ self._vectors[near.rows[place, drawn]])[of])

    def _asked(self, near: _Candidates) -> NDArray[np.bool_]:
        """(C, K): which candidates were asked about already, at random."""
        asked = np.zeros(near.rows.shape, bool)
        for one in self.found:
            asked[one.place] |= near.rows[one.place] == one.row
        return asked

    def _answered(self, near: _Candidates) -> NDArray[np.float32]:
        """(C, K): the greatest cosine with a picture that the label was answered for; -1 without any."""
        closest = np.full(near.rows.shape, -1, np.float32)
        for place in np.unique(self._known.places):
            answered = self._known.rows[self._known.places == place][:_MOST_COMPARED]
            closest[place] = (self._vectors[near.rows[place]] @ self._vectors[answered].T).max(axis=1)
        return closest

    def _ask(self, candidates: _Candidates, place: int, drawn: int, why: Why) -> None:
        row, probability = candidates.rows[place, drawn], candidates.probabilities[place, drawn]
        self._counts[place] += 1
        self.found.append(Proposal(int(row), place, float(probability), why))


def _candidates(
    scorer: Scorer,
    vectors: Embeddings,
    known: Known,
    thresholds: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[_Candidates, _Candidates]:
    """Of each label pictures drawn by their worth, and pictures that would get it. Not those that are known.

    Drawing without replacement in one pass: of lots ~ Exponential(1) / worth the smallest are kept
    (Efraimidis and Spirakis 2006).
    """
    n_labels = len(scorer.weights)
    most = max(2, min(_PER_LABEL, _IN_ALL // max(1, n_labels)))
    step = max(64, _CELLS // max(1, n_labels))
    by_picture, by_label = rng.random(len(vectors)), rng.random(n_labels)
    near, given = _Fewest(most), _Fewest(most)
    for start in range(0, len(vectors), step):
        found = scorer.probabilities(vectors[start : start + step])  # (B, C)
        rows = np.arange(start, start + len(found))
        here = (known.rows >= start) & (known.rows < start + step)
        is_known = np.zeros(found.shape, bool)
        is_known[known.rows[here] - start, known.places[here]] = True
        lots = rng.exponential(size=found.shape) / _worth(found, thresholds)
        near.add(np.where(is_known, np.inf, lots), found, rows)
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
        """What was kept, a row for each label."""
        return _Candidates(self._rows.T, self._costs.T, self._found.T)


def _worth(probabilities: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 1 at the threshold to nearly 0: 4 q (1 - q), q = sigmoid(distance in logits / 2).

    By 2, since answers too near to each other teach no slope: benchmarks/review.py.
    """
    roots = np.sqrt(_odds(probabilities) / _odds(thresholds))
    worth: NDArray[np.float64] = 4 * roots / (1 + roots) ** 2
    return worth


def _odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probabilities, 1e-9, 1 - 1e-9)
    return clipped / (1 - clipped)


def _typical(vectors: Embeddings) -> float:
    """The median cosine of two pictures, from those at hand; below 1."""
    some = vectors[:: max(1, len(vectors) // 300)]
    if len(some) < 2:
        return 0.0
    cosines = (some @ some.T)[np.triu_indices(len(some), 1)]
    return min(float(np.median(cosines)), 1 - 1e-6)
