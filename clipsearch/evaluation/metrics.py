"""Retrieval and classification metrics on arrays of scores. Knows nothing of models or pictures.

Every metric returns one value per query (or example), so that a caller can average, slice or resample
them; `resampling` makes intervals of such values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]


def pessimistic_ranks(scores: ArrayLike, relevant: ArrayLike) -> list[NDArray[np.int64]]:
    """The ranks (from 1, rising) of each query's relevant items.

    scores (Q, N), higher is better; relevant (Q, N) bool. Ties count against the ranking: a relevant
    item comes after every irrelevant item of the same score, so a constant scorer earns nothing.
    NaN counts as the lowest score.
    """
    table, truth = _checked(scores, relevant)
    ranks = []
    for row, wanted in zip(table, truth, strict=True):
        hits = np.sort(row[wanted])[::-1]  # (R,) best first
        near = row >= hits[-1] if len(hits) else wanted  # what comes after the last of them changes nothing
        rivals = np.sort(row[near & ~wanted])
        ahead = len(rivals) - np.searchsorted(rivals, hits, side="left")  # irrelevant with score >= hit
        ranks.append((ahead + np.arange(1, len(hits) + 1)).astype(np.int64))
    return ranks


def recall_at(scores: ArrayLike, relevant: ArrayLike, k: int, *, capped: bool = False) -> Values:
    """Share of each query's R relevant items that are among its first k: (Q,) in [0, 1].

    capped divides by min(R, k) instead of R, so that 1.0 can be reached where R > k. A query without a
    relevant item is NaN. scores (Q, N), relevant (Q, N) bool; ties are pessimistic.
    """
    _positive(k)
    shares = np.full(np.shape(scores)[:1], np.nan)
    for i, ranks in enumerate(pessimistic_ranks(scores, relevant)):
        if len(ranks):
            shares[i] = np.count_nonzero(ranks <= k) / (min(len(ranks), k) if capped else len(ranks))
    return shares


def hit_at(scores: ArrayLike, relevant: ArrayLike, k: int) -> Values:
    """1.0 where any relevant item is among the first k, else 0.0: (Q,). NaN without a relevant item.

    With one relevant item a query this is what image-text papers print as Recall@k.
    """
    _positive(k)
    ranks = pessimistic_ranks(scores, relevant)
    return np.array([float(r[0] <= k) if len(r) else np.nan for r in ranks], dtype=np.float64)


def reciprocal_rank(scores: ArrayLike, relevant: ArrayLike) -> Values:
    """1 / rank of each query's first relevant item: (Q,); their mean is the MRR. NaN without one."""
    ranks = pessimistic_ranks(scores, relevant)
    return np.array([1.0 / r[0] if len(r) else np.nan for r in ranks], dtype=np.float64)


def average_precision(scores: ArrayLike, relevant: ArrayLike) -> Values:
    """Mean of the precision at each query's relevant items: (Q,); their mean is the mAP. NaN without one.

    scores (Q, N), relevant (Q, N) bool. AP = 1/R sum_r precision@rank(r) over the whole ranking (Buckley
    and Voorhees 2000). Ties are pessimistic.
    """
    table, truth = _checked(scores, relevant)
    found = np.full(len(table), np.nan)
    for i, (row, wanted) in enumerate(zip(table, truth, strict=True)):
        if wanted.any():
            near = row >= row[wanted].min()
            found[i] = weighted_average_precision(row[near], wanted[near], np.ones((1, near.sum())))[0]
    return found


def weighted_average_precision(scores: Values, true: NDArray[np.bool_], weights: Values) -> Values:
    """Mean of the precision at each true example, from the best on: (W,) for weights (W, N). NaN without one.

    scores (N,), true (N,); a weight of two is an example that comes twice. Ties are pessimistic: false
    examples come first.
    """
    order = np.lexsort((true, -scores))
    w, hits = weights[:, order], true[order]
    found = np.cumsum(w * hits, axis=1)
    at = found[:, hits] / np.maximum(np.cumsum(w, axis=1)[:, hits], 1e-12)
    above, below = (w[:, hits] * at).sum(axis=1), w[:, hits].sum(axis=1)
    shares: Values = np.divide(above, below, out=np.full(len(weights), np.nan), where=below > 0)
    return shares


