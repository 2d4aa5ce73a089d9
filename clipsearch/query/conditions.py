"""A written filter -> a Filter, by the kind of its field; and filters joined.

Knows what the operators mean for each kind. Knows no positions.
"""

from __future__ import annotations

from collections.abc import Iterable

from clipsearch.query.scanner import Element, Written
from clipsearch.query.spelling import fold
from clipsearch.query.values import Unreadable, box, near, number, span, truth
from clipsearch.types import And, FieldKind, Filter, Match, Near, Not, Or, Prefix, Range, Scalar, Within

_UNORDERED: tuple[FieldKind | None, ...] = ("keyword", "text", "bool", "geo")


def condition(written: Written, kind: FieldKind | None) -> Filter:
    """The filter that is written. kind: of its field; None: whatever the value looks like.

    Raises Unreadable for a value that does not fit the kind.
    """
    if written.operator in ("<", "<=", ">", ">="):
        return _comparison(written, kind)
    found = _place(written, kind) or _range(written, kind) or _any_value(written, kind)
    return negated(found) if written.operator == "!=" else found


def all_of(conditions: Iterable[Filter]) -> Filter | None:
    """One filter that holds where every condition holds; None for no condition."""
    flat = [part for one in conditions for part in (one.filters if isinstance(one, And) else (one,))]
    if not flat:
        return None
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(conditions: Iterable[Filter]) -> Filter:
    """One filter that holds where at least one condition holds."""
    flat = [part for one in conditions for part in (one.filters if isinstance(one, Or) else (one,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negated(condition: Filter) -> Filter:
    """A filter that holds where condition does not."""
    return condition.filter if isinstance(condition, Not) else Not(condition)


def _comparison(written: Written, kind: FieldKind | None) -> Filter:
    name = written.field
    if kind in _UNORDERED:
        raise Unreadable(f"they have no order; use {name}=value")
    value = written.elements[0].text if len(written.elements) == 1 else written.raw
    first, last = _bounds(value, kind)
    match written.operator:
        case ">":
            return Range(name, gt=last)
        case ">=":
            return Range(name, gte=first)
        case "<":
            return Range(name, lt=first)
        case _:
            return Range(name, lte=last)


def _range(written: Written, kind: FieldKind | None) -> Filter | None:
    """What 2..4 means; None where it is no range."""
    low, dots, high = fold(written.raw).partition("..")
    if kind in _UNORDERED or not dots or len(written.elements) > 1 or written.elements[0].quoted:
        return None
    try:
        gte = _bounds(low, kind)[0] if low else None
        lte = _bounds(high, kind)[1] if high else None
    except Unreadable:
        if kind is None:  # a word with dots in it
            return None
        raise
    if gte is None and lte is None:
        raise Unreadable("a range needs a bound; write 2..4, 2.. or ..4")
    if gte is not None and lte is not None and _is_more(gte, lte):
        raise Unreadable(f"nothing lies between {low} and {high}; write the smaller one first")
    return Range(written.field, gte=gte, lte=lte)


def _is_more(a: float | str, b: float | str) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return str(a)[:10] > str(b)[:10]  # moments of one day may have different time zones
    return a > b


def _bounds(text: str, kind: FieldKind | None) -> tuple[float | str, float | str]:
    """What a range that begins at text begins with, and what one that ends there ends with."""
    if kind != "datetime":
        try:
            value = number(text)
            return value, value
        except Unreadable:
            if kind is not None:
                raise
    return span(text)


def _place(written: Written, kind: FieldKind | None) -> Filter | None:
    """A circle or a box, for fields that hold places."""
    if kind not in ("geo", None):
        return None
    is_quoted = len(written.elements) == 1 and written.elements[0].quoted
    if is_quoted and kind is None:
        return None
    text = written.elements[0].text if is_quoted else written.raw
    if circle := near(text):
        return Near(written.field, *circle)
    if square := box(text):
        return Within(written.field, *square)
    if kind is None:
        return None
    raise Unreadable(f"{text!r} is no place; write 35.68,139.76~5km or 35.0,139.0..36.0,140.0")


def _any_value(written: Written, kind: FieldKind | None) -> Filter:
    """The field is one of the listed values; those that are no scalar stand beside the Match."""
    read = [_value(written.field, element, kind) for element in written.elements if element.text]
    scalars = tuple(value for value in read if isinstance(value, (str, int, float)))
    others = [value for value in read if not isinstance(value, (str, int, float))]
    return any_of([Match(written.field, scalars), *others] if scalars else others)


def _value(name: str, element: Element, kind: FieldKind | None) -> Scalar | Filter:
    text = element.text if element.quoted else element.text.strip()
    is_prefix = element.prefix or (not element.quoted and fold(text).endswith("*"))
    if is_prefix and kind in ("keyword", "text", None):
        beginning = text if element.quoted else text[:-1]
        if kind == "text" or not beginning:
            raise Unreadable("'*' goes after the beginning of a keyword, as in part_no:HX-M8*; or quote it")
        return Prefix(name, beginning)
    if kind == "datetime":
        first, last = span(text)
        return first if first == last else Range(name, gte=first, lte=last)
    if kind == "bool":
        return truth(text)
    if kind in ("integer", "float"):
        value = number(text)
        if kind == "float" or isinstance(value, int):
            return float(value) if kind == "float" else value
        if not value.is_integer():
            raise Unreadable(f"{text!r} is no whole number")
        return int(value)
    return text
