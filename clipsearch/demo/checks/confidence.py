"""Does confidence tell right hits from wrong ones across queries, and can it say no? Draws no conclusions.

The first ten hits of many different queries are pooled, and labels say which are right. AUROC: the chance
that a right hit has a greater confidence (or raw cosine) than a wrong one, of any query. Queries that the
catalogue cannot answer are among them; all their hits are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch.demo.checks.asking import pictures_alone, whole
from clipsearch.demo.checks.questions import NOT_THERE, PHOTO, Asked
from clipsearch.evaluation.metrics import Values, auroc, calibration_error, reliability
from clipsearch.evaluation.resampling import Interval, bootstrap, bootstrap_mean
from clipsearch.search import Searcher
from clipsearch.search.calibration import questions as fitted_on
from clipsearch.types import Page

TOP = 10
System: TypeAlias = Literal["pictures", "whole"]
Curves: TypeAlias = Literal["default", "fitted"]
CURVES: tuple[Curves, Curves] = ("default", "fitted")
SYSTEMS: Mapping[System, Callable[..., list[Page]]] = {"pictures": pictures_alone, "whole": whole}


@dataclass(frozen=True, slots=True)
class Pairs:
    """Queries' first hits, pooled: row i is one hit of the query number query[i]."""

    query: NDArray[np.int64]
    cosine: Values
    confidence: Values
    right: NDArray[np.bool_]
    n_confident: NDArray[np.int64]  # of each query: its page's confident_until, at most TOP


@dataclass(frozen=True, slots=True)
class Report:
    """One system with one curve."""

    asked: str  # "words", or "and photos": with the queries by a photo among them
    system: System  # what ranked, and what the confidence was made of
    curve: Curves
    n_queries: int
    n_pairs: int
    share_right: float
    cosine: Interval  # AUROC
    confidence: Interval  # AUROC
    gain: Interval  # of confidence over cosine, on the same hits
    error: Interval  # expected calibration error
    table: Values  # (B, 3): mean confidence, share right, hits
    said_no: Interval  # of queries without an answer, those with nothing confident
    said_yes: Interval  # of queries with an answer, those with something confident
    precision: Interval  # of the confident hits of the latter
    false_alarms: Interval  # confident hits of a query without an answer


def evaluate(searcher: Searcher, asked: Sequence[Asked]) -> list[Report]:
    """Both systems, with the default curve and with the one fitted to the records' own words.

    The searcher should have no folder: it is left with the fitted curve. Queries that the curve is fitted
    on are left out throughout.
    """
    trained = set(fitted_on(searcher.store))
    some = [one for one in asked if one.text not in trained]
    texts = [one.text for one in some]
    kinds = {one.kind for one in some}
    subsets = {"words": kinds - {PHOTO}, **({"and photos": kinds} if PHOTO in kinds else {})}
    reports = []
    for curve in CURVES:
        if curve == "fitted":
            searcher.calibrate()
        for system, ask in SYSTEMS.items():
            pages = ask(searcher, texts, top=TOP)
            for title, kinds in subsets.items():
                mine = [i for i, one in enumerate(some) if one.kind in kinds]
                chosen = [some[i] for i in mine]
                pairs = pooled(chosen, [pages[i] for i in mine])
                reports.append(report(pairs, chosen, (title, system, curve)))
    return reports


def pooled(asked: Sequence[Asked], pages: Sequence[Page]) -> Pairs:
    """The pages' hits with their labels."""
    rows = [
        (number, hit.cosine or 0.0, hit.confidence or 0.0, one.is_right(hit.payload))
        for number, (one, page) in enumerate(zip(asked, pages, strict=True))
        for hit in page
    ]
    query, cosine, confidence, right = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Pairs(
        np.array(query, np.int64),
        np.array(cosine, np.float64),
        np.array(confidence, np.float64),
        np.array(right, bool),
        np.array([min(page.confident_until or 0, TOP) for page in pages], np.int64),
    )


def report(pairs: Pairs, asked: Sequence[Asked], of: tuple[str, System, Curves]) -> Report:
    """The figures, with intervals from resampling whole queries. of: what the report's first fields say."""
    possible = np.array([one.kind != NOT_THERE for one in asked])
    rank = np.concatenate([np.arange(n) for n in np.bincount(pairs.query, minlength=len(asked))])
    sure = rank < pairs.n_confident[pairs.query]
    of_possible = sure & possible[pairs.query]
    return Report(
        *of,
        len(asked),
        len(pairs.query),
        float(pairs.right.mean()),
        bootstrap(lambda i: auroc(pairs.cosine[i], pairs.right[i]), pairs.query),
        bootstrap(lambda i: auroc(pairs.confidence[i], pairs.right[i]), pairs.query),
        bootstrap(
            lambda i: auroc(pairs.confidence[i], pairs.right[i]) - auroc(pairs.cosine[i], pairs.right[i]),
            pairs.query,
        ),
        bootstrap(lambda i: calibration_error(pairs.confidence[i], pairs.right[i]), pairs.query),
        reliability(pairs.confidence, pairs.right),
        bootstrap_mean(pairs.n_confident[~possible] == 0),
        bootstrap_mean(pairs.n_confident[possible] > 0),
        bootstrap_mean(pairs.right[of_possible], pairs.query[of_possible]),
        bootstrap_mean(pairs.n_confident[~possible]),
    )
