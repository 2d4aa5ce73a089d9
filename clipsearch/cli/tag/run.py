"""A run of `clipsearch tag` over a collection: from the options to the last line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from clipsearch.cli import output
from clipsearch.cli.options import filter_from
from clipsearch.cli.progress import progress
from clipsearch.cli.tag import layout
from clipsearch.cli.tag.asked import Asked
from clipsearch.cli.tag.known import known
from clipsearch.cli.tag.measured import Measured, measure
from clipsearch.cli.tag.opening import tagger_of
from clipsearch.cli.tag.outcome import SOME_FAILED, Outcome
from clipsearch.cli.tag.tally import Tally
from clipsearch.cli.tag.writing import Places
from clipsearch.errors import TaggingError
from clipsearch.types import Tagged

if TYPE_CHECKING:
    from clipsearch.settings import Settings
    from clipsearch.store import Store
    from clipsearch.tagging.tagger import Tagger


def run(asked: Asked) -> None:
    """Do what was asked, and leave with 4 where some pictures or sidecars could not be used."""
    from clipsearch.store import open_store
    from clipsearch.tagging.vocabulary import read_vocabulary

    vocabulary = read_vocabulary(asked.vocabulary)
    if asked.explain_prompts:
        from clipsearch.cli.tag.explain import explain

        explain(asked, vocabulary)
        return
    settings = asked.settings()
    with open_store(settings.collection, settings) as store:
        found = known(asked, store, settings, vocabulary)
        with tagger_of(
            store,
            vocabulary,
            settings,
            known=found,
            templates=asked.templates,
            precision=asked.precision,
            threshold=asked.threshold,
        ) as tagger:
            if asked.pictures:
                from clipsearch.cli.tag.loose import tag_pictures

                done = tag_pictures(asked, store, settings, tagger)
            else:
                measured = None if found is None else measure(tagger, found.examples)
                done = _tag_collection(asked, store, settings, tagger, measured)
    if done.n_bad or done.places.n_refused:
        raise click.exceptions.Exit(SOME_FAILED)


def _tag_collection(
    asked: Asked, store: Store, settings: Settings, tagger: Tagger, measured: Measured | None
) -> Outcome:
    began = time.monotonic()
    chosen = filter_from(asked.filters, store)
    total = min(store.count(chosen), asked.limit or sys.maxsize)
    if not total:
        which = f"passes the filter {' and '.join(asked.filters)}" if asked.filters else "is there"
        raise TaggingError(f"no picture of collection {store.name!r} {which}; there is nothing to tag")
    tally = Tally(tagger.vocabulary)
    with progress() as told, Places(asked, store, settings, tagger) as places:
        for records in _first(tagger.tag_collection(store, filter=chosen), total):
            places.add(records)
            tally.add(records)
            if asked.jsonl:
                _print_records(records)
            told("tagging", tally.n_pictures, total)
        store.flush()
    if asked.write and not asked.dry_run:
        optimize(store)
    done = Outcome(asked, store, tagger, tally, places, time.monotonic() - began, measured=measured)
    _show(done)
    return done


def optimize(store: Store) -> None:
    """Bring written records, which have left the search graph, back into it, where they are many."""
    info = store.info()
    if 0 < info.n_indexed < info.n_points:
        click.echo("looking after the search graph …", err=True)
    store.optimize()


def _print_records(records: Iterable[Tagged]) -> None:
    from clipsearch.tagging.outputs import record

    output.print_jsonl(record(one) for one in records)


def _first(batches: Iterable[list[Tagged]], n: int) -> Iterator[list[Tagged]]:
    for records in batches:
        yield records[:n]
        n -= len(records)
        if n <= 0:
            return


def _show(done: Outcome) -> None:
    asked = done.asked
    if asked.report is not None:
        from clipsearch.files import write_json

        write_json(asked.report, done.document())
    if asked.as_json:
        output.print_json(done.document())
    elif not asked.jsonl and not asked.dry_run:
        layout.print_tags(done.tally, {} if done.measured is None else done.measured.labels)
    for line in done.notes():
        click.echo(line, err=True)
    click.echo(done.last_line(), err=True)
