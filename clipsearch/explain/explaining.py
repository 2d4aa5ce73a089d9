"""One picture and one text -> Explanation. Puts the map, the words and the check together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipsearch.explain.checking import Check, check
from clipsearch.explain.placing import Box, seen_box
from clipsearch.explain.words import WordShare, neutral_prompts, shown, spans, without
from clipsearch.images import Source, load

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder

_TEXTS = 512  # the text, it without each word, and the neutral prompts: one batch


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a picture is near to a text.

    cosine: of the two; neutral: mean cosine with prompts that fit any picture.
    map: float32 (rows, columns) of the model's patches, 0 or more: what speaks for the text rather
    than for the neutral prompts. box: where the map lies on the upright original of size (width, height),
    in its pixels; outside of it the model saw nothing (see overlay). words: in the text's order.
    check: None if it was not asked for.
    """

    text: str
    cosine: float
    neutral: float
    map: NDArray[np.float32]
    box: Box
    size: tuple[int, int]
    words: tuple[WordShare, ...]
    check: Check | None

    @property
    def is_better_than_random(self) -> bool | None:
        """Whether hiding by the map moves the score more than hiding at random; None if not checked."""
        return None if self.check is None else self.check.is_better_than_random


def explain(
    encoder: Encoder, image: Source, text: str, *, check_map: bool = True, name: str | None = None
) -> Explanation:
    """Why the picture is near to the text: a map (Grad-ECLIP), each word's share, and a check of the map.

    The map is taken for the text's vector less the mean of neutral prompts' vectors, as the gradient of
    the cosine is linear in the text, and clipped at 0. A word's share is how far the cosine falls
    without it; the only word is compared with the neutral prompts. check_map: encode checking.N_PICTURES
    more pictures to see whether the map is better than a random one. name: what errors call the picture.
    Raises ImageError, QueryError (no words, or too many), EncoderError.
    """
    found = spans(text)
    exact = encoder.fingerprint.decode == "exact"
    pixels, size = load(image, encoder.preprocessing, exact=exact, name=name)
    prompts = neutral_prompts(text)
    shorter = [without(text, span) for span in found]
    vectors = encoder.encode_texts([text, *prompts, *filter(None, shorter)], batch_size=_TEXTS)
    neutral = vectors[1 : 1 + len(prompts)].mean(axis=0)  # (D,), shorter than 1
    direction = vectors[0] - neutral
    maps, pictures = encoder.relevance(pixels[None], direction[None])
    relevance = np.maximum(maps[0], 0)
    cosine, of_neutral = float(vectors[0] @ pictures[0]), float(neutral @ pictures[0])
    rest = iter((vectors[1 + len(prompts) :] @ pictures[0]).tolist())
    words = tuple(
        WordShare(shown(text[start:end]), start, end, cosine - (next(rest) if less else of_neutral))
        for (start, end), less in zip(found, shorter, strict=True)
    )
    return Explanation(
        text=text,
        cosine=cosine,
        neutral=of_neutral,
        map=relevance,
        box=seen_box(size, encoder.preprocessing, (relevance.shape[0], relevance.shape[1])),
        size=size,
        words=words,
        check=check(encoder, pixels, relevance, direction) if check_map else None,
    )
