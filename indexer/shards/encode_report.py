"""How `clipsearch encode` is to run, and what a run did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clipsearch.errors import SettingsError
from clipsearch.shards import DType
from indexer.options import RunOptions
from indexer.report import RunReport, duration

SHARD_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How to encode. worker of n_workers (from 1) takes every n-th shard."""

    run: RunOptions = field(default_factory=RunOptions)
    dtype: DType = "float32"
    shard_size: int = SHARD_SIZE
    worker: int = 1
    n_workers: int = 1


def worker_of(text: str) -> tuple[int, int]:
    """3/8 as (3, 8): the third of eight workers. Raises SettingsError."""
    first, _, second = text.partition("/")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise SettingsError(
            f"--shard {text} is no part of a whole; it is like 3/8, for the third of eight workers"
        )
    return int(first), int(second)


@dataclass(slots=True)
class EncodeReport:
    """Counts of pictures (in run) and of shards. n_shards: of the whole source, all workers together."""

    folder: str
    source: str
    model: str = ""
    n_shards: int = 0
    n_written: int = 0
    n_kept: int = 0
    n_removed: int = 0
    run: RunReport = field(default_factory=lambda: RunReport("", ""))

    @property
    def exit_code(self) -> int:
        """As of an index run: 0 all encoded, 4 some pictures could not be used, 1 stopped before the end."""
        return self.run.exit_code

    def summary(self) -> str:
        """The run in one line."""
        run = self.run
        parts = [f"encoded {run.encoded + run.reused:,}"]
        if run.unchanged:
            parts.append(f"unchanged {run.unchanged:,}")
        if run.failed + run.failed_before:
            parts.append(
                f"skipped {run.failed + run.failed_before:,} (see {self.folder}/part-*.failed.jsonl)"
            )
        written = f"wrote {self.n_written:,} shards" + (f", kept {self.n_kept:,}" if self.n_kept else "")
        pace = f", {run.images_per_s:,.0f} images/s" if run.encoded else ""
        return f"{', '.join(parts)}; {written} in {duration(run.seconds)}{pace}"

    def record(self) -> dict[str, Any]:
        """The run as --json prints it."""
        counts = {
            n: v for n, v in self.run.record().items() if n not in ("collection", "skipped_file", "gone")
        }
        ours = ("folder", "source", "model", "n_shards", "n_written", "n_kept", "n_removed")
        return {**counts, **{name: getattr(self, name) for name in ours}}
