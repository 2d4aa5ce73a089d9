"""Fill a collection from shards: no model, no GPU, at the engine's own pace.

What was written is in the ledger, so that indexing the source later encodes nothing again; a load that was
stopped goes on with the shard it was at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

from clipsearch import shards
from clipsearch.errors import TableError
from clipsearch.settings import Settings
from clipsearch.shards import Batch, Shard
from indexer.ledger import Restored
from indexer.report import EXIT_DONE, EXIT_SOME_FAILED, EXIT_STOPPED, duration
from indexer.shards.comparing import merged_spec, require_comparable
from indexer.shards.records import restored
from indexer.shards.resuming import Resumed
from indexer.stages import ordered
from indexer.target import Target
from indexer.words import RENEWING, renew, told

_AHEAD = 3  # batches of 1,024 rows, read and not yet written
_COMMIT_EVERY = 50_000  # points that go into the ledger at once


@dataclass(slots=True)
class LoadReport:
    """What a load did. Counts of records."""

    collection: str
    folder: str
    found: int = 0
    loaded: int = 0
    loaded_before: int = 0  # by a load of these shards that was stopped
    n_shards: int = 0
    renewed: int = 0  # records that were there, whose words another version had made
    unfinished: list[str] = field(default_factory=list)
    stopped: bool = False
    seconds: float = 0.0
    stage: str = "loading"

    @property
    def exit_code(self) -> int:
        """0 all loaded, 4 some shards are not there yet, 1 stopped before the end."""
        if self.stopped:
            return EXIT_STOPPED
        return EXIT_SOME_FAILED if self.unfinished else EXIT_DONE

    @property
    def points_per_s(self) -> float:
        return self.loaded / self.seconds if self.seconds > 0 else 0.0

    def summary(self) -> str:
        """The load in one line."""
        before = f", loaded before {self.loaded_before:,}" if self.loaded_before else ""
        pace = f", {self.points_per_s:,.0f} records/s" if self.loaded else ""
        words = f"{told(self.renewed)}\n" if self.renewed else ""
        return (
            f"{words}loaded {self.loaded:,} of {self.n_shards:,} shards{before} into {self.collection} "
            f"in {duration(self.seconds)}{pace}"
        )

    def record(self) -> dict[str, Any]:
        """The load as --json prints it."""
        return {
            **{name: value for name, value in asdict(self).items() if name != "stage"},
            "seconds": round(self.seconds, 3),
            "points_per_s": round(self.points_per_s, 1),
            "exit_code": self.exit_code,
        }


def load(
    folder: Path,
    settings: Settings,
    *,
    verify: bool = True,
    on_progress: Callable[[LoadReport], None] = lambda report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> LoadReport:
    """Put every record of the folder's finished shards into the collection, which is made if it is not there.

    verify: compare each file's checksum first. Raises TableError, ModelMismatch, SourceError, StoreError.
    """
    started = time.monotonic()
    found = shards.find(folder)
    if not found.shards:
        raise TableError(
            f"none of the {len(found.unfinished):,} shards in {folder} is finished; run the same "
            "`clipsearch encode` again to its end"
        )
    spec = merged_spec(found.shards)
    report = LoadReport(settings.collection, str(folder), sum(s.n_rows for s in found.shards))
    report.n_shards, report.unfinished = len(found.shards), list(found.unfinished)
    with ExitStack() as stack:
        target = Target(settings, stack)
        if target.made_by is None:
            target.make(spec)
        else:
            require_comparable(settings.collection, target.made_by, spec.fingerprint)
            target.open_store().add_fields(spec.fields)
            target.open_ledger(spec.fields)
        loading = _Loading(target, report, verify=verify, on_progress=on_progress, should_stop=should_stop)
        loading.run(found.shards)
        report.seconds = time.monotonic() - started
    return report


class _Loading:
    def __init__(
        self,
        target: Target,
        report: LoadReport,
        *,
        verify: bool,
        on_progress: Callable[[LoadReport], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._target, self._report, self._verify = target, report, verify
        self._on_progress, self._should_stop = on_progress, should_stop
        self._store = target.open_store()
        self._resumed = Resumed(target.folder, n_there=self._store.count())
        self._pending: list[Restored] = []  # in the store, not in the ledger yet
        self._ended: list[Shard] = []  # all of whose rows are in the store
        self._remembering: ThreadPoolExecutor
        self._remembered: Future[None] | None = None

    def run(self, found: Sequence[Shard]) -> None:
        """Load the shards, those left out that an interrupted load had done."""
        todo = [shard for shard in found if shard.sha256 not in self._resumed.done]
        self._report.loaded_before = self._report.found - sum(shard.n_rows for shard in todo)
        with ThreadPoolExecutor(1, "remember") as self._remembering:
            try:
                with closing(_ahead(self._read(todo))) as batches:
                    for batch in batches:
                        self._take(batch)
                        if self._should_stop():
                            self._report.stopped = True
                            break
            finally:
                self._commit()
                self._settle()
        if not self._report.stopped:
            self._renew_words()
            self._store.optimize()
            self._resumed.forget()

    def _renew_words(self) -> None:
        def tell(done: int, found: int) -> None:
            self._on_progress(replace(self._report, found=found, loaded=done, stage=RENEWING))

        self._report.renewed = renew(self._store, on_progress=tell, should_stop=self._should_stop)
        self._report.stopped = self._should_stop()

    def _read(self, todo: Sequence[Shard]) -> Iterator[Batch | Shard]:
        """Each shard's batches, and the shard itself at its end. In a thread of its own."""
        for shard in todo:
            if self._verify:
                shard.verify()
            yield from shard.batches()
            yield shard

    def _take(self, batch: Batch | Shard) -> None:
        """Store a batch, or note that a shard is stored."""
        if isinstance(batch, Shard):
            self._ended.append(batch)
            return
        rows = batch.rows()
        self._store.upsert(rows.points)
        self._report.loaded += len(rows)
        self._pending += restored(rows)
        if len(self._pending) >= _COMMIT_EVERY:
            self._commit()
        self._on_progress(self._report)

    def _commit(self) -> None:
        """Bring what was written to the disk, and only then, in a thread of its own, into the ledger."""
        self._settle()
        self._store.flush()
        self._remembered = self._remembering.submit(self._remember, self._pending, self._ended)
        self._pending, self._ended = [], []

    def _remember(self, written: Sequence[Restored], ended: Sequence[Shard]) -> None:
        if self._target.ledger is not None:
            self._target.ledger.restore(written)
        self._resumed.add(shard.sha256 for shard in ended)

    def _settle(self) -> None:
        """Wait for what is being remembered; raises what went wrong there."""
        remembered, self._remembered = self._remembered, None
        if remembered is not None:
            remembered.result()


def _ahead(items: Iterator[Batch | Shard]) -> Generator[Batch | Shard, None, None]:
    """The items, a few of them read ahead in a thread: reading and checksums do without the GIL.

    The engine holds the GIL while it writes (qdrant-edge-py 0.9.0): two threads that write gain nothing.
    """
    with (
        ThreadPoolExecutor(1, "read") as pool,
        closing(ordered(pool, lambda _: next(items, None), repeat(None), look_ahead=_AHEAD)) as ahead,
    ):
        for item in ahead:
            if item is None:
                return
            yield item
