"""Where a run's tags go besides the terminal, and the journal that lets them be taken back."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from clipsearch.cli.tag.asked import Asked
from clipsearch.cli.tag.xmp import XmpWriter, model_text
from clipsearch.types import Tagged

if TYPE_CHECKING:
    from clipsearch.settings import Settings
    from clipsearch.store import Store
    from clipsearch.tagging.journal import Journal
    from clipsearch.tagging.tagger import Tagger

_CHANGES = ("n_written", "n_sidecars", "n_embedded")
Sink: TypeAlias = Callable[[Sequence[Tagged]], object]


class Places:
    """The places that a run writes to. Enter it, give it the records, and ask it what was done."""

    def __init__(self, asked: Asked, store: Store, settings: Settings, tagger: Tagger) -> None:
        self._asked, self._store, self._settings, self._tagger = asked, store, settings, tagger
        self._stack = ExitStack()
        self._sinks: list[Sink] = []
        self._counts: list[Callable[[], dict[str, int]]] = []
        self._xmp: list[XmpWriter] = []
        self.run: str | None = None  # its name, if it may change something

    def __enter__(self) -> Places:
        from clipsearch.tagging import outputs

        with ExitStack() as opening:
            if self._asked.out is not None:
                self._sinks.append(opening.enter_context(outputs.written(self._asked.out)).add)
            if self._asked.changes_anything:
                journal = opening.enter_context(
                    _journalled(self._settings, _facts(self._asked, self._store, self._tagger), self.counts)
                )
                self.run = journal.run
                self._open_writers(journal)
                self._open_xmp(opening, journal)
            elif self._asked.dry_run:
                self._open_differences()
                self._open_xmp(opening, None)
            self._stack = opening.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def add(self, records: Sequence[Tagged]) -> None:
        """Write a batch everywhere."""
        for sink in self._sinks:
            sink(records)

    def counts(self) -> dict[str, int]:
        """n_written records, n_sidecars, n_embedded pictures, and how many were refused and why."""
        total: Counter[str] = Counter()
        for count in self._counts:
            total.update(count())
        return dict(total)

    def notes(self) -> list[str]:
        """Why tags were left off in sidecars and pictures, the most frequent reason first."""
        return [note for writer in self._xmp for note, _ in writer.notes.most_common()]

    def changes(self) -> dict[str, int]:
        """How many of each there are that taking the run back would change."""
        return {name: n for name, n in self.counts().items() if name in _CHANGES}

    @property
    def n_refused(self) -> int:
        """Sidecars and pictures that could not be written."""
        return self.counts().get("n_refused", 0)

    def _open_writers(self, journal: Journal) -> None:
        from clipsearch.tagging import payload

        if self._asked.write:
            writer = payload.Writer(self._store, journal, payload.Fields(self._asked.field))
            self._sinks.append(writer.write)
            self._counts.append(lambda: {"n_written": writer.n_written})

    def _open_differences(self) -> None:
        from clipsearch.tagging import payload

        if self._asked.write:
            fields = payload.Fields(self._asked.field)
            payload.check(self._store, fields)
            differences = _Differences(fields)
            self._sinks.append(differences.add)
            self._counts.append(lambda: {"n_written": differences.n_changed})

    def _open_xmp(self, opening: ExitStack, journal: Journal | None) -> None:
        from clipsearch.tagging.sidecars import Embedded, Sidecars

        model, dry_run = model_text(self._store.spec.fingerprint), self._asked.dry_run
        if self._asked.sidecars:
            way = Sidecars(journal, model=model, style=self._asked.sidecar_name)
            self._xmp.append(XmpWriter(way, "n_sidecars", dry_run=dry_run))
        if self._asked.embed:
            inside = opening.enter_context(Embedded(journal, model=model))
            self._xmp.append(XmpWriter(inside, "n_embedded", dry_run=dry_run))
        self._sinks += [writer.add for writer in self._xmp]
        self._counts += [writer.counts for writer in self._xmp]


class _Differences:
    """Prints what --write would change: a record's key, then +new and -old tags."""

    def __init__(self, fields: Any) -> None:
        self._fields = fields
        self.n_changed = 0

    def add(self, records: Sequence[Tagged]) -> None:
        from clipsearch.tagging import payload

        for record in records:
            change = payload.change(record, "", self._fields)
            if change is None:
                continue
            self.n_changed += 1
            added, removed = change.difference(self._fields)
            if added or removed:
                click.echo(
                    "\t".join(
                        [str(record.payload.get("_key", record.id)), *(f"+{tag}" for tag in added)]
                        + [f"-{tag}" for tag in removed]
                    )
                )


@contextmanager
def _journalled(
    settings: Settings, facts: dict[str, Any], counts: Callable[[], dict[str, int]]
) -> Iterator[Journal]:
    """A run's journal, closed as the run ends; gone again where nothing was changed."""
    from clipsearch.tagging.journal import Journal

    journal = Journal.create(settings.collection_dir(), facts)
    try:
        yield journal
    except BaseException:
        if not _left_out(journal):
            journal.close("stopped", **counts())
            click.echo(
                f"stopped; what run {journal.run} has written can be taken back: "
                f"clipsearch tag undo {journal.run} -c {settings.collection}",
                err=True,
            )
        raise
    if not _left_out(journal):
        journal.close("done", **counts())


def _left_out(journal: Journal) -> bool:
    """Whether the run has changed nothing; its journal is gone then."""
    if any(journal.folder.glob("*.jsonl")):
        return False
    shutil.rmtree(journal.folder, ignore_errors=True)
    return True


def _facts(asked: Asked, store: Store, tagger: Tagger) -> dict[str, Any]:
    fit = tagger.fit.as_dict()
    return {
        "collection": store.name,
        "vocabulary": str(asked.vocabulary),
        "n_labels": len(tagger.vocabulary),
        "model": store.spec.fingerprint.model,
        "field": asked.field,
        "filters": list(asked.filters),
        "templates": list(asked.templates),
        "fit": {name: fit[name] for name in ("kind", "n_background", "n_labels", "precision")},
    }
