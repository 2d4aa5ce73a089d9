"""What travels when a Store's method is called: its parameters and result, read from the protocol itself.

A method that `Store` gains is known here without a change. Also how errors travel, and the protocol's number.
"""

from __future__ import annotations

import collections.abc
import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from clipsearch import errors
from clipsearch.errors import ClipSearchError, StoreError
from clipsearch.store.protocol import Store
from clipsearch.store.served.codec import KNOWN, Codec, Json, codec
from clipsearch.store.served.rows import POINTS
from clipsearch.types import Point

_WIRE = 1  # of frames, handshake, requests and answers
_OWN = ("close", "name")  # what a client does for itself

NAMES: frozenset[str] = frozenset(n for n in vars(Store) if not n.startswith("_") and n not in _OWN)
"""The methods and properties that a client may ask for."""


class Method(NamedTuple):
    """One method's parameters with their codecs, in order, and its result's.

    streams: it is a generator, of such results. lists: it gives a list.
    """

    parameters: Mapping[str, Codec]
    result: Codec
    is_property: bool
    streams: bool
    lists: bool


@cache
def method(name: str) -> Method:
    """How the Store's method travels. StoreError for a name that is none."""
    if name not in NAMES:
        raise StoreError(f"a collection has no method {name!r}")
    found = vars(Store)[name]
    is_property = isinstance(found, property)
    function = found.fget if is_property else found
    hints = get_type_hints(function)
    names = list(inspect.signature(function).parameters)[1:]
    result = hints["return"]
    streams = get_origin(result) is collections.abc.Iterator
    if streams:
        (result,) = get_args(result)
    lists = get_origin(result) is list
    return Method({n: _codec(hints[n]) for n in names}, _codec(result), is_property, streams, lists)


@cache
def protocol() -> str:
    """A number that two processes must have in common: of the frames, and of all that travels in them."""
    told = [f"{name}.{field.name}: {field.type}" for name, cls in KNOWN.items() for field in fields(cls)]
    for name in sorted(NAMES):
        found = vars(Store)[name]
        function = found.fget if isinstance(found, property) else found
        told.append(f"{name}: {sorted(function.__annotations__.items())}")
    return f"{_WIRE}.{hashlib.sha256(repr(told).encode()).hexdigest()[:12]}"


def error_out(error: BaseException) -> Json:
    """The error as class name, message and fields; one that is not ours as a StoreError that names it."""
    if not isinstance(error, ClipSearchError):
        what = f"{type(error).__name__}: {error}"
        return ["StoreError", f"the process that serves the collection failed ({what}); see its output", {}]
    plain = {k: v for k, v in vars(error).items() if isinstance(v, (str, int, float, bool, type(None)))}
    return [type(error).__name__, str(error), plain]


def error_in(value: Json) -> ClipSearchError:
    """The error that error_out was given, of the same class."""
    name, message, facts = value
    cls = getattr(errors, str(name), None)
    if not (isinstance(cls, type) and issubclass(cls, ClipSearchError)):
        cls = StoreError
    made = cls.__new__(cls, str(message))  # not by its __init__, whose arguments are its own
    vars(made).update(facts)
    return made


def _codec(hint: Any) -> Codec:
    points = get_origin(hint) in (list, collections.abc.Sequence) and get_args(hint) == (Point,)
    return POINTS if points else codec(hint)
