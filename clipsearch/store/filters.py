"""Filters, checked against the collection's fields and spelled out for an engine's dialect.

Owns what a filter means (a date without a time is the whole day, a list field matches if one of its
values does). Knows no vendor type: a `Dialect` makes those.
"""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from clipsearch.errors import QueryError, UnknownField
from clipsearch.store.payload import json_path, stored_text
from clipsearch.store.places import is_place
from clipsearch.store.points import checked_id
from clipsearch.store.spec import TEXT
from clipsearch.types import (
    And,
    FieldKind,
    Filter,
    Ids,
    Match,
    Near,
    Not,
    Or,
    Phrase,
    Prefix,
    Range,
    Scalar,
    Within,
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """A range, numbers or aware datetimes; None: open on that side."""

    gt: Any = None
    gte: Any = None
    lt: Any = None
    lte: Any = None


class Dialect(Protocol):
    """An engine's own filter objects. Paths are quoted JSON paths."""

    def all_of(self, conditions: list[Any]) -> Any: ...
    def any_of(self, conditions: list[Any]) -> Any: ...
    def none_of(self, conditions: list[Any]) -> Any: ...
    def nothing(self) -> Any:
        """A condition that no point meets."""

    def equals(self, path: str, values: list[str] | list[int] | list[bool]) -> Any: ...
    def words(self, path: str, text: str) -> Any: ...
    def contains(self, path: str, text: str) -> Any: ...
    def begins(self, path: str, text: str) -> Any: ...
    def phrase(self, path: str, text: str) -> Any: ...
    def near(self, path: str, place: Near) -> Any: ...
    def within(self, path: str, box: Within) -> Any: ...
    def ids(self, ids: list[str]) -> Any: ...
    def numbers(self, path: str, bounds: Bounds) -> Any: ...
    def dates(self, path: str, bounds: Bounds) -> Any: ...


def translate(filter: Filter, kinds: Mapping[str, FieldKind], dialect: Dialect) -> Any:
    """The filter in the dialect's objects. Raises UnknownField, or QueryError for an unfit value."""
    match filter:
        case And(filters):
            return dialect.all_of([translate(f, kinds, dialect) for f in filters])
        case Or(filters):
            return _any([translate(f, kinds, dialect) for f in filters], dialect)
        case Not(inner):
            return dialect.none_of([translate(inner, kinds, dialect)])
        case Match():
            return dialect.all_of([_match(filter, _kind(filter.field, kinds), dialect)])
        case Range():
            return dialect.all_of([_range(filter, _kind(filter.field, kinds), dialect)])
        case Prefix():
            return dialect.all_of([_prefix(filter, _kind(filter.field, kinds), dialect)])
        case Phrase(tokens):
            text = stored_text(" ".join(tokens))
            return dialect.all_of([dialect.phrase(json_path(TEXT), text)]) if tokens else dialect.nothing()
        case Near():
            return dialect.all_of([_near(filter, _kind(filter.field, kinds), dialect)])
        case Within():
            return dialect.all_of([_within(filter, _kind(filter.field, kinds), dialect)])
        case Ids(ids):
            return dialect.all_of([dialect.ids([checked_id(i) for i in ids])])


def unknown_field(name: str, known: Iterable[str]) -> UnknownField:
    """The error that lists the known fields and guesses the one that was meant."""
    listed = sorted(known, key=lambda field: (field.startswith("_"), field))
    folded = {field.casefold(): field for field in listed}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    hint = f" Did you mean {folded[near[0]]!r}?" if near else ""
    return UnknownField(f"no field {name!r} in this collection.{hint} Its fields: {', '.join(listed)}")


def _kind(name: str, kinds: Mapping[str, FieldKind]) -> FieldKind:
    if name not in kinds:
        raise unknown_field(name, kinds)
    return kinds[name]


def _any(conditions: list[Any], dialect: Dialect) -> Any:
    if len(conditions) == 1:
        return conditions[0]
    return dialect.any_of(conditions) if conditions else dialect.nothing()


def _match(condition: Match, kind: FieldKind, dialect: Dialect) -> Any:
    path, values = json_path(condition.field), condition.values
    if not values:
        return dialect.nothing()
    if kind == "keyword":
        return dialect.equals(path, [_text(v) for v in values])
    if kind == "integer":
        return dialect.equals(path, [_whole(v, condition.field) for v in values])
    if kind == "bool":
        return dialect.equals(path, sorted({_truth(v, condition.field) for v in values}))
    if kind == "text":
        return _any([_words(path, _text(v), dialect) for v in values], dialect)
    if kind == "float":
        numbers = [_number(v, condition.field) for v in values]
        return _any([dialect.numbers(path, Bounds(gte=n, lte=n)) for n in numbers], dialect)
    if kind == "geo":
        raise QueryError(
            f"field {condition.field!r} holds places, which are not compared with a value; "
            "ask for what is near a place or in a box"
        )
    days = [Range(condition.field, gte=_text(v), lte=_text(v)) for v in values]
    return _any([dialect.dates(path, _moments(day)) for day in days], dialect)


def _range(condition: Range, kind: FieldKind, dialect: Dialect) -> Any:
    path = json_path(condition.field)
    if kind == "datetime":
        return dialect.dates(path, _moments(condition))
    if kind in ("integer", "float"):
        sides = (condition.gt, condition.gte, condition.lt, condition.lte)
        made = (None if side is None else _number(side, condition.field) for side in sides)
        return dialect.numbers(path, Bounds(*made))
    raise QueryError(
        f"field {condition.field!r} holds {kind} values, which have no range; "
        "ranges are for numbers and dates"
    )


def _prefix(condition: Prefix, kind: FieldKind, dialect: Dialect) -> Any:
    if kind != "keyword":
        raise QueryError(
            f"field {condition.field!r} holds {kind} values, which have no beginning; keyword fields have"
        )
    return dialect.begins(json_path(condition.field), stored_text(condition.value))


def _near(condition: Near, kind: FieldKind, dialect: Dialect) -> Any:
    _check_places(condition.field, kind, [(condition.latitude, condition.longitude)])
    if not 0 <= condition.radius_m < math.inf:
        raise QueryError(
            f"a radius of {condition.radius_m:g} m around a place is none; give metres, 0 or more"
        )
    return dialect.near(json_path(condition.field), condition)


def _within(condition: Within, kind: FieldKind, dialect: Dialect) -> Any:
    corners = [(condition.south, condition.west), (condition.north, condition.east)]
    _check_places(condition.field, kind, corners)
    if condition.south > condition.north:
        raise QueryError(
            f"the box from latitude {condition.south:g} to {condition.north:g} is upside down; "
            "its south comes first"
        )
    return dialect.within(json_path(condition.field), condition)


def _check_places(field: str, kind: FieldKind, places: list[tuple[float, float]]) -> None:
    if kind != "geo":
        raise QueryError(f"field {field!r} holds {kind} values and no places")
    for latitude, longitude in places:
        if not is_place(latitude, longitude):
            raise QueryError(
                f"{latitude:g},{longitude:g} is no place on earth; "
                "latitudes go from -90 to 90, longitudes from -180 to 180"
            )


def _words(path: str, text: str, dialect: Dialect) -> Any:
    # The engines' tokenizers do not find every Japanese word inside unspaced text (真鍮 in 真鍮の歯車
    # is missed by both "word" and "multilingual" of qdrant-edge-py 0.9.0); plain containment does.
    if any(unicodedata.east_asian_width(c) in "WF" for c in text):
        return dialect.any_of([dialect.words(path, text), dialect.contains(path, text)])
    return dialect.words(path, text)


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else stored_text(str(value))


def _number(value: Scalar, field: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise QueryError(f"field {field!r} holds numbers, and {value!r} is none")
    return number


def _whole(value: Scalar, field: str) -> int:
    try:
        number = int(value)
    except ValueError:
        number = int(_number(value, field)) if _number(value, field).is_integer() else 2**63
    except OverflowError:
        number = 2**63
    if not -(2**63) <= number < 2**63 or (isinstance(value, float) and number != value):
        raise QueryError(f"field {field!r} holds whole numbers, and {value!r} is none")
    return number


def _truth(value: Scalar, field: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    word = str(value).strip().lower()
    if word not in known:
        raise QueryError(f"field {field!r} is true or false, and {value!r} is neither")
    return known[word]


def _moments(condition: Range) -> Bounds:
    """The range in aware datetimes; a date without a time stands for its whole day."""
    made: dict[str, datetime] = {}
    for side, whole_day_side in (("gt", "gte"), ("gte", "gte"), ("lt", "lt"), ("lte", "lt")):
        value = getattr(condition, side)
        if value is None:
            continue
        moment, whole_day = _moment(value, condition.field)
        if whole_day and side in ("gt", "lte"):  # after the day, until its end
            moment += timedelta(days=1)
        key = whole_day_side if whole_day else side
        tighter = max if side in ("gt", "gte") else min
        made[key] = tighter(made.get(key, moment), moment)
    return Bounds(**made)


def _moment(value: float | str, field: str) -> tuple[datetime, bool]:
    text = str(value).strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise QueryError(f"field {field!r} holds dates, and {text!r} is none; write 2026-01-31") from exc
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware, _is_date(text)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
