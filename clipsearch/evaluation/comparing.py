"""Two systems on the same queries: is one better than chance allows? Knows nothing of what is measured.

Values are one a query, `before` and `after` in the same order. Queries about one thing are one group, and
groups are what is exchanged: the tests are as valid as the groups are independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from clipsearch.evaluation.grouping import Groups, grouped
from clipsearch.evaluation.metrics import Values
from clipsearch.evaluation.resampling import Interval, bootstrap_mean, differences

EXACT_UP_TO = 16  # groups that differ; 2^16 ways to flip them take less time than the Monte Carlo
_ROUNDING = 1e-9  # of the largest possible sum: sums closer than this are equal
_SIGNS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class SignFlip:
    """A paired sign-flip test: two-sided p, of how many groups, and how many ways to flip were looked at."""

    p_value: float  # NaN without a group
    n_groups: int
    n_differing: int  # groups whose sum is not 0; the others say nothing
    n_flips: int
    is_exact: bool  # every way was looked at


@dataclass(frozen=True, slots=True)
class McNemar:
    """Queries that only one of two systems answers, and the exact two-sided p of so uneven a split."""

    n_gained: int  # wrong before, right after
    n_lost: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of two systems. Means and intervals are over the queries that have a value for both."""

    metric: str
    before: Interval
    after: Interval
    difference: Interval  # after - before
    test: SignFlip
    mcnemar: McNemar | None  # of outcomes 0 and 1 with one query a group, else None
    p_adjusted: float  # Holm, over the metrics compared together

    @property
    def p_value(self) -> float:
        """Before the correction: McNemar's where there is one, else of the sign-flip test."""
        return self.mcnemar.p_value if self.mcnemar else self.test.p_value


