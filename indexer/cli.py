"""`clipsearch index`: its options, its summary and its exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.cli import output
from clipsearch.cli.options import collection_option, device_option, place_options, settings_from
from clipsearch.errors import SettingsError
from indexer.cli_options import run_options, source_options

if TYPE_CHECKING:
    from clipsearch.settings import Settings
    from indexer.options import RunOptions
    from indexer.report import RunReport
    from indexer.sources.source import SourceOptions

STARTER = "starter"
_STARTER_NOTE = (
    "note: the starter model has only ever seen the demo's rendered parts; on real pictures its answers mean "
    "little. Take another: clipsearch models"
)


@click.command(short_help="Index folders, catalogues, archives and addresses of pictures.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@collection_option
@source_options
@run_options
@click.option("--sync", is_flag=True, help="Remove records whose pictures are gone from the source.")
@click.option("--retry-failed", is_flag=True, help="Try pictures again that could not be used before.")
@click.option(
    "--plan", "plan_only", is_flag=True, help="Try 256 pictures, tell what all will take, and stop."
)
@click.option("--watch", "watching", is_flag=True, help="Stay, and index again whenever something changes.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write counts as JSON."
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts (or the plan) as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the summary.")
@place_options
@device_option
def index(
    sources: tuple[str, ...],
    source_options: SourceOptions,
    run_options: RunOptions,
    collection: str | None,
    sync: bool,
    retry_failed: bool,
    plan_only: bool,
    watching: bool,
    report: Path | None,
    as_json: bool,
    quiet: bool,
    data: Path | None,
    url: str | None,
    device: str | None,
) -> None:
    """Index folders, single pictures, catalogues (.csv, .tsv, .jsonl, .parquet, …), archives (.zip, .tar),
    WebDataset shards, lists of URLs, s3:// and gs:// addresses, or - for a list of paths on standard input.

    \b
    clipsearch index ~/Pictures
    clipsearch index ~/Pictures --plan          how long, how much disk, and what would make it faster
    clipsearch index parts.csv -c parts --image-column photo --id-column part_no
    clipsearch index 'shards/{00000..00123}.tar' backup.zip -c archive
    clipsearch index urls.txt -c web            one URL a line
    find /scans -newer mark -name '*.tif' -print0 | clipsearch index -
    clipsearch index ~/Pictures --sync          also remove what is gone
    clipsearch index ~/Pictures --sync --watch  and stay up to date
    clipsearch index /new/Pictures --source-name ~/Pictures          the folder has moved

    Run it again at any time: what is unchanged costs a look at its date, moved and copied files keep
    their vectors, and a run that was stopped or killed goes on where it was.

    Pictures that cannot be used are listed in skipped.jsonl beside the collection. Exit codes: 0 all
    indexed, 4 some could not be used, 1 stopped or failed, 2 wrong usage, 130 stopped at once by a
    second Ctrl-C.
    """
    settings = settings_from(
        collection=collection, data=data, url=url, device=device, model=run_options.model
    )
    if report is not None and not report.absolute().parent.is_dir():
        raise SettingsError(
            f"--report {report}: there is no folder {report.absolute().parent}; make it first"
        )
    options = replace(run_options, sync=sync, retry_failed=retry_failed)
    if plan_only:
        _plan(sources, source_options, settings, options, as_json=as_json, quiet=quiet)
        return
    show = _Shown(sources, report=report, as_json=as_json)
    if watching:
        _watch(sources, source_options, settings, options, show, quiet=quiet)
        return
    done = _run(sources, source_options, settings, options, quiet=quiet)
    show(done)
    if done.exit_code:
        raise click.exceptions.Exit(done.exit_code)


def _run(
    sources: Sequence[str],
    source_options: SourceOptions,
    settings: Settings,
    options: RunOptions,
    *,
    quiet: bool,
    should_stop: Callable[[], bool] | None = None,
) -> RunReport:
    """One run with its progress. should_stop: who watches for Ctrl-C; None: this run does."""
    from indexer.run import run
    from indexer.sources import open_sources
    from indexer.terminal import interrupts, progress, quiet_libraries

    opened = open_sources(sources, source_options)
    told = len(opened.notes)
    for note in opened.notes:
        click.echo(note, err=True)
    with quiet_libraries(), interrupts(asked=should_stop) as stopped, progress(quiet=quiet) as on_progress:
        done = run(opened, settings, options, on_progress=on_progress, should_stop=stopped)
    for note in done.notes[told:]:
        click.echo(note, err=True)
    return done


class _Shown:
    """Shows a finished run: its summary, its warnings, its report."""

    def __init__(self, sources: Sequence[str], *, report: Path | None, as_json: bool) -> None:
        ours = str(files("clipsearch.demo"))
        self._warns = not all(Path(source).resolve().is_relative_to(ours) for source in sources)
        self._report, self._as_json = report, as_json

    def __call__(self, done: RunReport) -> None:
        from indexer.report import write_json

        if done.model == STARTER and self._warns:
            click.echo(_STARTER_NOTE, err=True)
            self._warns = False
        if self._report is not None:
            write_json(self._report, done.record())
        if self._as_json:
            output.print_json(done.record())
        click.echo(done.summary(), err=True)
        if done.stopped:
            click.echo("stopped; the same command goes on from here", err=True)
        elif done.gone > done.removed:
            click.echo(
                f"{done.gone:,} records' pictures are gone from the source; --sync removes them", err=True
            )


def _watch(
    sources: Sequence[str],
    source_options: SourceOptions,
    settings: Settings,
    options: RunOptions,
    show: _Shown,
    *,
    quiet: bool,
) -> None:
    from indexer.terminal import interrupts
    from indexer.watch import watch

    def on_run(done: RunReport) -> None:
        if done.changed or not quiet:
            show(done)

    with interrupts() as stopped:
        click.echo("watching; Ctrl-C ends it", err=True)
        watch(
            sources,
            settings,
            lambda: _run(sources, source_options, settings, options, quiet=quiet, should_stop=stopped),
            on_run=on_run,
            on_problem=lambda text: click.echo(text, err=True),
            should_stop=stopped,
        )


def _plan(
    sources: Sequence[str],
    source_options: SourceOptions,
    settings: Settings,
    options: RunOptions,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    from dataclasses import asdict

    from indexer.plan import plan
    from indexer.plan_text import lines
    from indexer.sources import open_sources
    from indexer.terminal import quiet_libraries

    opened = open_sources(sources, source_options)
    tell: Callable[[str], None] = lambda stage: None if quiet else click.echo(f"{stage} …", err=True)  # noqa: E731
    with quiet_libraries():
        told = plan(opened, settings, options, on_progress=tell)
    if as_json:
        output.print_json(asdict(told))
        return
    for line in lines(told):
        click.echo(line)
