"""Fit: a vocabulary's scorer, made of a collection's background alone or of labelled examples too.

Puts units, curves, thresholds and promises together. Knows no words and no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import TaggingError
from clipsearch.tagging.scoring.curves import fit_alone, fit_group
from clipsearch.tagging.scoring.promise import CONFIDENCE, LeftOff, promised
from clipsearch.tagging.scoring.scorer import Scorer
from clipsearch.tagging.scoring.thresholds import DEFAULT, best_thresholds
from clipsearch.tagging.scoring.units import FEWEST, Curve, Floats, Groups, Units, units
from clipsearch.tagging.vectors import LabelVectors
from clipsearch.types import Embeddings

FOLDS = 5
_ONE_SIDED = "no picture is known to lack any tag; label some that do, or list all of a picture's tags"


@dataclass(frozen=True, slots=True)
class Examples:
    """N labelled pictures, best a random sample: a label is thought as frequent as it is among them."""

    vectors: Embeddings  # (N, D)
    truth: NDArray[np.int8]  # (N, C): 1 has the label, 0 has not, -1 unknown
    records: Sequence[str]  # (N,) what belongs together, photos of one part: never in two folds

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, slots=True)
class Fit:
    """A scorer, and what it was made of."""

    scorer: Scorer
    kind: Literal["background", "labels"]
    n_labels: NDArray[np.int64]  # (C,) labelled pictures that say of the label whether they have it
    cross_fitted: Floats | None  # (N, C) the examples' probabilities, by curves that have not seen them
    left_off: tuple[LeftOff, ...]  # labels that cannot keep the promise and are never given
    n_background: int  # pictures; 0: too few, confidences are the model's bare odds
    alone: Curve  # shared by the labels that stand alone
    grouped: tuple[Curve, ...]  # of each exclusive group
    precision: float | None = None  # promised of each label that is given, with a confidence of 0.95

    def as_dict(self) -> dict[str, Any]:
        """The facts that confidences follow from, for JSON; labels as places."""
        return {
            "kind": self.kind,
            "n_background": self.n_background,
            "n_labels": int(self.n_labels.sum()),
            "alone": asdict(self.alone),
            "grouped": [asdict(curve) for curve in self.grouped],
            "thresholds": [round(float(t), 4) if t <= 1 else None for t in self.scorer.thresholds],
            "precision": self.precision,
            "confidence": None if self.precision is None else CONFIDENCE,
            "left_off": [asdict(one) for one in self.left_off],
        }


def unlabelled(
    labels: LabelVectors,
    background: Embeddings,
    groups: Groups,
    *,
    logit_scale: float,
    logit_bias: float | None,
    threshold: float | None = None,
) -> Fit:
    """By a background (S, D) alone: a random sample of the collection's own pictures, best 2,000 of them.

    groups: exclusive groups, as places of labels. threshold: the confidence from which all labels are given;
    None: 0.5.
    """
    made = units(labels, background, groups, logit_scale=logit_scale, logit_bias=logit_bias)
    n = len(labels.labels)
    curves = _Curves(made.alone, (made.grouped,) * len(groups), np.zeros(n), made.alone, np.ones(n, bool))
    thresholds = np.full(n, DEFAULT if threshold is None else threshold)
    return Fit(
        curves.scorer(made, groups, thresholds),
        "background",
        np.zeros(n, np.int64),
        None,
        (),
        made.n_background,
        curves.alone,
        curves.grouped,
    )


def fitted(
    labels: LabelVectors,
    background: Embeddings,
    groups: Groups,
    *,
    examples: Examples,
    logit_scale: float,
    logit_bias: float | None,
    threshold: float | None = None,
    precision: float | None = None,
) -> Fit:
    """By a background and labelled examples, which are the background where that has fewer than 50 pictures.

    threshold: for all labels; None: each label's own. precision: the promise, see `promise`; with it each
    label's threshold is the one that keeps it, and not below `threshold`.
    Raises TaggingError for examples of other labels, or a precision that cannot be promised.
    """
    _check(labels, examples, precision)
    pictures = background if len(background) >= FEWEST else examples.vectors
    made = units(labels, pictures, groups, logit_scale=logit_scale, logit_bias=logit_bias)
    scores = made.of(examples.vectors)
    telling = replace(examples, truth=_telling(examples.truth, groups))
    curves = _curves(made, scores, telling.truth, groups)
    outside = _cross_fitted(made, scores, telling, groups)
    left_off: tuple[LeftOff, ...] = ()
    if precision is not None:
        thresholds, left_off = promised(outside, telling.truth, examples.records, precision)
        unused = (telling.truth != examples.truth).any(axis=0)
        left_off = tuple(replace(one, reason=_ONE_SIDED) if unused[one.place] else one for one in left_off)
        thresholds = np.maximum(thresholds, threshold or 0.0)
    elif threshold is not None:
        thresholds = np.full(len(labels.labels), threshold)
    else:
        thresholds = np.where(curves.told, best_thresholds(outside, telling.truth), DEFAULT)
    return Fit(
        curves.scorer(made, groups, thresholds),
        "labels",
        (examples.truth >= 0).sum(axis=0),
        outside,
        left_off,
        made.n_background,
        curves.alone,
        curves.grouped,
        precision,
    )


@dataclass(frozen=True, slots=True)
class _Curves:
    """Every label's way from its unit to its logit."""

    alone: Curve
    grouped: tuple[Curve, ...]
    biases: Floats  # (C,)
    default: Curve  # of labels that stand alone and of which no example tells
    told: NDArray[np.bool_]  # (C,) the others

    def scorer(self, made: Units, groups: Groups, thresholds: Floats) -> Scorer:
        slopes, shifts = self._by_label(groups)
        return Scorer(
            (made.weights * slopes[:, None]).astype(np.float32),
            (made.offsets * slopes + shifts + self.biases).astype(np.float32),
            thresholds,
            groups,
        )

    def _by_label(self, groups: Groups) -> tuple[Floats, Floats]:
        slopes = np.full(len(self.biases), self.alone.slope)
        shifts = np.full(len(self.biases), self.alone.shift)
        for places, curve in zip(groups, self.grouped, strict=True):
            slopes[list(places)], shifts[list(places)] = curve.slope, curve.shift
        slopes[~self.told], shifts[~self.told] = self.default.slope, self.default.shift
        return slopes, shifts


