"""`clipsearch tag undo`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.cli.options import collection_option, place_options, settings_from
from clipsearch.cli.output import counted
from clipsearch.cli.tag.outcome import SOME_FAILED
from clipsearch.errors import TaggingError

if TYPE_CHECKING:
    from clipsearch.settings import Settings
    from clipsearch.tagging.journal import Journal
    from clipsearch.tagging.sidecars import Undone

LAST = "last"
_TOLD = 10  # files that could not be taken back, each with its reason


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", metavar="RUN")
@collection_option
@place_options
def undo(run: str, collection: str | None, data: Path | None, url: str | None) -> None:
    """Take back what a run of `clipsearch tag` wrote: into the collection, sidecars and pictures.

    \b
    clipsearch tag runs -c parts
    clipsearch tag undo 20261125-140210-3f9a -c parts
    clipsearch tag undo last -c parts          the last run that is not taken back yet

    What was not changed since is as before the run. Where a person or a later run changed something since,
    only the run's own tags go. A run that was stopped or killed is taken back as well; twice does no harm.
    """
    settings = settings_from(collection=collection, data=data, url=url)
    journal = _journal(run, settings)
    told = _payload(journal, settings)
    from clipsearch.tagging.sidecars import undo as undo_sidecars
    from clipsearch.tagging.sidecars import undo_embedded

    n_refused = 0
    for what, done in (("sidecar", undo_sidecars(journal)), ("picture", undo_embedded(journal))):
        lines, refused = _files(what, done)
        told, n_refused = [*told, *lines], n_refused + refused
    if not n_refused:  # else it stays the one that is meant by "last"
        journal.close("undone")
    click.echo(f"took back run {journal.run}: {'; '.join(told) or 'it had changed nothing'}")
    if n_refused:
        raise click.exceptions.Exit(SOME_FAILED)


def _journal(run: str, settings: Settings) -> Journal:
    from clipsearch.store import read_spec
    from clipsearch.tagging.journal import Journal, runs

    folder = settings.collection_dir()
    if not folder.is_dir():
        read_spec(settings.collection, settings)  # says which collections there are
    if run != LAST:
        return Journal.open(folder, run)
    for name in reversed(runs(folder)):
        journal = Journal.open(folder, name)
        if journal.facts.get("state") != "undone":
            return journal
    raise TaggingError(f"collection {settings.collection!r} has no run that could be taken back")


def _payload(journal: Journal, settings: Settings) -> list[str]:
    from clipsearch.store import open_store
    from clipsearch.tagging import payload

    if next(journal.noted(payload.KIND), None) is None:
        return []
    fields = payload.Fields(str(journal.facts.get("field", payload.FIELD)))
    with open_store(settings.collection, settings) as store:
        done = payload.undo(store, journal, fields)
        store.flush()
        store.optimize()  # records that were written are out of the graph
    told = [f"{done.n_restored:,} records of collection {settings.collection!r} are as before"]
    if done.n_partly:
        told.append(f"{done.n_partly:,} changed since: only the run's tags went")
    if done.n_untouched:
        told.append(f"{done.n_untouched:,} had nothing to take back")
    return told


def _files(what: str, done: Iterable[Undone]) -> tuple[list[str], int]:
    """What became of sidecars or pictures, in words, and how many were refused."""
    counts: Counter[str] = Counter()
    for one in done:
        counts[one.state] += 1
        if one.reason and counts[one.state] <= _TOLD:
            click.echo(f"{one.state} {one.path}: {one.reason}", err=True)
    words = {
        "restored": "as before",
        "partly": "changed since: only the run's tags went",
        "untouched": "had nothing to take back",
        "superseded": "a later run changed: that one's tags stay",
        "refused": "refused",
    }
    told = [f"{counted(n, what)} {words[state]}" for state, n in counts.items()]
    return told, counts["refused"]
