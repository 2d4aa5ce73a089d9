"""How sure a hit is what was asked for, from 0 to 1. Applies a calibration; `calibration` fits it.

A cosine says little by itself: what is high between words and pictures is low between two pictures, and
each model and collection has its own scale. So it is measured against the collection's own background, and
a logistic curve makes a probability of it (Platt 1999). Words that the record itself holds speak for a hit
independently of the picture (noisy or).

Tried without success on the demo and the DIY catalogue, as AUROC of the first ten hits: taking off a part of
a picture's mean cosine with neutral prompts (.940, .939, .932 for 0, .2, .4 of it), standardising each
query by its own background (.789), its ten best hits (.933) or its gap to those behind (.912).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipsearch import lexical
from clipsearch.search.asking import Wanted
from clipsearch.search.ranking import cosines_with
from clipsearch.store import Store, all_fields
from clipsearch.types import FieldKind, Hit

CONFIDENT = 0.5
"""A hit at or above it is more likely right than wrong."""
_WORDS = 0.95  # how far a record is trusted that holds all the query's words
# A record that holds but some of the words is seldom right: three in four are worth a tenth of that. On the
# demo, 3, 5 and 8 give calibration errors of .15, .09, .05 and .88, .94, .98 of the confident hits are right.
_SHARPNESS = 8
# Of a picture's confidence, lost by a record without the words where another holds all of them. For queries
# in other words, mistyped or with a size, 0 and .9 give AUROC .932 and .963, and .73 and .90 right.
_SILENCE = 0.9
_KNOWN = ("exact key", "key")  # channels that leave no doubt
_HELD = 0.05  # the most that is left to a hit whose words hold an unwanted term

FittedOn = Literal["background", "words", "judgements"]


@dataclass(frozen=True, slots=True)
class Curve:
    """From a cosine to a probability: 1 / (1 + exp(-(slope * z + intercept))), z = (cosine - mean) / std."""

    mean: float  # of the background's cosines
    std: float
    slope: float
    intercept: float
    fitted_on: FittedOn = "background"
    n_pairs: int = 0

    def __call__(self, cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        z = (cosines - self.mean) / self.std
        made: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(self.slope * z + self.intercept, -30, 30)))
        return made


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of one collection."""

    text: Curve  # of queries in words
    image: Curve  # of queries with pictures in them
    n_points: int  # of the collection when its background was sampled


def confidences(
    hits: Sequence[Hit], wanted: Wanted, calibration: Calibration, store: Store, *, known: float = 0.0
) -> list[Hit]:
    """The hits with their confidence and cosine filled in. They need their payloads.

    known: the share of the query's words that the record holds which holds most of them.
    """
    assert wanted.vector is not None
    ids = [hit.id for hit in hits]
    cosines = cosines_with(store, ids, [wanted.vector])[0]
    by_picture = (calibration.text if wanted.by == "text" else calibration.image)(cosines)
    kinds = all_fields(store.spec)
    return [
        replace(hit, cosine=float(cosine), confidence=_confidence(hit, float(seen), wanted, kinds, known))
        for hit, cosine, seen in zip(hits, cosines, by_picture, strict=True)
    ]


def _confidence(hit: Hit, seen: float, wanted: Wanted, kinds: Mapping[str, FieldKind], known: float) -> float:
    if any(name in hit.why for name in _KNOWN):
        return 1.0
    share = lexical.matched(wanted.words, hit.payload, kinds) ** _SHARPNESS if wanted.words else 0.0
    said = _WORDS * share
    silent = _SILENCE * max(0.0, known**_SHARPNESS - share)
    sure = 1.0 - (1.0 - seen * (1.0 - silent)) * (1.0 - said)
    return min(sure, _HELD) if "unwanted words" in hit.why else sure