def _curves(made: Units, scores: NDArray[np.float32], truth: NDArray[np.int8], groups: Groups) -> _Curves:
    single = np.ones(truth.shape[1], bool)
    told: NDArray[np.bool_] = np.asarray((truth >= 0).any(axis=0))
    biases, grouped = np.zeros(truth.shape[1]), []
    for places in groups:
        at = list(places)
        single[at], told[at] = False, True
        found = fit_group(scores[:, at], truth[:, at], made.grouped)
        biases[at] = found.biases
        grouped.append(found.curve)
    found = fit_alone(scores[:, single], truth[:, single], made.alone)
    biases[single] = found.biases
    return _Curves(found.curve, tuple(grouped), biases, made.alone, told)


def _telling(truth: NDArray[np.int8], groups: Groups) -> NDArray[np.int8]:
    """The truth, without labels that stand alone where of none of them any picture is known to lack it.

    A list of what pictures have is no sample: fitted to it, every picture would be given everything.
    """
    alone = np.ones(truth.shape[1], bool)
    alone[[place for places in groups for place in places]] = False
    if (truth[:, alone] == 0).any():
        return truth
    return np.where(alone, np.int8(-1), truth)


def _cross_fitted(made: Units, scores: NDArray[np.float32], examples: Examples, groups: Groups) -> Floats:
    """(N, C): each fold's probabilities by curves fitted to the other folds."""
    folds = folds_of(examples.records)
    found = np.zeros(examples.truth.shape)
    for fold in np.unique(folds):
        mine = folds == fold
        curves = _curves(made, scores[~mine], examples.truth[~mine], groups)
        scorer = curves.scorer(made, groups, np.zeros(len(made.weights)))
        found[mine] = scorer.probabilities(examples.vectors[mine])
    return found


def folds_of(records: Sequence[str] | NDArray[np.generic], n_folds: int = FOLDS) -> NDArray[np.int64]:
    """(N,) numbers of equally large folds of whole records, drawn at random, the same way each time."""
    _, codes = np.unique(np.asarray(records).astype(str), return_inverse=True)
    n = int(codes.max(initial=-1)) + 1
    found: NDArray[np.int64] = (np.random.default_rng(0).permutation(n) % n_folds)[codes]
    return found


def _check(labels: LabelVectors, examples: Examples, precision: float | None) -> None:
    wanted = (len(examples.vectors), len(labels.labels))
    if examples.truth.shape != wanted or len(examples.records) != wanted[0]:
        raise TaggingError(
            f"{wanted[0]} labelled pictures of {wanted[1]} labels have truth of shape {examples.truth.shape} "
            f"and {len(examples.records)} records; give one row and one record for each picture"
        )
    if precision is not None and not 0 < precision < 1:
        raise TaggingError(f"a precision of {precision:g} cannot be promised; give one between 0 and 1")
