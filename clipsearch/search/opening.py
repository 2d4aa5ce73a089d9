"""A Searcher over a collection by name, with the model that made it."""

from __future__ import annotations

from typing import Any

from clipsearch.search.searcher import Searcher
from clipsearch.settings import Settings


def open(collection: str | None = None, *, settings: Settings | None = None, **options: Any) -> Searcher:
    """A Searcher over `collection` (default: the settings'), with the model that made it.

    options: any of Settings' fields (data, url, device, …). Raises CollectionNotFound,
    CollectionLocked, ModelNotFound, ModelMismatch, StoreUnavailable.
    """
    from clipsearch.encoder import Encoder
    from clipsearch.store import open_store

    settings = settings or Settings.load(collection=collection, **options)
    name = collection or settings.collection
    store = open_store(name, settings)
    try:
        made = store.spec.fingerprint
        encoder = Encoder.open(
            made.model, device=settings.device, cache=settings.cache, exact=made.decode == "exact"
        )
        return Searcher(store, encoder, folder=settings.collection_dir(name))
    except BaseException:
        store.close()
        raise
