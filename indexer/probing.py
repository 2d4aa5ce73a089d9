"""The batch size that suits a device, found by trying."""

from __future__ import annotations

import time

import numpy as np

from clipsearch.encoder import Encoder
from clipsearch.errors import EncoderError

_SMALLEST, _LARGEST = 32, 1024
_WORTH_IT = 1.05  # a doubling must bring this much, for it costs memory and delay
_REPEATS = 3


def probed_batch(encoder: Encoder) -> int:
    """The largest batch whose doubling still paid, from 32 to 1,024, in a few seconds on a GPU.

    What did not fit in memory halves the batch in the encoder itself, and so ends the search.
    """
    best, best_pace = _SMALLEST, 0.0
    size = _SMALLEST
    while size <= _LARGEST:
        pace = _pace(encoder, size)
        if pace < best_pace * _WORTH_IT:
            break
        best, best_pace = size, pace
        size *= 2
    return best


def _pace(encoder: Encoder, size: int) -> float:
    """Pictures a second at this batch; 0 where it does not fit."""
    preprocessing = encoder.preprocessing
    pixels = np.zeros((size, preprocessing.height, preprocessing.width, 3), np.uint8)
    pixels[:, ::2] = 255  # a black picture may have no direction
    try:
        encoder.encode_pixels(pixels)
        if encoder.largest_batch is not None and encoder.largest_batch < size:
            return 0.0
        start = time.perf_counter()
        for _ in range(_REPEATS):
            encoder.encode_pixels(pixels)
    except EncoderError:
        return 0.0
    return size * _REPEATS / (time.perf_counter() - start)
