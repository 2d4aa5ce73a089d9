"""What is to be written for a picture: the bytes before and after, and what differs, for people to read."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from clipsearch.tagging.sidecars.packet import Refused, parse

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Change:
    """One picture's tags as they are and as they are to be.

    sidecar: the file that is written (the picture itself where tags are embedded). before None: it is not
    there (or has no XMP); after None: there is nothing to write. added, removed, ours: names of our tags: new
    ones, those no longer given, and all that are to stand. refused: why nothing can be written. notes: tags
    that were left off, and why.
    """

    picture: Path
    sidecar: Path
    before: bytes | None = None
    after: bytes | None = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    refused: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_needed(self) -> bool:
        """Whether there is something to write."""
        return self.refused is None and self.after is not None and self.after != self.before

    @property
    def diff(self) -> str:
        """The difference as a unified diff of the XML; "" where there is none. Control characters escaped."""
        if not self.is_needed:
            return ""
        name = str(self.sidecar)
        lines = difflib.unified_diff(
            _lines(self.before),
            _lines(self.after),
            "/dev/null" if self.before is None else name,
            name,
            lineterm="",
        )
        return "".join(_shown(line) + "\n" for line in lines)


def _lines(raw: bytes | None) -> list[str]:
    if raw is None:
        return []
    try:
        text = parse(raw).data.decode("utf-8")
    except Refused:
        text = raw.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").split("\n")


def _shown(text: str) -> str:
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)
