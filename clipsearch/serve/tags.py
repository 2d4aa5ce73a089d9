"""The tags of one picture as JSON: by plain labels with a softmax over them, or by a vocabulary's Tagger.

Formula of the former: probability_i = softmax(logit_scale * cosine_i) over the labels given (CLIP, Radford et
al. 2021, section 3.1.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clipsearch.serve.batching import BatchingEncoder
from clipsearch.types import Embeddings

if TYPE_CHECKING:
    from clipsearch.tagging.tagger import Tagger


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


def vocabulary_record(tagger: Tagger, vector: Embeddings) -> dict[str, Any]:
    """The tags that are certain, surest first, for a picture's vector (1, D); none: "tags" is empty."""
    (tags,) = tagger.tag_vectors(vector)
    return {
        "n_labels": len(tagger.vocabulary),
        "n_background": tagger.fit.n_background,
        "fitted_on": tagger.fit.kind,
        "tags": [
            {
                "label": tag.name,
                "id": tag.id,
                "confidence": round(tag.confidence, 6),
                "paths": [list(path) for path in tag.paths],
                "implied": tag.implied,
            }
            for tag in tags
        ],
    }
