"""A run's tags on their way into sidecars and pictures: counted, and what was refused told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.types import Fingerprint, Tag, Tagged

if TYPE_CHECKING:
    from clipsearch.tagging.sidecars import Change, Embedded, Sidecars

_TOLD = 10  # refusals, each with its reason; the others are counted


class XmpWriter:
    """Writes records' tags by a Sidecars or an Embedded, or prints what these would change.

    count: what changed pictures are counted as, n_sidecars or n_embedded.
    """

    def __init__(self, way: Sidecars | Embedded, count: str, *, dry_run: bool) -> None:
        self._way, self._count, self._dry_run = way, count, dry_run
        self._counts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()  # of tags that were left off

    def add(self, records: Sequence[Tagged]) -> None:
        """Write a batch."""
        changes = self._way.plan(self._with_files(records))
        for change in changes if self._dry_run else self._way.write(changes):
            self._take(change)

    def counts(self) -> dict[str, int]:
        """Pictures that were changed, refused, and no files of their own (in archives, on the web)."""
        return {self._count: 0, **self._counts}

    def _with_files(self, records: Iterable[Tagged]) -> Iterator[tuple[str, Sequence[Tag]]]:
        for record in records:
            path = str(record.payload.get("_path", ""))
            if _is_elsewhere(path):
                self._counts["n_elsewhere"] += 1
            else:
                yield path, record.tags

    def _take(self, change: Change) -> None:
        self.notes.update(change.notes)
        if change.refused is not None:
            self._counts["n_refused"] += 1
            if self._counts["n_refused"] <= _TOLD:
                click.echo(f"refused {change.picture}: {change.refused}", err=True)
        elif change.is_needed:
            self._counts[self._count] += 1
            if self._dry_run:
                click.echo(change.diff, nl=False)


def model_text(made: Fingerprint) -> str:
    """The model as provenance has it: its name and the beginning of its weights' hash."""
    return f"{made.model} {made.weights_sha256[:16]}"


def _is_elsewhere(path: str) -> bool:
    """Whether the picture has no file of its own: on the web, in an archive or in a table."""
    if "://" in path or not path:
        return True
    place = Path(path)
    return not place.exists() and any(parent.is_file() for parent in place.parents)
