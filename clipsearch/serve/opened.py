"""The collections that are open while the server runs, and the encoders and taggers they share.

A collection that appears later is opened when it is first asked for. Knows no HTTP.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from clipsearch.errors import CollectionLocked, CollectionNotFound, QueryError
from clipsearch.search import Searcher, encoder_of
from clipsearch.serve.batching import BatchingEncoder, OnBatch
from clipsearch.serve.taggers import Taggers
from clipsearch.settings import Settings, check_collection_name

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder
    from clipsearch.store import Store
    from clipsearch.types import Fingerprint

_Essence = tuple[str, str, str, str]


class OpenCollections:
    """Searchers by collection, each opened once. Safe to use from several threads."""

    def __init__(
        self, settings: Settings, only: Sequence[str] = (), *, max_pixels: int, on_batch: OnBatch
    ) -> None:
        """only: the collections to serve; none: all there are, also those made later.

        max_pixels: of an uploaded picture.
        """
        self.settings = settings
        self._only = tuple(dict.fromkeys(check_collection_name(name) for name in only))
        self._max_pixels, self._on_batch = max_pixels, on_batch
        self._uploads = tempfile.TemporaryDirectory(prefix="clipsearch-serve-")  # mode 0700
        self.uploads = Path(self._uploads.name)  # where an uploaded picture lies while it is searched by
        self.taggers = Taggers()
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._searchers: dict[str, Searcher] = {}
        self._encoders: dict[_Essence, BatchingEncoder] = {}
        self._closed = False
        self._when_opened: Callable[[str, Store], None] = lambda name, store: None

    def when_opened(self, then: Callable[[str, Store], None]) -> None:
        """Call then(name, store) for every collection opened from now on."""
        self._when_opened = then

    def names(self) -> list[str]:
        """The collections that may be asked for, sorted."""
        from clipsearch.store import list_collections

        there = list_collections(self.settings)
        return [name for name in there if not self._only or name in self._only]

    def chosen(self, name: str | None) -> str:
        """The name, or without one the only collection or the settings'. QueryError if that is unclear."""
        if name is not None:
            return name
        names = self.names()
        if len(names) == 1:
            return names[0]
        if self.settings.collection in names:
            return self.settings.collection
        raise QueryError(f"which collection? Give one of: {', '.join(names) or 'none, there is none yet'}")

    def searcher(self, name: str) -> Searcher:
        """The collection's Searcher, opened now if it is not open yet.

        Raises CollectionNotFound, CollectionLocked (another process owns it), ModelNotFound, StoreError.
        """
        found = self._searchers.get(name)
        if found is not None:
            return found
        if name not in self.names():
            raise CollectionNotFound(
                f"no collection {name[:64]!r} here; there are: {', '.join(self.names()) or 'none yet'}"
            )
        with self._lock:
            opening = self._opening.setdefault(name, threading.Lock())
        with opening:
            if name not in self._searchers:
                self._searchers[name] = self._opened(name)
            return self._searchers[name]

    def store(self, name: str) -> Store:
        """The collection's Store."""
        return self.searcher(name).store

    def encoder(self, name: str) -> BatchingEncoder:
        """The encoder of the collection's model."""
        return cast("BatchingEncoder", self.searcher(name).encoder)

    def open_now(self) -> dict[str, Searcher]:
        """Those that are open."""
        return dict(self._searchers)

    def n_points(self) -> dict[str, int]:
        """How many pictures each open collection has."""
        return {name: searcher.store.count() for name, searcher in self.open_now().items()}

    def close(self) -> None:
        """Flush and close every collection, then the encoders."""
        self._closed = True
        while self._searchers:
            self._searchers.popitem()[1].store.close()
        for encoder in self._encoders.values():
            encoder.close()
        self._uploads.cleanup()

    def _opened(self, name: str) -> Searcher:
        from clipsearch.store import open_store

        if self._closed:
            raise CollectionNotFound(f"the server is stopping; collection {name!r} is not opened any more")
        store = open_store(name, self.settings)
        try:
            _require_own(store)
            encoder = self._encoder(store.spec.fingerprint)
            searcher = Searcher(store, cast("Encoder", encoder), folder=self.settings.collection_dir(name))
            self._when_opened(name, store)
            return searcher
        except BaseException:
            store.close()
            raise

    def _encoder(self, made: Fingerprint) -> BatchingEncoder:
        essence = (made.weights_sha256, made.preprocessing, made.tokenizer_sha256, made.decode)
        with self._lock:
            if essence not in self._encoders:
                self._encoders[essence] = BatchingEncoder(
                    encoder_of(made, self.settings),
                    uploads=self.uploads,
                    max_pixels=self._max_pixels,
                    on_batch=self._on_batch,
                )
            return self._encoders[essence]


def _require_own(store: Store) -> None:
    """Raises CollectionLocked for a store that is another server's: two would be as slow as the first."""
    from clipsearch.store.served import ServedStore

    if isinstance(store, ServedStore):
        raise CollectionLocked(
            f"collection {store.name!r} is served by another process already; ask that one, or stop it first"
        )
