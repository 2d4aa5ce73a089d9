"""From which cosine on two pictures are worth comparing, or count as one: told from the collection itself.

Knows no store: it is given a sample of vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clipsearch.types import Embeddings

SAMPLE = 512  # vectors; their 130,816 pairs put the median within a few thousandths
_TYPICAL = 0.4  # background distance where there are too few pictures to measure it
_FEW = 20

# Shares of the background's distance (1 - cosine, median over pairs). Cosines alone do not carry over: two
# pictures of the hardware store lie at .40 in the median and of the demo's parts at .09, by the same model.
# The same picture at JPEG 30 and 0.3 of the size has .17 at the most of the hardware store's, cropped by
# 3 % a side .23 (1 in 100 more than .21); the nearest different pictures have .05 there, .008 in the demo.
_LOOK, _SURE, _SCENE = 0.2, 0.005, 0.1


@dataclass(frozen=True, slots=True)
class Bars:
    """Least cosines. background: of two pictures of the collection, in the median.

    look: worth comparing by eye. sure: the same picture, even if nobody can look. scene: the same scene.
    """

    background: float
    look: float
    sure: float
    scene: float


def bars_of(sample: Embeddings) -> Bars:
    """Bars for the collection that the sample (N, D), without equal pictures, was taken from."""
    distance = _TYPICAL
    if len(sample) >= _FEW:
        cosines = sample @ sample.T  # (N, N)
        distance = float(np.clip(1 - np.median(cosines[np.triu_indices(len(sample), 1)]), 0.02, 1))
    return Bars(1 - distance, *(1 - share * distance for share in (_LOOK, _SURE, _SCENE)))
