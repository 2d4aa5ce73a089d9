"""What every runtime gives: a tower turns a batch into vectors. Cuts batches that do not fit in memory."""

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


class BatchLimit:
    """The largest batch that fits in memory, found by halving and kept: a long run fails once, not always."""

    def __init__(self, what: str) -> None:
        """what: one item of a batch, for the message."""
        self._what = what
        self.size: int | None = None  # None: nothing has failed yet

    def run(self, run: Callable[[NDArray[Any]], Vectors], batch: NDArray[Any]) -> Vectors:
        """run(batch), in parts as small as needed. Raises EncoderError if not even one item fits."""
        if self.size is not None and len(batch) > self.size:
            parts = [batch[i : i + self.size] for i in range(0, len(batch), self.size)]
            return np.concatenate([self.run(run, part) for part in parts])
        try:
            return run(batch)
        except TowerOutOfMemory as exc:
            if len(batch) <= 1:
                raise EncoderError(
                    f"not even one {self._what} fits in the device's memory ({exc}); close other programs on "
                    "it, choose a smaller model (clipsearch models), or --device cpu"
                ) from exc
        self.size = min(len(batch) // 2, self.size or len(batch))
        return self.run(run, batch)


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
