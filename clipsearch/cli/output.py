"""How results are worded and laid out: tables, JSON, paths. The only place that prints results."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from clipsearch.serve.records import hit_record, page_record
from clipsearch.types import Hit, Page, PayloadValue

if TYPE_CHECKING:
    from rich.text import Text

    from clipsearch.models import ModelCard

__all__ = ["hit_record", "page_record"]
_NAME_FIELDS = ("name", "title", "caption", "label", "description")
_MAX_DETAILS = 40
_CHANNELS = {"image": "picture", "key": "part number"}


def counted(n: int, what: str) -> str:
    """How many there are, in words: "1 tag", "1,200 tags"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def user_payload(hit: Hit) -> dict[str, PayloadValue]:
    """The user's own columns, without clipsearch's."""
    return {name: value for name, value in hit.payload.items() if not name.startswith("_")}


def print_json(record: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(record, ensure_ascii=False, indent=2))


def print_jsonl(records: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line on stdout."""
    for record in records:
        click.echo(json.dumps(record, ensure_ascii=False))


def print_paths(page: Page, *, zero: bool) -> None:
    """The pictures' paths, a line each, or separated by NUL for xargs -0."""
    end = "\0" if zero else "\n"
    for hit in page:
        sys.stdout.write(hit.path + end)


def print_page(page: Page) -> None:
    """A table for a terminal; tab-separated rank, score, confidence, key, name, path elsewhere."""
    if not sys.stdout.isatty() and not _forced_colour():
        for rank, hit in enumerate(page, start=page.offset + 1):
            sure = "" if hit.confidence is None else f"{hit.confidence:.3f}"
            click.echo("\t".join([str(rank), f"{hit.score:.3f}", sure, hit.key, name_of(hit), hit.path]))
        return
    print_table(page)


def print_table(page: Page) -> None:
    """The page as a table, whatever stdout is, with a line below which nothing is certain.

    A narrow terminal leaves out what found a hit and the picture's name.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False, soft_wrap=False)
    key = min(26, max((len(hit.key) for hit in page), default=3))
    found_by = 18 if console.width >= 90 else 0
    picture = min(32, max((len(Path(hit.path).name) for hit in page), default=7))
    picture = picture if console.width >= 110 else 0
    what = console.width - sum(width + 2 for width in (3, 5, key, found_by, picture) if width)
    columns = (("#", 3), ("conf", 5), ("key", key), ("what it is", what), ("found by", found_by))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    shown = [(header, width) for header, width in (*columns, ("picture", picture)) if width]
    for header, width in shown:
        justify: Literal["left", "right"] = "right" if header in ("#", "conf") else "left"
        style = "dim" if header in ("found by", "picture") else ""
        table.add_column(header, justify=justify, width=width, no_wrap=True, overflow="ellipsis", style=style)
    certain = None if page.confident_until is None else page.confident_until - page.offset
    for i, hit in enumerate(page):
        if certain == i and (i > 0 or page.offset == 0):
            line = {"what it is": "— nothing certain from here on —"}
            table.add_row(*(line.get(header, "") for header, _ in shown), style="yellow")
        cells = _cells(hit, page.offset + i + 1)
        table.add_row(*(cells[header] for header, _ in shown))
    console.print(table)


def _cells(hit: Hit, rank: int) -> dict[str, str | Text]:
    from rich.text import Text

    name = Text(name_of(hit))
    details = " · ".join(filter(None, [details_of(hit), f"+{len(hit.others)} alike" if hit.others else ""]))
    if details:
        name.append(f"  {details}", style="dim")
    return {
        "#": str(rank),
        "conf": score_of(hit),
        "key": _link(hit.key, hit.path),
        "what it is": name,
        "found by": found_by(hit),
        "picture": _link(Path(hit.path).name, hit.path),
    }


def score_of(hit: Hit) -> str:
    """How sure the hit is, in percent; "exact" for a key that was typed, a dash after a filter alone."""
    if "exact key" in hit.why:
        return "exact"
    return "–" if hit.confidence is None else f"{100 * hit.confidence:.0f} %"


def found_by(hit: Hit) -> str:
    """The channels that found the hit, the one that counted most first."""
    if "exact key" in hit.why:
        return _CHANNELS["key"]
    names = [(value, name) for name, value in hit.why.items() if value > 0]
    return " ".join(_CHANNELS.get(name, name) for _, name in sorted(names, reverse=True))


def name_of(hit: Hit) -> str:
    """What to call a hit: its name or title column, else nothing more than its key."""
    for field in _NAME_FIELDS:
        value = hit.payload.get(field)
        if isinstance(value, str) and value:
            return value
    return ""


def details_of(hit: Hit) -> str:
    """A few short columns beside the name, to tell like from like."""
    name = name_of(hit)
    parts: list[str] = []
    for field, value in user_payload(hit).items():
        if field in _NAME_FIELDS or value is None or isinstance(value, (str, list)):
            continue
        text = f"{field} {value:g}" if isinstance(value, float) else f"{field} {value}"
        if len(" · ".join([*parts, text])) > _MAX_DETAILS:
            break
        parts.append(text)
    return " · ".join(parts) if name else ""


def _link(shown: str, path: str) -> Text:
    """Text that terminals make a link to the picture; --paths prints whole paths."""
    from rich.text import Text

    return Text(shown, style=f"link {Path(path).as_uri()}" if Path(path).is_absolute() else "")


def _forced_colour() -> bool:
    return bool(os.environ.get("FORCE_COLOR"))


def print_models(cards: Iterable[ModelCard], default: str) -> None:
    """The known models as a table; published figures are top-1 and Recall@1 in percent."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    numbers = ("dims", "pixels", "params", "ImageNet", "COCO")
    for header in ("model", *numbers, "languages", "licence", "note"):
        justify: Literal["left", "right"] = "right" if header in numbers else "left"
        table.add_column(header, justify=justify, no_wrap=header == "model", overflow="fold")
    for card in cards:
        table.add_row(
            card.name + (" *" if card.name == default else ""),
            str(card.dim),
            str(card.image_size),
            f"{card.parameters_m:g} M",
            "–" if card.imagenet is None else f"{card.imagenet:.1f}",
            "–" if card.coco is None else f"{card.coco:.1f}",
            card.languages,
            card.licence,
            card.note,
        )
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)
    click.echo(
        "* the default. ImageNet: published zero-shot top-1 %. COCO: published text-to-image Recall@1 %."
    )
