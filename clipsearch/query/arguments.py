"""A command line's arguments -> one query text, with the quotes that the shell took away."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clipsearch.query.spelling import PATH, ends_as_picture, is_picture, quote

_WEIGHTED = re.compile(r"([-+]?(?:\d{1,3}(?:\.\d{1,6})?|\.\d{1,6}):)?(.*)", re.DOTALL)


def from_arguments(arguments: Sequence[str]) -> str:
    """The query that the arguments say, as rclip reads them.

    An argument that is a picture's path with blanks is one picture: "./new york.jpg" + night. Among
    several arguments, a weight holds for the whole of its argument: "2:golden retriever" + ./pool.jpg.
    """
    return " ".join(_quoted(argument, alone=len(arguments) == 1) for argument in arguments)


def _quoted(argument: str, *, alone: bool) -> str:
    read = _WEIGHTED.fullmatch(argument)
    if read is None or not argument.split()[1:] or '"' in argument:
        return argument
    weight, rest = read[1] or "", read[2]
    if _is_one_picture(rest) or (weight and not alone and not rest[:1].isdigit()):
        return weight + quote(rest.strip())
    return argument


def _is_one_picture(text: str) -> bool:
    """Whether the words of text are one path: no other of them begins or ends one, or is a sign."""
    first, *others = text.split()
    return (
        is_picture(text)
        and not ends_as_picture(first)
        and not any(ends_as_picture(word) for word in others[:-1])
        and not any(PATH.match(word) or word[0] in "+-" for word in others)
    )
