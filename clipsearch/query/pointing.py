"""A mistake in a query, shown where it stands. Prints nothing."""

from __future__ import annotations

import unicodedata

from clipsearch.errors import QueryError, UnknownField

_CONTEXT = 36  # characters shown on each side


def pointed(error: QueryError | UnknownField) -> str:
    """Two lines: the query, or the part of it around the mistake, and a ^ under the mistake.

    Empty where the error has no text. Characters that a terminal does not show become blanks.
    """
    if not error.text:
        return ""
    begin = max(0, error.position - _CONTEXT)
    end = error.position + _CONTEXT
    before = ("…" if begin else "") + error.text[begin : error.position]
    after = error.text[error.position : end] + ("…" if end < len(error.text) else "")
    before, after = _printable(before), _printable(after)
    return f"{before}{after}".rstrip() + "\n" + " " * sum(map(_columns, before)) + "^"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\u3000" else " " for c in text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
