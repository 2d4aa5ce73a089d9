"""A Searcher over a collection by name, with the model that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clipsearch.search.searcher import Searcher
from clipsearch.settings import Settings
from clipsearch.types import Fingerprint

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder


def encoder_of(made: Fingerprint, settings: Settings) -> Encoder:
    """The encoder of the model that made a collection, ready for its queries.

    Raises ModelNotFound, ModelError, EncoderError. Whether it still is the same model, Searcher checks.
    """
    from clipsearch.encoder import Encoder

    return Encoder.open(
        made.model, device=settings.device, cache=settings.cache, exact=made.decode == "exact"
    )


def open(collection: str | None = None, *, settings: Settings | None = None, **options: Any) -> Searcher:
    """A Searcher over `collection` (default: the settings'), with the model that made it.

    options: any of Settings' fields (data, url, device, …). Raises CollectionNotFound,
    CollectionLocked, ModelNotFound, ModelMismatch, StoreUnavailable.
    """
    from clipsearch.store import open_store

    settings = settings or Settings.load(collection=collection, **options)
    name = collection or settings.collection
    store = open_store(name, settings)
    try:
        encoder = encoder_of(store.spec.fingerprint, settings)
        return Searcher(store, encoder, folder=settings.collection_dir(name))
    except BaseException:
        store.close()
        raise