def ndcg_at(scores: ArrayLike, grades: ArrayLike, k: int) -> Values:
    """Discounted gain of each query's first k items, as a share of the best order's: (Q,) in [0, 1].

    DCG@k = sum_(i <= k) gain_i / log2(i + 1), over its highest possible value (Jarvelin and Kekalainen
    2002; discount as in Burges et al. 2005). grades (Q, N): bool, or numbers from 0 on that are the gains;
    for Burges's gains of 2^g - 1 pass np.exp2(g) - 1. Ties are pessimistic: the lower grade comes
    first. NaN where a query has no grade above 0; raises ValueError for grades that are negative or NaN.
    """
    _positive(k)
    gains = np.asarray(grades, dtype=np.float64)
    if not (gains >= 0).all():
        raise ValueError("grades must be 0 or more; use 0 for what is not relevant")
    table, _ = _checked(scores, gains > 0)
    n = min(k, table.shape[1])
    discounts = 1 / np.log2(np.arange(2, n + 2))  # (n,)
    shares = np.full(len(table), np.nan)
    for i, (row, gain) in enumerate(zip(table, gains, strict=True)):
        if gain.any():
            near = np.flatnonzero(
                row >= row[gain > 0].min()
            )  # after the last relevant item nothing is gained
            if len(near) > n:
                near = near[row[near] >= np.partition(row[near], -n)[-n]]  # the first n and their ties
            first = near[np.lexsort((gain[near], -row[near]))][:n]
            best = np.sort(gain[gain > 0])[::-1][:n]
            shares[i] = (gain[first] @ discounts[: len(first)]) / (best @ discounts[: len(best)])
    return shares


def top_k_correct(scores: ArrayLike, labels: ArrayLike, k: int = 1) -> Values:
    """1.0 where the true class is among the k best of its row: (N,). Its mean is the top-k accuracy.

    scores (N, C), labels (N,) class numbers; ties are pessimistic.
    """
    table = np.asarray(scores, dtype=np.float64)
    truth = np.zeros(table.shape, dtype=bool)
    truth[np.arange(len(table)), np.asarray(labels, dtype=np.int64)] = True
    return hit_at(table, truth, k)


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """The chance that a true example scores above a false one: the area under the ROC curve.

    scores (N,), labels (N,) bool. A tie counts half (Mann and Whitney 1947), so a constant scorer earns
    0.5. NaN where all labels are equal.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    if values.shape != truth.shape or values.ndim != 1:
        raise ValueError(f"scores {values.shape} and labels {truth.shape} must be equally long rows")
    n_true, n_false = int(truth.sum()), int((~truth).sum())
    if not n_true or not n_false:
        return float("nan")
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[codes]  # tied scores share their mean rank
    return float((ranks[truth].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def reliability(probabilities: ArrayLike, labels: ArrayLike, *, n_bins: int = 10) -> Values:
    """Bins of equal width that are not empty: (B, 3) of mean probability, share of true, examples.

    probabilities (N,) from 0 to 1, labels (N,) bool. Rows rise by probability.
    """
    values, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=bool)
    bins = np.minimum((values * n_bins).astype(np.int64), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    there = counts > 0
    means = np.bincount(bins, weights=values, minlength=n_bins)[there] / counts[there]
    shares = np.bincount(bins, weights=truth, minlength=n_bins)[there] / counts[there]
    return np.stack([means, shares, counts[there].astype(np.float64)], axis=1)


def calibration_error(probabilities: ArrayLike, labels: ArrayLike, *, n_bins: int = 10) -> float:
    """The expected calibration error (Guo et al. 2017): mean distance of probability and share of true.

    Over the bins of `reliability`, each weighing as much as it has examples. NaN without an example.
    """
    rows = reliability(probabilities, labels, n_bins=n_bins)
    if not len(rows):
        return float("nan")
    return float(np.average(np.abs(rows[:, 0] - rows[:, 1]), weights=rows[:, 2]))


def mean_per_class(values: ArrayLike, labels: Sequence[object] | NDArray[np.generic]) -> float:
    """Mean over classes of each class's mean value, so that a rare class weighs as much as a common one.

    values (N,) of any per-example metric, labels (N,) their classes; NaN values are left out.
    """
    numbers = np.asarray(values, dtype=np.float64)
    _, codes = np.unique(np.asarray(labels).astype(str), return_inverse=True)
    kept = ~np.isnan(numbers)
    if not kept.any():
        return float("nan")
    sums = np.bincount(codes[kept], weights=numbers[kept])
    counts = np.bincount(codes[kept])
    return float((sums[counts > 0] / counts[counts > 0]).mean())


def class_weights(labels: Sequence[object] | NDArray[np.generic]) -> Values:
    """Weights of examples whose weighted mean is the mean per class: (N,), each class's adding up to 1.

    labels (N,). For what takes weights and not labels: intervals, tests and sample sizes. Classes weigh
    alike before values that are NaN are left out, `mean_per_class` after.
    """
    _, codes = np.unique(np.asarray(labels).astype(str), return_inverse=True)
    weights: Values = 1.0 / np.bincount(codes)[codes]
    return weights


def _checked(scores: ArrayLike, relevant: ArrayLike) -> tuple[Values, NDArray[np.bool_]]:
    table = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(relevant, dtype=bool)
    if table.ndim != 2 or table.shape != truth.shape:
        raise ValueError(f"scores {table.shape} and relevant {truth.shape} must both be (queries, items)")
    return np.nan_to_num(table, nan=-np.inf, posinf=np.inf, neginf=-np.inf), truth


def _positive(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
