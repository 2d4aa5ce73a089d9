"""Collections of vectors and payloads: one `Store`, embedded in a folder or on a Qdrant server.

`settings.url` decides: None means the embedded engine under settings.data, an address a server. The only
package that talks to Qdrant. Knows nothing about pictures or models.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from clipsearch.settings import Settings, check_collection_name
from clipsearch.store.payload import storable
from clipsearch.store.protocol import Store
from clipsearch.store.spec import RESERVED, TAGS, all_fields, beside, marked
from clipsearch.types import CollectionSpec

if TYPE_CHECKING:
    from clipsearch.store.served import Connection

__all__ = [
    "RESERVED",
    "TAGS",
    "Store",
    "all_fields",
    "beside",
    "create",
    "delete_collection",
    "exists",
    "list_collections",
    "marked",
    "open_store",
    "read_spec",
    "serving",
    "storable",
]


def create(name: str, spec: CollectionSpec, settings: Settings) -> Store:
    """Make a collection and open it. StoreError if it exists; a half-made one is made anew."""
    store: Store = _backend(settings).create(check_collection_name(name), spec, settings)
    return store


def open_store(name: str, settings: Settings) -> Store:
    """Open a collection; an embedded one by way of the process that serves it, where there is one.

    Raises CollectionNotFound, CollectionLocked (embedded, in use by another process), StoreUnavailable
    (a server that does not answer), or StoreError.
    """
    store: Store = _backend(settings).open_store(check_collection_name(name), settings)
    return store


def serving(name: str, settings: Settings) -> Connection | None:
    """The process that serves an embedded collection, for requests of other kinds than a Store's.

    None where no process does. Raises StoreError if it is of another version, StoreUnavailable if it hangs.
    """
    if settings.url is not None:
        return None
    from clipsearch.store import embedded

    return embedded.serving(check_collection_name(name), settings)


def read_spec(name: str, settings: Settings) -> CollectionSpec:
    """What the collection is made of, without locking an embedded one."""
    spec: CollectionSpec = _backend(settings).read_spec(check_collection_name(name), settings)
    return spec


def exists(name: str, settings: Settings) -> bool:
    """Whether there is a collection of that name."""
    found: bool = _backend(settings).exists(check_collection_name(name), settings)
    return found


def list_collections(settings: Settings) -> list[str]:
    """The names of all collections, sorted."""
    found: list[str] = _backend(settings).list_collections(settings)
    return found


def delete_collection(name: str, settings: Settings) -> None:
    """Remove a collection for good, with the files beside it. The pictures are not touched."""
    _backend(settings).delete_collection(check_collection_name(name), settings)


def _backend(settings: Settings) -> ModuleType:
    if settings.url is None:
        from clipsearch.store import embedded

        return embedded
    from clipsearch.store import server

    return server
