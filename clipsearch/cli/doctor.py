"""`clipsearch doctor`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.cli import output
from clipsearch.cli.lazy import outer
from clipsearch.cli.options import collection_option, device_option, place_options, settings_from
from clipsearch.cli.pictures import picture
from clipsearch.cli.progress import progress

if TYPE_CHECKING:
    from clipsearch.health import Finding

_STYLE = {"ok": "green", "warn": "yellow", "problem": "bold red"}
_TITLES = {
    "installation": "This installation",
    "settings": "Settings, and where each comes from",
    "collection": "The collection",
    "model": "Its model",
    "pictures": "Its pictures",
}


@click.command(short_help="Check the installation and a collection.")
@click.argument("name", metavar="[COLLECTION]", required=False)
@collection_option
@click.option(
    "--pictures", default=32, show_default=True, type=click.IntRange(1), metavar="N", help="To encode again."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@place_options
@device_option
@click.pass_context
def doctor(
    ctx: click.Context,
    name: str | None,
    collection: str | None,
    pictures: int,
    as_json: bool,
    data: Path | None,
    url: str | None,
    device: str | None,
) -> None:
    """Check the installation, and a collection if one is named; change nothing.

    \b
    clipsearch doctor                       versions, processor, disk, settings
    clipsearch doctor parts                 and the collection: its engine, model, files, drift
    clipsearch doctor parts --json

    Drift: some stored pictures are encoded again with the collection's own model; the cosine of the
    stored and the fresh vector says whether the collection still is what the model makes. Leaves with
    0 if there is no problem, 1 otherwise; warnings are no problem. API keys are never shown.
    """
    from clipsearch.health import examine_collection, examine_installation

    if name and collection and name != collection:
        raise click.UsageError(f"two collections are named: {name} and {collection}.")
    wanted = name or collection
    settings = settings_from(collection=wanted, data=data, url=url, device=device)
    found = examine_installation(settings)
    if wanted:
        quiet = outer("indexer.terminal:quiet_libraries")
        with quiet(), progress() as tell:
            found += examine_collection(
                settings.collection, settings, read=picture, n_pictures=pictures, on_progress=tell
            )
    n_problems = sum(finding.state == "problem" for finding in found)
    if as_json:
        output.print_json({"ok": n_problems == 0, "findings": [asdict(finding) for finding in found]})
    else:
        print_findings(found)
        _sum_up(found)
    ctx.exit(1 if n_problems else 0)


def print_findings(findings: list[Finding]) -> None:
    """By area; a line each, what to do below it."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    width = max((len(finding.name) for finding in findings), default=0)
    area = ""
    for finding in findings:
        if finding.area != area:
            console.print(Text(("\n" if area else "") + _TITLES.get(finding.area, finding.area), "bold"))
            area = finding.area
        row = Table.grid(padding=(0, 1))
        row.add_column(width=7, no_wrap=True)
        row.add_column(width=min(width, 34), overflow="fold")
        row.add_column(overflow="fold")
        row.add_row(Text(finding.state, _STYLE[finding.state]), finding.name, Text(finding.value))
        console.print(row)
        if finding.advice:
            console.print(Padding(Text(f"→ {finding.advice}", "italic"), (0, 0, 0, 8)))


def _sum_up(findings: list[Finding]) -> None:
    n_warnings = sum(finding.state == "warn" for finding in findings)
    n_problems = sum(finding.state == "problem" for finding in findings)
    if not n_warnings and not n_problems:
        click.echo("\nall is well", err=True)
        return
    parts = [(n_problems, "problem"), (n_warnings, "warning")]
    click.echo("\n" + ", ".join(f"{n} {what}{'s' if n > 1 else ''}" for n, what in parts if n), err=True)
