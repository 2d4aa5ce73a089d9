"""What tags are worth: each label's and all labels' figures with intervals over records, from arrays alone.

Every figure is computed for weights of the pictures: once with all alike, then with how often each was drawn.
Knows no model, no vocabulary and no collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsearch.evaluation.metrics import Values, weighted_average_precision
from clipsearch.evaluation.resampling import Interval

Bools = NDArray[np.bool_]
_BINS = 10  # of equal width, for the calibration error


@dataclass(frozen=True, slots=True)
class Rates:
    """Of what was given, the share that is right; of what is right, the share given; F1 of both."""

    precision: Interval
    recall: Interval
    f1: Interval


@dataclass(frozen=True, slots=True)
class LabelReport:
    """One label's figures, on the pictures of which it is known whether they have it. NaN where none says."""

    name: str
    support: int  # pictures that have it
    n_given: int
    precision: Interval
    recall: Interval
    f1: Interval
    error: Interval  # expected calibration error
    average_precision: Interval


@dataclass(frozen=True, slots=True)
class GroupReport:
    """An exclusive group's figures, on the pictures that have one of its labels."""

    name: str
    n_pictures: int
    n_classes: int  # labels that some picture has
    top1: Interval  # the likeliest label is right, whether it is given or not
    per_class: Interval  # mean over those labels of the share of their pictures
    error: Interval  # expected calibration error of the likeliest label's probability


@dataclass(frozen=True, slots=True)
class TagReport:
    """All labels. micro: over pairs of picture and label; macro: mean over labels that some picture has."""

    n_pictures: int
    n_records: int
    labels: tuple[LabelReport, ...]
    groups: tuple[GroupReport, ...]
    micro: Rates
    macro: Rates
    mean_average_precision: Interval
    error: Interval  # expected calibration error over pairs
    untagged: Interval  # share of pictures that are given nothing


@dataclass(frozen=True, slots=True)
class Resamples:
    """How often each picture counts, (1 + R, N): first once each, then as whole records were drawn."""

    weights: Values
    n_records: int

    @classmethod
    def of(
        cls, records: Sequence[str] | NDArray[np.generic], *, n_resamples: int = 500, seed: int = 0
    ) -> Resamples:
        """R resamples of records (N,), what belongs together, with replacement."""
        _, codes = np.unique(np.asarray(records).astype(str), return_inverse=True)
        n = int(codes.max(initial=-1)) + 1
        if not n:
            return cls(np.ones((1, 0)), 0)
        draws = np.random.default_rng(seed).integers(0, n, size=(n_resamples, n))
        counts = np.stack([np.bincount(draw, minlength=n) for draw in draws]) if n_resamples else draws
        return cls(np.concatenate([np.ones((1, n)), counts])[:, codes].astype(np.float64), n)

    def interval(self, values: Values) -> Interval:
        """Of a figure (1 + R,): its value, and 95 % by percentiles of the resamples that have it."""
        drawn = values[1:][~np.isnan(values[1:])]
        if np.isnan(values[0]) or not len(drawn):
            return Interval(float(values[0]), float("nan"), float("nan"), *self._sizes)
        low, high = np.quantile(drawn, [0.025, 0.975])
        return Interval(float(values[0]), float(low), float(high), *self._sizes)

    @property
    def _sizes(self) -> tuple[int, int]:
        return self.weights.shape[1], self.n_records


