"""Intervals by resampling whole groups. Knows nothing of what the values measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipsearch.evaluation.grouping import Groups, GroupSums, grouped

_DRAWS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its percentile interval."""

    mean: float
    low: float
    high: float
    n_values: int
    n_groups: int


def bootstrap_mean(
    values: ArrayLike,
    groups: Groups | None = None,
    *,
    weights: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean of values with a percentile interval from resampling groups with replacement.

    values (N,), groups (N,) what belongs together (a part's queries, say); None: each value is its own
    group. Whole groups are drawn because values of one group are not independent (Efron and Tibshirani
    1993, ch. 8). weights (N,): of a weighted mean, None: all alike. NaN values are left out; nothing left
    gives NaN.
    """
    held = grouped(values, groups, weights=weights)
    if not held.n_groups:
        return Interval(float("nan"), float("nan"), float("nan"), 0, 0)
    means = _drawn_means(held, n_resamples=n_resamples, seed=seed)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(held.mean, float(low), float(high), held.n_values, held.n_groups)


def bootstrap_difference(
    before: ArrayLike,
    after: ArrayLike,
    groups: Groups | None = None,
    *,
    weights: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean of after less before with a percentile interval, both on the same queries in the same order.

    before, after (N,); groups (N,) what belongs together. A draw takes a group's queries of both systems,
    so what makes a query hard for both cancels out. A query that is NaN for either is left out. Raises
    ValueError where lengths differ.
    """
    return bootstrap_mean(
        differences(before, after),
        groups,
        weights=weights,
        confidence=confidence,
        n_resamples=n_resamples,
        seed=seed,
    )


def differences(before: ArrayLike, after: ArrayLike) -> NDArray[np.float64]:
    """after - before, query by query: (N,). Raises ValueError where they are not equally long rows."""
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"before {first.shape} and after {second.shape} must be equally long rows")
    return second - first


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    groups: Groups,
    *,
    confidence: float = 0.95,
    n_resamples: int = 500,
    seed: int = 0,
) -> Interval:
    """Any statistic of some examples, with a percentile interval from resampling their groups.

    statistic: is given the numbers of the examples to compute it on, doubles among them. groups (N,): what
    belongs together; whole groups are drawn, with replacement. Draws that give NaN are left out.
    """
    _, codes = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max(initial=-1)) + 1)]
    if not members:
        return Interval(float("nan"), float("nan"), float("nan"), 0, 0)
    rng = np.random.default_rng(seed)
    draws = [
        statistic(np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))]))
        for _ in range(n_resamples)
    ]
    low, high = np.nanquantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(
        float(statistic(np.arange(len(codes)))), float(low), float(high), len(codes), len(members)
    )


def _drawn_means(held: GroupSums, *, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """Means of resampled groups: (n_resamples,). In blocks, which bound the memory and change no draw."""
    rng, n = np.random.default_rng(seed), held.n_groups
    rows = max(1, _DRAWS_AT_ONCE // n)
    means = []
    for start in range(0, n_resamples, rows):
        draws = rng.integers(0, n, size=(min(rows, n_resamples - start), n))
        means.append(held.sums[draws].sum(axis=1) / held.weights[draws].sum(axis=1))
    return np.concatenate(means)
