"""A collection, or what a filter lets through of it, as files: Parquet shards or clip-retrieval's layout.

Written into a folder beside the one asked for, which takes its name when all is there: an export is whole or
it is not there at all.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from clipsearch import shards
from clipsearch.errors import StoreError, TableError
from clipsearch.query import all_of, parse_filter
from clipsearch.settings import Settings
from clipsearch.shards import UNSEEN, DType, Header, Rows
from clipsearch.store import Store, open_store
from clipsearch.store.spec import to_json
from clipsearch.types import Filter, Point
from indexer.ledger import LEDGER, Known, Ledger, metadata_hash
from indexer.report import EXIT_DONE, EXIT_STOPPED, duration
from indexer.shards.records import columns_of

Format: TypeAlias = Literal["parquet", "clip-retrieval"]
SHARD_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to write, and how."""

    format: Format = "parquet"
    dtype: DType = "float32"
    filters: Sequence[str] = ()
    shard_size: int = SHARD_SIZE
    replace: bool = False  # an export that is in the folder


@dataclass(slots=True)
class ExportReport:
    """What an export did."""

    collection: str
    folder: str
    format: str
    dtype: str
    found: int = 0
    exported: int = 0
    n_files: int = 0  # shards, or partitions
    stopped: bool = False
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 all is there, 1 stopped, and nothing is."""
        return EXIT_STOPPED if self.stopped else EXIT_DONE

    def summary(self) -> str:
        """The export in one line."""
        what = "shards" if self.format == "parquet" else "partitions"
        return (
            f"exported {self.exported:,} records as {self.n_files:,} {what} of {self.dtype} to {self.folder} "
            f"in {duration(self.seconds)}"
        )

    def record(self) -> dict[str, Any]:
        """The export as --json prints it."""
        return {**asdict(self), "seconds": round(self.seconds, 3), "exit_code": self.exit_code}


def export(
    folder: Path,
    settings: Settings,
    options: ExportOptions,
    *,
    on_progress: Callable[[ExportReport], None] = lambda report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ExportReport:
    """Write the collection's records, in the order of their ids, into the folder.

    Raises TableError (a folder that is not to be written into), QueryError, UnknownField, StoreError.
    """
    started = time.monotonic()
    folder = folder.absolute()
    _check_free(folder, replace=options.replace)
    report = ExportReport(settings.collection, str(folder), options.format, options.dtype)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(settings.collection, settings))
        wanted = _filter(store, options.filters)
        ledger = settings.collection_dir() / LEDGER
        known = stack.enter_context(Ledger(ledger)).known if ledger.is_file() else _nothing_known
        report.found = store.count(wanted)
        fresh = folder.with_name(f"{folder.name}.partial")
        _made_empty(fresh)
        try:
            for rows in _chunks(store, wanted, known, options.shard_size):
                if should_stop():
                    report.stopped = True
                    return report
                _write(fresh, report, rows, Header(to_json(store.spec), options.dtype))
                on_progress(report)
            if not report.n_files:
                _write(fresh, report, Rows([], [], [], []), Header(to_json(store.spec), options.dtype))
            if options.format == "parquet":
                shards.mark_whole(fresh, report.n_files)
            _moved(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    report.seconds = time.monotonic() - started
    return report


def _write(folder: Path, report: ExportReport, rows: Rows, header: Header) -> None:
    if report.format == "parquet":
        shards.write(folder, report.n_files, rows, header)
    else:
        digits = len(str(max(report.found - 1, 0)))  # enough for as many files as there are records
        shards.write_partition(folder, f"{report.n_files:0{digits}}", rows, header)
    report.n_files += 1
    report.exported += len(rows)


def _filter(store: Store, conditions: Sequence[str]) -> Filter | None:
    parsed = [parse_filter(text, fields=store.spec.fields) for text in conditions]
    return all_of(parsed) if parsed else None


def _chunks(
    store: Store, wanted: Filter | None, known: Callable[[Sequence[str]], Mapping[str, Known]], size: int
) -> Iterator[Rows]:
    """All records, `size` at a time."""
    points: list[Point] = []
    for batch in store.scroll(filter=wanted, with_vectors=True):
        points += batch
        while len(points) >= size:
            yield _rows(points[:size], known)
            points = points[size:]
    if points:
        yield _rows(points, known)


def _rows(points: Sequence[Point], known: Callable[[Sequence[str]], Mapping[str, Known]]) -> Rows:
    remembered = known([point.id for point in points])
    files = [remembered.get(point.id) for point in points]
    return Rows(
        points,
        [UNSEEN if file is None else file.n_bytes for file in files],
        [0 if file is None else file.mtime_ns for file in files],
        [
            metadata_hash(columns_of(p)) if f is None else f.metadata
            for p, f in zip(points, files, strict=True)
        ],
    )


def _nothing_known(ids: Sequence[str]) -> Mapping[str, Known]:
    return {}


# --- the folder --------------------------------------------------------------------------------------


def _check_free(folder: Path, *, replace: bool) -> None:
    """Refuse a folder with anything in it, but for an export that is to be replaced."""
    if folder.exists() and not folder.is_dir():
        raise TableError(f"{folder} is a file; give a folder to export to")
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    foreign = [name for name in names if not shards.is_ours(name) and name not in ("img_emb", "metadata")]
    if foreign:
        raise TableError(f"{folder} has other files in it, such as {foreign[0]}; export to a new folder")
    if names and not replace:
        raise TableError(
            f"there is an export in {folder} already; --replace writes the new one in its place, or export "
            "to another folder"
        )


def _made_empty(folder: Path) -> None:
    """A folder of ours, without what a killed export left there."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as exc:
        raise StoreError(f"cannot write into {folder.parent}: {exc.strerror or exc}; check the path") from exc


def _moved(fresh: Path, folder: Path) -> None:
    """Give the finished export its name; an old one goes when the new one is there."""
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    fresh.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