def report(
    probabilities: Values,
    given: Bools,
    truth: NDArray[np.int8],
    names: Sequence[str],
    *,
    records: Sequence[str] | NDArray[np.generic],
    groups: Mapping[str, Sequence[int]] | None = None,
    n_resamples: int = 500,
) -> TagReport:
    """The figures of probabilities (N, C) and of what was given (N, C). truth: 1 has, 0 has not, -1 unknown.

    records (N,): what belongs together; whole records are resampled. groups: exclusive groups by name, as
    places of labels.
    """
    drawn = Resamples.of(records, n_resamples=n_resamples)
    w = drawn.weights
    known, true = truth >= 0, truth == 1
    right, n_given, n_true = (
        np.moveaxis(w @ table, 1, 0)  # (C, 1 + R)
        for table in ((given & true).astype(float), (given & known).astype(float), true.astype(float))
    )
    rates = _rates(right, n_given, n_true)
    columns = [(probabilities[k, c], true[k, c], w[:, k]) for c, k in enumerate(known.T)]
    precisions = np.array([weighted_average_precision(*column) for column in columns]).reshape(len(names), -1)
    there = n_true[:, 0] > 0
    micro = _rates(right.sum(axis=0), n_given.sum(axis=0), n_true.sum(axis=0))
    macro = [_mean(rate[there]) for rate in (np.nan_to_num(rates[0]), *rates[1:])]
    return TagReport(
        len(truth),
        drawn.n_records,
        tuple(
            LabelReport(
                name,
                int(n_true[c, 0]),
                int(n_given[c, 0]),
                drawn.interval(rates[0][c]),
                drawn.interval(rates[1][c]),
                drawn.interval(rates[2][c]),
                drawn.interval(calibration_errors(*columns[c])),
                drawn.interval(precisions[c]),
            )
            for c, name in enumerate(names)
        ),
        tuple(_group(name, probabilities, true, places, drawn) for name, places in (groups or {}).items()),
        Rates(*map(drawn.interval, micro)),
        Rates(*map(drawn.interval, macro)),
        drawn.interval(_mean(precisions[there])),
        drawn.interval(calibration_errors(probabilities, true, w, known=known)),
        drawn.interval(w @ ~given.any(axis=1) / np.maximum(w.sum(axis=1), 1)),
    )


def calibration_errors(
    probabilities: Values, true: Bools, weights: Values, *, known: Bools | None = None
) -> Values:
    """The expected calibration error (Guo et al. 2017): (W,) for weights (W, N) of rows.

    probabilities (N,) or (N, C), true alike; known: the pairs that count, None: all. Ten bins of equal width.
    """
    table = probabilities if probabilities.ndim == 2 else probabilities[:, None]
    some = np.ones(table.shape, bool) if known is None else known.reshape(table.shape)
    bins = np.minimum((table * _BINS).astype(np.int64), _BINS - 1) + _BINS * np.arange(len(table))[:, None]
    length = _BINS * len(table)
    sums = [
        np.bincount(bins[some], weights=values, minlength=length).reshape(-1, _BINS)  # (N, bins)
        for values in ((table - true.reshape(table.shape))[some], np.ones(int(some.sum())))
    ]
    return _divided(np.abs(weights @ sums[0]).sum(axis=1), (weights @ sums[1]).sum(axis=1))


def _group(
    name: str, probabilities: Values, true: Bools, places: Sequence[int], drawn: Resamples
) -> GroupReport:
    at = list(places)
    has = true[:, at].sum(axis=1) == 1
    own, chosen = true[has][:, at], probabilities[has][:, at]
    w, best = drawn.weights[:, has], chosen.argmax(axis=1)
    right = own[np.arange(len(own)), best]
    classes = own[:, own.any(axis=0)].astype(float)
    shares = _divided(w @ (classes * right[:, None]), w @ classes)  # (1 + R, classes)
    return GroupReport(
        name,
        int(has.sum()),
        classes.shape[1],
        drawn.interval(_divided(w @ right, w.sum(axis=1))),
        drawn.interval(_mean(shares.T)),
        drawn.interval(calibration_errors(chosen.max(axis=1, initial=0.0), right, w)),
    )


def _rates(right: Values, n_given: Values, n_true: Values) -> tuple[Values, Values, Values]:
    """Precision, recall and F1 (2 right / (given + true)); NaN where they are divided by nothing."""
    return _divided(right, n_given), _divided(right, n_true), _divided(2 * right, n_given + n_true)


def _divided(above: Values, below: Values) -> Values:
    found: Values = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return found


def _mean(rows: Values) -> Values:
    """Column means of (C, W), NaN left out; NaN where there is nothing else."""
    there = ~np.isnan(rows)
    return _divided(np.nan_to_num(rows).sum(axis=0), there.sum(axis=0).astype(np.float64))
