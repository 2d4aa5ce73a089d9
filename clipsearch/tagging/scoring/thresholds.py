"""From which confidence on a label is given: best F1 by cross-fitted confidences, shrunk toward all labels'.

Promises nothing; see `promise`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging.scoring.units import Floats

DEFAULT = 0.5  # without labels
_SHRINK = 50.0  # positives that weigh as much as all labels together
_FEWEST = 10  # positives altogether, below which the default stays
# Confidences have their best F1 at half of that F1 (Lipton, Elkan and Narayanaswamy 2014): a label that
# the model cannot tell would be given to every picture.
_LOWEST, _HIGHEST = 0.3, 0.8


def best_thresholds(probabilities: Floats, truth: NDArray[np.int8]) -> Floats:
    """(C,) from probabilities (N, C), out of fold, and truth (1 has, 0 has not, -1 unknown).

    Of each label the threshold with the best F1, and of all labels' pairs together; n positives of a label
    weigh n / (n + 50) against the latter.
    """
    n_true = (truth == 1).sum(axis=0)
    if n_true.sum() < _FEWEST:
        return np.full(truth.shape[1], DEFAULT)
    known = truth >= 0
    shared = _best(probabilities[known], truth[known] == 1)
    own = np.array(
        [
            _best(probabilities[known[:, c], c], truth[known[:, c], c] == 1) if n_true[c] else shared
            for c in range(truth.shape[1])
        ]
    )
    weight = n_true / (n_true + _SHRINK)
    found: Floats = np.clip(weight * own + (1 - weight) * shared, _LOWEST, _HIGHEST)
    return found


def _best(probabilities: Floats, true: NDArray[np.bool_]) -> float:
    """The threshold with the best F1: half-way between the last that is given and the first that is not."""
    order = np.argsort(-probabilities, kind="stable")
    values = probabilities[order]
    hits = np.cumsum(true[order])
    f1 = 2 * hits / (np.arange(1, len(values) + 1) + hits[-1])
    f1[:-1][values[:-1] == values[1:]] = -1.0  # equal ones are given together
    last = int(f1.argmax())
    after = values[last + 1] if last + 1 < len(values) else 0.0
    return float((values[last] + after) / 2)
