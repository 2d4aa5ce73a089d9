"""How single things are spelled: signs, quotes, pictures. Knows nothing of how they go together."""

from __future__ import annotations

import re

from clipsearch.images import SUFFIXES

_QUOTES = '"“”„＂「」『』'
# Full-width forms lie 0xFEE0 above ASCII. The full-width backslash stays: it escapes nothing.
_FOLDED = (
    {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if code != 0xFF3C}
    | dict.fromkeys(map(ord, _QUOTES), '"')
    | {ord("−"): "-", ord("　"): " ", ord("、"): ",", ord("〜"): "~"}
)
_ESCAPED = re.compile(rf"\\([\\{_QUOTES}])")
_TO_ESCAPE = re.compile(rf"[\\{_QUOTES}]")

QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
"""A quoted text, in folded text."""
PATH = re.compile(r"(?:\.{1,2}[\\/]|~[\\/]|/{1,2}|\\\\|[A-Za-z]:[\\/]+|(?i:https?)://)[^\s\\/]")
"""The beginning of a path or of an address."""


def fold(text: str) -> str:
    """The text with ASCII signs for their full-width forms; as long as `text`, so positions agree."""
    return text if text.isascii() else text.translate(_FOLDED)


def unquote(raw: str) -> str:
    """What stands between the quotation marks of raw."""
    return _ESCAPED.sub(r"\1", raw[1:-1])


def quote(text: str) -> str:
    """The text in quotation marks; unquote gives it back."""
    return '"' + _TO_ESCAPE.sub(r"\\\g<0>", text) + '"'


def is_picture(text: str) -> bool:
    """Whether text, which may have blanks, is a path or address that ends as pictures' names do."""
    return bool(PATH.match(text)) and ends_as_picture(text)


def ends_as_picture(text: str) -> bool:
    """Whether text ends in a suffix of a picture, such as .jpg."""
    return "." + text.rpartition(".")[2].lower() in SUFFIXES
