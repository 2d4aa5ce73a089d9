"""Embedded collections: a folder each, Qdrant Edge inside, one owner process.

Owns making, opening, listing and deleting them; the lock is taken before the engine touches a folder. A
collection that its owner serves is opened by way of that process.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clipsearch.errors import CollectionLocked, CollectionNotFound, StoreError
from clipsearch.settings import Settings, check_collection_name
from clipsearch.store.collection import Collection
from clipsearch.store.embedded import edge
from clipsearch.store.embedded.engine import MIN_FREE, EdgeEngine
from clipsearch.store.embedded.folder import Folder, copy_sparse
from clipsearch.store.lock import WAIT_S, CollectionLock
from clipsearch.store.payload import json_path
from clipsearch.store.protocol import Store
from clipsearch.store.served import Connection, ServedStore, find, sweep
from clipsearch.store.spec import all_fields, check_fields
from clipsearch.store.wording import of_this_version
from clipsearch.types import CollectionSpec

_LOOK_EVERY_S = 0.2  # for a process that has the lock and begins to serve


def create(name: str, spec: CollectionSpec, settings: Settings) -> Collection:
    """Make a collection and open it. What a killed create left in the folder is removed first."""
    check_fields(spec.fields)
    spec = of_this_version(spec)
    folder = _folder(name, settings)
    _check_new(folder)
    lock = _lock_new(folder)
    made = False
    try:
        _check_new(folder)
        with edge.translated(name, "making"):
            folder.wipe()
            engine = _make(folder, lock, spec)
        made = True
        return Collection(spec, engine)
    finally:
        if not made:
            _undo(folder, lock)


def open_store(name: str, settings: Settings, *, wait_s: float = WAIT_S) -> Store:
    """Open a collection; this process owns it until it is closed, unless another one serves it.

    Raises CollectionNotFound, CollectionLocked after wait_s, or StoreError for damaged files.
    """
    folder = _folder(name, settings)
    if not folder.exists():
        raise _not_found(name, settings)
    try:
        owner = _own(folder, wait_s)
    except FileNotFoundError as exc:
        raise _not_found(name, settings) from exc
    return ServedStore(owner) if isinstance(owner, Connection) else _open(folder, owner, settings)


def serving(name: str, settings: Settings) -> Connection | None:
    """The process that serves the collection; None if there is none."""
    return find(_folder(name, settings).path)


def _own(folder: Folder, wait_s: float) -> CollectionLock | Connection:
    """The lock, or the way to the process that has it and serves the collection, if it does so in time."""
    deadline = time.monotonic() + wait_s
    while True:
        connection = find(folder.path)
        if connection is not None:
            return connection
        left = deadline - time.monotonic()
        try:
            lock = CollectionLock(folder.path, wait_s=max(0.0, min(left, _LOOK_EVERY_S)))
        except CollectionLocked:
            if left <= 0:
                raise
        else:
            sweep(folder.path)
            return lock


def _open(folder: Folder, lock: CollectionLock, settings: Settings) -> Collection:
    name = folder.name
    opened = False
    try:
        if not folder.exists():  # deleted while we waited
            raise _not_found(name, settings)
        spec = folder.spec()
        path, _ = folder.current()
        if folder.closed_with() is None:  # its log will be replayed, through memory maps
            _check_room(folder)
        shard = _load(folder, path)
        engine = EdgeEngine(folder, lock, shard, spec)
        _check_count(engine, folder)
        folder.sweep()
        opened = True
        return Collection(spec, engine)
    finally:
        if not opened:
            lock.release()


def read_spec(name: str, settings: Settings) -> CollectionSpec:
    """What the collection is made of, without opening or locking it."""
    folder = _folder(name, settings)
    if not folder.exists():
        raise _not_found(name, settings)
    return folder.spec()


def exists(name: str, settings: Settings) -> bool:
    """Whether there is a whole collection of that name."""
    return _folder(name, settings).exists()


def list_collections(settings: Settings) -> list[str]:
    """The names, sorted. Half-made collections are none."""
    parent = _parent(settings)
    if not parent.is_dir():
        return []
    return sorted(entry.name for entry in parent.iterdir() if Folder(entry).exists())


def delete_collection(name: str, settings: Settings) -> None:
    """Remove a collection and every file beside it. CollectionLocked if somebody has it open."""
    folder = _folder(name, settings)
    if not folder.exists():
        raise _not_found(name, settings)
    connection = find(folder.path)
    if connection is not None:
        connection.close()
        raise CollectionLocked(
            f"collection {name!r} is served by another process (pid {connection.pid}) and may be in use; "
            f"stop that first (Ctrl-C, or kill {connection.pid}), then delete the collection",
            holder=f"pid {connection.pid}",
        )
    try:
        lock = CollectionLock(folder.path)
    except FileNotFoundError:
        return
    with edge.translated(name, "deleting"):
        _undo(folder, lock)


def _folder(name: str, settings: Settings) -> Folder:
    return Folder(settings.collection_dir(check_collection_name(name)))


def _parent(settings: Settings) -> Path:
    return settings.collection_dir("x").parent


def _not_found(name: str, settings: Settings) -> CollectionNotFound:
    there = list_collections(settings)
    listed = f"there are: {', '.join(there)}" if there else "there is none yet: index some pictures first"
    return CollectionNotFound(f"no collection {name!r} in {_parent(settings)}; {listed}")


def _check_new(folder: Folder) -> None:
    if folder.exists():
        raise StoreError(
            f"collection {folder.name!r} already exists in {folder.path}; "
            "open it, delete it, or choose another name"
        )


def _lock_new(folder: Folder) -> CollectionLock:
    with edge.translated(folder.name, "making"):
        while True:
            folder.path.mkdir(parents=True, exist_ok=True)
            try:
                return CollectionLock(folder.path)
            except FileNotFoundError:  # another process is just deleting this collection
                continue


def _make(folder: Folder, lock: CollectionLock, spec: CollectionSpec) -> EdgeEngine:
    _check_room(folder)
    generation = folder.next_generation()
    with _workbench(generation) as bench:
        _empty_shard(bench, spec)
        if bench != generation:
            copy_sparse(bench, generation)
    engine = EdgeEngine(folder, lock, edge.load_shard(generation), spec)
    engine.flush()
    folder.switch(generation)
    folder.write_spec(spec, engine=edge.engine_version())  # last: from here on it is a collection
    return engine


def _empty_shard(path: Path, spec: CollectionSpec) -> None:
    import qdrant_edge

    shard: Any = qdrant_edge.EdgeShard.create(str(path), edge.config(spec.fingerprint.dim))
    for name, kind in all_fields(spec).items():  # before any data: a filter at 100k points 311 -> 0.7 ms
        index = edge.field_index(name, kind)
        shard.update(qdrant_edge.UpdateOperation.create_field_index(json_path(name), index))
    shard.close()


@contextmanager
def _workbench(generation: Path) -> Iterator[Path]:
    """Where to make the empty shard: in memory if there is plenty, else in its place.

    Seven indexes cost 470 fsyncs and msyncs: 1.2 s on a busy disk, where twelve made here take 0.6 s.
    """
    memory = Path("/dev/shm")
    if not memory.is_dir() or not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 4 * MIN_FREE:
        yield generation
        return
    with tempfile.TemporaryDirectory(prefix="clipsearch-", dir=memory) as bench:
        yield Path(bench) / generation.name


def _check_room(folder: Folder) -> None:
    free = shutil.disk_usage(folder.path).free
    if free < MIN_FREE:
        raise StoreError(
            f"{folder.path} has {free >> 20} MB of free disk; collection "
            f"{folder.name!r} needs {MIN_FREE >> 20} MB here. Free some space, or set CLIPSEARCH_DATA to a "
            "folder on another disk"
        )


def _load(folder: Folder, generation: Path) -> Any:
    try:
        with edge.translated(folder.name, "opening"):
            return edge.load_shard(generation)
    except StoreError as exc:
        reason = " ".join(str(exc.__cause__).split())[:200]
        if any(text in reason for text in ("No space left", "Permission denied", "Read-only")):
            raise
        raise folder.damaged(reason) from exc


def _check_count(engine: EdgeEngine, folder: Folder) -> None:
    # A shortened id file loses points without a word from the engine (tried): compare with the last close.
    expected, found = folder.closed_with(), engine.count(None)
    if expected is not None and expected != found:
        raise folder.damaged(f"it had {expected} points when it was closed and has {found} now")


def _undo(folder: Folder, lock: CollectionLock) -> None:
    """Remove everything and release the lock; a folder that is not ours to remove stays."""
    gone = False
    try:
        folder.wipe()
        gone = True
    finally:
        lock.release(remove=gone)
        if gone:
            try:
                folder.path.rmdir()
            except OSError:
                return  # somebody has begun a new collection here
