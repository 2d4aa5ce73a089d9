"""`clipsearch dupes`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.cli import groups as layout
from clipsearch.cli import output
from clipsearch.cli.lazy import outer
from clipsearch.cli.options import collection_option, filter_from, place_options, settings_from
from clipsearch.cli.pictures import picture
from clipsearch.cli.progress import progress

if TYPE_CHECKING:
    from clipsearch.duplicates import Found, Group, Level


@click.command(short_help="Find duplicates in a collection; delete nothing.")
@click.argument("name", metavar="[COLLECTION]", required=False)
@collection_option
@click.option(
    "--level",
    type=click.Choice(["bytes", "picture", "scene"]),
    default="picture",
    show_default=True,
    help="bytes: equal files. picture: re-encoded, resized, slightly cropped too. scene: a series of shots.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(-1, 1),
    metavar="COS",
    help="Least cosine of two pictures to be compared (picture) or put together (scene). "
    "[default: told from the collection]",
)
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="COND", help="Only among these records. May repeat."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N groups.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--jsonl", is_flag=True, help="One group a line, as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="One record a line, as CSV.")
@click.option("--paths", is_flag=True, help="Only the paths of the pictures that could go.")
@click.option("-0", "zero", is_flag=True, help="With --paths: separate by NUL, for xargs -0.")
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PNG",
    help=f"Write the groups side by side, a row each; {layout.MAX_SHEET} at most.",
)
@place_options
def dupes(
    name: str | None,
    collection: str | None,
    level: Level,
    threshold: float | None,
    filters: tuple[str, ...],
    limit: int | None,
    as_json: bool,
    jsonl: bool,
    as_csv: bool,
    paths: bool,
    zero: bool,
    sheet: Path | None,
    data: Path | None,
    url: str | None,
) -> None:
    """Find duplicates in a collection, and propose which of each group to keep. Nothing is deleted.

    \b
    clipsearch dupes                                 the same picture, however encoded or resized
    clipsearch dupes parts --level bytes             equal files only; looks at no picture
    clipsearch dupes holiday --level scene --sheet dupes.png
    clipsearch dupes parts --filter material=brass --jsonl
    clipsearch dupes holiday --paths -0 | xargs -0 ls -l

    Kept is the picture with the most pixels, then the least compressed, then the oldest, then the one
    with the shortest path; every other one was compared with it, not only with a neighbour. "picture"
    looks at both pictures: a copy passes at JPEG quality 30 or more, at any size, cropped by up to 5 % a
    side; another colour, or a spot that differs, does not. Pictures that cannot be read count as the same
    only if their vectors all but coincide. "scene" goes by the vectors alone: look before you act.
    """
    if sum((as_json, jsonl, as_csv, paths)) > 1:
        raise click.UsageError("--json, --jsonl, --csv and --paths exclude each other.")
    if zero and not paths:
        raise click.UsageError("-0 goes with --paths.")
    if name and collection and name != collection:
        raise click.UsageError(f"two collections are named: {name} and {collection}.")
    from clipsearch.duplicates import find_duplicates
    from clipsearch.store import open_store

    began = time.monotonic()
    settings = settings_from(collection=name or collection, data=data, url=url)
    settings.cache.mkdir(parents=True, exist_ok=True)
    quiet = outer("indexer.terminal:quiet_libraries")
    with open_store(settings.collection, settings) as store, quiet(), ExitStack() as bar:
        found = find_duplicates(
            store,
            level=level,
            threshold=threshold,
            filter=filter_from(filters, store),
            read=picture,
            scratch=settings.cache,
            on_progress=bar.enter_context(progress()),
        )
        if sys.stdout.isatty():  # the groups themselves show how far it is
            bar.close()
        tally = _Tally()
        groups = tally.counted(islice(found, limit))
        if as_json:
            records = [layout.group_record(group, i) for i, group in enumerate(groups, start=1)]
            output.print_json(layout.found_record(found, records, settings.collection))
        elif jsonl:
            output.print_jsonl(layout.group_record(group, i) for i, group in enumerate(groups, start=1))
        elif as_csv:
            for _ in layout.print_csv(groups):
                pass
        elif paths:
            _print_paths(groups, "\0" if zero else "\n")
        else:
            for number, group in enumerate(groups, start=1):
                layout.print_group(group, number)
    if sheet is not None and tally.first:
        layout.write_sheet(tally.first, sheet, title=f"{settings.collection}: duplicates by {level}")
        click.echo(f"wrote {sheet}", err=True)
    _sum_up(found, tally, limit, time.monotonic() - began)


class _Tally:
    """Counts the groups that go by, and keeps the first ones for a sheet."""

    def __init__(self) -> None:
        self.n_groups = self.n_superfluous = self.n_bytes = 0
        self.first: list[Group] = []

    def counted(self, groups: Iterator[Group]) -> Iterator[Group]:
        """The same groups."""
        for group in groups:
            self.n_groups += 1
            self.n_superfluous += len(group.superfluous)
            self.n_bytes += sum(record.n_bytes or 0 for record in group.superfluous)
            if len(self.first) < layout.MAX_SHEET:
                self.first.append(group)
            yield group


def _print_paths(groups: Iterator[Group], end: str) -> None:
    for group in groups:
        for record in group.superfluous:
            sys.stdout.write(record.path + end)


def _sum_up(found: Found, tally: _Tally, limit: int | None, took_s: float) -> None:
    took = f"{took_s:.0f} s" if took_s < 90 else f"{took_s / 60:.0f} min"
    groups = output.counted(tally.n_groups, "group")
    say = f"{groups} among {found.n_records:,} pictures in {took}"
    if tally.n_groups:
        say += f"; {tally.n_superfluous:,} could go ({layout.size_text(tally.n_bytes)})"
    click.echo(f"{say}. Nothing was deleted.", err=True)
    if found.bars is not None:
        what = "compared by eye" if found.level == "picture" else "put together"
        click.echo(
            f"pairs were {what} from cosine {found.least:.3f} on; two pictures of this collection have "
            f"{found.bars.background:.3f} in the median",
            err=True,
        )
    if found.n_unread and found.bars is not None:
        click.echo(
            f"{found.n_unread:,} pictures could not be read: those count as the same from cosine "
            f"{max(found.least, found.bars.sure):.4f} on",
            err=True,
        )
    if tally.n_groups == limit:
        click.echo("there may be more: leave --limit out", err=True)
