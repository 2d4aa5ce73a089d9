"""What tagging a collection's pictures shows of a vocabulary: labels never given, nearly always, or together.

Asks Decider, so it sees what `clipsearch tag` would give.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging.deciding import Decider, Given
from clipsearch.tagging.lint.finding import FEWEST, Finding, finding, listed, merged
from clipsearch.tagging.scoring import Scorer
from clipsearch.tagging.vocabulary import Vocabulary
from clipsearch.types import Embeddings

VACUOUS = 0.6  # of the pictures
TOGETHER = 0.8  # of the pictures that have either: Jaccard's index
_SUPPORT = 10  # pictures of each of two labels that are given together
_COMPARED = 4000  # labels, the most given: 16 million pairs, 1 s at 2,000 pictures
_ROWS = 512
_NEVER = "the model does not know it, or the collection has none: try other words, or leave it out"


def given(
    vocabulary: Vocabulary, scorer: Scorer, vectors: Embeddings, known: set[tuple[str, ...]]
) -> Iterator[Finding]:
    """What is wrong with the labels that pictures with these vectors (N, D) are given.

    known: groups of labels that something else was said of already.
    """
    n = len(vectors)
    if n < FEWEST:
        return
    found = Decider(scorer, vocabulary).decide(vectors)
    counts = np.bincount(found.places, minlength=len(vocabulary))
    own = np.bincount(found.places[~found.implied], minlength=len(vocabulary))
    yield from _vacuous(vocabulary, own, n)
    yield from _together(vocabulary, found, counts, n, known)
    yield from _dead(vocabulary, scorer, vectors, counts)


def _dead(
    vocabulary: Vocabulary, scorer: Scorer, vectors: Embeddings, counts: NDArray[np.int64]
) -> Iterator[Finding]:
    n = len(vectors)
    dead = np.flatnonzero((counts == 0) & (scorer.thresholds <= 1))  # above 1: left off by a promise
    for start in range(0, len(dead), _ROWS):
        block = dead[start : start + _ROWS]
        logits = (vectors @ scorer.weights[block].T).max(axis=0) + scorer.offsets[block]
        surest = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -50, 50)))
        for place, best in zip(block.tolist(), surest.tolist(), strict=True):
            needed = float(scorer.thresholds[place])
            why = f"the surest is {best:.2f} sure, and {needed:.2f} is needed"
            if best >= needed:
                why = "another of its group is always surer"
            yield finding(
                vocabulary,
                [place],
                level="note",
                check="never given",
                message=f'"{vocabulary.labels[place].id}" is given to none of {n:,} pictures: {why}',
                advice=_NEVER,
                surest=round(best, 4),
                threshold=round(needed, 4),
                pictures=n,
            )


def _vacuous(vocabulary: Vocabulary, own: NDArray[np.int64], n: int) -> Iterator[Finding]:
    for place in np.flatnonzero(own > VACUOUS * n).tolist():
        yield finding(
            vocabulary,
            [place],
            level="warning",
            check="given to most",
            message=f'"{vocabulary.labels[place].id}" is given to {own[place] / n:.0%} of {n:,} pictures: '
            "it tells nothing apart",
            advice="leave it out, or make it narrower",
            share=round(float(own[place]) / n, 4),
            pictures=n,
        )


def _together(
    vocabulary: Vocabulary, found: Given, counts: NDArray[np.int64], n: int, known: set[tuple[str, ...]]
) -> Iterator[Finding]:
    places = np.flatnonzero(counts >= _SUPPORT)
    places = np.sort(places[np.argsort(-counts[places], kind="stable")[:_COMPARED]])
    column = np.full(len(vocabulary), -1, np.int64)
    column[places] = np.arange(len(places))
    kept = column[found.places] >= 0
    has = np.zeros((len(places), n), np.float32)
    has[column[found.places[kept]], found.pictures[kept]] = 1
    sizes = counts[places].astype(np.float32)
    for start in range(0, len(places), _ROWS):
        both = has[start : start + _ROWS] @ has[start:].T  # (B, C - start)
        index = both / (sizes[start : start + _ROWS, None] + sizes[None, start:] - both)
        index[np.tril_indices(len(index), 0, index.shape[1])] = 0
        for row, other in np.argwhere(index >= TOGETHER).tolist():
            pair = [int(places[start + row]), int(places[start + other])]
            ids = tuple(vocabulary.labels[place].id for place in pair)
            if ids in known or _are_related(vocabulary, *pair):
                continue
            yield finding(
                vocabulary,
                pair,
                level="warning",
                check="same pictures",
                message=f"{listed(vocabulary, pair)} are given to the same pictures: "
                f"{both[row, other]:.0f} have both, {index[row, other]:.0%} of those with either",
                advice="make them one label if they are one thing; else label some pictures: tag review",
                suggestion=merged(vocabulary, pair),
                both=int(both[row, other]),
                jaccard=round(float(index[row, other]), 4),
            )


def _are_related(vocabulary: Vocabulary, one: int, other: int) -> bool:
    return one in vocabulary.ancestors(other) or other in vocabulary.ancestors(one)
