"""What a run writes into: the collection, its ledger, and the right to write. Encodes nothing.

The collection is made when the first usable picture is there, so that a run without one leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import TypeVar

from filelock import FileLock, Timeout

from clipsearch.errors import CollectionLocked, StoreError
from clipsearch.settings import Settings
from clipsearch.store import Store, create, exists, open_store
from clipsearch.store.served import ServedStore
from clipsearch.types import CollectionSpec, FieldKind, Fingerprint, ImageFile, Point
from indexer.ledger import LEDGER, Ledger, Record

_T = TypeVar("_T")
_BATCH = 1000
_UNSEEN = -2  # n_bytes of a picture whose file was not looked at: no file compares equal
_OPENING_S = 2.0


class Target:
    """The collection named in the settings. `stack` closes what is opened here."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        """Open the collection if it exists. Raises CollectionLocked, StoreError."""
        self.settings, self._stack = settings, stack
        self.name, self.folder = settings.collection, settings.collection_dir()
        self.store: Store | None = None
        self.ledger: Ledger | None = None
        if settings.url is not None:
            self._lock_run()
        if exists(self.name, settings):
            self.store = stack.enter_context(open_store(self.name, settings))
        if isinstance(self.store, ServedStore):
            self._lock_run()

    @property
    def made_by(self) -> Fingerprint | None:
        """What made the vectors that are there; None for a collection yet to be made."""
        return None if self.store is None else self.store.spec.fingerprint

    def open_ledger(self, fields: Mapping[str, FieldKind]) -> None:
        """Make ready to write into the open collection, whose fields get those that are new."""
        store = self.open_store()
        self.ledger = self._stack.enter_context(Ledger(self.folder / LEDGER))
        self._believe(store, self.ledger)
        store.add_fields({name: kind for name, kind in fields.items() if name not in store.spec.fields})

    def make(self, spec: CollectionSpec) -> None:
        """Make the collection. Raises CollectionLocked if another run has made it meanwhile."""
        if exists(self.name, self.settings):
            raise CollectionLocked(
                f"another run has just made collection {self.name!r}; run the same command again to add to it"
            )
        self.store = self._stack.enter_context(create(self.name, spec, self.settings))
        self.open_ledger(spec.fields)

    def open_store(self) -> Store:
        """The collection, which has to be there by now."""
        if self.store is None:
            raise StoreError(f"collection {self.name!r} is not made yet")
        return self.store

    def _lock_run(self) -> None:
        """Two runs into one collection would share one ledger; a store of one's own locks itself.

        The lock lies beside the folder, which goes when the collection is made anew.
        """
        path = self.folder.with_name(f".{self.name}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._stack.enter_context(FileLock(path).acquire(timeout=_OPENING_S))
        except Timeout as exc:
            raise CollectionLocked(
                f"another index run into collection {self.name!r} is under way here; wait for it to end"
            ) from exc

    def _believe(self, store: Store, ledger: Ledger) -> None:
        """Where ledger and collection differ, the collection is right.

        It was made anew, points were deleted, the ledger was lost, or a run was killed between the two.
        """
        sample, n_known, n_there = ledger.sample(), ledger.n_in_collection(), store.count()
        if n_known == n_there and len(store.retrieve(sample)) == len(sample):
            return
        for ids in _in_batches(ledger.ids_in_collection()):
            there = {point.id for point in store.retrieve(ids)}
            ledger.forget(i for i in ids if i not in there)
        if self.settings.url is None and ledger.n_in_collection() < n_there:
            # A server's other points are other machines'; here they can only be ours.
            for points in store.scroll(batch_size=_BATCH, with_payload=False):
                known = ledger.known([point.id for point in points])
                unknown = [point.id for point in points if point.id not in known]
                ledger.write(_found_again(point) for point in store.retrieve(unknown))


def _found_again(point: Point) -> Record:
    """A record of which only the point is left: the file is read again, its content known."""
    values = {name: str(point.payload.get(name, "")) for name in ("_source", "_key", "_path", "_sha256")}
    file = ImageFile(values["_source"], values["_key"], values["_path"], _UNSEEN, 0)
    return Record(point.id, file, values["_sha256"] or None)


def _in_batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(items)
    take: Callable[[], list[_T]] = lambda: list(islice(rest, _BATCH))  # noqa: E731
    return iter(take, [])
