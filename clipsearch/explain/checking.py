"""Whether a map says more than chance: hide and show patches in its order, and in random orders.

Deletion and insertion after Petsiuk et al. 2018 (RISE, arXiv 1806.07421). Makes no map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder

SHARES = (0.2, 0.4, 0.6, 0.8)  # of the patches
N_RANDOM = 8  # orders
_T_95 = 1.860  # Student's t with 8 degrees of freedom, one-sided 5 %
_BATCH = 16
N_PICTURES = 2 + 2 * len(SHARES) * (1 + N_RANDOM)
"""Pictures that one check encodes."""


@dataclass(frozen=True, slots=True)
class Check:
    """Areas under two curves of the score: the cosine with the words less the mean one with neutral prompts.

    deletion: the most important patches are hidden first, lower is better; insertion: they are shown
    first, higher is better. random: insertion - deletion of random orders, 0 in the mean. Hidden patches
    have the picture's mean colour.
    """

    deletion: float
    insertion: float
    random: tuple[float, ...]

    @property
    def gain(self) -> float:
        """insertion - deletion, to be compared with `needed`."""
        return self.insertion - self.deletion

    @property
    def needed(self) -> float:
        """The gain that a random order reaches once in twenty: t(8) = 1.860 of the random orders' spread."""
        return _T_95 * float(np.sqrt(np.mean(np.square(self.random))))

    @property
    def is_better_than_random(self) -> bool:
        """Whether the map's order gains more than random ones."""
        return self.gain > self.needed


def check(
    encoder: Encoder,
    pixels: NDArray[np.uint8],
    relevance: NDArray[np.float32],
    direction: NDArray[np.float32],
) -> Check:
    """The check of one map (rows, columns) for a fitted picture (H, W, 3) and a direction (D,).

    Encodes N_PICTURES pictures, so it costs far more than the map. Always the same for the same input.
    """
    rng = np.random.default_rng(0)
    n = relevance.size
    mixed = rng.permutation(n)  # so that equal patches, as the many zeros, come in no order
    by_map = mixed[np.argsort(-relevance.ravel()[mixed], kind="stable")]
    orders = [by_map, *(rng.permutation(n) for _ in range(N_RANDOM))]
    hidden = [np.zeros(n, bool), np.ones(n, bool)]
    for order in orders:
        for share in SHARES:
            first = np.zeros(n, bool)
            first[order[: round(share * n)]] = True
            hidden += [first, ~first]
    scores = _scores(encoder, pixels, np.stack(hidden).reshape(-1, *relevance.shape), direction)
    whole, nothing = scores[:2]
    by_order = scores[2:].reshape(len(orders), len(SHARES), 2)
    areas = [
        (_area([whole, *of[:, 0], nothing]), _area([nothing, *of[:, 1], whole])) for of in by_order
    ]  # deletion, insertion
    return Check(*areas[0], random=tuple(insertion - deletion for deletion, insertion in areas[1:]))


def hide(pixels: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture (H, W, 3) with its mean colour in the patches where hidden (rows, columns) is true."""
    height, width = (
        side // count for side, count in zip(pixels.shape[:2], hidden.shape, strict=True)
    )  # of a patch; what the last patches leave over the model does not see
    where = np.kron(hidden, np.ones((height, width), bool))
    changed = pixels.copy()
    changed[: where.shape[0], : where.shape[1]][where] = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    return changed


def _scores(
    encoder: Encoder, pixels: NDArray[np.uint8], hidden: NDArray[np.bool_], direction: NDArray[np.float32]
) -> NDArray[np.float32]:
    parts = [
        encoder.encode_pixels(np.stack([hide(pixels, one) for one in hidden[i : i + _BATCH]])) @ direction
        for i in range(0, len(hidden), _BATCH)
    ]
    return np.concatenate(parts)


def _area(scores: Sequence[float]) -> float:
    area: np.float64 = np.trapezoid(scores, (0.0, *SHARES, 1.0))
    return float(area)
