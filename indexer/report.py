"""What a run did: counts, the list of pictures that could not be used, one line for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsearch.files import replaced

if TYPE_CHECKING:
    from indexer.stages import Meter

_NOT_COUNTS = ("stage", "meter", "on_gpu")  # for the progress only
EXIT_DONE, EXIT_STOPPED, EXIT_SOME_FAILED = 0, 1, 4


@dataclass(slots=True)
class RunReport:
    """Counts of pictures, by what became of them in this run."""

    collection: str
    source: str
    model: str = ""
    found: int = 0
    encoded: int = 0  # passed through the model
    reused: int = 0  # same content as one already there: its vector was copied
    updated: int = 0  # only the columns changed
    unchanged: int = 0
    failed: int = 0  # in this run
    failed_before: int = 0  # unchanged since they failed, not tried again
    gone: int = 0  # in the collection, no longer in the source
    removed: int = 0  # of these, taken out (--sync)
    not_pictures: int = 0
    stopped: bool = False
    seconds: float = 0.0
    skipped_file: str | None = None
    notes: list[str] = field(default_factory=list)
    stage: str = ""  # what is being done, for the progress
    busy: dict[str, float] = field(default_factory=dict)  # share of its threads' time that a stage worked
    meter: Meter | None = None
    on_gpu: bool = False

    @property
    def done(self) -> int:
        """Pictures whose turn has come."""
        return self.encoded + self.reused + self.updated + self.unchanged + self.failed + self.failed_before

    @property
    def changed(self) -> bool:
        """Whether the run did anything but look."""
        return bool(
            self.encoded or self.reused or self.updated or self.failed or self.removed or self.stopped
        )

    @property
    def exit_code(self) -> int:
        """0 all indexed, 4 some pictures could not be used, 1 stopped before the end."""
        if self.stopped:
            return EXIT_STOPPED
        return EXIT_SOME_FAILED if self.failed or self.failed_before else EXIT_DONE

    @property
    def images_per_s(self) -> float:
        return self.encoded / self.seconds if self.seconds > 0 else 0.0

    def summary(self) -> str:
        """The run in one line."""
        parts = [f"indexed {self.encoded + self.reused:,}"]
        if self.reused:
            parts[0] += f" ({self.reused:,} copies of known pictures)"
        for label, n in (("updated", self.updated), ("unchanged", self.unchanged), ("removed", self.removed)):
            if n:
                parts.append(f"{label} {n:,}")
        bad = self.failed + self.failed_before
        if bad:
            parts.append(f"skipped {bad:,} (see {self.skipped_file})")
        if self.not_pictures:
            parts.append(f"passed over {self.not_pictures:,} files that are not pictures")
        pace = f", {self.images_per_s:,.0f} images/s" if self.encoded else ""
        return f"{', '.join(parts)} in {duration(self.seconds)}{pace}"

    def record(self) -> dict[str, Any]:
        """The run as --json and --report write it."""
        counts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_COUNTS}
        return {
            **counts,
            "busy": {name: round(share, 4) for name, share in self.busy.items()},
            "seconds": round(self.seconds, 3),
            "images_per_s": round(self.images_per_s, 2),
            "exit_code": self.exit_code,
        }


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """One JSON document, whole or not at all."""
    _replace(path, [json.dumps(record, ensure_ascii=False, indent=2)])


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line, whole or not at all."""
    _replace(path, (json.dumps(record, ensure_ascii=False) for record in records))


def _replace(path: Path, lines: Iterable[str]) -> None:
    with (
        replaced(path) as fresh,
        fresh.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(f"{line}\n" for line in lines)


def duration(seconds: float) -> str:
    """12.3 s, 4 min 12 s or 3 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
