"""How groups of duplicates are worded and laid out: lines, JSON, CSV, a sheet. Decides nothing about them."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from clipsearch.cli.pictures import picture

if TYPE_CHECKING:
    from clipsearch.duplicates import Found, Group, Member, Record

MAX_SHEET = 40  # groups on a sheet; a row each
_ACROSS = 6  # pictures of a group on a sheet
_LONGEST = 45  # of the words beside a picture: "the same picture, cropped, smaller  0.951"
_COLUMNS = ("group", "what", "key", "path", "width", "height", "bytes", "cosine", "reason")
_SAME = {
    "file": "the same file",
    "bytes": "the same bytes",
    "picture": "the same picture",
    "crop": "the same picture, cropped",
    "vector": "the same picture by its vector; could not be looked at",
    "scene": "the same scene",
}


def group_record(group: Group, number: int) -> dict[str, Any]:
    """A group as --json and --jsonl print it."""
    keep = {**_record(group.keep), "because": group.keep_because}
    others = [
        {
            **_record(member.record),
            "cosine": round(member.cosine, 6),
            "reason": member.reason,
            "difference": None if member.difference is None else round(member.difference, 4),
        }
        for member in group.others
    ]
    superfluous = [record.path for record in group.superfluous]
    return {"group": number, "level": group.level, "keep": keep, "others": others, "superfluous": superfluous}


def found_record(found: Found, groups: list[dict[str, Any]], collection: str) -> dict[str, Any]:
    """Everything as --json prints it."""
    return {
        "collection": collection,
        "level": found.level,
        "records": found.n_records,
        "least_cosine": round(found.least, 6),
        "background_cosine": None if found.bars is None else round(found.bars.background, 6),
        "unread": found.n_unread,
        "groups": groups,
    }


def print_group(group: Group, number: int) -> None:
    """The kept picture and below it the others, for a terminal; tab-separated lines elsewhere."""
    if not sys.stdout.isatty():
        for row in _rows(group, number):
            click.echo("\t".join(map(str, row)))
        return
    width = max(40, shutil.get_terminal_size().columns)
    click.secho(f"{number}  keep  ", fg="green", bold=True, nl=False)
    click.echo(_line(group.keep, group.keep_because, width - len(f"{number}  keep  ")))
    lead = " " * len(f"{number}  keep  ")
    for member in group.others:
        click.echo(lead + _line(member.record, words_for(member, group.keep), width - len(lead)))


def print_csv(groups: Iterator[Group]) -> Iterator[Group]:
    """CSV on stdout, a line a record, while the groups go by."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(_COLUMNS)
    for number, group in enumerate(groups, start=1):
        out.writerows(_rows(group, number))
        yield group


def words_for(member: Member, keep: Record) -> str:
    """Why the member is in the group, and what it has less of than the kept one."""
    words = _SAME[member.reason]
    record = member.record
    if member.reason in ("picture", "crop", "vector", "scene"):
        if 0 < record.pixels < keep.pixels:
            words += ", smaller"
        elif (record.n_bytes or 0) < (keep.n_bytes or 0):
            words += ", more compressed"
        words += f"  {member.cosine:.3f}"
    return words


def size_text(n_bytes: int) -> str:
    """Bytes for people, in powers of 1,000 as file managers count."""
    amount, unit = float(n_bytes), "bytes"
    for following in ("KB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, following
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "bytes" else f"{amount:.1f} {unit}"


def write_sheet(groups: Sequence[Group], sheet: Path, *, title: str) -> None:
    """A row a group, the kept picture first."""
    from clipsearch import images

    across = min(_ACROSS, max((1 + len(group.others) for group in groups), default=1))
    blank = np.full((1, 1, 3), 255, np.uint8)
    tiles: list[tuple[Any, str]] = []
    for number, group in enumerate(groups[:MAX_SHEET], start=1):
        row = [(group.keep, f"{number} keep  {_plain(group.keep)}")]
        row += [(member.record, f"{_plain(member.record)}  {member.cosine:.3f}") for member in group.others]
        row = row[:across]
        tiles += [(picture(record.path) or Path(record.path), label) for record, label in row]
        tiles += [(blank, "")] * (across - len(row))
    images.save_png(images.contact_sheet(tiles, columns=across, title=title), sheet)


def _rows(group: Group, number: int) -> list[list[object]]:
    def row(record: Record, what: str, cosine: str, reason: str) -> list[object]:
        size = "" if record.n_bytes is None else record.n_bytes
        return [number, what, record.key, record.path, record.width, record.height, size, cosine, reason]

    extra = {record.id for record in group.superfluous}
    rows = [row(group.keep, "keep", "", group.keep_because)]
    for member in group.others:
        what = "superfluous" if member.record.id in extra else "same file"
        rows.append(row(member.record, what, f"{member.cosine:.4f}", member.reason))
    return rows


def _record(record: Record) -> dict[str, Any]:
    return {
        "key": record.key,
        "path": record.path,
        "id": record.id,
        "width": record.width,
        "height": record.height,
        "bytes": record.n_bytes,
        "payload": {name: v for name, v in record.payload.items() if not name.startswith("_")},
    }


def _line(record: Record, words: str, width: int) -> str:
    facts = f"{_size(record):>11}  {'' if record.n_bytes is None else size_text(record.n_bytes):>7}  "
    room = max(16, min(60, width - len(facts) - _LONGEST - 2))
    return f"{facts}{_fitted(record.path or record.key, room)}  {words}"


def _fitted(path: str, room: int) -> str:
    """The end of the path in `room` columns of the terminal; Japanese letters take two."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(path) > room:
        while cell_len(path) > room - 1:
            path = path[1:]
        path = f"…{path}"
    return set_cell_size(path, room)


def _size(record: Record) -> str:
    return f"{record.width} × {record.height}" if record.pixels else "? × ?"


def _plain(record: Record) -> str:
    return _size(record).replace(" × ", "x")  # a sheet's font may have no ×
