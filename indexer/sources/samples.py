"""An archive's pictures with what lies beside them, by WebDataset's convention. Opens no archive.

Members that share their path up to the first dot of the name are one sample: a picture, a caption
(.txt, .caption), columns (.json, as img2dataset writes them) and a class (.cls). Nothing else of a
sample is read, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from clipsearch import images
from clipsearch.errors import ImageError
from indexer.sources.ignore import IGNORE_FILE, Rules
from indexer.sources.members import Member
from indexer.sources.names import is_junk, suffix

_SIDECARS = ("caption", "txt", "json", "cls")
_FIRST = ("jpg", "jpeg", "png", "webp")  # which of a sample's pictures is its picture
_MAX_SIDECAR_BYTES = 1024 * 1024

Read = Callable[[Member], bytes]


@dataclass(slots=True)
class Contents:
    """What there is to index in one archive."""

    samples: list[Sample] = field(default_factory=list)
    n_other: int = 0  # files that are no pictures and belong to none
    n_ignored: int = 0  # pictures left out by the user's rules
    n_further: int = 0  # pictures of samples that have another


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture and what lies beside it, by its ending."""

    picture: Member
    beside: dict[str, Member]

    def values(self, read: Read) -> dict[str, Any]:
        """The columns, as they were written. What cannot be read is left out."""
        found: dict[str, Any] = {}
        if "json" in self.beside:
            found |= _columns(_text(self.beside["json"], read))
        for ending in ("caption", "txt"):
            if (caption := _text(self.beside.get(ending), read).strip()) != "":
                found["caption"] = caption
        if (label := _text(self.beside.get("cls"), read).strip()) != "":
            found["cls"] = int(label) if label.isdecimal() and len(label) < 18 else label
        return found


def contents(members: Iterable[Member], rules: Rules, *, hidden: bool) -> Contents:
    """The archive's samples, in its order. Without anything beside it, every picture is a sample."""
    found = Contents()
    pictures: dict[str, list[Member]] = defaultdict(list)
    beside: dict[str, dict[str, Member]] = defaultdict(dict)
    for member in members:
        steps = member.name.split("/")
        if any(is_junk(step, hidden=hidden) for step in steps) or steps[-1] == IGNORE_FILE:
            continue
        key, ending = split_name(member.name)
        if suffix(steps[-1]) in images.SUFFIXES:
            if rules.leaves_out(member.name):
                found.n_ignored += 1
            else:
                pictures[key].append(member)
        elif ending in _SIDECARS:
            beside[key][ending] = member
        else:
            found.n_other += 1
    found.n_other += sum(len(files) for key, files in beside.items() if key not in pictures)
    for key, group in pictures.items():
        chosen = [min(group, key=_rank)] if key in beside else group
        found.n_further += len(group) - len(chosen)
        found.samples += [Sample(picture, beside.get(key, {})) for picture in chosen]
    return found


def split_name(name: str) -> tuple[str, str]:
    """WebDataset's key, the path up to the first dot of its last step; and the ending after it.

    A dot that a name begins with is no end.
    """
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last[1:].partition(".")
    return f"{folder}{slash}{last[:1]}{stem}", ending.lower()


def _rank(picture: Member) -> tuple[bool, int, str]:
    ending = split_name(picture.name)[1]
    first = _FIRST.index(ending) if ending in _FIRST else len(_FIRST)
    return "." in ending, first, ending


def _text(member: Member | None, read: Read) -> str:
    """What is in it; '' for what is not there, cannot be read or is no text of that kind."""
    if member is None or member.n_bytes > _MAX_SIDECAR_BYTES:
        return ""
    try:
        return read(member).decode("utf-8-sig", "replace")
    except ImageError:
        return ""


def _columns(text: str) -> dict[str, Any]:
    """A JSON object's plain values and lists of them; {} for what is no object."""
    try:
        values = json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    return dict(_named(values))


def _named(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values under names that a field can have: '_' at the beginning is clipsearch's own."""
    for name, value in values.items():
        field_name = _plain(name).lstrip("_").strip()
        taken = field_name != name and field_name in values
        if field_name and not taken and (plain := _plain_value(value)) is not None:
            yield field_name, plain


def _plain_value(value: Any) -> Any:
    """The value, a list's plain values, or None for what no field can hold."""
    if isinstance(value, list):
        kept = [_plain_value(item) for item in value if not isinstance(item, list)]
        return [item for item in kept if item is not None] or None
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if isinstance(value, dict) else value


def _plain(text: str) -> str:
    """Without the halves of characters that JSON can spell and nothing can store."""
    return text.encode("utf-8", "replace").decode("utf-8")
