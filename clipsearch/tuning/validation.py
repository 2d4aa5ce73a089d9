"""Retrieval on pairs during a run: does the model find each picture by its words? No intervals here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clipsearch.evaluation.metrics import hit_at
from clipsearch.tuning.pairs import Pairs
from clipsearch.tuning.towers import image_vectors, on_device, scaled, text_vectors
from clipsearch.types import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor


def recalls(
    model: Any,
    pairs: Pairs,
    *,
    tokenize: Callable[[Sequence[str]], Tensor],
    preprocessing: Preprocessing,
    batch_size: int = 256,
) -> dict[str, float]:
    """Share of pictures' first captions that find a picture of their group among the first 1, 5 and 10.

    Keys are "channel/k"; the gallery is all pictures of `pairs`. Runs in the model's present mode.
    """
    import torch

    device = next(model.parameters()).device
    blocks = [np.arange(i, min(i + batch_size, len(pairs))) for i in range(0, len(pairs), batch_size)]
    pixels = (scaled(on_device(pairs.pictures.rows(b), device), preprocessing) for b in blocks)
    image = torch.cat([image_vectors(model, p) for p in pixels])  # (N, D)
    relevant = pairs.groups[:, None] == pairs.groups[None, :]
    metrics = {}
    for c, channel in enumerate(pairs.channels):
        words = [[pairs.captions[int(i)][c][0] for i in block] for block in blocks]
        text = torch.cat([text_vectors(model, tokenize(w).to(device)) for w in words])
        scores = (text @ image.T).float().cpu().numpy()
        for k in (1, 5, 10):
            metrics[f"{channel}/{k}"] = float(np.mean(hit_at(scores, relevant, k)))
    return metrics
