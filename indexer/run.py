"""One index run: a source into a collection, restartable at any moment. Prints nothing.

Owns the order: find, compare, load, encode, write, wind up. Each step's work is in a module of its own.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from clipsearch.encoder import Encoder
from clipsearch.errors import SettingsError, SourceError
from clipsearch.search import require_same_model
from clipsearch.settings import Settings
from clipsearch.types import CollectionSpec, Fingerprint, ImageFile, Point
from indexer.changes import Changes
from indexer.ledger import Ledger
from indexer.pipeline import Loaded, Loader, load_all
from indexer.report import RunReport, write_jsonl
from indexer.sources import Source
from indexer.target import Target
from indexer.writer import Writer

SKIPPED = "skipped.jsonl"
_PROGRESS_EVERY = 1000  # files found, when none of them has to be read


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
        self.source, self.settings, self.options = source, settings, options
        self.on_progress, self.should_stop = on_progress, should_stop
        self.started = time.monotonic()
        self.report = RunReport(settings.collection, source.name, notes=source.notes)
        self.target = Target(settings, stack)
        _check_exact(options, self.target.made_by, settings.collection)
        self.files = self._found()  # before a model is fetched for nothing
        self._tell("opening the model")
        self.encoder = stack.enter_context(self._open_encoder())
        self.report.model = self.encoder.fingerprint.model
        self._open_ledger()
        loader = Loader(self.encoder.preprocessing, exact=self.encoder.fingerprint.decode == "exact")
        self.writer = Writer(
            self.target,
            self.encoder,
            self.report,
            make=self._make,
            reload=loader.load,
            check=_MoveCheck(source, self.target),
        )
        self.loader = loader.knowing(self.writer.id_of_content)
        self.changes = Changes(self.target, self.writer, self.report, retry_failed=options.retry_failed)

    def execute(self) -> RunReport:
        """The run, from the first picture to the report."""
        self._tell("indexing")
        workers = self.options.workers or os.cpu_count() or 2
        look_ahead = self.options.batch_size + 2 * workers
        changed = self.changes.to_read(self._counted(self.files), until=self._stopped)
        with closing(load_all(changed, self.loader, workers=workers, look_ahead=look_ahead)) as loaded:
            for batch in self._batches(loaded):
                self.writer.write(batch)
                self.on_progress(self.report)
        self._wind_up()
        return self.report

    # --- opening ---------------------------------------------------------------------------------

    def _found(self) -> Iterator[ImageFile]:
        """The source's pictures, of which there is at least one."""
        self._tell("finding pictures")
        files = self.source.files()
        first = next(files, None)
        self.report.found, self.report.not_pictures = self.source.n_files or 0, self.source.n_other
        if first is None:
            raise SourceError(
                f"there is no picture in {self.source.name} ({self.source.n_other:,} other files); "
                "formats are told by their names, such as .jpg, .png, .webp or .tiff"
            )
        return chain([first], files)

    def _open_encoder(self) -> Encoder:
        made = self.target.made_by
        name = self.options.model or (made.model if made else self.settings.model)
        exact = made.decode == "exact" if made else self.options.exact
        encoder = Encoder.open(name, device=self.settings.device, cache=self.settings.cache, exact=exact)
        if made is not None:
            require_same_model(self.settings.collection, made, encoder.fingerprint)
        return encoder

    def _open_ledger(self) -> None:
        """Of a collection that is there, if the source's columns fit into it."""
        if self.target.store is not None:
            self.source.conform(self.target.store.spec.fields, collection=self.settings.collection)
            self.target.open_ledger(self.source.fields)

    def _make(self) -> None:
        """Make the collection, and the compiled model that later queries run."""
        self._tell("compiling the model, once")
        self.encoder.compile()
        self._tell("indexing")
        self.target.make(CollectionSpec(self.encoder.fingerprint, dict(self.source.fields)))

    # --- on the way --------------------------------------------------------------------------------

    def _counted(self, files: Iterable[ImageFile]) -> Iterator[ImageFile]:
        """The files; their number goes into the report where the source could not tell it before."""
        for n, file in enumerate(files, start=1):
            self.report.found = max(self.report.found, n)
            if n % _PROGRESS_EVERY == 0:
                self.on_progress(self.report)
            yield file

    def _batches(self, loaded: Iterable[Loaded]) -> Iterator[list[Loaded]]:
        """Batches with batch_size pictures to encode each, and what else came between."""
        batch: list[Loaded] = []
        n_pixels = 0
        for item in loaded:
            batch.append(item)
            n_pixels += item.pixels is not None
            if self._stopped():
                break
            if n_pixels >= self.options.batch_size or len(batch) >= 4 * self.options.batch_size:
                yield batch
                batch, n_pixels = [], 0
        if batch and not (self.report.stopped and self.target.store is None):
            yield batch

    def _stopped(self) -> bool:
        self.report.stopped = self.report.stopped or self.should_stop()
        return self.report.stopped

    def _tell(self, stage: str) -> None:
        self.report.stage = stage
        self.on_progress(self.report)

    # --- at the end --------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        """Commit, remove what is gone if asked, write the list of failures."""
        self.writer.commit()
        self.report.seconds = time.monotonic() - self.started
        self.report.not_pictures = self.source.n_other
        if self.target.ledger is None:
            if not self.report.stopped:
                raise SourceError(self._nothing_usable())
            return
        if not self.report.stopped:
            self._sync()
            self.target.open_store().optimize()
        self.report.skipped_file = str(self._write_skipped(self.target.ledger))
        self.report.seconds = time.monotonic() - self.started

    def _sync(self) -> None:
        """Only what a whole look at the source did not find is gone."""
        if not self.source.complete:
            if self.options.sync:
                self.source.notes.append("nothing was removed: this run could not see all of the source")
            return
        gone = self.changes.gone(self.source.name)
        self.report.gone = len(gone)
        if self.options.sync and gone:
            self.writer.remove(gone)
            self.report.removed = len(gone)

    def _write_skipped(self, ledger: Ledger) -> Path:
        path = self.target.folder / SKIPPED
        write_jsonl(path, chain(ledger.failures(), (record.as_failure() for record in self.writer.lost)))
        return path

    def _nothing_usable(self) -> str:
        first = "; ".join(f"{record.message} [{record.reason}]" for record in self.writer.pending[:3])
        return f"none of the {self.report.found:,} pictures of {self.source.name} can be used: {first}"


