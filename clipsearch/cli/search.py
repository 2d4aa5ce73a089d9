"""`clipsearch search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.cli import output
from clipsearch.cli.lazy import outer
from clipsearch.cli.options import collection_option, device_option, place_options, settings_from

if TYPE_CHECKING:
    from clipsearch.types import Page


@click.command(short_help="Search a collection by words or by a picture.")
@click.argument("query", nargs=-1)
@click.option(
    "-i",
    "--image",
    "images",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A picture to be near to. May repeat; goes together with words.",
)
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="COND",
    help="Only records where it holds: material=brass, price<=5, holes:2..4, finish!=plain. May repeat.",
)
@click.option("-t", "--top", default=10, show_default=True, metavar="N", help="How many hits.")
@click.option(
    "--offset", default=0, show_default=True, metavar="N", help="Hits to pass over (the next page)."
)
@collection_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--jsonl", is_flag=True, help="One JSON object a line.")
@click.option("--paths", is_flag=True, help="Only the pictures' paths.")
@click.option("-0", "zero", is_flag=True, help="With --paths: separate by NUL, for xargs -0.")
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PNG",
    help="Write the hits' pictures as one sheet.",
)
@place_options
@device_option
def search(
    query: tuple[str, ...],
    images: tuple[Path, ...],
    filters: tuple[str, ...],
    top: int,
    offset: int,
    collection: str | None,
    as_json: bool,
    jsonl: bool,
    paths: bool,
    zero: bool,
    sheet: Path | None,
    data: Path | None,
    url: str | None,
    device: str | None,
) -> None:
    """Search a collection by words, by a picture, or by both.

    \b
    clipsearch search "brass hex bolt"
    clipsearch search "bracket -holes"                    away from a word
    clipsearch search ./photo.jpg                         pictures like this one
    clipsearch search "in red + ./photo.jpg"              like this one, and red
    clipsearch search HX-M12x25-MS                         a part number, typed exactly, comes first
    clipsearch search gear --filter material=brass --filter "teeth>=24"
    clipsearch search gear --paths -0 | xargs -0 ls -l

    Scores are cosines of the query and the picture: they order the hits of one query, and are not
    percentages. How high a good one is depends on the model.
    """
    from clipsearch.search import open as open_searcher

    if sum((as_json, jsonl, paths)) > 1:
        raise click.UsageError("--json, --jsonl and --paths exclude each other.")
    if zero and not paths:
        raise click.UsageError("-0 goes with --paths.")
    settings = settings_from(collection=collection, data=data, url=url, device=device)
    with open_searcher(settings=settings) as searcher:
        page = searcher.search(" ".join(query), image=images, filter=filters, top=top, offset=offset)
        model = searcher.encoder.fingerprint.model
    if as_json:
        output.print_json(output.page_record(page, settings.collection, model))
    elif jsonl:
        output.print_jsonl(output.hit_record(hit, offset + i) for i, hit in enumerate(page, start=1))
    elif paths:
        output.print_paths(page, zero=zero)
    else:
        output.print_page(page)
        _tell_about(page, offset)
    if sheet is not None:
        _write_sheet(page, sheet)


def _tell_about(page: Page, offset: int) -> None:
    if not page.hits:
        click.echo("no record passes the filter" if offset == 0 else "no more hits", err=True)
    elif page.has_more:
        click.echo(f"more: --offset {offset + len(page)}", err=True)


def _picture(path: str) -> Path | bytes:
    """The file, or the bytes of a picture that lies in an archive or a table."""
    if Path(path).is_file():
        return Path(path)
    read_stored = outer("indexer.sources.stored:read_stored")
    return read_stored(path) or Path(path)


def _write_sheet(page: Page, sheet: Path) -> None:
    from clipsearch import images

    tiles = [(_picture(hit.path), f"{hit.key}  {hit.score:.3f}") for hit in page]
    title = page.query.text if page.query else ""
    images.save_png(images.contact_sheet(tiles, title=title), sheet)
    click.echo(f"wrote {sheet}", err=True)
