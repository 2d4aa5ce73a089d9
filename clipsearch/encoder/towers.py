"""What every runtime gives: a tower turns a batch into vectors. Halves batches that do not fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import EncoderError
from clipsearch.types import Embeddings

Vectors = NDArray[np.float32]


class Tower(Protocol):
    """One half of a model: token ids (B, L) or pixels (B, 3, H, W) -> vectors (B, D), any length."""

    def run(self, batch: NDArray[Any], /) -> Vectors:
        """Raises TowerOutOfMemory if the batch is too large for the device, EncoderError otherwise."""
        ...


class TowerOutOfMemory(Exception):
    """A batch did not fit; a smaller one may."""


def run_halving(run: Callable[[NDArray[Any]], Vectors], batch: NDArray[Any], *, what: str) -> Vectors:
    """run(batch), in halves as small as needed to fit in memory.

    Raises EncoderError if not even one item fits.
    """
    try:
        return run(batch)
    except TowerOutOfMemory as exc:
        if len(batch) <= 1:
            raise EncoderError(
                f"not even one {what} fits in the device's memory ({exc}); close other programs on it, "
                "choose a smaller model (clipsearch models), or --device cpu"
            ) from exc
    half = len(batch) // 2
    return np.concatenate([run_halving(run, part, what=what) for part in (batch[:half], batch[half:])])


def unit(vectors: Vectors, *, what: str) -> Embeddings:
    """The vectors scaled to length 1. Raises EncoderError for one that is not finite or is zero."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise EncoderError(
            f"the model gave no usable vector for {what} number {bad[0] + 1} of {len(vectors)} "
            f"(length {lengths[bad[0]]}); its weights may be damaged (clipsearch models verify), "
            "or too coarse a precision for it: try --device cpu"
        )
    units: Embeddings = (vectors / lengths[:, None]).astype(np.float32)
    return units
