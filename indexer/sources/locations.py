"""From what was typed to places: patterns, shard ranges and lists of paths. Opens no source.

A location that exists is itself, whatever characters are in its name. Otherwise {a,b} and
{00000..00123} stand for several, and *, ?, [..] and ** are looked up; links to folders are not
followed on the way.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from clipsearch.errors import SourceError
from indexer.sources.names import is_junk, suffix

STDIN = "-"
LIST_SUFFIX = ".txt"
MAX_PLACES = 100_000  # of one pattern of ranges
_MAX_LIST_BYTES = 1024**3
_MAGIC = re.compile(r"[*?\[]")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})", re.ASCII)
_BRACES = re.compile(r"\{([^{}]*)\}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Place:
    """A path to index. root: what a picture's key is relative to, where a pattern's search began."""

    path: Path
    root: Path
    by: Literal["name", "pattern", "list"]


@dataclass(frozen=True, slots=True)
class Url:
    """A location that is no path."""

    text: str


@dataclass(frozen=True, slots=True)
class UrlList:
    """A text file of URLs."""

    path: Path


Found = Place | Url | UrlList


def is_url(location: str) -> bool:
    """Whether a location is for the remote sources: anything with a scheme, such as https:// or s3://."""
    return _URL.match(location) is not None


def expand(locations: Iterable[str], *, hidden: bool, stdin: BinaryIO | None = None) -> Iterator[Found]:
    """Every place that the locations stand for, in their order; a pattern's are sorted.

    Raises SourceError for a path that is not there and a pattern that nothing matches.
    """
    for location in locations:
        if location == STDIN:
            yield from _listed(_paths_in(_read(stdin or sys.stdin.buffer), "standard input"))
        elif is_url(location):
            yield Url(location)
        elif os.path.lexists(location):
            yield from _there(Path(location))
        else:
            yield from _matched(location, hidden=hidden)


def _there(path: Path) -> Iterator[Found]:
    """A path that was named: itself, or what is listed in it."""
    if suffix(path.name) != LIST_SUFFIX or not path.is_file():
        yield Place(path, path.parent, "name")
        return
    try:
        with path.open("rb") as file:
            paths = _paths_in(_read(file), str(path))
    except OSError as exc:
        raise SourceError(f"{path} cannot be read: {exc.strerror}; check its permissions") from exc
    if is_url(paths[0]):
        yield UrlList(path)
    elif not os.path.lexists(paths[0]):
        raise SourceError(
            f"{path} is read as a list of paths, but its first line, {paths[0][:200]!r}, is none (paths are "
            "relative to the current folder). To index the pictures beside it, name their folder instead: "
            f"clipsearch index {path.parent}"
        )
    else:
        yield from _listed(paths)


# --- lists -----------------------------------------------------------------------------------------


def _read(file: BinaryIO) -> bytes:
    if file.isatty():
        raise SourceError(
            "- stands for paths from standard input, and nothing is piped in. For example: "
            "find photos -name '*.jpg' -print0 | clipsearch index -"
        )
    data = file.read(_MAX_LIST_BYTES + 1)
    if len(data) > _MAX_LIST_BYTES:
        raise SourceError(f"a list of paths over {_MAX_LIST_BYTES:,} bytes; index its folders instead")
    return data


