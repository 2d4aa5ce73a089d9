"""A vocabulary's vectors: prompts embedded, averaged, and kept by the model's fingerprint.

Knows neither pictures nor scores; `kept_vectors` knows the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging.kept_vectors import KeptVectors
from clipsearch.tagging.prompts import neutral_of, prompts_of, templates_of
from clipsearch.tagging.vocabulary import Vocabulary
from clipsearch.types import Embeddings

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder

_PROMPTS = 4096  # embedded at once: 8 MB of vectors of 512 dimensions, and a sort by length that pays
_Prompts: TypeAlias = tuple[tuple[str, ...], ...]  # of a label's words
Progress: TypeAlias = Callable[[str, int, int], None]
"""(what is done, how many so far, of how many)."""


@dataclass(frozen=True, slots=True)
class LabelVectors:
    """labels (C, D): row i is label i's prompts, averaged, of length 1. neutral (K, D): "none of these"."""

    labels: Embeddings
    neutral: Embeddings


def label_vectors(
    encoder: Encoder,
    vocabulary: Vocabulary,
    *,
    templates: Sequence[str] = (),
    cache: Path | None = None,
    on_progress: Progress | None = None,
) -> LabelVectors:
    """The vocabulary's vectors, of the encoder's model.

    templates: names of template sets, or own templates with {}; (): the vocabulary's, else "general".
    A label is the mean of its words and a word the mean of its prompts, each of length 1 (Radford et al.,
    CLIP, 2021, section 3.1.4), so that one word in eight templates is not heard over another in one.
    cache: where vectors are kept, so that of a changed vocabulary only changed labels are embedded again;
    None: nowhere. Raises TaggingError for a template that is none, EncoderError.
    """
    chosen = templates_of(vocabulary, templates)
    asked: list[_Prompts] = [prompts_of(label, chosen) for label in vocabulary.labels]
    asked += [((prompt,),) for prompt in neutral_of(vocabulary)]
    keys = [_key(prompts) for prompts in asked]
    prompts_by_key = dict(zip(keys, asked, strict=True))  # labels with the same prompts are one here
    vectors = _kept_or_made(prompts_by_key, encoder, KeptVectors(cache, encoder.fingerprint), on_progress)
    row = {key: i for i, key in enumerate(prompts_by_key)}
    found = vectors[[row[key] for key in keys]]
    n = len(vocabulary)
    return LabelVectors(found[:n], found[n:])


def _kept_or_made(
    asked: Mapping[bytes, _Prompts], encoder: Encoder, kept: KeptVectors, on_progress: Progress | None
) -> Embeddings:
    """(A, D), in the order of asked. What had to be made is kept, also where that is stopped halfway."""
    keys = np.array(list(asked), dtype="S32")
    vectors, is_there = kept.find(keys)
    missing = np.flatnonzero(~is_there)
    n_done = 0
    try:
        for block in _blocks([asked[key] for key in keys[missing].tolist()]):
            vectors[missing[n_done : n_done + len(block)]] = _embedded(block, encoder)
            n_done += len(block)
            if on_progress is not None:
                on_progress("labels", n_done, len(missing))
    finally:
        made = missing[:n_done]
        kept.add(keys[made], vectors[made])
    return vectors


def _key(prompts: _Prompts) -> bytes:
    text = json.dumps(prompts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest().encode()


def _blocks(asked: Sequence[_Prompts]) -> list[list[_Prompts]]:
    """Runs of labels with some thousand prompts together."""
    blocks: list[list[_Prompts]] = []
    size = _PROMPTS
    for prompts in asked:
        if size >= _PROMPTS:
            blocks.append([])
            size = 0
        blocks[-1].append(prompts)
        size += sum(map(len, prompts))
    return blocks


def _embedded(block: Sequence[_Prompts], encoder: Encoder) -> Embeddings:
    """(B, D): means of the words' means."""
    texts = list(dict.fromkeys(text for prompts in block for word in prompts for text in word))
    row = {text: i for i, text in enumerate(texts)}
    vectors = encoder.encode_texts(texts)  # (T, D)
    words = [[row[text] for text in word] for prompts in block for word in prompts]
    return _means(
        _means(vectors, [len(word) for word in words], np.concatenate(words)), list(map(len, block))
    )


def _means(
    vectors: Embeddings, sizes: Sequence[int], rows: Sequence[int] | NDArray[np.int64] | None = None
) -> Embeddings:
    """Means of runs of these sizes of the rows, none empty, of length 1."""
    picked = vectors if rows is None else vectors[np.asarray(rows)]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    sums = np.add.reduceat(picked, starts, axis=0)
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12), np.float32)
