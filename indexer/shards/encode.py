"""A source into Parquet shards, on one machine or many. No collection is needed or touched.

Owns the partition: the source's pictures in their order, so many a shard. A shard is written when all its
pictures are encoded; one that is there already, made of the same files by the same model, is left as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain
from pathlib import Path

from clipsearch import shards
from clipsearch.errors import ModelMismatch, SourceError
from clipsearch.settings import Settings
from clipsearch.shards import Header
from clipsearch.store.spec import to_json
from clipsearch.types import CollectionSpec, ImageFile
from indexer.encoding import Encoding
from indexer.ledger import record_id
from indexer.loading import Loaded, Work
from indexer.report import write_jsonl
from indexer.shards.comparing import described, essence, spec_of
from indexer.shards.draft import Draft, identity_of
from indexer.shards.encode_report import EncodeOptions, EncodeReport
from indexer.sources import Source
from indexer.stages import chunks


def encode(
    source: Source,
    folder: Path,
    settings: Settings,
    options: EncodeOptions,
    *,
    on_progress: Callable[[EncodeReport], None] = lambda report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> EncodeReport:
    """Encode the source's pictures into the folder's shards, those that are this worker's.

    Raises ModelNotFound, ModelMismatch (the folder has shards of another model), SourceError, TableError.
    """
    with ExitStack() as stack:
        return _Encode(source, folder, settings, options, stack, on_progress, should_stop).execute()


class _Encode:
    def __init__(
        self,
        source: Source,
        folder: Path,
        settings: Settings,
        options: EncodeOptions,
        stack: ExitStack,
        on_progress: Callable[[EncodeReport], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.source, self.folder, self.options = source, folder, options
        self.on_progress, self.should_stop = on_progress, should_stop
        self.started = time.monotonic()
        self.report = EncodeReport(str(folder), source.name)
        self._tell("finding pictures")
        self.files = self._found()  # before a model is fetched for nothing
        self._tell("opening the model")
        run = options.run
        encoding = Encoding.open(run, settings, stack)
        self.fingerprint = encoding.fingerprint
        self.report.model = self.fingerprint.model
        self._check_folder()
        self.drafts: dict[str, Draft] = {}  # by the ids of pictures that are under way
        self.content: dict[str, Loaded] = {}  # by SHA-256, of the drafts' pictures
        self.pipeline = encoding.pipeline(
            batch_size=run.batch_size, n_readers=source.n_readers, known=self._known, on_compile=self._tell
        )
        self.report.run.meter, self.report.run.on_gpu = self.pipeline.meter, not encoding.fused

    def execute(self) -> EncodeReport:
        """The run, from the first picture to the report."""
        self._tell("encoding")
        self.folder.mkdir(parents=True, exist_ok=True)
        with closing(self.pipeline.run(self._work(), until=self._stopped)) as batches:
            for batch in batches:
                for item in batch:
                    self._take(item)
                self.on_progress(self.report)
        if not self.report.run.stopped:
            self._wind_up()
        self.report.run.busy = self.pipeline.meter.shares()
        self.report.run.seconds = time.monotonic() - self.started
        return self.report

    # --- opening ---------------------------------------------------------------------------------

    def _found(self) -> Iterator[ImageFile]:
        files = self.source.files()
        first = next(files, None)
        if first is None:
            raise SourceError(f"there is no picture in {self.source.name}; nothing to encode")
        return chain([first], files)

    def _check_folder(self) -> None:
        """Refuse a folder with shards of another model, source or type: nothing is thrown away unasked."""
        for shard in shards.finished(self.folder):
            made = spec_of(shard).fingerprint
            if essence(made) != essence(self.fingerprint):
                raise ModelMismatch(
                    f"{shard.path} was encoded with {described(made)}, and this run would encode with "
                    f"{described(self.fingerprint)}; give --shards another folder"
                )
            before = (shard.header.source, shard.header.dtype)
            if before != (self.source.name, self.options.dtype):
                raise SourceError(
                    f"{shard.path} has {before[1]} embeddings of {before[0] or 'an export'}, and this run "
                    f"would write {self.options.dtype} ones of {self.source.name}; give --shards another "
                    "folder"
                )

    # --- on the way --------------------------------------------------------------------------------

    def _work(self) -> Iterator[Work]:
        """The pictures that have to be encoded, shard by shard."""
        for number, files in enumerate(chunks(self.files, self.options.shard_size)):
            self.report.n_shards = number + 1
            if self._is_mine(number):
                yield from self._begin(number, files)

    def _is_mine(self, number: int) -> bool:
        return number % self.options.n_workers == self.options.worker - 1

    def _begin(self, number: int, files: list[ImageFile]) -> Iterator[Work]:
        run = self.report.run
        run.found += len(files)
        draft = Draft(number, files, [record_id(file) for file in files])
        draft.identity = identity_of(draft, self.fingerprint, self.options.dtype)
        there = shards.read_finished(self.folder, number)
        if there is not None and there.is_whole():
            same = there.header.identity == draft.identity
            if same and not (self.options.run.retry_failed and there.n_failed):
                run.unchanged += there.n_rows
                run.failed_before += there.n_failed
                self.report.n_kept += 1
                self.on_progress(self.report)
                return
            draft.take_over(there)
            run.unchanged += len(draft.done)
            self.content |= {item.sha256: item for item in draft.done.values() if item.sha256}
        if draft.is_complete:
            self._write(draft)
            return
        todo = [
            Work(file, id) for file, id in zip(draft.files, draft.ids, strict=True) if id not in draft.done
        ]
        self.drafts |= dict.fromkeys((work.id for work in todo), draft)
        yield from todo

    def _known(self, sha256: str) -> str | None:
        """A picture of the same content, encoded a moment ago. From any thread."""
        found = self.content.get(sha256)
        return None if found is None else found.id

    def _take(self, item: Loaded) -> None:
        """Put a picture into its draft, which is written when it was the last."""
        draft = self.drafts.pop(item.id, None)
        if draft is None:  # a source that has a picture twice
            return
        run = self.report.run
        if item.same_as is not None:
            twin = self.content.get(item.sha256 or "")
            if twin is None:  # written by now, or not there yet
                item = self.pipeline.load_one(item.file, item.id)
            else:
                item = replace(twin, file=item.file, id=item.id)
                run.reused += 1
                run.encoded -= 1
        if item.error is not None:
            run.failed += 1
        else:
            run.encoded += 1
            self.content.setdefault(item.sha256 or "", item)
        draft.done[item.id] = item
        if draft.is_complete:
            self._write(draft)

    def _write(self, draft: Draft) -> None:
        spec = CollectionSpec(self.fingerprint, dict(self.source.fields))
        header = Header(to_json(spec), self.options.dtype, self.source.name, draft.identity)
        failures = draft.failures()
        listed = self.folder / f"part-{draft.number:05}.failed.jsonl"
        if failures:
            write_jsonl(listed, failures)
        else:
            listed.unlink(missing_ok=True)
        shards.write(self.folder, draft.number, draft.rows(), header, n_failed=len(failures))
        self.report.n_written += 1
        for item in draft.done.values():
            if self.content.get(item.sha256 or "") is item:
                del self.content[item.sha256 or ""]

    def _stopped(self) -> bool:
        self.report.run.stopped = self.report.run.stopped or self.should_stop()
        return self.report.run.stopped

    def _tell(self, stage: str) -> None:
        self.report.run.stage = stage
        self.on_progress(self.report)

    # --- at the end --------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        """Say how many shards there are, and remove those beyond, of a source that had more pictures."""
        self.report.run.not_pictures = self.source.n_other
        if not self.source.complete:
            self.report.run.notes.append(
                f"{self.source.name} could not be seen wholly; shards beyond the last stay, and none counts "
                "as missing"
            )
            return
        for shard in shards.finished(self.folder):
            if shard.number >= self.report.n_shards and self._is_mine(shard.number):
                shards.remove(self.folder, shard.number)
                self.report.n_removed += 1
        shards.mark_whole(self.folder, self.report.n_shards)
