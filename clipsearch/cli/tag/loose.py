"""Loose pictures, tagged with a collection's model and compared with its pictures. Nothing goes into it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.cli import output
from clipsearch.cli.lazy import outer
from clipsearch.cli.pictures import pictures_in
from clipsearch.cli.progress import progress
from clipsearch.cli.tag import layout
from clipsearch.cli.tag.asked import Asked
from clipsearch.cli.tag.outcome import Outcome
from clipsearch.cli.tag.tally import Tally
from clipsearch.cli.tag.writing import Places
from clipsearch.errors import ImageError
from clipsearch.types import Tagged

if TYPE_CHECKING:
    from clipsearch.settings import Settings
    from clipsearch.store import Store
    from clipsearch.tagging.tagger import Tagger

_BATCH = 32  # pictures, as the encoder takes them


def tag_pictures(asked: Asked, store: Store, settings: Settings, tagger: Tagger) -> Outcome:
    """Tag and print them; one that cannot be used is told on stderr, and the others go on."""
    began, paths = time.monotonic(), _expanded(asked.pictures)
    tally, kept, n_bad = Tally(tagger.vocabulary), list[Tagged](), 0
    # On a terminal the pictures themselves show how far it is.
    bar = nullcontext(_silent) if sys.stdout.isatty() else progress()
    quiet = outer("indexer.terminal:quiet_libraries")
    with quiet(), bar as told, Places(asked, store, settings, tagger) as places:
        for start in range(0, len(paths), _BATCH):
            some = paths[start : start + _BATCH]
            records = list(_tagged(some, tagger))
            n_bad += len(some) - len(records)
            tally.add(records)
            places.add(records)
            if asked.as_json:
                kept += records
            else:
                _print(records, asked)
            told("tagging", start + len(some), len(paths))
    done = Outcome(asked, store, tagger, tally, places, time.monotonic() - began, n_bad)
    _show(done, kept)
    return done


def _print(records: Sequence[Tagged], asked: Asked) -> None:
    from clipsearch.tagging.outputs import record

    if asked.jsonl:
        output.print_jsonl(record(one) for one in records)
    elif not asked.dry_run:
        for one in records:
            layout.print_picture(one)


def _show(done: Outcome, records: Sequence[Tagged]) -> None:
    from clipsearch.files import write_json
    from clipsearch.tagging.outputs import record

    if done.asked.report is not None:
        write_json(done.asked.report, done.document())
    if done.asked.as_json:
        output.print_json({**done.document(), "records": [record(one) for one in records]})
    for line in done.notes():
        click.echo(line, err=True)
    click.echo(done.last_line(), err=True)


def _silent(what: str, done: int, total: int) -> None:
    """Tell nothing."""


def _expanded(given: Sequence[Path]) -> list[Path]:
    """The files, and the pictures in the folders, in order."""
    found: dict[Path, None] = {}
    for path in given:
        if path.is_dir():
            found |= dict.fromkeys(pictures_in(path))
        else:
            found[path] = None
    return list(found)


def _tagged(paths: Sequence[Path], tagger: Tagger) -> Iterator[Tagged]:
    """Those that can be used; where one of them cannot, they are tried one by one."""
    try:
        tags = tagger.tag(paths)
    except ImageError as exc:
        if len(paths) == 1:
            click.echo(f"skipped {exc}", err=True)
            return
        for path in paths:
            yield from _tagged([path], tagger)
        return
    for path, some in zip(paths, tags, strict=True):
        yield Tagged("", {"_key": str(path), "_path": str(path.absolute())}, tuple(some))
