"""One index run: a source into a collection, restartable at any moment. Prints nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from clipsearch.encoder import Encoder
from clipsearch.errors import CollectionLocked, SourceError
from clipsearch.search import require_same_model
from clipsearch.settings import Settings
from clipsearch.store import Store, create, exists, open_store
from clipsearch.types import CollectionSpec, ImageFile, Payload, Point
from indexer.ledger import Ledger, Record, metadata_hash, record_id
from indexer.pipeline import Loaded, Loader, load_all
from indexer.report import RunReport, write_jsonl
from indexer.sources import Source

_CHUNK = 512  # files looked up in the ledger at once
_FLUSH_EVERY_S = 5.0
SKIPPED = "skipped.jsonl"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run. batch_size: pictures a call of the model; workers: decoding threads (None: cores)."""

    model: str | None = None  # None: the collection's own, or the settings' for a new one
    batch_size: int = 32
    workers: int | None = None
    exact: bool = False
    sync: bool = False
    retry_failed: bool = False


OnProgress = Callable[[RunReport], None]


def run(
    source: Source,
    settings: Settings,
    options: RunOptions,
    *,
    on_progress: OnProgress = lambda report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunReport:
    """Index the source and report what became of each picture.

    should_stop is asked after every picture; when it says yes, the batch in hand is finished and the run
    ends with report.stopped. Raises ModelMismatch, ModelNotFound, CollectionLocked, SourceError (nothing
    usable at all), StoreError; whatever was acknowledged before stays.
    """
    with ExitStack() as stack:
        return _Run(source, settings, options, stack, on_progress, should_stop).execute()


class _Run:
    def __init__(
        self,
        source: Source,
        settings: Settings,
        options: RunOptions,
        stack: ExitStack,
        on_progress: OnProgress,
        should_stop: Callable[[], bool],
    ) -> None:
        self.source, self.settings, self.options, self.stack = source, settings, options, stack
        self.on_progress, self.should_stop = on_progress, should_stop
        self.name = settings.collection
        self.folder = settings.collection_dir()
        self.store: Store | None = None
        self.ledger: Ledger | None = None
        self.unsaved: list[Record] = []  # failures met before there is a ledger
        self.started = self.flushed = time.monotonic()
        self._lock_server_run()
        if exists(self.name, settings):
            self.store = stack.enter_context(open_store(self.name, settings))
        self.encoder = self._open_encoder()
        self.report = RunReport(
            self.name, source.name, self.encoder.fingerprint.model, notes=list(source.notes)
        )
        if self.store is not None:
            self._open_ledger()

    def execute(self) -> RunReport:
        """The run, start to end."""
        files = list(self.source.files())
        self.report.found, self.report.not_pictures = len(files), self.source.n_other
        if not files:
            raise SourceError(
                f"there is no picture in {self.source.name} ({self.source.n_other:,} other files); "
                "formats are told by their names, such as .jpg, .png, .webp or .tiff"
            )
        loader = Loader(self.encoder.preprocessing, self._known_content, exact=self._exact())
        workers = self.options.workers or os.cpu_count() or 2
        look_ahead = self.options.batch_size + 2 * workers
        loaded = load_all(self._changed(files), loader, workers=workers, look_ahead=look_ahead)
        for batch in self._batches(loaded):
            self._finish(batch)
            self.on_progress(self.report)
        self._wind_up(complete=not self.report.stopped)
        return self.report

    # --- opening ---------------------------------------------------------------------------------

    def _lock_server_run(self) -> None:
        """Two runs into one server collection would share one ledger; the embedded store locks itself."""
        if self.settings.url is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "run.lock")
        try:
            self.stack.enter_context(lock.acquire(timeout=2))
        except Timeout as exc:
            raise CollectionLocked(
                f"another index run into collection {self.name!r} is under way here; wait for it to end"
            ) from exc

    def _open_encoder(self) -> Encoder:
        made = None if self.store is None else self.store.spec.fingerprint
        name = self.options.model or (made.model if made else self.settings.model)
        exact = made.decode == "exact" if made else self.options.exact
        encoder = self.stack.enter_context(
            Encoder.open(name, device=self.settings.device, cache=self.settings.cache, exact=exact)
        )
        if made is not None:
            require_same_model(self.name, made, encoder.fingerprint)
        return encoder

    def _exact(self) -> bool:
        return self.encoder.fingerprint.decode == "exact"

    def _open_ledger(self) -> None:
        """Open the ledger of the open store, and believe the store where the two differ."""
        store = self._store()
        self.ledger = self.stack.enter_context(Ledger(self.folder / "ledger.sqlite"))
        if self.ledger.n_in_collection() != store.count():
            for ids in self.ledger.ids_in_collection():
                there = {point.id for point in store.retrieve(ids)}
                self.ledger.forget(i for i in ids if i not in there)
        new = {name: kind for name, kind in self.source.fields.items() if name not in store.spec.fields}
        if new:
            store.add_fields(new)

    def _store(self) -> Store:
        """The collection, made now if this is its first usable picture."""
        if self.store is None:
            self.encoder.compile()
            spec = CollectionSpec(self.encoder.fingerprint, dict(self.source.fields))
            self.store = self.stack.enter_context(create(self.name, spec, self.settings))
            self._open_ledger()
        return self.store

    # --- what has to be done -----------------------------------------------------------------------

    def _changed(self, files: Iterable[ImageFile]) -> Iterator[tuple[ImageFile, str]]:
        """The files that have to be read, with their ids; the rest is counted on the way."""
        rest = iter(files)
        while chunk := list(islice(rest, _CHUNK)):
            if self.ledger is None:
                yield from ((file, record_id(file)) for file in chunk)
                continue
            yield from self._compared(chunk, self.ledger)

    def _compared(self, chunk: list[ImageFile], ledger: Ledger) -> Iterator[tuple[ImageFile, str]]:
        ids = [record_id(file) for file in chunk]
        known = ledger.known(ids)
        same: list[str] = []
        changed: list[tuple[ImageFile, str]] = []
        for file, id in zip(chunk, ids, strict=True):
            before = known.get(id)
            if before is None or not before.same_file(file) or (before.reason and self.options.retry_failed):
                changed.append((file, id))
            elif before.reason:
                self.report.failed_before += 1
                same.append(id)
            elif before.metadata != metadata_hash(file.metadata):
                self._update_columns(file, id, before.sha256)
            else:
                self.report.unchanged += 1
                same.append(id)
        ledger.touch(same)
        self.on_progress(self.report)
        yield from changed

    def _update_columns(self, file: ImageFile, id: str, sha256: str | None) -> None:
        """The catalogue's row changed, its picture did not: the vector stays."""
        store = self._store()
        for point in store.retrieve([id], with_vectors=True):
            ours = {name: value for name, value in point.payload.items() if name.startswith("_")}
            store.upsert([Point(id, point.vectors, {**ours, **file.metadata})])
        self._write([Record(id, file, sha256)])
        self.report.updated += 1

    def _known_content(self, sha256: str) -> str | None:
        return self.ledger.id_of_content(sha256) if self.ledger is not None else None

    # --- doing it ------------------------------------------------------------------------------------

    def _batches(self, loaded: Iterable[Loaded]) -> Iterator[list[Loaded]]:
        """Batches with batch_size pictures to encode each, and what else came between."""
        batch: list[Loaded] = []
        n_pixels = 0
        for item in loaded:
            batch.append(item)
            n_pixels += item.pixels is not None
            if self.should_stop():
                self.report.stopped = True
                break
            if n_pixels >= self.options.batch_size or len(batch) >= 4 * self.options.batch_size:
                yield batch
                batch, n_pixels = [], 0
        if batch:
            yield batch

    def _finish(self, batch: list[Loaded]) -> None:
        """Encode and store a batch; then, and only then, write it into the ledger."""
        batch = [self._with_vector(item) for item in batch]
        failed = [item for item in batch if item.error is not None]
        self._write(Record(i.id, i.file, None, i.error.reason, str(i.error)) for i in failed if i.error)
        self.report.failed += len(failed)
        if failed and self.store is not None:  # a picture that was good once must not be found any more
            self.store.delete([item.id for item in failed])
        copies = [item for item in batch if item.same_as is not None]
        fresh = [item for item in batch if item.pixels is not None]
        points = self._encoded(fresh) + self._copied(copies)
        if not points:
            return
        store = self._store()
        store.upsert(points)
        if time.monotonic() - self.flushed > _FLUSH_EVERY_S:
            store.flush()
            self.flushed = time.monotonic()
        self._write(Record(item.id, item.file, item.sha256) for item in (*fresh, *copies))

    def _with_vector(self, item: Loaded) -> Loaded:
        """The item, read again if the record it is a copy of has changed or gone since."""
        if item.same_as is None:
            return item
        twins = self._store().retrieve([item.same_as])
        if twins and twins[0].payload.get("_sha256") == item.sha256:
            return item
        return Loader(self.encoder.preprocessing, lambda sha256: None, exact=self._exact()).load(
            item.file, item.id
        )

    def _encoded(self, fresh: list[Loaded]) -> list[Point]:
        """Points of pictures that pass through the model; the same content twice passes once."""
        first: dict[str | None, int] = {}
        for item in fresh:
            first.setdefault(item.sha256, len(first))
        if not first:
            return []
        self._store()
        by_content = {item.sha256: item.pixels for item in reversed(fresh) if item.pixels is not None}
        vectors = self.encoder.encode_pixels(np.stack([by_content[sha256] for sha256 in first]))
        self.report.encoded += len(first)
        self.report.reused += len(fresh) - len(first)
        return [
            Point(item.id, {"image": vectors[first[item.sha256]]}, _payload(item, item.width, item.height))
            for item in fresh
        ]

    def _copied(self, copies: list[Loaded]) -> list[Point]:
        """Points of pictures whose content is in the collection already, under another key."""
        points = []
        for item in copies:
            twin = self._store().retrieve([item.same_as or ""], with_vectors=True)[0]
            width, height = (twin.payload.get(name) for name in ("_width", "_height"))
            points.append(Point(item.id, twin.vectors, _payload(item, width, height)))
        self.report.reused += len(points)
        return points

    def _write(self, records: Iterable[Record]) -> None:
        if self.ledger is None:
            self.unsaved += records
            return
        self.ledger.write([*self.unsaved, *records])
        self.unsaved.clear()

    def _wind_up(self, *, complete: bool) -> None:
        """Flush, remove what is gone if asked, write the list of failures."""
        if self.ledger is None:
            if complete:
                raise SourceError(self._nothing_usable())
            return
        store = self._store()
        self._write([])
        if complete:
            gone = self.ledger.gone(self.source.name)
            self.report.gone = len(gone)
            if self.options.sync and gone:
                store.delete(gone)
                self.ledger.forget(gone)
                self.report.removed = len(gone)
        store.flush()
        if complete:
            store.optimize()
        self.report.skipped_file = str(self._write_skipped(self.ledger))
        self.report.seconds = time.monotonic() - self.started

    def _write_skipped(self, ledger: Ledger) -> Path:
        path = self.folder / SKIPPED
        write_jsonl(path, ledger.failures())
        return path

    def _nothing_usable(self) -> str:
        first = "; ".join(f"{record.message} [{record.reason}]" for record in self.unsaved[:3])
        return f"none of the {self.report.found:,} pictures of {self.source.name} can be used: {first}"


def _payload(item: Loaded, width: object, height: object) -> Payload:
    file = item.file
    ours = {
        "_key": file.key,
        "_path": str(file.path),
        "_source": file.source,
        "_sha256": item.sha256,
        "_width": width if isinstance(width, int) else None,
        "_height": height if isinstance(height, int) else None,
    }
    return {**ours, **file.metadata}