def compare(
    before: Mapping[str, ArrayLike],
    after: Mapping[str, ArrayLike],
    groups: Groups | None = None,
    *,
    weights: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    n_flips: int = 9999,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Every metric of `before` beside its value after, with intervals and Holm's p over all of them.

    before, after: values (N,) by metric's name. groups (N,): what belongs together, None: each query is its
    own. weights (N,): of a weighted mean. Intervals are not widened for the number of metrics. Raises
    ValueError where names or lengths differ.
    """
    if set(before) != set(after):
        raise ValueError(
            f"only one system has the metrics {', '.join(sorted(set(before) ^ set(after)))}: compute the same"
            " ones for both"
        )
    interval = partial(
        bootstrap_mean,
        groups=groups,
        weights=weights,
        confidence=confidence,
        n_resamples=n_resamples,
        seed=seed,
    )
    found = []
    for name in before:
        first, second = np.asarray(before[name], np.float64), np.asarray(after[name], np.float64)
        both = ~np.isnan(differences(first, second))
        first, second = np.where(both, first, np.nan), np.where(both, second, np.nan)
        found.append(
            Comparison(
                name,
                interval(first),
                interval(second),
                interval(second - first),
                sign_flip_test(second - first, groups, weights=weights, n_flips=n_flips, seed=seed),
                mcnemar(first, second) if _is_mcnemar(first, second, groups, weights) else None,
                float("nan"),
            )
        )
    adjusted = holm([one.p_value for one in found])
    return tuple(replace(one, p_adjusted=float(p)) for one, p in zip(found, adjusted, strict=True))


def sign_flip_test(
    differences: ArrayLike,
    groups: Groups | None = None,
    *,
    weights: ArrayLike | None = None,
    n_flips: int = 9999,
    seed: int = 0,
) -> SignFlip:
    """How often flipped signs give a sum as far from 0 as was seen: a two-sided test of no difference.

    differences (N,) of two systems; were the systems alike, a group's could as well have the other sign
    (Fisher 1935; for retrieval Smucker, Allan and Carterette 2007). All signs of a group flip together. At
    most EXACT_UP_TO groups that differ are flipped in every way; more n_flips times at random, where p is
    (b + 1) / (n_flips + 1), which is never 0 (Phipson and Smyth 2010). NaN values are left out.
    """
    held = grouped(differences, groups, weights=weights)
    sums = held.sums[held.sums != 0]
    if not len(sums):
        p = 1.0 if held.n_groups else float("nan")
        return SignFlip(p, held.n_groups, 0, 1, is_exact=True)
    far = abs(sums.sum()) - _ROUNDING * np.abs(sums).sum()
    if len(sums) <= EXACT_UP_TO:
        every = _every_flip(sums)
        p = float(np.mean(np.abs(every) >= far))
        return SignFlip(p, held.n_groups, len(sums), len(every), is_exact=True)
    n_as_far = _n_as_far(sums, float(far), n_flips=n_flips, seed=seed)
    return SignFlip((n_as_far + 1) / (n_flips + 1), held.n_groups, len(sums), n_flips, is_exact=False)


def mcnemar(before: ArrayLike, after: ArrayLike) -> McNemar:
    """McNemar's exact test on outcomes (N,) of 0 and 1: two-sided, conditional on the queries that differ.

    p = min(1, 2 P(X <= min(gained, lost))), X ~ Binomial(gained + lost, 1/2) (McNemar 1947; Fagerland,
    Lydersen and Laake 2013, eq. for the exact conditional test). For independent queries, such as one a
    group; where several share a group it is too sure, and `sign_flip_test` is right. Queries that are NaN for
    either are left out; other values than 0 and 1 raise ValueError.
    """
    change = differences(before, after)
    first = np.asarray(before, dtype=np.float64)
    if not _is_binary(first, change):
        raise ValueError("McNemar's test takes outcomes of 0 and 1; for other values use sign_flip_test")
    gained, lost = int((change == 1).sum()), int((change == -1).sum())
    n = gained + lost
    ways = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(min(gained, lost) + 1)
    ]
    tail = math.fsum(math.exp(way - n * math.log(2)) for way in ways)
    return McNemar(gained, lost, min(1.0, 2 * tail))


def holm(p_values: ArrayLike) -> Values:
    """P values adjusted for being several, in the order given: (M,). NaN stays NaN and does not count.

    The i-th smallest becomes the largest of (M - j + 1) p_(j) over j <= i, at most 1 (Holm 1979). Rejecting
    those at or below a level keeps the chance of any false rejection at the level, however they depend.
    """
    given = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(given.shape, np.nan)
    order = np.argsort(given, kind="stable")[: np.count_nonzero(~np.isnan(given))]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * given[order]), 1.0)
    return adjusted


def _every_flip(sums: Values) -> Values:
    """The totals of all flips but for their mirror images, which are as far from 0: (2^(G-1),)."""
    totals = sums[:1]
    for one in sums[1:]:
        totals = np.concatenate([totals + one, totals - one])
    return totals


def _n_as_far(sums: Values, far: float, *, n_flips: int, seed: int) -> int:
    rng, found = np.random.default_rng(seed), 0
    rows = max(1, _SIGNS_AT_ONCE // len(sums))
    for start in range(0, n_flips, rows):
        kept = rng.integers(0, 2, size=(min(rows, n_flips - start), len(sums)), dtype=np.int8)
        found += int((np.abs(2 * (kept @ sums) - sums.sum()) >= far).sum())
    return found


def _is_binary(first: Values, change: Values) -> bool:
    there = ~np.isnan(change)
    return bool(np.isin(first[there], (0, 1)).all() and np.isin((first + change)[there], (0, 1)).all())


def _is_mcnemar(first: Values, second: Values, groups: Groups | None, weights: ArrayLike | None) -> bool:
    """Whether McNemar's test applies: outcomes, all alike in weight, and no two of one group."""
    alone = grouped(second - first, groups)
    return weights is None and alone.n_values == alone.n_groups > 0 and _is_binary(first, second - first)
