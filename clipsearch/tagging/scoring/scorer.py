"""Scorer: what is computed for a picture and a vocabulary. One matrix product, then few numbers.

Knows nothing of where weights and thresholds come from, of words or of files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsearch.types import Embeddings


@dataclass(frozen=True, slots=True)
class Scorer:
    """C labels' logits are affine in the picture's vector x (D,): weights @ x + offsets.

    A label that stands alone has the probability sigmoid(logit). Labels of an exclusive group share a softmax
    with "none of these", whose logit is 0; so a label's probability is at most its own sigmoid.
    A label is given where its probability reaches its threshold; a threshold above 1 means never.
    """

    weights: Embeddings  # (C, D) float32, of any length
    offsets: NDArray[np.float32]  # (C,)
    thresholds: NDArray[np.float64]  # (C,)
    groups: tuple[tuple[int, ...], ...] = ()  # exclusive groups, as places of labels

    def logits(self, vectors: Embeddings) -> NDArray[np.float32]:
        """(N, C) for pictures' vectors (N, D)."""
        return vectors @ self.weights.T + self.offsets

    def probabilities(self, vectors: Embeddings) -> NDArray[np.float64]:
        """(N, C): every label's probability by itself, broader labels not implied. All of them: dear."""
        logits = self.logits(vectors).astype(np.float64)
        found = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
        for places in self.groups:
            found[:, places] = with_none(logits[:, places])
        return found

    def given(self, probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N, C): the labels given by probabilities (N, C), of an exclusive group the likeliest alone."""
        found = probabilities >= self.thresholds
        for places in self.groups:
            at = list(places)
            likeliest = np.zeros((len(found), len(at)), bool)
            likeliest[np.arange(len(found)), probabilities[:, at].argmax(axis=1)] = True
            found[:, at] &= likeliest
        return found


def with_none(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax of (N, M) logits with one more of 0, for none of them: (N, M), rows sum to less than 1."""
    top = np.maximum(logits.max(axis=1, keepdims=True, initial=0), 0)
    odds = np.exp(logits - top)
    shares: NDArray[np.float64] = odds / (odds.sum(axis=1, keepdims=True) + np.exp(-top))
    return shares
