"""Whether a model still tells things apart: the spread of a batch of vectors. Knows neither models nor runs.

A model that collapsed gives every query the same picture while its loss may go on falling (align_reg alone
is least where all vectors are one).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import TuningError


@dataclass(frozen=True, slots=True)
class Spread:
    """How far n unit vectors of dim components lie apart."""

    effective_rank: float
    mean_cosine: float
    n: int
    dim: int


def spread(embeddings: NDArray[np.float32]) -> Spread:
    """Effective rank and mean pairwise cosine of unit vectors (N, D).

    Effective rank: exp of the entropy of the singular values' shares (Roy and Vetterli 2007, definition 1),
    between 1 (all vectors are one) and min(N, D). Mean over the N (N - 1) ordered pairs of different rows.
    Raises TuningError for fewer than 2 rows and for rows that are not finite.
    """
    vectors = np.asarray(embeddings, dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) < 2:
        raise TuningError(f"vectors of shape {vectors.shape} have no spread; give at least 2 rows")
    if not np.isfinite(vectors).all():
        raise TuningError("the model gives vectors that are not finite; lower the learning rate")
    n, dim = vectors.shape
    shares = np.linalg.svd(vectors, compute_uv=False)
    shares = shares[shares > 0] / shares.sum()
    total = vectors.sum(axis=0)
    cosine = (total @ total - np.square(vectors).sum()) / (n * (n - 1))
    return Spread(float(np.exp(-(shares * np.log(shares)).sum())), float(cosine), n, dim)


def check(embeddings: NDArray[np.float32], *, before: Spread | None = None) -> str | None:
    """What is wrong and what to change, or None while the vectors (N, D) lie apart.

    before: the spread of the same rows by the frozen model; with it a loss of most of the spread counts too,
    not only its end. For pictures or texts of one validation set; a model fresh from random weights fails
    until it has learned something. Raises TuningError as spread does, and for a `before` of other rows.
    """
    now = spread(embeddings)
    if before is not None and before.n != now.n:
        raise TuningError(
            f"the spread before is of {before.n} rows and this one of {now.n}; compare the same"
        )
    was = (
        "" if before is None else f" (before tuning {before.effective_rank:.1f} and {before.mean_cosine:.2f})"
    )
    if now.mean_cosine < _highest_cosine(before) and now.effective_rank > _least_rank(before):
        return None
    return (
        f"the model is collapsing: {now.n} vectors have an effective rank of {now.effective_rank:.1f} and a "
        f"mean cosine of {now.mean_cosine:.2f}{was}, so most queries will get the same pictures. Lower the "
        "learning rate, set align_reg to 0 or a tenth, and use larger batches of different parts; then start "
        "from the frozen model again"
    )


# By `starter` the demo's 582 pictures have .11 and 57 and their texts .03 and 53, the hardware store's 334
# pictures .41 and 48; a shelf of near-equal parts may have .9, which is no collapse. A tower trained on
# positives alone passes .98 and falls below 2 (tests/test_collapse.py).
_COSINE, _RANK = 0.98, 2.0
_DISTANCE_LEFT, _RANK_LEFT = 0.1, 0.25  # shares of what the frozen model had


def _highest_cosine(before: Spread | None) -> float:
    return _COSINE if before is None else 1 - _DISTANCE_LEFT * (1 - before.mean_cosine)


def _least_rank(before: Spread | None) -> float:
    return _RANK if before is None else _RANK_LEFT * before.effective_rank
