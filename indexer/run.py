"""One index run: a source into a collection, restartable at any moment. Prints nothing.

Owns the order: find, compare, load, encode, write, wind up. Each step's work is in a module of its own.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path

from clipsearch.errors import SourceError
from clipsearch.models import require_same_model
from clipsearch.search import calibration
from clipsearch.settings import Settings
from clipsearch.store import Store
from clipsearch.types import CollectionSpec, ImageFile, Point
from indexer.changes import Changes
from indexer.encoding import Encoding
from indexer.ledger import Ledger
from indexer.loading import Loaded
from indexer.options import RunOptions, check_exact
from indexer.report import RunReport, write_jsonl
from indexer.sources import Source
from indexer.target import Target
from indexer.words import RENEWING, renew, told
from indexer.writer import Writer

SKIPPED = "skipped.jsonl"
INDEXING, STORE = "indexing", "store"
_CALIBRATE_FROM = 100  # pictures encoded; fitting embeds some hundred texts, seconds with a large model
_PROGRESS_EVERY = 1000  # files found, when none of them has to be read


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

    should_stop is asked after every batch; when it says yes, the batches in hand are finished and the run
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
        made = self.target.made_by
        check_exact(options, made, settings.collection)
        if self.target.store is not None:  # before files(), which gives values of these kinds
            source.conform(self.target.store.spec.fields, collection=settings.collection)
        self.files = self._found()  # before a model is fetched for nothing
        self._tell("opening the model")
        self.encoding = Encoding.open(options, settings, stack, made=made)
        self.fingerprint = self.encoding.fingerprint
        if made is not None:
            require_same_model(settings.collection, made, self.fingerprint)
        self.report.model = self.fingerprint.model
        self._open_ledger()
        self.writer = Writer(
            self.target,
            self.report,
            make=self._make,
            reload=self._reload,
            check=_MoveCheck(source, self.target),
        )
        self.pipeline = self.encoding.pipeline(
            batch_size=options.batch_size,
            n_readers=source.n_readers,
            n_expected=lambda: self.report.found - self.report.done,
            known=self.writer.id_of_content,
            on_compile=self._tell,
        )
        self.report.meter, self.report.on_gpu = self.pipeline.meter, not self.encoding.fused
        self.pipeline.meter.stage(STORE, 1)
        self.changes = Changes(self.target, self.report, retry_failed=options.retry_failed)

    def execute(self) -> RunReport:
        """The run, from the first picture to the report."""
        self._tell(INDEXING)
        work = self.changes.to_do(self._counted(self.files), until=self._stopped)
        with closing(self.pipeline.run(work, until=self._stopped)) as batches:
            for batch in batches:
                if self.report.stopped and self.target.store is None:
                    break  # stopped before anything was there: leave nothing
                with self.pipeline.meter.busy(STORE):
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

    def _open_ledger(self) -> None:
        """Of a collection that is there."""
        if self.target.store is not None:
            self.target.open_ledger(self.source.fields)

    def _reload(self, file: ImageFile, id: str) -> Loaded:
        return self.pipeline.load_one(file, id)

    def _make(self) -> None:
        """Make the collection."""
        self.target.make(CollectionSpec(self.fingerprint, dict(self.source.fields)))

    # --- on the way --------------------------------------------------------------------------------

    def _counted(self, files: Iterable[ImageFile]) -> Iterator[ImageFile]:
        """The files; their number goes into the report where the source could not tell it before."""
        for n, file in enumerate(files, start=1):
            self.report.found = max(self.report.found, n)
            if n % _PROGRESS_EVERY == 0:
                self.on_progress(self.report)
            yield file

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
        self.report.busy = self.pipeline.meter.shares()
        self.report.seconds = time.monotonic() - self.started
        self.report.not_pictures = self.source.n_other
        if self.target.ledger is None:
            if not self.report.stopped:
                raise SourceError(self._nothing_usable())
            return
        if not self.report.stopped:
            self._sync()
            self._renew_words(self.target.open_store())
            self.target.open_store().optimize()
            if self.report.encoded >= _CALIBRATE_FROM:
                self._tell("calibrating")
                calibration.refresh(self.target.open_store(), self.encoding.encoders[0], self.target.folder)
        self.report.skipped_file = str(self._write_skipped(self.target.ledger))
        self.report.seconds = time.monotonic() - self.started

    def _renew_words(self, store: Store) -> None:
        def tell(done: int, found: int) -> None:
            progress = RunReport(self.report.collection, self.report.source, found=found, unchanged=done)
            progress.stage = RENEWING
            self.on_progress(progress)

        n = renew(store, on_progress=tell, should_stop=self._stopped)
        if n:
            self.report.notes.append(told(n))

    def _sync(self) -> None:
        """Only what a whole look at a source did not find is gone."""
        names = dict.fromkeys(part.name for part in self.source.parts if part.complete)
        gone = [id for name in names for id in self.changes.gone(name)]
        if self.options.sync and not all(part.complete for part in self.source.parts):
            self.source.notes.append("nothing was removed from what this run could not see all of")
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
        def is_known(part: Source) -> bool:
            return target.ledger is not None and next(target.ledger.ids_of(part.name), None) is not None

        self._wanted = {part.name for part in source.parts if not part.named and not is_known(part)}

    def __call__(self, batch: Sequence[Loaded], twins: Mapping[str, Point]) -> None:
        """Asked of every batch, answers on a source's first: later ones are compared with what it wrote."""
        for source in self._wanted & {item.file.source for item in batch}:
            self._wanted.discard(source)
            ids = [item.id for item in batch if item.file.source == source]
            self._check(source, len(ids), [twins[id] for id in ids if id in twins])

    def _check(self, source: str, n: int, twins: Sequence[Point]) -> None:
        others = {str(point.payload.get("_source", "")) for point in twins} - {source}
        for other in others:
            n_copies = sum(point.payload.get("_source") == other for point in twins)
            if 2 * n_copies >= n and Path(other).is_absolute() and not Path(other).exists():
                raise SourceError(
                    f"the pictures in {source} are those that were indexed from {other}, which is "
                    f"gone. If they moved, keep their records: --source-name {shlex.quote(other)}. If they "
                    f"are to be there twice: --source-name {shlex.quote(source)}"
                )
