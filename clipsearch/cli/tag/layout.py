"""How a run's outcome is worded and laid out: a table of tags, a line for a loose picture."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import click

from clipsearch.cli.tag.tally import TagCount, Tally
from clipsearch.types import Tagged

_ROWS = 40  # of the table on a terminal
_NARROW = 70  # columns of a terminal without room for the rest of a row


def print_tags(tally: Tally, measured: Mapping[str, Mapping[str, Any]]) -> None:
    """A table on a terminal; tab-separated tag, pictures, share, confidence elsewhere.

    measured: what labels say of a tag, by its label's id: precision, recall and f1, each with its interval.
    """
    rows = tally.tags()
    if not sys.stdout.isatty():
        for tag in rows:
            click.echo("\t".join(_plain(tag, measured.get(tag.label))))
        return
    used = [tag for tag in rows if tag.n_pictures]
    _table(used[:_ROWS], measured)
    if len(used) > _ROWS:
        click.echo(f"… and {len(used) - _ROWS:,} more tags; --json tells them all", err=True)


def print_picture(record: Tagged) -> None:
    """A loose picture with its tags, on one line."""
    if not sys.stdout.isatty():
        tags = "\t".join(f"{tag.name} {tag.confidence:.2f}" for tag in record.tags)
        click.echo(f"{record.payload['_path']}\t{tags}")
        return
    click.echo(f"{record.payload['_path']}  ", nl=False)
    if not record.tags:
        click.secho("– nothing certain", dim=True)
        return
    for tag in record.tags:
        click.echo(f"{tag.name} ", nl=False)
        click.secho(f"{100 * tag.confidence:.0f} %  ", dim=True, nl=False)
    click.echo()


def _plain(tag: TagCount, known: Mapping[str, Any] | None) -> list[str]:
    sure = "" if tag.confidence is None else f"{tag.confidence:.4f}"
    row = [tag.hierarchy, str(tag.n_pictures), f"{tag.share:.4f}", sure]
    if known is not None:
        row += [_number(known.get(name), 4) for name in ("precision", "recall", "f1")]
    return row


def _table(tags: Sequence[TagCount], measured: Mapping[str, Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    headers = ["tag", "pictures", "share", "conf"]
    headers += ["precision", "recall", "F1"] if measured and console.width >= _NARROW else []
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header in headers:
        justify: Literal["left", "right"] = "left" if header == "tag" else "right"
        table.add_column(header, justify=justify, no_wrap=True, overflow="ellipsis")
    for tag in tags:
        sure = "–" if tag.confidence is None else f"{100 * tag.confidence:.0f} %"
        cells = [tag.hierarchy.replace("|", " › "), f"{tag.n_pictures:,}", f"{100 * tag.share:.1f} %", sure]
        known = measured.get(tag.label, {})
        cells += [_interval(known, name, wide=console.width >= 110) for name in ("precision", "recall", "f1")]
        table.add_row(*cells[: len(headers)])
    console.print(table)


def _interval(known: Mapping[str, Any], name: str, *, wide: bool) -> str:
    """0.93 (0.88–0.97); a dash where labels say nothing."""
    low, high = known.get(f"{name}_low"), known.get(f"{name}_high")
    if not wide or low is None or high is None:
        return _number(known.get(name), 2) or "–"
    return f"{_number(known.get(name), 2)} ({low:.2f}–{high:.2f})"


def _number(value: Any, digits: int) -> str:
    return "" if value is None or value != value else f"{value:.{digits}f}"
