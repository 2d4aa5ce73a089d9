"""The values of filters, read: numbers, truth, dates and places. Knows no filter and no field."""

from __future__ import annotations

import math
import re
import unicodedata
from calendar import monthrange
from datetime import date, datetime

from clipsearch.query.spelling import fold

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d{1,3})?"
_POINT = rf"({_NUMBER})\s*,\s*({_NUMBER})"
_NEAR = re.compile(rf"{_POINT}\s*~\s*({_NUMBER})\s*(m|km|mi)?", re.IGNORECASE)
_BOX = re.compile(rf"{_POINT}\s*\.\.\s*{_POINT}")
_DAYS = re.compile(r"(\d{4})(?:[-/](\d{1,2})(?:[-/](\d{1,2}))?)?")
_METRES = {"m": 1.0, "km": 1000.0, "mi": 1609.344}
_FARTHEST_M = 20_100_000  # half the way around the earth, and a little
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Unreadable(Exception):
    """A filter that means nothing. str() says why; the caller knows where it stands in the query."""


def number(text: str) -> int | float:
    """Raises Unreadable for anything but a finite number."""
    plain = _plain(text)
    try:
        return int(plain)
    except ValueError:
        pass
    try:
        value = float(plain)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Unreadable(f"{text!r} is no number")
    return value


def truth(text: str) -> bool:
    """Raises Unreadable for anything but yes, no, true, false, 1, 0."""
    try:
        return _TRUTH[_plain(text).lower()]
    except KeyError:
        raise Unreadable(f"{text!r} is neither yes nor no") from None


def span(text: str) -> tuple[str, str]:
    """The first and the last day of a date, month or year; twice the same for a day or a moment.

    ISO-8601 texts. Raises Unreadable for what is no date.
    """
    plain = _plain(text)
    days = _DAYS.fullmatch(plain)
    try:
        if days is None:
            moment = datetime.fromisoformat(plain).isoformat()
            return moment, moment
        year, month, day = (int(part) if part else None for part in days.groups())
        if year is None or year > 9998:  # the day after the last one must be a date as well
            raise ValueError
        last_month = month or 12
        first = date(year, month or 1, day or 1)
        last = date(year, last_month, day or monthrange(year, last_month)[1])
        return first.isoformat(), last.isoformat()
    except ValueError:
        raise Unreadable(f"{text!r} is no date; write 2026-01-31, 2026-01 or 2026") from None


def near(text: str) -> tuple[float, float, float] | None:
    """Latitude, longitude and metres of 35.68,139.76~5km; None where it is not written like that."""
    read = _NEAR.fullmatch(_plain(text))
    if read is None:
        return None
    radius = float(read[3]) * _METRES[(read[4] or "m").lower()]
    if not 0 < radius <= _FARTHEST_M:
        raise Unreadable("the distance must be above 0 and at most 20,000 km")
    return (*_place(read[1], read[2]), radius)


def box(text: str) -> tuple[float, float, float, float] | None:
    """South, west, north, east of 35.0,139.0..36.0,140.0; None where it is not written like that."""
    read = _BOX.fullmatch(_plain(text))
    if read is None:
        return None
    south, west = _place(read[1], read[2])
    north, east = _place(read[3], read[4])
    if south > north:
        raise Unreadable(f"a box is written south,west..north,east, and {south} lies north of {north}")
    return south, west, north, east


def _place(latitude: str, longitude: str) -> tuple[float, float]:
    place = float(latitude), float(longitude)
    if abs(place[0]) > 90 or abs(place[1]) > 180:
        raise Unreadable(
            f"{latitude},{longitude} is no place; the latitude (-90 to 90) comes first, "
            "then the longitude (-180 to 180)"
        )
    return place


def _plain(text: str) -> str:
    """The text with ASCII digits and signs for their full-width forms."""
    return unicodedata.normalize("NFKC", fold(text)).strip()
