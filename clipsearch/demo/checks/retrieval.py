"""Does search find the part, however it is asked for? Pictures alone, words alone, and both fused.

Queries are made of held-out parts; right are the pictures that the labels say are asked for. R@1: the first
hit is right. R@10: the share of the right pictures among the first ten (of ten, where there are more).
MRR: the mean of 1 / the rank of the first right hit, 0 beyond the first hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from clipsearch.demo.checks.asking import pictures_alone, whole, words_alone
from clipsearch.demo.checks.questions import MISTYPED, Asked
from clipsearch.evaluation.metrics import Values
from clipsearch.evaluation.resampling import Interval, bootstrap_mean
from clipsearch.search import Searcher
from clipsearch.types import Hit, Payload

TOP = 100
ALL, ALL_BUT = "all", f"all but: {MISTYPED}"
METRICS = ("R@1", "R@10", "MRR")
SYSTEMS: Mapping[str, Callable[..., Sequence[Sequence[Hit]]]] = {
    "pictures": lambda searcher, texts, top: [p.hits for p in pictures_alone(searcher, texts, top=top)],
    "words": lambda searcher, texts, top: words_alone(searcher, texts, top=top),
    "whole": lambda searcher, texts, top: [p.hits for p in whole(searcher, texts, top=top)],
}

Outcomes: TypeAlias = dict[tuple[str, str], Values]  # by system and metric, a value a query


@dataclass(frozen=True, slots=True)
class Row:
    """Mean of one metric over the queries of one kind and language; whole parts are resampled."""

    kind: str
    language: str
    system: str
    metric: str
    value: Interval


def evaluate(searcher: Searcher, asked: Sequence[Asked], payloads: Sequence[Payload]) -> Outcomes:
    """Every system on every query. payloads: of all the collection's pictures."""
    texts = [one.text for one in asked]
    n_right = [sum(one.is_right(payload) for payload in payloads) for one in asked]
    found: Outcomes = {}
    for system, ask in SYSTEMS.items():
        judged = [
            _judged([one.is_right(hit.payload) for hit in hits], n)
            for one, hits, n in zip(asked, ask(searcher, texts, TOP), n_right, strict=True)
        ]  # (Q, 3)
        for metric, values in zip(METRICS, np.array(judged, np.float64).T, strict=True):
            found[system, metric] = values
    return found


def rows(asked: Sequence[Asked], outcomes: Outcomes) -> list[Row]:
    """The means, kinds in the order they are asked."""
    made = []
    for kind, language in dict.fromkeys((one.kind, one.language) for one in asked):
        mine = [i for i, one in enumerate(asked) if (one.kind, one.language) == (kind, language)]
        parts = [asked[i].about for i in mine]
        for (system, metric), values in outcomes.items():
            made.append(Row(kind, language, system, metric, bootstrap_mean(values[mine], parts)))
    return made


def by_language(asked: Sequence[Asked], outcomes: Outcomes) -> dict[tuple[str, str], Interval]:
    """English less Japanese of the whole search, by kind and metric, pair by pair.

    Pairs are queries of one kind about one part; whole parts are resampled. ALL_BUT leaves out what is
    mistyped, which is not the same mistake in both languages.
    """
    at = {(one.kind, one.about, one.language): i for i, one in enumerate(asked)}
    pairs = [
        (one.kind, one.about, i, at[one.kind, one.about, "Japanese"])
        for i, one in enumerate(asked)
        if one.language == "English" and (one.kind, one.about, "Japanese") in at
    ]
    found = {}
    for kind in (*dict.fromkeys(pair[0] for pair in pairs), ALL, ALL_BUT):
        some = [p for p in pairs if kind in (p[0], ALL) or (kind == ALL_BUT and p[0] != MISTYPED)]
        for metric in METRICS:
            values = outcomes["whole", metric]
            less = np.array([values[english] - values[japanese] for _, _, english, japanese in some])
            found[kind, metric] = bootstrap_mean(less, [pair[1] for pair in some])
    return found


def _judged(right: Sequence[bool], n_right: int) -> tuple[float, float, float]:
    """R@1, R@10 and reciprocal rank; NaN where nothing is right."""
    if n_right == 0:
        return (float("nan"),) * 3
    first = next((1 / rank for rank, is_right in enumerate(right, start=1) if is_right), 0.0)
    return float(bool(right) and right[0]), sum(right[:10]) / min(n_right, 10), first
