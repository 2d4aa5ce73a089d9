"""Intervals by resampling whole groups. Knows nothing of what the values measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
    groups: Sequence[object] | NDArray[np.generic] | None = None,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean of values with a percentile interval from resampling groups with replacement.

    values (N,), groups (N,) what belongs together (a part's queries, say); None: each value is its own
    group. Whole groups are drawn because values of one group are not independent (Efron and Tibshirani
    1993, ch. 8). NaN values are left out; nothing left gives NaN.
    """
    numbers = np.asarray(values, dtype=np.float64)
    labels = np.arange(len(numbers)) if groups is None else np.asarray(groups).astype(str)
    if labels.shape != numbers.shape:
        raise ValueError(f"values {numbers.shape} and groups {labels.shape} must be equally long")
    kept = ~np.isnan(numbers)
    if not kept.any():
        return Interval(float("nan"), float("nan"), float("nan"), 0, 0)
    _, codes = np.unique(labels[kept], return_inverse=True)
    sums = np.bincount(codes, weights=numbers[kept])  # (G,)
    counts = np.bincount(codes)
    draws = np.random.default_rng(seed).integers(0, len(sums), size=(n_resamples, len(sums)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(numbers[kept].mean()), float(low), float(high), int(kept.sum()), len(sums))


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    groups: Sequence[object] | NDArray[np.generic],
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