def _paths_in(data: bytes, where: str) -> list[str]:
    """The paths, one a line, or NUL after each where there are NULs."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    parts = data.split(b"\0") if b"\0" in data else (line.rstrip(b"\r") for line in data.split(b"\n"))
    paths = [os.fsdecode(part) for part in parts if part.strip()]
    if not paths:
        raise SourceError(f"{where} has no path in it; give one a line")
    return paths


def _listed(paths: Sequence[str]) -> Iterator[Found]:
    """What a list names, as it is: a picture that is not there is told of when its turn comes."""
    for text in paths:
        if is_url(text):
            raise SourceError(f"{text} is a URL in a list of paths; put URLs into a .txt file of their own")
        path = Path(text)
        yield Place(path, path.parent, "list")


# --- patterns --------------------------------------------------------------------------------------


def braces(pattern: str) -> list[str]:
    """The pattern once for each combination of its {a,b} and {00..12}, in order.

    As in a shell, a range whose ends begin with a nought keeps its width, and other braces are text.
    Raises SourceError for more than MAX_PLACES.
    """
    choices = [_choices(text) if i % 2 else [text] for i, text in enumerate(_BRACES.split(pattern))]
    if math.prod(map(len, choices)) > MAX_PLACES:
        raise SourceError(f"{pattern} stands for more than {MAX_PLACES:,} paths; give its parts one by one")
    expanded = ["".join(texts) for texts in itertools.product(*choices)]
    if expanded == [pattern]:
        return expanded
    return list(dict.fromkeys(itertools.chain.from_iterable(map(braces, expanded))))  # braces in braces


def _choices(text: str) -> list[str]:
    """What the inside of braces stands for; itself, in its braces, if it is only text."""
    if limits := _RANGE.fullmatch(text):
        first, last = limits.groups()
        step = 1 if int(first) <= int(last) else -1
        if abs(int(last) - int(first)) >= MAX_PLACES:
            raise SourceError(f"{{{text}}} stands for more than {MAX_PLACES:,} paths; give a shorter range")
        padded = any(len(end) > 1 and end.startswith("0") for end in limits.groups())
        width = max(map(len, limits.groups())) if padded else 0
        return [f"{n:0{width}}" for n in range(int(first), int(last) + step, step)]
    return text.split(",") if "," in text else [f"{{{text}}}"]


def _matched(location: str, *, hidden: bool) -> Iterator[Found]:
    """What a location that is no path of its own stands for."""
    patterns = [os.path.expanduser(text) for text in braces(location)]  # noqa: PTH111 -- Path's raises
    missing = [text for text in patterns if not _MAGIC.search(text) and not os.path.lexists(text)]
    if missing and len(patterns) == 1:
        raise SourceError(f"there is no file or folder at {missing[0]}; check the path")
    if missing:
        raise SourceError(
            f"{len(missing):,} of the {len(patterns):,} paths of {location} are not there, {missing[0]} "
            "first. If that is as it should be, name those that are there with a pattern, such as data/*.tar"
        )
    n_found = 0
    for text in patterns:
        for place in _globbed(text, hidden=hidden) if _MAGIC.search(text) else _there(Path(text)):
            n_found += 1
            yield place
    if not n_found:
        raise SourceError(f"nothing matches {location}; check the pattern, or name the folder")


def _globbed(pattern: str, *, hidden: bool) -> Iterator[Place]:
    """The paths that match, without what lies in a folder that matches as well."""
    fixed, magic = _cut(Path(pattern))
    if set(magic) == {"**"}:
        yield Place(fixed, fixed.parent, "pattern")
        return
    if magic[-1] == "**":  # everything below: the folder itself
        magic = magic[:-1]
    try:
        paths = sorted(path for path in fixed.glob("/".join(magic)) if _is_wanted(path, fixed, magic, hidden))
    except (ValueError, NotImplementedError, OSError) as exc:
        raise SourceError(f"{pattern} cannot be looked up: {exc}") from exc
    folders: set[Path] = set()
    for path in paths:
        if folders.isdisjoint(path.parents):
            if path.is_dir():
                folders.add(path)
            yield Place(path, fixed, "pattern")


def _cut(pattern: Path) -> tuple[Path, list[str]]:
    """The folder that a pattern's search begins in, and the rest."""
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
    return Path(*parts[:first]), list(parts[first:])


def _is_wanted(path: Path, fixed: Path, magic: Sequence[str], hidden: bool) -> bool:
    """No junk on the way, as in a folder; a pattern with a dot finds hidden names, too."""
    dots = hidden or any(part.startswith(".") for part in magic)
    return not any(is_junk(name, hidden=dots) for name in path.relative_to(fixed).parts)
