"""Collections on a Qdrant server or cluster.

Owns making, opening, listing and deleting them. What a collection is made of is kept in its metadata
(Qdrant 1.16 and later), so every machine that reaches the server finds it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clipsearch.errors import CollectionNotFound, StoreError
from clipsearch.settings import Settings
from clipsearch.store.collection import Collection
from clipsearch.store.server.connection import Connection, connect
from clipsearch.store.server.engine import METADATA, ServerEngine
from clipsearch.store.spec import IMAGE, LEXICAL, all_fields, check_fields, from_json, to_json
from clipsearch.store.wording import of_this_version
from clipsearch.types import CollectionSpec

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


def create(
    name: str, spec: CollectionSpec, settings: Settings, *, client: QdrantClient | None = None
) -> Collection:
    """Make a collection and open it. `client` stands in for the one that settings.url would give."""
    check_fields(spec.fields)
    spec = of_this_version(spec)
    connection = _connection(settings, client)
    with _closing_on_error(connection):
        if connection.call(connection.client.collection_exists, name):
            raise StoreError(
                f"collection {name!r} already exists on {connection.address}; "
                "open it, delete it, or choose another name"
            )
        # A ledger that outlived the collection it was about would have every picture skipped.
        shutil.rmtree(settings.collection_dir(name), ignore_errors=True)
        engine = ServerEngine(name, connection)
        _make(name, spec, connection)
        if METADATA not in _metadata(name, connection):
            connection.call(connection.client.delete_collection, name)
            raise StoreError(
                f"the Qdrant server at {connection.address} keeps no metadata; clipsearch needs 1.16 or later"
            )
        _finish(engine, spec)
        return Collection(spec, engine)


def open_store(name: str, settings: Settings, *, client: QdrantClient | None = None) -> Collection:
    """Open a collection; one whose making was interrupted is finished first."""
    connection = _connection(settings, client)
    with _closing_on_error(connection):
        spec, ready = _read(name, connection)
        engine = ServerEngine(name, connection)
        if not ready:
            _finish(engine, spec)
        return Collection(spec, engine)


def read_spec(name: str, settings: Settings, *, client: QdrantClient | None = None) -> CollectionSpec:
    """What the collection is made of."""
    with _borrowed(settings, client) as connection:
        return _read(name, connection)[0]


def exists(name: str, settings: Settings, *, client: QdrantClient | None = None) -> bool:
    """Whether the server has a collection of that name."""
    with _borrowed(settings, client) as connection:
        return bool(connection.call(connection.client.collection_exists, name))


def list_collections(settings: Settings, *, client: QdrantClient | None = None) -> list[str]:
    """The names of the server's collections that clipsearch made, sorted."""
    with _borrowed(settings, client) as connection:
        return sorted(name for name in _names(connection) if METADATA in _metadata(name, connection))


def delete_collection(name: str, settings: Settings, *, client: QdrantClient | None = None) -> None:
    """Remove a collection from the server, and what this machine keeps about it."""
    with _borrowed(settings, client) as connection:
        if not connection.call(connection.client.collection_exists, name):
            raise _not_found(name, connection)
        if METADATA not in _metadata(name, connection):
            raise _foreign(name, connection)
        connection.call(connection.client.delete_collection, name)
    shutil.rmtree(settings.collection_dir(name), ignore_errors=True)


def server_version(settings: Settings, *, client: QdrantClient | None = None) -> str:
    """The version of the server at settings.url, such as 1.16.0."""
    with _borrowed(settings, client) as connection:
        return str(connection.call(connection.client.info, tries=2).version)


def _connection(settings: Settings, client: QdrantClient | None) -> Connection:
    return connect(settings) if client is None else Connection(client, settings.url or "memory", owned=False)


@contextmanager
def _closing_on_error(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def _borrowed(settings: Settings, client: QdrantClient | None) -> Iterator[Connection]:
    connection = _connection(settings, client)
    try:
        yield connection
    finally:
        connection.close()


def _make(name: str, spec: CollectionSpec, connection: Connection) -> None:
    from qdrant_client import models

    size = spec.fingerprint.dim
    connection.call(
        connection.client.create_collection,
        name,
        vectors_config={IMAGE: models.VectorParams(size=size, distance=models.Distance.COSINE)},
        sparse_vectors_config={LEXICAL: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        metadata={METADATA: {**to_json(spec), "ready": False}},
    )


def _finish(engine: ServerEngine, spec: CollectionSpec) -> None:
    engine.index_fields(all_fields(spec))  # before any data: later they would have to read it all
    engine.save_spec(spec)


def _read(name: str, connection: Connection) -> tuple[CollectionSpec, bool]:
    if not connection.call(connection.client.collection_exists, name):
        raise _not_found(name, connection)
    found = _metadata(name, connection).get(METADATA)
    if not isinstance(found, dict):
        raise _foreign(name, connection)
    where = f"the metadata of collection {name!r} on {connection.address}"
    return from_json(found, where=where), bool(found.get("ready"))


def _metadata(name: str, connection: Connection) -> dict[str, Any]:
    return connection.call(connection.client.get_collection, name).config.metadata or {}


def _names(connection: Connection) -> list[str]:
    return sorted(c.name for c in connection.call(connection.client.get_collections).collections)


def _not_found(name: str, connection: Connection) -> CollectionNotFound:
    there = _names(connection)
    listed = f"there are: {', '.join(there)}" if there else "there is none yet: index some pictures first"
    return CollectionNotFound(f"no collection {name!r} on {connection.address}; {listed}")


def _foreign(name: str, connection: Connection) -> StoreError:
    return StoreError(
        f"collection {name!r} on {connection.address} was not made by clipsearch and is left alone; "
        "choose another name"
    )
