"""Does an excluded attribute survive? Minus terms against plain subtraction, on the catalogue's labels.

A case is a shape or a family without one attribute that some of its pictures have ("hex bolt -brass").
Of its first ten hits, those that have the attribute survived; right are those of the shape without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clipsearch.demo.checks.asking import pictures_alone, subtracted, whole
from clipsearch.demo.checks.labels import ATTRIBUTE_JA, FAMILY_JA, shape_ja
from clipsearch.evaluation.metrics import Values
from clipsearch.evaluation.resampling import Interval, bootstrap_mean
from clipsearch.search import Searcher
from clipsearch.types import Hit, Payload

TOP = 10
FEWEST = 10  # pictures without the attribute: a perfect ranking has ten right hits
SHARES = (0.08, 0.75)  # of the pictures that have it
IGNORED, WHOLE_IGNORED = "minus ignored, pictures", "minus ignored, whole search"
SUBTRACTED, HALF = "plain subtraction, pictures", "half subtraction, pictures"
PICTURES, WHOLE = "this search, pictures", "this search, whole"
HEAVY = "this search, pictures, weight 3"
METHODS = (IGNORED, SUBTRACTED, HALF, PICTURES, HEAVY, WHOLE_IGNORED, WHOLE)
COMPARED = ((PICTURES, HALF), (PICTURES, SUBTRACTED), (WHOLE, SUBTRACTED))  # better, worse


@dataclass(frozen=True, slots=True)
class Case:
    """What is wanted (a shape or a family) without a value of one of the columns."""

    column: str  # shape | family
    wanted: str
    attribute: str  # material | finish | head | drive | holes
    value: str  # of it; "holes" for any number of them

    def is_wanted(self, payload: Payload) -> bool:
        return payload.get(self.column) == self.wanted

    def has(self, payload: Payload) -> bool:
        """Whether the record has what is excluded."""
        return _value(payload, self.attribute) == self.value

    def words(self, language: str) -> tuple[str, str]:
        """What is wanted and what is not, as it is said."""
        if language == "English":
            return self.wanted, self.value
        wanted = FAMILY_JA[self.wanted] if self.column == "family" else shape_ja(self.wanted)
        return wanted, ATTRIBUTE_JA[self.attribute][self.value]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One method in one language: a value a case, in the cases' order."""

    survived: Values  # share of the first ten that have the excluded attribute
    right: Values  # share of the first ten that are of the shape without it


def cases(payloads: Sequence[Payload]) -> list[Case]:
    """All cases that the records allow, in one order."""
    found = []
    for column in ("family", "shape"):
        for wanted in sorted({str(payload[column]) for payload in payloads}):
            pool = [payload for payload in payloads if payload[column] == wanted]
            for attribute in ("material", "finish", "head", "drive", "holes"):
                counts = Counter(_value(payload, attribute) for payload in pool)
                for value, n in sorted((v, n) for v, n in counts.items() if v):
                    if len(pool) - n >= FEWEST and SHARES[0] <= n / len(pool) <= SHARES[1]:
                        found.append(Case(column, wanted, attribute, value))
    return found


def evaluate(searcher: Searcher, some: Sequence[Case]) -> dict[tuple[str, str], Outcome]:
    """Every method in both languages."""
    found = {}
    for language in ("English", "Japanese"):
        pairs = [case.words(language) for case in some]
        for method, rankings in _rankings(searcher, pairs):
            found[language, method] = _judged(some, rankings)
    return found


def intervals(some: Sequence[Case], outcome: Outcome) -> tuple[Interval, Interval]:
    """Mean survival and mean rightness; whole shapes and families are resampled."""
    groups = [case.wanted for case in some]
    return bootstrap_mean(outcome.survived, groups), bootstrap_mean(outcome.right, groups)


def differences(some: Sequence[Case], better: Outcome, worse: Outcome) -> tuple[Interval, Interval]:
    """The same of better minus worse, case by case."""
    return intervals(some, Outcome(better.survived - worse.survived, better.right - worse.right))


def _rankings(
    searcher: Searcher, pairs: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, Sequence[Sequence[Hit]]]]:
    typed, heavy = _typed(pairs, ""), _typed(pairs, "3:")
    wanted = [yes for yes, _ in pairs]
    yield IGNORED, [page.hits for page in pictures_alone(searcher, wanted, top=TOP)]
    yield SUBTRACTED, subtracted(searcher, pairs, 1.0, top=TOP)
    yield HALF, subtracted(searcher, pairs, 0.5, top=TOP)
    yield PICTURES, [page.hits for page in pictures_alone(searcher, typed, top=TOP)]
    yield HEAVY, [page.hits for page in pictures_alone(searcher, heavy, top=TOP)]
    yield WHOLE_IGNORED, [page.hits for page in whole(searcher, wanted, top=TOP)]
    yield WHOLE, [page.hits for page in whole(searcher, typed, top=TOP)]


def _typed(pairs: Sequence[tuple[str, str]], weight: str) -> list[str]:
    """The queries as a person types them: hex bolt -"black oxide"."""
    return [f'{yes} -{weight}"{no}"' if " " in no else f"{yes} -{weight}{no}" for yes, no in pairs]


def _judged(some: Sequence[Case], rankings: Sequence[Sequence[Hit]]) -> Outcome:
    survived, right = [], []
    for case, hits in zip(some, rankings, strict=True):
        survived.append(np.mean([case.has(hit.payload) for hit in hits]))
        right.append(np.mean([case.is_wanted(h.payload) and not case.has(h.payload) for h in hits]))
    return Outcome(np.array(survived, np.float64), np.array(right, np.float64))


def _value(payload: Payload, attribute: str) -> str:
    if attribute == "holes":
        return "holes" if payload.get("holes") else ""
    return str(payload.get(attribute) or "")
