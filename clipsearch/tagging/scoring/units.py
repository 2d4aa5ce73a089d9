"""Cosines made comparable between labels: the collection's own background, and what is affine in a picture.

Knows no labelled pictures.

Tried on the demo collection, and worse than this or no better: an equal-variance mixture fitted to each
label's background for its prevalence (sure of far too much); whitening by the background's covariance; taking
away each picture's mean over the labels (materials gain, shapes lose) or the neutral prompts (English gains,
Japanese loses); means and standard deviations instead of medians. In exclusive groups z-scores order labels
worse than the cosines do: the model has learned to compare labels with each other, per-label medians undo it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging.vectors import LabelVectors
from clipsearch.types import Embeddings

Floats = NDArray[np.float64]
Groups = tuple[tuple[int, ...], ...]

FEWEST = 50  # pictures, below which a background's median and spread say little
_NORMAL = 1.4826  # a normal distribution's standard deviation in median absolute deviations
_NARROWEST = 1e-3  # cosine; a background of one picture many times has no spread
_CELLS = 1 << 22  # of one block of cosines: 16 MB


@dataclass(frozen=True, slots=True)
class Curve:
    """The logit that a label has by itself: slope * unit + shift."""

    slope: float
    shift: float


# Without labels. Fitted to the demo's, and a bias for each label, the curve for labels that stand alone has a
# slope of 1.7 to 1.9 and its half at 3.0 to 3.2 spreads, in both languages, on all parts and on those never
# trained on (python -m clipsearch.demo evaluate-tagging); one that knows no label's bias has to be flatter.
ALONE = Curve(1.25, -1.25 * 3.25)
# In groups the model's own scale is too sure: fitted to the demo shapes want .9 of it, materials and finishes
# .4 to .6, and the DIY products' categories, which the starter cannot tell, nothing.
GROUPED = Curve(0.5, 0.0)
# Spreads of a group's background above which "none of these" is less likely than a label. It costs recall
# where every picture has one of them, and saves tags where none has: against bare odds the demo's held-out
# parts get .26 instead of .50 of their shapes, materials and finishes, .87 instead of .82 of them rightly; of
# the DIY products, whose categories the starter cannot tell, .89 instead of .63 stay untagged (same command).
_NONE_AT = 2.5


@dataclass(frozen=True, slots=True)
class Units:
    """C labels' scores, comparable with each other: weights @ x + offsets, and what they mean without labels.

    Of labels that stand alone: spreads above the background's median. Of exclusive groups: logit scale times
    cosine less that of "none of these".
    """

    weights: Embeddings  # (C, D)
    offsets: Floats  # (C,)
    alone: Curve
    grouped: Curve
    n_background: int  # 0: too few pictures, these are the model's bare odds

    def of(self, vectors: Embeddings) -> NDArray[np.float32]:
        """(N, C) for pictures' vectors (N, D)."""
        return vectors @ self.weights.T + self.offsets.astype(np.float32)


def units(
    labels: LabelVectors,
    background: Embeddings,
    groups: Groups,
    *,
    logit_scale: float,
    logit_bias: float | None,
) -> Units:
    """Units of labels (C, D) by a background (S, D): pictures like those that are to be tagged.

    With fewer than 50 of them, the model's bare odds, uncalibrated: logit scale times cosine, plus SigLIP's
    bias; CLIP, which has none, is asked against "none of these", that is thought as likely as all labels
    together. A label that most of the background has cannot be told from it: it is never sure without
    labelled examples.
    """
    alone = np.ones(len(labels.labels), bool)
    for places in groups:
        alone[list(places)] = False
    none = (
        labels.neutral.mean(axis=0) if len(labels.neutral) else np.zeros(labels.labels.shape[1], np.float32)
    )
    weights, offsets = labels.labels.astype(np.float32), np.zeros(len(labels.labels))
    for places in groups:
        at = list(places)
        weights[at] = logit_scale * (weights[at] - none)
        offsets[at] = -_none_at(weights[at], background)
    if len(background) >= FEWEST:
        middle, spread = spreads(weights[alone], background)
        weights[alone] /= spread[:, None]
        offsets[alone] = -middle / spread
        return Units(weights, offsets, ALONE, GROUPED, len(background))
    if logit_bias is None:
        weights[alone] = GROUPED.slope * logit_scale * (weights[alone] - none)
        offsets[alone] = -np.log(max(alone.sum(), 1))
    else:
        weights[alone] *= logit_scale
        offsets[alone] = logit_bias
    return Units(weights, offsets, Curve(1.0, 0.0), GROUPED, 0)


def spreads(directions: Embeddings, background: Embeddings) -> tuple[Floats, Floats]:
    """Median and spread (C,) of a background's (S, D) products with C directions, in blocks.

    Robust, for some of the background does have the label. Half of a spread's square is the mean square of
    all labels' spreads: a single one is uncertain, and a rare label's clear pictures are far out.
    """
    step = max(1, _CELLS // max(len(background), 1))
    middle, spread = np.zeros(len(directions)), np.zeros(len(directions))
    for start in range(0, len(directions), step):
        block = slice(start, start + step)
        products = background @ directions[block].T  # (S, B)
        middle[block] = np.median(products, axis=0)
        products -= middle[block].astype(np.float32)
        np.abs(products, out=products)
        spread[block] = _NORMAL * np.median(products, axis=0)
    pooled = np.sqrt((spread**2 + np.mean(spread**2)) / 2) if len(spread) else spread
    return middle, np.maximum(pooled, _NARROWEST)


def _none_at(weights: Embeddings, background: Embeddings) -> float:
    """Where "none of these" is as likely as a label of the group: one number for all its labels.

    Above what its background reaches with any of them; so the order of a group's labels is the model's.
    """
    if len(background) < FEWEST:
        return float(np.log(len(weights)) / GROUPED.slope)
    middle, spread = spreads(weights, background)
    return float(np.median(middle) + _NONE_AT * np.sqrt(np.mean(spread**2)))
