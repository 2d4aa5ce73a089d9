"""A collection's Tagger, with the model that made the collection, while a command runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clipsearch.cli.progress import progress

if TYPE_CHECKING:
    from clipsearch.settings import Settings
    from clipsearch.store import Store
    from clipsearch.tagging.labels import Found
    from clipsearch.tagging.tagger import Tagger
    from clipsearch.tagging.vocabulary import Vocabulary


@contextmanager
def tagger_of(
    store: Store,
    vocabulary: Vocabulary,
    settings: Settings,
    *,
    known: Found | None = None,
    templates: Sequence[str] = (),
    precision: float | None = None,
    threshold: float | None = None,
) -> Iterator[Tagger]:
    """The Tagger, fitted to what is known, if anything is; its encoder is closed afterwards."""
    from clipsearch.search import encoder_of
    from clipsearch.tagging.tagger import Tagger

    with encoder_of(store.spec.fingerprint, settings) as encoder:
        with progress() as tell:
            tagger = Tagger.of_collection(
                store,
                encoder,
                vocabulary,
                templates=templates,
                examples=known.examples if known is not None and len(known.examples) else None,
                precision=precision,
                threshold=threshold,
                cache=settings.cache,
                on_progress=tell,
            )
        yield tagger
