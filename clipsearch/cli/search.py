"""`clipsearch search`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipsearch.cli import output
from clipsearch.cli.asking import ask
from clipsearch.cli.options import collection_option, device_option, place_options, settings_from
from clipsearch.cli.pictures import picture
from clipsearch.types import SearchOptions

if TYPE_CHECKING:
    from clipsearch.settings import Settings
    from clipsearch.types import Page

NOTHING_CERTAIN = 3  # exit code
_MINUS_WORD = re.compile(r"-[^\W\dcfit_-][^\W_]\S*")  # -c, -f, -i and -t take what follows them
_TOGETHER = 256  # queries of a file that are answered before their hits are written


def _answer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How the query is answered; the names are those of SearchOptions."""
    options = (
        click.option("-t", "--top", default=10, show_default=True, metavar="N", help="How many hits."),
        click.option(
            "--offset", default=0, show_default=True, metavar="N", help="Hits to pass over (the next page)."
        ),
        click.option("--like", multiple=True, metavar="KEY", help="Nearer to this record. May repeat."),
        click.option("--unlike", multiple=True, metavar="KEY", help="Farther from it. May repeat."),
        click.option("--group-by", metavar="FIELD", help="One row for the records that share a value."),
        click.option(
            "--diversity",
            type=click.FloatRange(0, 1),
            default=0.0,
            metavar="SHARE",
            help="Different hits first: 0 (off) to 1.",
        ),
        click.option("--unique", is_flag=True, help="One row for pictures that look alike."),
        click.option(
            "--min-confidence",
            type=click.FloatRange(0, 1),
            metavar="P",
            help="Leave out hits below it; exit 3 if none is left.",
        ),
        click.option("--sort", metavar="FIELD", help="Sort the confident hits by a field; -FIELD: falling."),
        click.option("--exact", is_flag=True, help="Scan every vector, use no graph."),
    )
    for option in reversed(options):
        command = option(command)
    return command


class _Command(click.Command):
    """Tells a minus word from an option that is spelt wrongly; -holes would be -h otherwise, the help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for word in args[: args.index("--")] if "--" in args else args:
            if _MINUS_WORD.fullmatch(word):
                raise click.UsageError(
                    f"{word} looks like a minus word; put the query in quotes, or -- before it: "
                    f'clipsearch search "… {word}"',
                    ctx,
                )
        return super().parse_args(ctx, args)


@click.command(
    cls=_Command,
    short_help="Search a collection by words or by a picture.",
)
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
@_answer_options
@click.option(
    "--queries",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Many queries: lines of text, a table with a column query or image, a folder of photos.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --queries: write .jsonl, .csv or .parquet. [default: JSON lines on stdout]",
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
    queries: Path | None,
    out: Path | None,
    collection: str | None,
    as_json: bool,
    jsonl: bool,
    paths: bool,
    zero: bool,
    sheet: Path | None,
    data: Path | None,
    url: str | None,
    device: str | None,
    **answer: Any,
) -> int:
    """Search a collection by words, by a picture, or by both.

    \b
    clipsearch search "brass hex bolt"
    clipsearch search "bracket -holes"                    away from a word
    clipsearch search ./photo.jpg                         pictures like this one
    clipsearch search "in red + ./photo.jpg"              like this one, and red
    clipsearch search '2:"hex bolt" -rust price<5'        weights, minus words, filters
    clipsearch search HX-M12x25-MS                        a part number, typed exactly, comes first
    clipsearch search gear --filter material=brass --filter "teeth>=24"
    clipsearch search washer --group-by part_no --diversity 0.3
    clipsearch search --like HX-M12x25-MS --unlike HX-M6x10-MS
    clipsearch search "wing nut" --min-confidence 0.5     nothing rather than a guess: exit 3
    clipsearch search --queries wanted.csv --out found.csv
    clipsearch search gear --paths -0 | xargs -0 ls -l

    The order is one of three channels together: what the pictures show, what the records' words say, and
    part numbers. `conf` says how sure a hit is, in percent; below the line nothing is certain.
    Minus words that stand alone need `--` before them: clipsearch search -- bolt -brass
    """
    if sum((as_json, jsonl, paths)) > 1:
        raise click.UsageError("--json, --jsonl and --paths exclude each other.")
    if zero and not paths:
        raise click.UsageError("-0 goes with --paths.")
    if out is not None and queries is None:
        raise click.UsageError("--out goes with --queries; one query's hits go to stdout.")
    settings = settings_from(collection=collection, data=data, url=url, device=device)
    options = SearchOptions(**answer)
    if queries is not None:
        if query or images or sheet or as_json or paths:
            raise click.UsageError("--queries goes with filters and answer options only.")
        return _many(queries, out, filters, options, settings)
    from clipsearch.query import from_arguments

    page, model = ask(from_arguments(query), images, filters, options, settings)
    if as_json:
        output.print_json(output.page_record(page, settings.collection, model))
    elif jsonl:
        output.print_jsonl(output.hit_record(hit, page.offset + i) for i, hit in enumerate(page, start=1))
    elif paths:
        output.print_paths(page, zero=zero)
    else:
        output.print_page(page)
        _tell_about(page, options)
    if sheet is not None:
        _write_sheet(page, sheet)
    return NOTHING_CERTAIN if options.min_confidence is not None and not page.hits else 0


def _many(
    queries: Path, out: Path | None, filters: tuple[str, ...], options: SearchOptions, settings: Settings
) -> int:
    from clipsearch.cli import many
    from clipsearch.cli.progress import progress
    from clipsearch.search import Question
    from clipsearch.search import open as open_searcher

    asked = many.read(queries)
    n_certain = 0
    with open_searcher(settings=settings) as searcher, many.written(out) as file, progress() as tell:
        for start in range(0, len(asked), _TOGETHER):
            some = asked[start : start + _TOGETHER]
            pages = searcher.search_many([Question(a.text, a.images, filters) for a in some], options)
            for one, page in zip(some, pages, strict=True):
                file.add(one, page)
                n_certain += bool(page.confident_until)
            tell("queries", start + len(some), len(asked))
    where = "" if out is None else f", wrote {out}"
    click.echo(f"{len(asked):,} queries, {n_certain:,} with a confident hit{where}", err=True)
    return 0


def _tell_about(page: Page, options: SearchOptions) -> None:
    if not page.hits and options.min_confidence is not None:
        click.echo(
            f"nothing certain: no hit has a confidence of {options.min_confidence:g} or more", err=True
        )
    elif not page.hits:
        click.echo("no record passes the filter" if page.offset == 0 else "no more hits", err=True)
    elif page.confident_until == 0:
        click.echo("nothing certain: these are only the nearest", err=True)
    if page.has_more:
        click.echo(f"more: --offset {page.offset + len(page)}", err=True)


def _write_sheet(page: Page, sheet: Path) -> None:
    from clipsearch import images

    tiles = [(picture(hit.path) or Path(hit.path), f"{hit.key}  {output.score_of(hit)}") for hit in page]
    title = page.query.text if page.query else ""
    images.save_png(images.contact_sheet(tiles, title=title), sheet)
    click.echo(f"wrote {sheet}", err=True)