class _MoveCheck:
    """Stops a run whose source is another one that moved, which would have every picture twice."""

    def __init__(self, source: Source, target: Target) -> None:
        self._source = source.name
        known = target.ledger is not None and next(target.ledger.ids_of(source.name), None) is not None
        self._wanted = not source.named and not known

    def __call__(self, n: int, twins: Sequence[Point]) -> None:
        """Asked of every batch, answers on the first: later ones are compared with what it wrote."""
        if not self._wanted:
            return
        self._wanted = False
        others = {str(point.payload.get("_source", "")) for point in twins} - {self._source}
        for other in others:
            n_copies = sum(point.payload.get("_source") == other for point in twins)
            if 2 * n_copies >= n and Path(other).is_absolute() and not Path(other).exists():
                raise SourceError(
                    f"the pictures in {self._source} are those that were indexed from {other}, which is "
                    f"gone. If they moved, keep their records: --source-name {shlex.quote(other)}. If they "
                    f"are to be there twice: --source-name {shlex.quote(self._source)}"
                )


def _check_exact(options: RunOptions, made: Fingerprint | None, collection: str) -> None:
    if options.exact and made is not None and made.decode != "exact":
        raise SettingsError(
            f"collection {collection!r} was made without --exact, which is for new collections; "
            f"leave it out, or index into another collection: --collection {collection}-exact"
        )
