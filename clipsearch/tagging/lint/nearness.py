"""Labels that a model hardly tells from each other, or from "a photo of something".

Works on vectors; all distances are compared with the vocabulary's own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging.lint.finding import FEWEST, Finding, finding, listed, merged
from clipsearch.tagging.prompts import neutral_of
from clipsearch.tagging.vectors import LabelVectors
from clipsearch.tagging.vocabulary import Vocabulary
from clipsearch.types import Embeddings

# Shares of the median distance (1 - cosine) of two labels. Of the demo's 89 labels with the starter no two
# are nearer than 0.08 (black and black oxide 0.09, red paint and red anodising 0.12, then 0.26), but 19 of 25
# synonyms from outside its catalogue and most of its 67 shapes' Japanese names.
NEAR = 0.08
# To the nearest neutral prompt: no label of the demo is below 0.15, and picture, object and something are.
NEUTRAL = 0.15
# Best three pictures' lead over the nearest neutral prompt, in standard deviations of a label's cosines. On
# the demo 1 of 85 labels that rank their pictures well (AUROC above .9) is below, and 11 of 36 that do not;
# on the DIY catalogue, where the starter is lost, 21 of 58 with an AUROC below .65. At 1.2: 2, 15 and 37. The
# spread by itself is as wide for words without a meaning.
LEAD = 1.0
_BEST = 3
_LOOKED_AT = 2000  # pictures

_ROWS = 512
_MOST_NEAR = 20  # neighbours of one label that are looked at
_SAMPLED = 1000  # labels for the median distance
_MOST_WORDS = 4  # for one thing; of the DIY catalogue's words the starter takes 37 for one, and knows none
_ONE = "make them one label, or say in prompts of their own how they look different"
_UNKNOWN = "so many are no synonyms but words the model does not know: try others, or another model"


def near_synonyms(
    vocabulary: Vocabulary, labels: LabelVectors, known: set[tuple[str, ...]]
) -> Iterator[Finding]:
    """Groups of labels that are nearly one. known: groups that something else was said of already."""
    typical = distance(labels)
    for places, nearest in _groups(vocabulary, labels.labels, NEAR * typical):
        if tuple(vocabulary.labels[place].id for place in places) in known:
            continue
        is_one = len(places) <= _MOST_WORDS
        yield finding(
            vocabulary,
            places,
            level="warning",
            check="near-synonyms",
            message=f"{listed(vocabulary, places)} are nearly one for the model: cosine "
            f"{1 - nearest:.3f}, where two labels have {1 - typical:.2f}",
            advice=_ONE if is_one else _UNKNOWN,
            suggestion=merged(vocabulary, places) if is_one else "",
            cosine=round(1 - nearest, 4),
            median_cosine=round(1 - typical, 4),
        )


def like_background(
    vocabulary: Vocabulary, labels: LabelVectors, vectors: Embeddings | None = None
) -> Iterator[Finding]:
    """Labels that say no more than "a photo", by their vectors and by a collection's (N, D).

    Labels with narrower ones are left out: they are given through these.
    """
    if not len(labels.labels) or not len(labels.neutral):
        return
    cosines = labels.labels @ labels.neutral.T  # (C, K)
    apart = (1 - cosines.max(axis=1)) / distance(labels)
    nearest = cosines.argmax(axis=1)
    has_pictures = vectors is not None and len(vectors) >= FEWEST
    lead = (
        _lead(labels, vectors[:_LOOKED_AT])
        if vectors is not None and has_pictures
        else np.full(len(apart), np.inf)
    )
    prompts = neutral_of(vocabulary)
    parents = {parent for label in vocabulary.labels for parent in label.parents}
    for place in np.flatnonzero((apart < NEUTRAL) | (lead < LEAD)):
        if vocabulary.labels[place].id in parents:
            continue
        said = []
        if apart[place] < NEUTRAL:
            said.append(f'is embedded like "{prompts[nearest[place]]}" (cosine {cosines[place].max():.2f})')
        if lead[place] < LEAD:
            said.append(
                'fits no picture clearly better than "a photo" does: the best by '
                f"{lead[place]:.2f} standard deviations, {LEAD:.2f} are wanted"
            )
        yield finding(
            vocabulary,
            [int(place)],
            level="warning",
            check="like background",
            message=f'"{vocabulary.labels[place].id}" {" and ".join(said)}',
            advice="say in prompts what such a picture shows, or leave it out: the model does not see it",
            cosine=round(float(cosines[place].max()), 4),
            lead=round(float(lead[place]), 2) if np.isfinite(lead[place]) else None,
        )


def distance(labels: LabelVectors) -> float:
    """The median distance, 1 - cosine, of two labels; that of labels to neutral prompts if that is more.

    The second, for in a vocabulary of two the median is of the pair that is asked about.
    """
    some = labels.labels
    if len(some) > _SAMPLED:
        some = some[np.random.default_rng(0).choice(len(some), _SAMPLED, replace=False)]
    among = (some @ some.T)[np.triu_indices(len(some), 1)]
    neutral = some @ labels.neutral.T
    medians = [1 - float(np.median(cosines)) for cosines in (among, neutral) if cosines.size]
    return max(*medians, 1e-6) if medians else 1.0


def _groups(vocabulary: Vocabulary, vectors: Embeddings, limit: float) -> list[tuple[list[int], float]]:
    """Groups of labels joined by pairs nearer than the limit, each with its smallest distance.

    A label and a broader one are no pair. Blocks of the upper triangle, so that 20,000 labels need 40 MB.
    """
    top = list(range(len(vectors)))
    nearest: dict[int, float] = {}

    def root(place: int) -> int:
        while top[place] != place:
            top[place] = place = top[top[place]]
        return place

    for row, other, apart in _pairs(vectors, limit):
        if other in vocabulary.ancestors(row) or row in vocabulary.ancestors(other):
            continue
        one, two = sorted((root(row), root(other)))
        top[two] = one
        nearest[one] = min(apart, nearest.get(one, apart), nearest.pop(two, apart) if two != one else apart)
    members: dict[int, list[int]] = {}
    for place in range(len(vectors)):
        members.setdefault(root(place), []).append(place)
    return [(members[one], apart) for one, apart in sorted(nearest.items())]


def _pairs(vectors: Embeddings, limit: float) -> Iterator[tuple[int, int, float]]:
    for start in range(0, len(vectors), _ROWS):
        cosines = vectors[start : start + _ROWS] @ vectors[start:].T  # (B, C - start)
        cosines[np.tril_indices(len(cosines), 0, cosines.shape[1])] = -1
        rows, columns = np.nonzero(cosines > 1 - limit)
        nth = np.arange(len(rows)) - np.searchsorted(rows, rows)  # of its row
        for row, column in zip(rows[nth < _MOST_NEAR], columns[nth < _MOST_NEAR], strict=True):
            yield start + int(row), start + int(column), max(0.0, 1 - float(cosines[row, column]))


def _lead(labels: LabelVectors, vectors: Embeddings) -> NDArray[np.float64]:
    """(C,) how far each label's best pictures are above their nearest neutral prompt, in spreads."""
    neutral = (vectors @ labels.neutral.T).max(axis=1, keepdims=True)  # (N, 1)
    lead, spread = np.empty(len(labels.labels)), np.empty(len(labels.labels))
    for start in range(0, len(lead), _ROWS):
        block = slice(start, start + _ROWS)
        cosines = vectors @ labels.labels[block].T  # (N, B)
        spread[block] = cosines.std(axis=0)
        lead[block] = np.partition(cosines - neutral, -_BEST, axis=0)[-_BEST:].mean(axis=0)
    return lead / max(float(np.median(spread)), 1e-6)
