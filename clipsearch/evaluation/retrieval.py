"""Both directions of image-text retrieval, several captions an image, and their metrics by name.

The formulas are `metrics`'; nothing here computes a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipsearch.evaluation.metrics import (
    Values,
    average_precision,
    hit_at,
    ndcg_at,
    recall_at,
    reciprocal_rank,
    top_k_correct,
)

TEXT_TO_IMAGE, IMAGE_TO_TEXT = "text->image", "image->text"
_QUERIES_AT_ONCE = 512  # rows that are held as float64, whatever the scores are


@dataclass(frozen=True, slots=True)
class Direction:
    """One way of asking: Q queries against N items."""

    name: str
    scores: NDArray[np.floating]  # (Q, N)
    relevant: NDArray[np.bool_]  # (Q, N), the qrels
    groups: NDArray[np.generic]  # (Q,), queries about one thing, which are not independent


def qrels(query_keys: Sequence[object], item_keys: Sequence[object]) -> NDArray[np.bool_]:
    """True where query and item are about the same thing: (Q, N).

    query_keys (Q,), item_keys (N,): of the picture, or of the part where several pictures show one. A
    caption's key is its picture's, so captions of one picture share it. Keys are compared as text.
    """
    queries, items = _as_text(query_keys), _as_text(item_keys)
    _, codes = np.unique(np.concatenate([queries, items]), return_inverse=True)
    same: NDArray[np.bool_] = codes[: len(queries), None] == codes[None, len(queries) :]
    return same


def both_directions(
    scores: ArrayLike, *, caption_keys: Sequence[object], image_keys: Sequence[object]
) -> tuple[Direction, Direction]:
    """Text to image and image to text, from one table of scores (T, I) of T captions and I images.

    A caption looks for every image of its key, an image for every caption of its key (five in COCO, of which
    the papers' Recall@k asks for any: `hit_at`). A query without one has no value in any metric. Groups are
    the keys. Raises ValueError where the keys don't fit the scores.
    """
    table = np.asarray(scores)
    if table.shape != (len(caption_keys), len(image_keys)):
        raise ValueError(
            f"scores {table.shape} must be (captions, images), of which there are keys for"
            f" {len(caption_keys)} and {len(image_keys)}"
        )
    right = qrels(caption_keys, image_keys)
    return (
        Direction(TEXT_TO_IMAGE, table, right, _as_text(caption_keys)),
        Direction(IMAGE_TO_TEXT, table.T, right.T, _as_text(image_keys)),
    )


def retrieval_values(
    scores: ArrayLike, relevant: ArrayLike, *, ks: Sequence[int] = (1, 5, 10), grades: ArrayLike | None = None
) -> dict[str, Values]:
    """Every retrieval metric of every query, by name: (Q,) each, NaN for a query without a relevant item.

    Hit@k, Recall@k and nDCG@k for each k, MRR (reciprocal rank) and mAP (average precision), whose means are
    what is reported. scores (Q, N), relevant (Q, N) bool; grades (Q, N): gains for nDCG, None: relevant.
    """
    table, truth = np.asarray(scores), np.asarray(relevant, dtype=bool)
    gains = truth if grades is None else np.asarray(grades)
    if not table.shape == truth.shape == gains.shape or table.ndim != 2:
        raise ValueError(
            f"scores {table.shape}, relevant {truth.shape} and grades {gains.shape} must be (queries, items)"
        )
    blocks = []
    for i in range(0, max(len(table), 1), _QUERIES_AT_ONCE):
        rows = slice(i, i + _QUERIES_AT_ONCE)
        block = [np.ascontiguousarray(each[rows]) for each in (table, truth, gains)]  # may be a transpose
        blocks.append(_of_block(*block, ks=ks))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def classification_values(
    scores: ArrayLike, labels: ArrayLike, *, ks: Sequence[int] = (1, 3, 5)
) -> dict[str, Values]:
    """Whether the true class is among the k best, by name (top-1, ...): (N,) each of 0.0 and 1.0.

    scores (N, C), labels (N,) class numbers. Means are the accuracies, `mean_per_class` or the weights of
    `class_weights` make each class count alike. A k of C or more is left out: it says nothing.
    """
    n_classes = np.shape(scores)[1]
    return {f"top-{k}": top_k_correct(scores, labels, k) for k in ks if k < n_classes}


def _of_block(
    scores: NDArray[np.generic],
    relevant: NDArray[np.generic],
    gains: NDArray[np.generic],
    *,
    ks: Sequence[int],
) -> dict[str, Values]:
    """The metrics in the order of a report."""
    table = scores.astype(np.float64)
    return {
        **{f"Hit@{k}": hit_at(table, relevant, k) for k in ks},
        **{f"Recall@{k}": recall_at(table, relevant, k) for k in ks},
        "MRR": reciprocal_rank(table, relevant),
        **{f"nDCG@{k}": ndcg_at(table, gains, k) for k in ks},
        "mAP": average_precision(table, relevant),
    }


def _as_text(keys: Sequence[object]) -> NDArray[np.str_]:
    return np.asarray([str(key) for key in keys], dtype=np.str_)
