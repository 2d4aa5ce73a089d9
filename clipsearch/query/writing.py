"""A Query -> the text that says it. Knows no fields: what could be taken for something else is quoted."""

from __future__ import annotations

import re

from clipsearch.errors import QueryError
from clipsearch.query.spelling import PATH, fold, is_picture, quote
from clipsearch.types import And, Filter, Match, Near, Not, Or, Prefix, Query, Range, Scalar, Term, Within

_WORD = re.compile(r"\(?\w[^\s:=<>]*|\d+(?::\d+)+")
_VALUE = re.compile(r"\w(?:[\w/#%+-]|\.(?!\.))*")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_DENIAL = re.compile(r"not|\(not.*", re.IGNORECASE)  # before a filter it would be more than a word


def unparse(query: Query) -> str:
    """The query in its canonical spelling; parse gives an equal one, but for positions and text.

    Terms come first, filters after. Raises QueryError for what the language has no words for: filters
    made in Python (Ids, Phrase, an empty list) and a picture whose path has blanks and no known suffix.
    """
    spelled: list[str] = []
    has_words = False
    for term in query.terms:
        if is_plain := _is_plain(term):
            spelled += ["+"] if has_words else []  # else the two would be one term
            has_words = True
        spelled.append(term.value if is_plain else _term(term))
    if query.filter is not None:
        spelled.append(_filter(query.filter))
    return " ".join(spelled)


# --- terms -------------------------------------------------------------------------------------


def _is_plain(term: Term) -> bool:
    """Whether the term is said by its words alone, without sign, weight or quotes."""
    if term.kind != "text" or term.quoted or term.weight != 1.0:
        return False
    words = term.value.split(" ")
    return all(map(_reads_as_itself, words)) and not _DENIAL.fullmatch(fold(words[-1]))


def _reads_as_itself(word: str) -> bool:
    return bool(_WORD.fullmatch(fold(word)))


def _term(term: Term) -> str:
    sign = "-" if term.weight < 0 else ""
    weight = f"{abs(term.weight):.6f}".rstrip("0").rstrip(".") + ":"
    if term.kind == "text":
        return sign + _text(term, weight)
    return sign + weight.removeprefix("1:") + (_picture(term.value) if term.kind == "image" else _id(term))


def _text(term: Term, weight: str) -> str:
    if term.quoted:
        if weight != "1:":
            raise QueryError(f"quoted words have no weight, and {term.value!r} has {term.weight}")
        return quote(term.value)
    word, is_weighted = fold(term.value), weight != "1:"
    if not _reads_as_itself(word) or _DENIAL.fullmatch(word) or (is_weighted and word[0].isdigit()):
        return weight + quote(term.value)
    return weight.removeprefix("1:") + term.value


def _picture(path: str) -> str:
    if PATH.match(path) and [path] == path.split():
        return path
    if is_picture(path):
        return quote(path)
    if path and not PATH.match(path):
        return _picture(f"./{path}")
    raise QueryError(f"the picture {path!r} cannot be written in a query; give it a name without blanks")


def _id(term: Term) -> str:
    is_word = [term.value] == term.value.split() and not fold(term.value).startswith('"')
    return f"id:{term.value if is_word else quote(term.value)}"


# --- filters -----------------------------------------------------------------------------------


def _filter(filter: Filter) -> str:
    match filter:
        case And(filters) if filters:
            return " ".join(map(_part, filters))
        case Or(filters) if filters:
            return " or ".join(map(_part, filters))
        case Not(Not(inner)):
            return _filter(inner)
        case Not(inner):
            return f"-{_part(inner)}"
        case Match(name, values) if values:
            return _field(name) + ",".join(map(_value, values))
        case Prefix(name, value):
            return f"{_field(name)}{_value(value)}*"
        case Range():
            return _range(filter)
        case Near(name, latitude, longitude, radius_m):
            return f"{_field(name)}{_number(latitude)},{_number(longitude)}~{_number(radius_m)}"
        case Within(name, south, west, north, east):
            corners = f"{_number(south)},{_number(west)}..{_number(north)},{_number(east)}"
            return _field(name) + corners
        case _:
            raise QueryError(f"a filter made in Python cannot be written in a query: {filter}")


def _part(filter: Filter) -> str:
    return f"({_filter(filter)})" if isinstance(filter, (And, Or)) else _filter(filter)


def _range(range: Range) -> str:
    if range.gte is not None and range.lte is not None and range.gt is range.lt is None:
        return f"{_field(range.field)}{_number(range.gte)}..{_number(range.lte)}"
    sides = ((">", range.gt), (">=", range.gte), ("<", range.lt), ("<=", range.lte))
    name = _name(range.field)
    spelled = [f"{name}{operator}{_number(bound)}" for operator, bound in sides if bound is not None]
    if not spelled:
        raise QueryError(f"a range without bounds cannot be written in a query: {range.field}")
    return spelled[0] if len(spelled) == 1 else f"({' '.join(spelled)})"


def _field(name: str) -> str:
    return _name(name) + ("=" if fold(name).casefold() == "id" else ":")  # id: is a record


def _name(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else quote(name)


def _value(value: Scalar) -> str:
    if not isinstance(value, str):
        return _number(value)
    return value if _VALUE.fullmatch(value) else quote(value)


def _number(value: Scalar) -> str:
    """A bound, a number or yes/no; repr gives a float's shortest digits that read as itself."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value).replace(" ", "T")
