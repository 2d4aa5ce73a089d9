"""Pictures that lists and catalogues name by addresses: on the web, or in a store.

An address is its picture's name and its state: what was read once is not read again in a later run,
whatever may be there by now. What reading needs is loaded when there is such an address.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from clipsearch.types import ImageFile, Payload
from indexer.sources.addresses import fault, is_http, is_stored, origin, without_credentials
from indexer.sources.source import SourceOptions

_UNKNOWN = 0  # n_bytes and mtime_ns of every address: equal in every run


class Elsewhere:
    """Makes the files of addresses, after every one was met."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._hosts: set[str] = set()
        self._stores: set[str] = set()

    @property
    def n_readers(self) -> int:
        """Reads at once that pay for the addresses met so far."""
        n = 0
        if self._hosts:
            from indexer.sources.fetch import n_readers

            n = n_readers(self._options, len(self._hosts))
        if self._stores:
            from indexer.sources.remote import N_READERS

            n = max(n, N_READERS)
        return n

    def wrong(self, address: str) -> str:
        """Why nothing can be had from there; '' for an address that can be tried."""
        return "" if is_stored(address) else fault(address)

    def meet(self, address: str) -> None:
        """Get ready for an address. Raises SourceError where a store's driver is not there."""
        if is_http(address):
            if len(self._hosts) < self._options.n_connections and not fault(address):
                self._hosts.add(origin(address))
        elif (scheme := address.partition("://")[0].lower()) not in self._stores:
            from indexer.sources.remote import check_driver

            check_driver(address)
            self._stores.add(scheme)

    def file(self, source: str, key: str, address: str, metadata: Payload | None = None) -> ImageFile:
        """The picture at an address. Nothing is read yet."""
        shown = without_credentials(address)
        return ImageFile(source, key, shown, _UNKNOWN, _UNKNOWN, metadata or {}, self._reader(address))

    def _reader(self, address: str) -> Callable[[], bytes]:
        if is_http(address):
            from indexer.sources.fetch import fetcher

            return partial(fetcher(self._options).fetch, address)
        from indexer.sources.remote import read_stored

        return partial(read_stored, address, self._options.max_bytes)
