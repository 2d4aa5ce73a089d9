"""`clipsearch encode`, `clipsearch load` and `clipsearch export`: options, summaries and exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import click

from clipsearch.cli import output
from clipsearch.cli.options import collection_option, device_option, place_options, settings_from
from indexer.cli_options import run_options, source_options

if TYPE_CHECKING:
    from indexer.options import RunOptions
    from indexer.report import RunReport
    from indexer.sources.source import SourceOptions

_json = click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="No progress, only the summary.")
_dtype = click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Type of the embeddings' numbers; float16 takes half the space.",
)
_shard_size = click.option(
    "--shard-size",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Records a shard.",
)


class _Report(Protocol):
    @property
    def exit_code(self) -> int: ...
    def summary(self) -> str: ...
    def record(self) -> dict[str, Any]: ...


@click.command(short_help="Encode pictures into Parquet shards, without a collection.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--shards",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the shards; made if it is not there.",
)
@click.option(
    "--shard", "part", default="1/1", show_default=True, metavar="I/N", help="Only worker I's part, of N."
)
@_shard_size
@_dtype
@source_options
@run_options
@click.option("--retry-failed", is_flag=True, help="Try pictures again that could not be used before.")
@_json
@_quiet
@device_option
def encode(
    sources: tuple[str, ...],
    source_options: SourceOptions,
    run_options: RunOptions,
    folder: Path,
    part: str,
    shard_size: int,
    dtype: Literal["float32", "float16"],
    retry_failed: bool,
    as_json: bool,
    quiet: bool,
    device: str | None,
) -> None:
    """Encode pictures into Parquet shards that `clipsearch load` fills any collection from.

    \b
    clipsearch encode ~/Pictures --shards /data/shards
    clipsearch encode ~/Pictures --shards /data/shards --dtype float16 --shard-size 50000
    clipsearch encode s3://bucket/pictures --shards /data/shards --shard 3/8     the third of 8 machines

    SOURCE is what `clipsearch index` takes, in the same order on every machine; --source-name keeps ids
    alike where paths differ. Worker I of N takes every N-th shard. Run it again at any time: finished
    shards of unchanged files are left as they are, so a killed run repeats the shard it was at.

    Pictures that cannot be used are listed beside their shard, in part-NNNNN.failed.jsonl. Exit codes:
    0 all encoded, 4 some could not be used, 1 stopped or failed, 2 wrong usage.
    """
    from indexer.shards.encode import encode as run
    from indexer.shards.encode_report import EncodeOptions, EncodeReport, worker_of
    from indexer.sources import open_sources

    worker, n_workers = worker_of(part)
    how = replace(run_options, retry_failed=retry_failed)
    options = EncodeOptions(how, dtype, shard_size, worker, n_workers)
    opened = open_sources(sources, source_options)
    _tell(opened.notes)
    told = len(opened.notes)
    settings = settings_from(device=device, model=run_options.model)
    with _watched(quiet=quiet) as (show, stopped):
        tell: Callable[[EncodeReport], None] = lambda report: show(report.run)  # noqa: E731
        done = run(opened, folder, settings, options, on_progress=tell, should_stop=stopped)
    _tell([*opened.notes[told:], *done.run.notes])
    if done.run.stopped:
        click.echo("stopped; the same command goes on from here", err=True)
    _end(done, as_json=as_json)


@click.command(short_help="Fill a collection from Parquet shards.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@collection_option
@click.option("--no-verify", is_flag=True, help="Do not compare the files' checksums.")
@_json
@_quiet
@place_options
def load(
    folder: Path,
    collection: str | None,
    no_verify: bool,
    as_json: bool,
    quiet: bool,
    data: Path | None,
    url: str | None,
) -> None:
    """Fill a collection from the shards that `clipsearch encode` or `clipsearch export` wrote.

    \b
    clipsearch load /data/shards -c parts
    clipsearch load /data/shards -c parts --url http://localhost:6333      onto a Qdrant server

    Needs neither the model nor a GPU. The collection is made if it is not there; records that are there
    are replaced, so loading twice is loading once. Indexing the same source afterwards encodes nothing
    again. Exit codes: 0 all loaded, 4 some shards are not finished yet, 1 stopped or failed, 2 wrong usage.
    """
    from indexer.shards.load import LoadReport
    from indexer.shards.load import load as run

    settings = settings_from(collection=collection, data=data, url=url)
    with _watched(quiet=quiet) as (show, stopped):
        tell: Callable[[LoadReport], None] = lambda r: show(_progress(r.stage, r.found, r.loaded))  # noqa: E731
        done = run(folder, settings, verify=not no_verify, on_progress=tell, should_stop=stopped)
    if done.unfinished:
        click.echo(
            f"{len(done.unfinished):,} shards are not finished, such as {done.unfinished[0]}; run the same "
            "`clipsearch encode` to its end, and load again",
            err=True,
        )
    if done.stopped:
        click.echo("stopped; the same command goes on from here", err=True)
    _end(done, as_json=as_json)


@click.command(short_help="Write a collection as Parquet shards, or for clip-retrieval.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@collection_option
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="COND",
    help="Only records where it holds: material=brass, price<=5, holes:2..4. May repeat.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["parquet", "clip-retrieval"]),
    default="parquet",
    show_default=True,
    help="parquet: what `clipsearch load` reads. clip-retrieval: img_emb/*.npy and metadata/*.parquet.",
)
@_dtype
@_shard_size
@click.option("--replace", is_flag=True, help="Replace an export that is in DIR.")
@_json
@_quiet
@place_options
def export(
    folder: Path,
    collection: str | None,
    filters: tuple[str, ...],
    layout: Literal["parquet", "clip-retrieval"],
    dtype: Literal["float32", "float16"],
    shard_size: int,
    replace: bool,
    as_json: bool,
    quiet: bool,
    data: Path | None,
    url: str | None,
) -> None:
    """Write a collection's embeddings and payloads as files, whole or not at all.

    \b
    clipsearch export /backup/parts -c parts
    clipsearch export /backup/parts -c parts --replace
    clipsearch export brass -c parts --filter material=brass --dtype float16
    clipsearch export for-clip-retrieval -c parts --format clip-retrieval

    `clipsearch load` makes the collection again from the shards, exactly as it was in the stored type.
    """
    from indexer.shards.export import ExportOptions, ExportReport
    from indexer.shards.export import export as run

    settings = settings_from(collection=collection, data=data, url=url)
    options = ExportOptions(layout, dtype, filters, shard_size, replace)
    with _watched(quiet=quiet) as (show, stopped):
        tell: Callable[[ExportReport], None] = lambda r: show(_progress("exporting", r.found, r.exported))  # noqa: E731
        done = run(folder, settings, options, on_progress=tell, should_stop=stopped)
    if done.stopped:
        click.echo("stopped; nothing was written", err=True)
        raise click.exceptions.Exit(done.exit_code)
    _end(done, as_json=as_json)


@contextmanager
def _watched(*, quiet: bool) -> Iterator[tuple[Callable[[RunReport], None], Callable[[], bool]]]:
    """The progress, and whether Ctrl-C was pressed."""
    from indexer.terminal import interrupts, progress, quiet_libraries

    with quiet_libraries(), interrupts() as stopped, progress(quiet=quiet) as show:
        yield show, stopped


def _progress(stage: str, found: int, done: int) -> RunReport:
    from indexer.report import RunReport

    return RunReport("", "", found=found, unchanged=done, stage=stage)


def _tell(notes: list[str]) -> None:
    for note in notes:
        click.echo(note, err=True)


def _end(done: _Report, *, as_json: bool) -> None:
    if as_json:
        output.print_json(done.record())
    click.echo(done.summary(), err=True)
    if done.exit_code:
        raise click.exceptions.Exit(done.exit_code)
