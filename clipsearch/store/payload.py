"""Payloads on their way into and out of an engine: values made storable, names made addressable.

Knows no engine. What comes back equals what went in, except that None and NaN are left out and a
value is brought to its field's declared kind (12 in a keyword column is "12").
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import numpy as np

from clipsearch.errors import StoreError
from clipsearch.store.places import shown_place, stored_place
from clipsearch.types import FieldKind, Payload, PayloadValue, Scalar

_INT64 = 2**63
_WORDS = "_text"
# File names may hold bytes that are no UTF-8; Python carries them as lone surrogates, which no engine
# stores. They travel as private-use characters (plane 16) and come back as they were.
_SURROGATES = range(0xD800, 0xE000)
_PRIVATE = 0x10F000
_HIDE = {code: _PRIVATE + code - 0xD800 for code in _SURROGATES}
_SHOW = {private: code for code, private in _HIDE.items()}
_FIRST_HIDDEN = chr(_PRIVATE)
# A path in the engines is "name" in quotes; neither a quote nor a backslash can stand inside.
_ESCAPED = {"22": '"', "5C": "\\", "25": "%"}
_ESCAPE = re.compile("%(22|5C|25)")


def stored_text(text: str) -> str:
    """The text with lone surrogates hidden, so that it is valid UTF-8."""
    if text.isascii() or text.isprintable():
        return text
    return text.translate(_HIDE)


def _shown_text(text: str) -> str:
    if text.isascii() or max(text) < _FIRST_HIDDEN:
        return text
    return text.translate(_SHOW)


@lru_cache(4096)
def stored_name(name: str) -> str:
    """The field's name as a key that the engines can address; equal to it for nearly every name."""
    if "%" in name:
        name = _ESCAPE.sub(r"%25\1", name)
    return stored_text(name.replace('"', "%22").replace("\\", "%5C"))


@lru_cache(4096)
def shown_name(key: str) -> str:
    """The field's name that stored_name was given."""
    key = _shown_text(key)
    if "%" not in key:
        return key
    return _ESCAPE.sub(lambda found: _ESCAPED[found[1]], key)


def json_path(name: str) -> str:
    """The field's address in filters and indexes; quoted, so dots and spaces belong to the name."""
    return f'"{stored_name(name)}"'


def storable(payload: Payload, kinds: Mapping[str, FieldKind]) -> dict[str, Any]:
    """The payload as JSON values under stored names; None, NaN and infinities are left out.

    Raises StoreError for whole numbers beyond 64 bits, for values that are no scalar or list, and for
    what is no place in a geo field.
    """
    result: dict[str, Any] = {}
    for name, value in payload.items():
        kind = kinds.get(name)
        if type(value) is str and kind != "geo":  # nearly always
            result[stored_name(name)] = value if value.isascii() else stored_text(value)
            continue
        if (type(value) is int and kind == "integer" and -_INT64 <= value < _INT64) or (
            type(value) is float and kind == "float" and math.isfinite(value)
        ):
            result[stored_name(name)] = value
            continue
        if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
            made: Any = [x for x in (_scalar(v, kind, name) for v in value) if x is not None]
        else:
            made = _scalar(value, kind, name)
        if made is not None:
            result[stored_name(name)] = made
    return result


def shown(stored: Mapping[str, Any] | None) -> dict[str, PayloadValue]:
    """The payload as the user gave it, without the words that the store made of it."""
    if not stored:
        return {}
    return {shown_name(key): _shown_value(value) for key, value in stored.items() if key != _WORDS}


def gone(payload: Payload) -> list[str]:
    """Names of the fields whose value means "nothing": setting them removes them."""
    return [name for name, value in payload.items() if _is_nothing(value)]


def _shown_value(value: Any) -> Any:
    if isinstance(value, str):
        return _shown_text(value)
    if isinstance(value, list):
        return [_shown_value(v) for v in value]
    return shown_place(value) if isinstance(value, dict) else value


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and not math.isfinite(value))


def _scalar(value: Any, kind: FieldKind | None, name: str) -> Scalar | dict[str, float] | None:
    if isinstance(value, str):
        return stored_place(value, name) if kind == "geo" else stored_text(value)
    if isinstance(value, np.generic):
        value = value.item()
    if _is_nothing(value) or value != value:  # NaT is not equal to itself either
        return None
    if kind == "geo":
        return stored_place(value, name)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if not isinstance(value, (bool, int, float, str)):
        raise StoreError(
            f"field {name!r} has a value of type {type(value).__name__}; a payload holds text, numbers, "
            "true/false, dates, and lists of them"
        )
    return _of_kind(value, kind, name)


def _of_kind(value: Scalar, kind: FieldKind | None, name: str) -> Scalar:
    if kind in ("keyword", "text"):
        return stored_text(str(value)) if not isinstance(value, bool) else str(value).lower()
    if isinstance(value, bool):
        return value
    if kind == "float" and isinstance(value, int):
        return float(value)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise StoreError(
            f"field {name!r} has the whole number {value}, which needs more than 64 bits; "
            "declare the field as a keyword to keep its digits"
        )
    return value
