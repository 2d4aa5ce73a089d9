"""`clipsearch demo`: the bundled catalogue, the bundled model, a handful of real searches."""

from __future__ import annotations

import csv
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.cli import output
from clipsearch.cli.options import settings_from
from clipsearch.errors import ModelMismatch

if TYPE_CHECKING:
    from clipsearch.search import Searcher
    from clipsearch.types import Page

COLLECTION = "demo"
MODEL = "starter"
TOP = 5


@dataclass(frozen=True, slots=True)
class Example:
    """One search of the demo: what it shows, and the search itself."""

    shows: str
    words: str = ""
    image: Path | None = None
    filters: Sequence[str] = ()

    @property
    def command(self) -> str:
        """The same search as a person would type it."""
        parts = ["clipsearch", "search", *([self.words] if self.words else [])]
        if self.image is not None:
            parts += ["--image", str(self.image)]
        for condition in self.filters:
            parts += ["--filter", condition]
        return " ".join([*map(shlex.quote, parts), "-c", COLLECTION])


@click.command(short_help="Index the bundled catalogue and search it.")
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("demo-sheet.png"),
    show_default=True,
    help="Where to write the contact sheet of the results.",
)
@click.pass_context
def demo(ctx: click.Context, sheet: Path) -> None:
    """Index the bundled parts catalogue with the bundled model, and search it five ways.

    Needs no network, no GPU and no server. The catalogue is of rendered mechanical parts, and the
    starter model knows those and nothing else: for real photos take another (clipsearch models).

    \b
    clipsearch demo
    clipsearch demo --sheet /tmp/results.png
    """
    started = time.monotonic()
    _index(ctx)
    pages = _search_all()
    _write_sheet(pages, sheet)
    click.echo(f"\nAll of it took {time.monotonic() - started:.0f} s. The results as pictures: {sheet}")
    click.echo(_what_next())


def _index(ctx: click.Context) -> None:
    """Run the real `clipsearch index` on the bundled catalogue."""
    catalogue = data_folder() / "parts.csv"
    root = ctx.find_root().command
    assert isinstance(root, click.Group)
    index = root.get_command(ctx, "index")
    assert index is not None
    arguments = ["--image-column", "image", "--image-column", "image_2", "--id-column", "part_no"]
    arguments = [str(catalogue), *arguments, "--model", MODEL, "--collection", COLLECTION]
    hidden = ["--source-name", "clipsearch-demo"]  # the same records, wherever clipsearch is installed
    shown = ["parts.csv", *arguments[1:]]
    click.echo(f"$ clipsearch index {' '.join(map(shlex.quote, shown))}")
    try:
        _invoke(ctx, index, [*arguments, *hidden])
    except ModelMismatch:  # made by an earlier version's starter: nothing of the user's is in it
        from clipsearch.store import delete_collection

        delete_collection(COLLECTION, settings_from())
        _invoke(ctx, index, [*arguments, *hidden])


def _invoke(ctx: click.Context, command: click.Command, arguments: list[str]) -> None:
    with command.make_context("index", arguments, parent=ctx) as inner:
        command.invoke(inner)


def _search_all() -> list[tuple[Example, Page]]:
    from clipsearch.search import open as open_searcher

    with open_searcher(settings=settings_from(collection=COLLECTION)) as searcher:
        return [(example, _search(searcher, example)) for example in examples()]


def _search(searcher: Searcher, example: Example) -> Page:
    started = time.monotonic()
    page = searcher.search(example.words, image=example.image or (), filter=example.filters, top=TOP)
    took_ms = (time.monotonic() - started) * 1000
    click.echo(f"\n{click.style(example.shows, bold=True)} ({took_ms:.0f} ms)\n$ {example.command}")
    output.print_table(page)
    return page


def examples() -> list[Example]:
    """The demo's searches; the part number and the photo are taken from the catalogue itself."""
    folder = data_folder()
    with (folder / "parts.csv").open(encoding="utf-8", newline="") as file:
        parts = list(csv.DictReader(file))
    spring = next(part for part in parts if part["shape"] == "compression spring")
    bolt = next(part for part in reversed(parts) if part["shape"] == "hex bolt")
    return [
        Example("Words", "brass hex bolt"),
        Example("Words, in Japanese", "青い蝶ナット"),
        Example("A photo", image=folder / spring["image_2"]),
        Example("Words minus words", "flange -brass"),
        Example("A part number", bolt["part_no"]),
        Example("Words and a filter", "gear", filters=("material=steel", "teeth>=24")),
    ]


def data_folder() -> Path:
    """The bundled catalogue's folder: parts.csv and images/."""
    return Path(str(files("clipsearch.demo"))) / "data"


def _write_sheet(pages: Sequence[tuple[Example, Page]], sheet: Path) -> None:
    from clipsearch import images

    tiles: list[tuple[Path, str]] = []
    for example, page in pages:
        asked = (
            example.words if example.words.isascii() else example.shows
        )  # few systems have a Japanese font
        asked = asked or f"photo {example.image.name if example.image else ''}"
        asked = " ".join([asked, *example.filters])
        tiles += [
            (Path(hit.path), f"{asked}  #{rank}" if rank == 1 else hit.key)
            for rank, hit in enumerate(page, 1)
        ]
    images.save_png(images.contact_sheet(tiles, columns=TOP, title="clipsearch demo"), sheet)


def _what_next() -> str:
    return f"""
Tags for these parts, from a vocabulary; nothing is written until --write or --sidecars:

  clipsearch tag {data_folder() / "vocabulary.yaml"} -c {COLLECTION}

Now your own pictures. The starter model knows rendered parts and nothing else, so take a model
for real photos; the first use fetches it (about 1.5 GB), later ones are offline:

  clipsearch index ~/Pictures
  clipsearch search "a dog on a beach"

A catalogue with a picture column, and every other column as a filter:

  clipsearch index catalogue.csv --image-column image --id-column part_no -c parts
  clipsearch search "brass elbow" -c parts --filter "price<=5"
"""
