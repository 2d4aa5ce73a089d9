"""`clipsearch index`: options, the progress on the terminal, the summary, the exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from clipsearch.cli import output
from clipsearch.cli.options import collection_option, device_option, place_options, settings_from

if TYPE_CHECKING:
    from indexer.report import RunReport

STARTER = "starter"
_STARTER_NOTE = (
    "note: the starter model has only ever seen the demo's rendered parts; on real pictures its answers mean "
    "little. Take another: clipsearch models"
)
_EVERY_S = 5.0  # between lines where there is no terminal


@click.command(short_help="Index a folder or a catalogue of pictures.")
@click.argument("source", type=click.Path(path_type=Path))
@collection_option
@click.option(
    "-m",
    "--model",
    metavar="NAME",
    help="Model of a new collection (clipsearch models). [env: CLIPSEARCH_MODEL; "
    "default: the collection's own, else google/siglip2-base-patch32-256]",
)
@click.option(
    "--image-column",
    "image_columns",
    multiple=True,
    metavar="COLUMN",
    help="Catalogue column with the pictures' paths. Repeat it for several pictures of one record.",
)
@click.option(
    "--id-column", metavar="COLUMN", help="Catalogue column that names each record, such as part_no."
)
@click.option(
    "--image-root",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="What the catalogue's paths are relative to. [default: its folder, or images/ in it]",
)
@click.option("--encoding", metavar="NAME", help="The catalogue's encoding, such as cp932. [default: utf-8]")
@click.option("--allow-outside", is_flag=True, help="Let a catalogue name pictures outside its folder.")
@click.option(
    "--source-name", metavar="NAME", help="Keep records' ids when the source moves. [default: its path]"
)
@click.option("--hidden", is_flag=True, help="Also hidden files and folders.")
@click.option("--sync", is_flag=True, help="Remove records whose pictures are gone from the source.")
@click.option("--retry-failed", is_flag=True, help="Try pictures again that could not be used before.")
@click.option("--exact", is_flag=True, help="Decode JPEGs at full size; slower, new collections only.")
@click.option(
    "--batch-size",
    type=click.IntRange(1, 4096),
    default=32,
    show_default=True,
    help="Pictures a call of the model.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Decoding threads. [default: one a core]")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write counts as JSON."
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the summary.")
@place_options
@device_option
def index(
    source: Path,
    collection: str | None,
    model: str | None,
    image_columns: tuple[str, ...],
    id_column: str | None,
    image_root: Path | None,
    encoding: str | None,
    allow_outside: bool,
    source_name: str | None,
    hidden: bool,
    sync: bool,
    retry_failed: bool,
    exact: bool,
    batch_size: int,
    workers: int | None,
    report: Path | None,
    as_json: bool,
    quiet: bool,
    data: Path | None,
    url: str | None,
    device: str | None,
) -> None:
    """Index a folder, a catalogue (.csv, .tsv, .jsonl, .parquet) or one picture.

    \b
    clipsearch index ~/Pictures
    clipsearch index parts.csv -c parts --image-column photo --id-column part_no
    clipsearch index parts.csv -c parts --image-column front --image-column side --id-column part_no
    clipsearch index ~/Pictures --sync          also remove what is gone

    Run it again at any time: what is unchanged costs a look at its date, moved and copied files keep
    their vectors, and a run that was stopped or killed goes on where it was.

    Pictures that cannot be used are listed in skipped.jsonl beside the collection. Exit codes: 0 all
    indexed, 4 some could not be used, 1 stopped or failed, 2 wrong usage.
    """
    from indexer.report import EXIT_DONE, write_json
    from indexer.run import RunOptions, run
    from indexer.sources import SourceOptions, open_source

    settings = settings_from(collection=collection, data=data, url=url, device=device, model=model)
    options = SourceOptions(
        image_columns, id_column, image_root, encoding, source_name, hidden, allow_outside
    )
    opened = open_source(source, options)
    for note in opened.notes:
        click.echo(note, err=True)
    run_options = RunOptions(model, batch_size, workers, exact, sync, retry_failed)
    with _quiet_libraries(), _interrupts() as stopped, _progress(quiet=quiet) as on_progress:
        done = run(opened, settings, run_options, on_progress=on_progress, should_stop=stopped)
    if done.model == STARTER and not source.resolve().is_relative_to(str(files("clipsearch.demo"))):
        click.echo(_STARTER_NOTE, err=True)
    if report is not None:
        write_json(report, done.record())
    if as_json:
        output.print_json(done.record())
    _sum_up(done)
    if done.exit_code != EXIT_DONE:
        raise click.exceptions.Exit(done.exit_code)


def _sum_up(done: RunReport) -> None:
    click.echo(done.summary(), err=True)
    if done.stopped:
        click.echo("stopped; the same command goes on from here", err=True)
    elif done.gone > done.removed:
        click.echo(f"{done.gone:,} records' pictures are gone from the source; --sync removes them", err=True)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep what libtiff and the like write to the process's stderr off the user's terminal.

    One damaged TIFF makes hundreds of lines; every failure has its row in skipped.jsonl instead. Our own
    messages go on to the real stderr.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    try:
        ours = os.dup(2)
    except OSError:  # closed, as under some services
        yield
        return
    before = sys.stderr
    before.flush()
    with (
        Path(os.devnull).open("w") as nowhere,
        os.fdopen(ours, "w", buffering=1, encoding="utf-8", errors="replace") as err,
    ):
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = err
        try:
            yield
        finally:
            os.dup2(err.fileno(), 2)
            sys.stderr = before


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Ctrl-C once: finish the batch in hand. Twice: stop at once. Yields whether to stop."""
    asked = False

    def on_signal(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        click.echo("\nfinishing the batch in hand; Ctrl-C again to stop at once", err=True)

    try:
        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever runs us handles signals
        before = {}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[RunReport], None]]:
    """A bar on a terminal, a line every few seconds elsewhere, on stderr."""
    if quiet:
        yield lambda report: None
    elif sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[[RunReport], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("indexing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("indexing", total=None, pace="")
        started = time.monotonic()

        def update(report: RunReport) -> None:
            pace = report.encoded / max(time.monotonic() - started, 0.1)
            progress.update(task, total=report.found, completed=report.done, pace=f"{pace:,.0f} images/s")

        yield update


def _lines() -> Callable[[RunReport], None]:
    started = last = time.monotonic()

    def update(report: RunReport) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY_S:
            return
        last = now
        pace = report.encoded / (now - started)
        click.echo(f"{report.done:,} of {report.found:,}, {pace:,.0f} images/s", err=True)

    return update
