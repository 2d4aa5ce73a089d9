"""Vocabularies that come with requests, and their Taggers, the last few of which are kept.

Owns the bounds of a vocabulary from the network: it is text that came, no file is opened by name. Knows no
framework; `tags` makes the answer.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from clipsearch.errors import TaggingError, VocabularyError
from clipsearch.serve.batching import BatchingEncoder
from clipsearch.serve.replies import busy, refusal
from clipsearch.types import Embeddings

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder
    from clipsearch.store import Store
    from clipsearch.tagging.tagger import Tagger
    from clipsearch.tagging.vocabulary import Vocabulary

MAX_VOCABULARY_LABELS = 2000
_MAX_PROMPTS = 20_000  # all words in all templates: 20 s of the starter model, a minute of CLIP ViT-B/32
_KEPT = 8  # taggers of 2,000 labels of 768 dimensions: 100 MB
_PIECE = 64  # texts that are embedded before others have their turn
_PATIENCE_S = 1.0  # that a request waits for what another one embeds; it holds one of 16 threads

Format = Literal["yaml", "text"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A vocabulary as it came, and how it shall be used."""

    text: str
    format: Format = "yaml"
    templates: tuple[str, ...] = ()
    threshold: float | None = None


class Taggers:
    """Taggers by collection and vocabulary. Safe to use from several threads.

    One vocabulary is embedded at a time, in pieces between which searches have their turn.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._embedding = threading.Lock()
        self._made: OrderedDict[tuple[Any, ...], Future[Tagger]] = OrderedDict()
        self._stopped = threading.Event()

    def get(self, wanted: Wanted, *, store: Store, encoder: BatchingEncoder, folder: Path) -> Tagger:
        """The Tagger of a vocabulary for a collection, fitted to the answers kept in the collection's folder.

        Raises VocabularyError, Refusal: too large, a template that is none, or another vocabulary is being
        embedded at the moment.
        """
        key = (store.name, store.spec.fingerprint, _digest(wanted), *_state(store, folder))
        with self._lock:
            found = self._made.get(key)
            is_first = found is None
            if found is None:
                found = self._made[key] = Future()
            self._made.move_to_end(key)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        if is_first:
            self._make(found, key, wanted, store=store, encoder=encoder, folder=folder)
        try:
            return found.result(_PATIENCE_S)
        except NotYet:
            raise busy("this vocabulary is being embedded; try again in a moment") from None

    def close(self) -> None:
        """Have what is being embedded end soon, with an error."""
        self._stopped.set()

    def _make(self, made: Future[Tagger], key: tuple[Any, ...], wanted: Wanted, **where: Any) -> None:
        try:
            vocabulary = _read(wanted)
            if not self._embedding.acquire(timeout=_PATIENCE_S):
                raise busy("another vocabulary is being embedded; try again in a moment")
            try:
                made.set_result(self._tagger(vocabulary, wanted, **where))
            finally:
                self._embedding.release()
        except BaseException as exc:  # whoever waits is told, and the next request tries again
            with self._lock:
                self._made.pop(key, None)
            made.set_exception(exc)

    def _tagger(
        self, vocabulary: Vocabulary, wanted: Wanted, *, store: Store, encoder: BatchingEncoder, folder: Path
    ) -> Tagger:
        from clipsearch.tagging.labels import Answers, examples
        from clipsearch.tagging.tagger import Tagger

        known = examples(Answers(folder).labels(vocabulary), store, vocabulary).examples
        return Tagger.of_collection(
            store,
            cast("Encoder", _InPieces(encoder, self._stopped)),
            vocabulary,
            templates=wanted.templates,
            threshold=wanted.threshold,
            examples=known if len(known) else None,
        )


class _InPieces:
    """An encoder that embeds many texts in pieces, and keeps nothing on the disk for the network."""

    cache = None

    def __init__(self, encoder: BatchingEncoder, stopped: threading.Event) -> None:
        self._encoder, self._stopped = encoder, stopped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """As Encoder.encode_texts."""
        pieces = [np.empty((0, self._encoder.dim), np.float32)]
        for start in range(0, len(texts), _PIECE):
            if self._stopped.is_set():
                raise busy("the server is stopping")
            pieces.append(self._encoder.encode_texts(texts[start : start + _PIECE]))
        return np.concatenate(pieces)


def _read(wanted: Wanted) -> Vocabulary:
    """The vocabulary, and its prompts not too many. Raises VocabularyError, Refusal."""
    from clipsearch.tagging.prompts import prompts_of, templates_of
    from clipsearch.tagging.vocabulary.source import Origin
    from clipsearch.tagging.vocabulary.text import read_text
    from clipsearch.tagging.vocabulary.yaml_file import read_yaml

    read = read_yaml if wanted.format == "yaml" else read_text
    vocabulary = read(wanted.text.replace("\r\n", "\n").replace("\r", "\n"), Origin("the vocabulary"))
    if len(vocabulary) > MAX_VOCABULARY_LABELS:
        beyond = vocabulary.labels[MAX_VOCABULARY_LABELS]
        raise VocabularyError(
            f"the vocabulary has {len(vocabulary):,} labels, {MAX_VOCABULARY_LABELS:,} at most in a request; "
            "tag with larger ones by `clipsearch tag`",
            line=beyond.line,
        )
    try:
        templates = templates_of(vocabulary, wanted.templates)
    except TaggingError as exc:
        raise refusal(400, "bad-request", f"templates: {exc}") from exc
    n_prompts = sum(len(word) for label in vocabulary.labels for word in prompts_of(label, templates))
    if n_prompts > _MAX_PROMPTS:
        raise VocabularyError(
            f"the vocabulary's words in all templates are {n_prompts:,} prompts, {_MAX_PROMPTS:,} at most in "
            "a request; give fewer words or templates"
        )
    return vocabulary


def _digest(wanted: Wanted) -> bytes:
    return hashlib.sha256(repr(wanted).encode("utf-8", "replace")).digest()


def _state(store: Store, folder: Path) -> tuple[Any, ...]:
    """What a Tagger depends on beside its vocabulary: how large the collection is, and the answers."""
    from clipsearch.tagging.labels import Answers

    return store.count().bit_length(), Answers(folder).stamp()
