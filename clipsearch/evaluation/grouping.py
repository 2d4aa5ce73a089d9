"""Values summed by group, the unit that is drawn, flipped and counted. Knows nothing of what they measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Groups: TypeAlias = Sequence[object] | NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class GroupSums:
    """G groups' sums of weight times value and of weight, both (G,); values that are NaN are left out."""

    sums: NDArray[np.float64]
    weights: NDArray[np.float64]
    mean: float  # NaN where nothing is left
    n_values: int

    @property
    def n_groups(self) -> int:
        """Groups that have a value."""
        return len(self.sums)


def grouped(
    values: ArrayLike, groups: Groups | None = None, *, weights: ArrayLike | None = None
) -> GroupSums:
    """The sums of values (N,) by groups (N,), what belongs together; None: each value is its own group.

    weights (N,), not negative; None: all alike. Raises ValueError where lengths differ.
    """
    numbers = np.asarray(values, dtype=np.float64)
    labels = np.arange(len(numbers)) if groups is None else np.asarray(groups).astype(str)
    heavy = np.ones(len(numbers)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not labels.shape == heavy.shape == numbers.shape:
        raise ValueError(
            f"values {numbers.shape}, groups {labels.shape} and weights {heavy.shape} must be equally long"
        )
    kept = ~np.isnan(numbers) & (heavy > 0)
    if not kept.any():
        return GroupSums(np.zeros(0), np.zeros(0), float("nan"), 0)
    _, codes = np.unique(labels[kept], return_inverse=True)
    mean = numbers[kept].mean() if weights is None else np.average(numbers[kept], weights=heavy[kept])
    sums = np.bincount(codes, weights=numbers[kept] * heavy[kept]).astype(np.float64)
    below = np.bincount(codes, weights=heavy[kept]).astype(np.float64)
    return GroupSums(sums, below, float(mean), int(kept.sum()))
