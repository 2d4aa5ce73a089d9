"""How sure a hit is what was asked for, from 0 to 1. Applies a calibration; `calibration` fits it.

A cosine says little by itself: what is high for one picture is low for another that is near to
everything. So a picture's nearness to neutral prompts ("a photo") is taken off in part, the rest is
measured against the collection's own background, and a logistic curve makes a probability of it (Platt
1999). Words that the record itself holds speak for a hit independently of the picture (noisy or).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
NEUTRAL_SHARE = 0.2
"""Of a picture's mean cosine with neutral prompts, taken off its cosine with a query in words. On the demo
catalogue 0.15 to 0.25 told right from wrong hits best, 0.4 worse than none."""
_WORDS = 0.95  # how far a record is trusted that holds all the query's words
_SHARPNESS = 3  # half of the words are worth an eighth of that
_KNOWN = ("exact key", "key")  # channels that leave no doubt
_HELD = 0.05  # the most that is left to a hit whose words hold an unwanted term

FittedOn = Literal["background", "words", "judgements"]


@dataclass(frozen=True, slots=True)
class Curve:
    """From evidence (a cosine, corrected) to a probability: 1 / (1 + exp(-(slope * z + intercept)))."""

    mean: float  # of the background's evidence
    std: float
    slope: float
    intercept: float
    fitted_on: FittedOn = "background"
    n_pairs: int = 0

    def __call__(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        z = (evidence - self.mean) / self.std
        made: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(self.slope * z + self.intercept, -30, 30)))
        return made


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of one collection. neutral: the neutral prompts' mean vector (D,), not of length 1."""

    neutral: tuple[float, ...]
    text: Curve
    image: Curve
    n_points: int  # of the collection when its background was sampled
    words_version: int = 0
    facts: Mapping[str, float] = field(default_factory=dict)


def confidences(hits: Sequence[Hit], wanted: Wanted, calibration: Calibration, store: Store) -> list[Hit]:
    """The hits with their payloads' confidence and cosine filled in. They need their payloads."""
    assert wanted.vector is not None
    ids = [hit.id for hit in hits]
    cosines, neutral = cosines_with(store, ids, [wanted.vector, unit(calibration.neutral)])
    if wanted.by == "text":
        by_picture = calibration.text(evidence(cosines, neutral, calibration.neutral))
    else:
        by_picture = calibration.image(cosines)
    kinds = all_fields(store.spec)
    return [
        replace(hit, cosine=float(cosine), confidence=_confidence(hit, float(seen), wanted, kinds))
        for hit, cosine, seen in zip(hits, cosines, by_picture, strict=True)
    ]


def evidence(
    cosines: NDArray[np.float64], with_neutral: NDArray[np.float64], neutral: Sequence[float]
) -> NDArray[np.float64]:
    """Cosines with a query in words, less a share of the mean cosine with neutral prompts.

    with_neutral: cosines with the unit vector of `neutral`.
    """
    length = float(np.linalg.norm(neutral))
    return cosines - NEUTRAL_SHARE * length * with_neutral


def unit(vector: Sequence[float]) -> NDArray[np.float32]:
    """The vector at length 1."""
    row = np.asarray(vector, np.float32)
    made: NDArray[np.float32] = row / max(float(np.linalg.norm(row)), 1e-12)
    return made


def _confidence(hit: Hit, seen: float, wanted: Wanted, kinds: Mapping[str, FieldKind]) -> float:
    if any(name in hit.why for name in _KNOWN):
        return 1.0
    share = lexical.matched(wanted.words, hit.payload, kinds) if wanted.words else 0.0
    said = _WORDS * share**_SHARPNESS
    sure = 1.0 - (1.0 - seen) * (1.0 - said)
    return min(sure, _HELD) if "unwanted words" in hit.why else sure
