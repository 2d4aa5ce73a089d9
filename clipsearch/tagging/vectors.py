"""A vocabulary's vectors: prompts embedded, averaged, and kept by the model's fingerprint."""

from __future__ import annotations

from dataclasses import dataclass

from clipsearch.types import Embeddings


@dataclass(frozen=True, slots=True)
class LabelVectors:
    """labels (C, D): row i is label i's prompts, averaged, of length 1. neutral (K, D): "none of these"."""

    labels: Embeddings
    neutral: Embeddings
