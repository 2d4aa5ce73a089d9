"""Records that may be duplicates, and which of several to keep. Looks at files' sizes and dates, not inside.

Owns the order "most pixels, then least compressed, then oldest, then shortest path".
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from clipsearch.types import Payload, Point

Level: TypeAlias = Literal["bytes", "picture", "scene"]
Reason: TypeAlias = Literal["file", "bytes", "picture", "crop", "vector", "scene"]
"""Why a member is in its group: the very file, equal bytes, the same picture or a crop of it (seen), the
same by its vector alone (could not be read), the same scene."""

Reader: TypeAlias = Callable[[str], Path | bytes | None]
"""From a record's path to its picture: a file, bytes, or None if it cannot be had."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the collection and what its file tells. n_bytes, mtime: None if it cannot be had."""

    id: str
    key: str
    path: str
    sha256: str
    width: int
    height: int
    n_bytes: int | None
    mtime: float | None  # seconds since 1970; None in archives
    file: tuple[int, int] | str  # equal for one file under several names
    payload: Payload

    @property
    def pixels(self) -> int:
        """Of the original; 0 where it was not recorded."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Member:
    """A record that is like the one to keep. cosine: of their vectors.

    difference: of the worst spot, as clipsearch.duplicates.Verdict tells it; None: nobody looked.
    """

    record: Record
    cosine: float
    reason: Reason
    difference: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Records that are one picture, or one scene. Each of `others` was compared with `keep` itself.

    keep_because: what sets it apart from the next best: pixels, bytes, age, path.
    """

    level: Level
    keep: Record
    keep_because: str
    others: tuple[Member, ...]

    @property
    def superfluous(self) -> tuple[Record, ...]:
        """What could go: the others, less those that are the kept file, or one another's, by another name."""
        seen, found = {self.keep.file}, []
        for member in self.others:
            if member.record.file not in seen:
                seen.add(member.record.file)
                found.append(member.record)
        return tuple(found)


def record_of(point: Point, read: Reader | None) -> Record:
    """The point as a record; its file is asked for size, date and identity."""
    payload = point.payload
    path = str(payload.get("_path", ""))
    n_bytes, mtime, file = _file_facts(path, read)
    return Record(
        id=point.id,
        key=str(payload.get("_key", point.id)),
        path=path,
        sha256=str(payload.get("_sha256") or ""),
        width=_number(payload.get("_width")),
        height=_number(payload.get("_height")),
        n_bytes=n_bytes,
        mtime=mtime,
        file=file,
        payload=payload,
    )


def _file_facts(path: str, read: Reader | None) -> tuple[int | None, float | None, tuple[int, int] | str]:
    try:
        found = Path(path).stat()  # follows links, so a link and its file are one
        if found.st_ino:
            return found.st_size, found.st_mtime, (found.st_dev, found.st_ino)
        return found.st_size, found.st_mtime, os.path.realpath(path)
    except (OSError, ValueError):
        picture = read(path) if read is not None else None
        return (len(picture) if isinstance(picture, bytes) else None), None, path


def _number(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) else 0


_Order: TypeAlias = tuple[int, int, float, int, str, str]


def order(record: Record) -> _Order:
    """Sorts the best to keep first."""
    mtime = math.inf if record.mtime is None else record.mtime
    return (-record.pixels, -(record.n_bytes or 0), mtime, len(record.path), record.path, record.key)


def because(keep: Record, others: list[Record]) -> str:
    """What sets the kept one apart from the next best; "" from none."""
    if not others:
        return ""
    best, following = order(keep), min(map(order, others))
    names = ("most pixels", "least compressed", "oldest", "shortest path", "first by name", "first by name")
    return next((name for name, a, b in zip(names, best, following, strict=True) if a != b), "one file")
