"""Zero-shot labels for one picture: prompts, cosines, softmax. Knows no vocabulary and no calibration.

Formula: probability_i = softmax(logit_scale * cosine_i) over the labels given (CLIP, Radford et al. 2021,
section 3.1.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clipsearch.serve.batching import BatchingEncoder
from clipsearch.types import Embeddings


def tag_record(
    encoder: BatchingEncoder, vector: Embeddings, labels: Sequence[str], template: str
) -> dict[str, Any]:
    """The labels, best first, for a picture's vector (1, D). A label given twice counts once."""
    names = list(dict.fromkeys(labels))
    texts = encoder.encode_texts([template.replace("{}", name) for name in names])  # (L, D)
    cosines = (texts @ vector[0]).astype(np.float64)
    logits = encoder.logit_scale * cosines
    odds = np.exp(logits - logits.max())
    probabilities = odds / odds.sum()
    order = sorted(range(len(names)), key=lambda i: (-cosines[i], i))
    return {
        "model": encoder.fingerprint.model,
        "template": template,
        "logit_scale": round(float(encoder.logit_scale), 4),
        "tags": [
            {
                "label": names[i],
                "probability": round(float(probabilities[i]), 6),
                "cosine": round(float(cosines[i]), 6),
            }
            for i in order
        ],
    }
