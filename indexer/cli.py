"""`clipsearch index`: its options, its summary and its exit code."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.cli import output
from clipsearch.cli.options import collection_option, device_option, place_options, settings_from
from clipsearch.errors import SettingsError

if TYPE_CHECKING:
    from indexer.report import RunReport

STARTER = "starter"
_STARTER_NOTE = (
    "note: the starter model has only ever seen the demo's rendered parts; on real pictures its answers mean "
    "little. Take another: clipsearch models"
)


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
    "--list-column",
    "list_columns",
    multiple=True,
    metavar="COLUMN",
    help="Catalogue column whose cells hold several values, as in red;blue or red|blue. May repeat.",
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
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16", "int8"]),
    help="Of the model's arithmetic. int8: a CPU with 8-bit products; bf16: a GPU, or a CPU with AMX. "
    "[default: bf16 or fp16 on a GPU, fp32 on a CPU]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 4096),
    help="Pictures a call of the model. [default: 8 on a CPU; tried out on a GPU]",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Threads that decode. [default: one a core]")
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
    list_columns: tuple[str, ...],
    image_root: Path | None,
    encoding: str | None,
    allow_outside: bool,
    source_name: str | None,
    hidden: bool,
    sync: bool,
    retry_failed: bool,
    exact: bool,
    precision: str | None,
    batch_size: int | None,
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
    clipsearch index /new/Pictures --source-name ~/Pictures          the folder has moved

    Run it again at any time: what is unchanged costs a look at its date, moved and copied files keep
    their vectors, and a run that was stopped or killed goes on where it was.

    Pictures that cannot be used are listed in skipped.jsonl beside the collection. Exit codes: 0 all
    indexed, 4 some could not be used, 1 stopped or failed, 2 wrong usage, 130 stopped at once by a
    second Ctrl-C.
    """
    from indexer.report import EXIT_DONE, write_json
    from indexer.run import RunOptions, run
    from indexer.sources import SourceOptions, open_source
    from indexer.terminal import interrupts, progress, quiet_libraries

    settings = settings_from(collection=collection, data=data, url=url, device=device, model=model)
    if report is not None and not report.absolute().parent.is_dir():
        raise SettingsError(
            f"--report {report}: there is no folder {report.absolute().parent}; make it first"
        )
    options = SourceOptions(
        image_columns=image_columns,
        id_column=id_column,
        list_columns=list_columns,
        image_root=image_root,
        encoding=encoding,
        name=source_name,
        hidden=hidden,
        allow_outside=allow_outside,
    )
    opened = open_source(source, options)
    told = len(opened.notes)
    for note in opened.notes:
        click.echo(note, err=True)
    run_options = RunOptions(model, batch_size, workers, exact, precision, sync, retry_failed)
    with quiet_libraries(), interrupts() as stopped, progress(quiet=quiet) as on_progress:
        done = run(opened, settings, run_options, on_progress=on_progress, should_stop=stopped)
    for note in done.notes[told:]:
        click.echo(note, err=True)
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
