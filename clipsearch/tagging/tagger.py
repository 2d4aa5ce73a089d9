"""Tagger: a vocabulary and a model -> tags of pictures, of vectors and of whole collections.

Puts prompts, scoring and deciding together. Writes nothing; touches no pixel where there are vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from clipsearch.encoder import Encoder
from clipsearch.errors import TaggingError
from clipsearch.models import require_same_model
from clipsearch.store import Store
from clipsearch.tagging import scoring
from clipsearch.tagging.deciding import Decider, Given
from clipsearch.tagging.vectors import label_vectors
from clipsearch.tagging.vocabulary import Vocabulary
from clipsearch.types import Embeddings, Filter, Tag, Tagged

if TYPE_CHECKING:
    from clipsearch.images import Source

SAMPLE = 2000  # pictures of a collection that are its background
_ENOUGH = 200  # pictures of one call that can be their own background

Progress = Callable[[str, int, int], None]


class Tagger:
    """One vocabulary, ready to tag. Safe to use from several threads.

    fit: how scores become confidences, and from which confidence on a tag is given; labels: the
    vocabulary's vectors; encoder: the model.
    """

    def __init__(
        self,
        encoder: Encoder,
        vocabulary: Vocabulary,
        *,
        templates: Sequence[str] = (),
        background: Embeddings | None = None,
        examples: scoring.Examples | None = None,
        precision: float | None = None,
        threshold: float | None = None,
        cache: Path | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """templates: names of template sets, or own ones with {}; (): the vocabulary's.

        background: vectors (S, D) of pictures like those to be tagged, which scores are compared with;
        without any, 200 pictures tagged at once are their own background, fewer get the model's bare odds.
        examples: labelled pictures, to fit confidences to. precision: what share of each tag must be right;
        it needs examples, and tags that cannot keep it are never given. threshold: the confidence from which
        a tag is given; None: fitted, or one half. cache: where the vocabulary's vectors are kept.
        Raises TaggingError, EncoderError.
        """
        self.vocabulary, self.encoder = vocabulary, encoder
        self.labels = label_vectors(
            encoder, vocabulary, templates=templates, cache=cache or encoder.cache, on_progress=on_progress
        )
        self._examples, self._precision, self._threshold = examples, precision, threshold
        self._has_background = background is not None or examples is not None
        self.fit = self._fitted(np.empty((0, encoder.dim), np.float32) if background is None else background)
        self._decider = Decider(self.fit.scorer, vocabulary)
        self._paths = [vocabulary.paths(place) for place in range(len(vocabulary))]

    @classmethod
    def of_collection(
        cls,
        store: Store,
        encoder: Encoder,
        vocabulary: Vocabulary,
        *,
        templates: Sequence[str] = (),
        examples: scoring.Examples | None = None,
        precision: float | None = None,
        threshold: float | None = None,
        cache: Path | None = None,
        on_progress: Progress | None = None,
    ) -> Self:
        """A Tagger whose background is a sample of the collection. Raises ModelMismatch too."""
        require_same_model(store.name, store.spec.fingerprint, encoder.fingerprint)
        return cls(
            encoder,
            vocabulary,
            templates=templates,
            background=sample(store),
            examples=examples,
            precision=precision,
            threshold=threshold,
            cache=cache,
            on_progress=on_progress,
        )

    def tag(self, images: Sequence[Source]) -> list[list[Tag]]:
        """The tags of each picture, the surest first; none where nothing is certain.

        images: paths, bytes, Pillow images or uint8 RGB arrays (H, W, 3). Raises ImageError for the first
        that cannot be used.
        """
        return self.tag_vectors(self.encoder.encode_images(images))

    def tag_vectors(self, vectors: Embeddings) -> list[list[Tag]]:
        """The tags of each picture, by its vector: (N, D) of the tagger's own model."""
        return self.tags_of(self.decide(vectors), len(vectors))

    def decide(self, vectors: Embeddings) -> Given:
        """What tag_vectors says, as arrays: for millions of pictures, a block at a time."""
        decider = self._decider
        if not self._has_background and len(vectors) >= _ENOUGH:
            decider = Decider(self._fitted(vectors[:SAMPLE]).scorer, self.vocabulary)
        return decider.decide(vectors)

    def tag_collection(
        self, store: Store, *, filter: Filter | None = None, batch_size: int = 4096
    ) -> Iterator[list[Tagged]]:
        """Every record of the collection, or those that match, with its tags, in batches by id."""
        require_same_model(store.name, store.spec.fingerprint, self.encoder.fingerprint)
        for points in store.scroll(filter=filter, batch_size=batch_size, with_vectors=True):
            tags = self.tag_vectors(np.stack([np.asarray(p.vectors["image"], np.float32) for p in points]))
            yield [Tagged(p.id, p.payload, tuple(some)) for p, some in zip(points, tags, strict=True)]

    def tags_of(self, given: Given, n_pictures: int) -> list[list[Tag]]:
        """Tag objects of what `decide` gave, a list for each of the pictures."""
        found: list[list[Tag]] = [[] for _ in range(n_pictures)]
        rows = zip(
            given.pictures.tolist(),
            given.places.tolist(),
            given.confidences.tolist(),
            given.implied.tolist(),
            strict=True,
        )
        for picture, place, confidence, implied in rows:
            label = self.vocabulary.labels[place]
            found[picture].append(Tag(label.name, confidence, label.id, self._paths[place], implied))
        return found

    def _fitted(self, background: Embeddings) -> scoring.Fit:
        groups = tuple(self.vocabulary.groups.values())
        scale, bias = self.encoder.logit_scale, self.encoder.logit_bias
        if self._examples is None:
            if self._precision is not None:
                raise TaggingError(
                    f"a precision of {self._precision:g} cannot be promised without labelled pictures; give "
                    "labels, or have some asked for: clipsearch tag review"
                )
            return scoring.unlabelled(
                self.labels,
                background,
                groups,
                logit_scale=scale,
                logit_bias=bias,
                threshold=self._threshold,
            )
        return scoring.fitted(
            self.labels,
            background,
            groups,
            examples=self._examples,
            logit_scale=scale,
            logit_bias=bias,
            threshold=self._threshold,
            precision=self._precision,
        )


def sample(store: Store, n: int = SAMPLE) -> Embeddings:
    """Vectors (S, D) of n pictures of the collection at random: ids are hashes, these are the first."""
    points = next(iter(store.scroll(batch_size=n, with_vectors=True)), [])
    if not points:
        return np.empty((0, store.spec.fingerprint.dim), np.float32)
    return np.stack([np.asarray(point.vectors["image"], np.float32) for point in points])
