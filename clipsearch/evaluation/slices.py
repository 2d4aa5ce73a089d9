"""Metrics by slice of the queries, for one system or two. Knows nothing of what a slice stands for.

A slice is a part of the queries under a name, such as those about one category, those in Japanese, or those
about rare parts. Slices may overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipsearch.evaluation.grouping import Groups
from clipsearch.evaluation.resampling import Interval, bootstrap_mean, differences

Slices = Mapping[str, NDArray[np.bool_]]
ALL = "all"


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One metric's mean over one slice; the interval tells its queries and groups too."""

    slice: str
    metric: str
    value: Interval


@dataclass(frozen=True, slots=True)
class SliceChange:
    """One metric of two systems over one slice, on the queries that have a value for both."""

    slice: str
    metric: str
    before: Interval
    after: Interval
    difference: Interval  # after - before


def slices_of(
    labels: Sequence[object] | NDArray[np.generic], *, prefix: str = ""
) -> dict[str, NDArray[np.bool_]]:
    """One slice for each label, in the labels' order: (N,) bool by prefix and name. None is in no slice."""
    names = [None if label is None else str(label) for label in labels]
    found = sorted({name for name in names if name is not None})
    return {f"{prefix}{one}": np.array([name == one for name in names], dtype=bool) for one in found}


def by_slice(
    values: Mapping[str, ArrayLike],
    slices: Slices,
    groups: Groups | None = None,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[SliceRow, ...]:
    """Each metric over all queries and over each slice, slice by slice.

    values: (N,) by metric's name; slices (N,) bool by name; groups (N,) what belongs together. A slice
    without a value is a row of NaN with n 0. Raises ValueError where lengths differ.
    """
    rows = []
    for slice_name, inside in _with_all(slices, values):
        for metric, each in values.items():
            interval = bootstrap_mean(
                np.asarray(each, np.float64)[inside],
                None if groups is None else np.asarray(groups)[inside],
                confidence=confidence,
                n_resamples=n_resamples,
                seed=seed,
            )
            rows.append(SliceRow(slice_name, metric, interval))
    return tuple(rows)


def changes_by_slice(
    before: Mapping[str, ArrayLike],
    after: Mapping[str, ArrayLike],
    slices: Slices,
    groups: Groups | None = None,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[SliceChange, ...]:
    """Each metric before, after and the paired difference, over all queries and over each slice.

    As `by_slice`, of two systems on the same queries in the same order. Intervals are not widened for the
    number of slices: of twenty slices that did not change, one is expected to look as if it had.
    """
    change = {name: differences(before[name], after[name]) for name in before}
    first, second = (
        {name: np.where(np.isnan(change[name]), np.nan, np.asarray(one[name], np.float64)) for name in change}
        for one in (before, after)
    )
    rows = [
        by_slice(values, slices, groups, confidence=confidence, n_resamples=n_resamples, seed=seed)
        for values in (first, second, change)
    ]
    return tuple(
        SliceChange(a.slice, a.metric, a.value, b.value, c.value) for a, b, c in zip(*rows, strict=True)
    )


def _with_all(slices: Slices, values: Mapping[str, ArrayLike]) -> list[tuple[str, NDArray[np.bool_]]]:
    n = {len(np.asarray(each)) for each in values.values()}
    wrong = [name for name, inside in slices.items() if {len(inside)} != n]
    if len(n) > 1 or (n and wrong):
        raise ValueError(
            f"metrics and slices must tell of the same queries; lengths are {sorted(n)}"
            + (f", and slice '{wrong[0]}' has {len(slices[wrong[0]])}" if wrong else "")
        )
    return [(ALL, np.ones(max(n, default=0), dtype=bool)), *slices.items()]
