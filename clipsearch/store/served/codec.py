"""Values as JSON and one block of numbers, and back, told by their types. Knows no sockets and no methods.

JSON carries what is small, the block what is long: a vector is ["array", "<f4", shape, offset] there and raw
little-endian numbers here. A dataclass of clipsearch.types is the list of its fields' values, with its name
before them where the type leaves a choice (["Match", "material", ["brass"]]).
"""

from __future__ import annotations

import collections.abc
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin, get_type_hints

import numpy as np

from clipsearch import types
from clipsearch.errors import StoreError

Json: TypeAlias = Any

KNOWN: Mapping[str, type] = {
    name: cls
    for name, cls in vars(types).items()
    if isinstance(cls, type) and is_dataclass(cls) and cls.__module__ == types.__name__
}
"""The dataclasses that travel, by name; no other class is ever made from what comes in."""

_ALIGN = 8  # bytes
_DTYPES = ("<f4", "<f8", "<i8")
_PLAIN = (str, int, float, bool, NoneType)
_SEQUENCES = (list, collections.abc.Sequence, collections.abc.Iterable)


class Block:
    """The numbers of one message, being put together."""

    def __init__(self) -> None:
        self.parts: list[bytes | memoryview] = []
        self.n_bytes = 0

    def add(self, data: bytes | memoryview) -> int:
        """The offset at which the data lie now."""
        offset = self.n_bytes
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        padding = -size % _ALIGN
        self.parts += [data, bytes(padding)] if padding else [data]
        self.n_bytes += size + padding
        return offset


class Codec(NamedTuple):
    """How values of one type travel. plain: JSON holds them as they are, both ways."""

    encode: Callable[[Any, Block], Json]
    decode: Callable[[Json, memoryview], Any]
    plain: bool = False


@cache
def codec(hint: Any) -> Codec:
    """The codec of a type, which is one of clipsearch.types, a plain value, an array, or made of such.

    Any: values that say themselves what they are, bytes among them. TypeError for another type.
    """
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return Codec(_said, _heard)
    if _is_plain(hint):
        return _raw_list() if origin in _SEQUENCES else Codec(_as_it_is, _as_it_is, plain=True)
    if hint is np.ndarray or origin is np.ndarray:
        return Codec(lambda value, block: encode_array(value, block, "<f4"), decode_array)
    if isinstance(hint, type) and KNOWN.get(hint.__name__) is hint:
        return _record(hint)
    if origin in (Union, UnionType):
        return Codec(_choice, _chosen)
    if origin is tuple:
        return _tuple(args)
    if origin in _SEQUENCES:
        return _list(codec(args[0]))
    if origin in (dict, collections.abc.Mapping):
        return _mapping(codec(args[1]))
    if origin is collections.abc.Callable:
        return Codec(_no_function, lambda value, block: None)
    raise TypeError(f"{hint!r} has no way through a socket")


def to_json(value: Json) -> bytes:
    """The JSON as bytes. StoreError for a value that no payload holds."""
    # surrogatepass: names of files may hold bytes that are no UTF-8, which Python carries as lone surrogates.
    return _JSON.encode(value).encode("utf-8", "surrogatepass")


def from_json(data: bytes | bytearray) -> Json:
    """What to_json was given. ValueError for anything else."""
    return json.loads(data.decode("utf-8", "surrogatepass"))


def encode_array(value: Any, block: Block, dtype: str) -> Json:
    """The array, brought to dtype, by its place in the block."""
    array: Any = np.asarray(value, dtype=dtype)
    shape = array.shape
    data: Any = np.ascontiguousarray(array)  # makes (1,) of ()
    return ["array", dtype, list(shape), block.add(memoryview(data).cast("B") if data.size else b"")]


def decode_array(value: Json, block: memoryview) -> np.ndarray[Any, Any]:
    """The array, on the message's own memory. ValueError if it does not lie in the block."""
    tag, dtype, shape, offset = value
    if tag != "array" or dtype not in _DTYPES or offset < 0 or any(n < 0 for n in shape):
        raise ValueError(f"no array: {value!r}")
    count = 1
    for n in shape:
        count *= n
    if count == 0:
        return np.empty(shape, dtype)
    return np.frombuffer(block, dtype, count, offset).reshape(shape)


# --- by type -----------------------------------------------------------------------------------


def _is_plain(hint: Any) -> bool:
    """Whether JSON gives back what it is given: scalars, and lists, mappings and choices of them."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return True
    if origin in (dict, collections.abc.Mapping):
        return _is_plain(args[1])
    if origin in _SEQUENCES or origin in (Union, UnionType):
        return all(map(_is_plain, args))
    return hint in _PLAIN


def _as_it_is(value: Any, _: Any) -> Any:
    return value


def _raw_list() -> Codec:
    return Codec(
        lambda value, block: value if isinstance(value, (list, tuple)) else list(value), _as_it_is, plain=True
    )


def _list(item: Codec) -> Codec:
    return Codec(
        lambda value, block: [item.encode(v, block) for v in value],
        lambda value, block: [item.decode(v, block) for v in value],
    )


def _tuple(args: tuple[Any, ...]) -> Codec:
    if args[-1] is Ellipsis:
        inner = _list(codec(args[0])) if not _is_plain(args[0]) else _raw_list()
        return Codec(inner.encode, lambda value, block: tuple(inner.decode(value, block)))
    parts = [codec(arg) for arg in args]
    return Codec(
        lambda value, block: [part.encode(v, block) for part, v in zip(parts, value, strict=True)],
        lambda value, block: tuple(part.decode(v, block) for part, v in zip(parts, value, strict=True)),
    )


def _mapping(item: Codec) -> Codec:
    return Codec(
        lambda value, block: {k: item.encode(v, block) for k, v in value.items()},
        lambda value, block: {k: item.decode(v, block) for k, v in value.items()},
    )


def _record(cls: type) -> Codec:
    hints = get_type_hints(cls)
    parts = [(field.name, codec(hints[field.name])) for field in fields(cls)]
    decoders = [part.decode for _, part in parts]
    encoders = [(name, None if part.plain else part.encode) for name, part in parts]

    def encode(value: Any, block: Block) -> Json:
        return [
            getattr(value, name) if encoder is None else encoder(getattr(value, name), block)
            for name, encoder in encoders
        ]

    def decode(value: Json, block: memoryview) -> Any:
        return cls(*[decoder(v, block) for decoder, v in zip(decoders, value, strict=True)])

    return Codec(encode, decode)


def _no_function(value: Any, _: Block) -> Json:
    if value is not None:
        raise StoreError("a function cannot be sent to the process that serves the collection")
    return None


# --- by value ----------------------------------------------------------------------------------


def _choice(value: Any, block: Block) -> Json:
    """One of several types: a dataclass with its name, an array, or a plain value."""
    name = type(value).__name__
    if KNOWN.get(name) is type(value):
        return [name, *codec(KNOWN[name]).encode(value, block)]
    if isinstance(value, (np.ndarray, list, tuple)):
        return encode_array(value, block, "<f4")
    return value


def _chosen(value: Json, block: memoryview) -> Any:
    if not isinstance(value, list):
        return value
    if value[0] == "array":
        return decode_array(value, block)
    return codec(KNOWN[value[0]]).decode(value[1:], block)


def _said(value: Any, block: Block) -> Json:
    """As _choice, with lists, tuples, mappings and bytes as well."""
    if isinstance(value, (list, tuple)):
        return ["list" if isinstance(value, list) else "tuple", *[_said(v, block) for v in value]]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", len(value), block.add(bytes(value))]
    if isinstance(value, Mapping):
        return {str(k): _said(v, block) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return encode_array(value, block, {"f8": "<f8", "i8": "<i8"}.get(value.dtype.str[1:], "<f4"))
    return _choice(value, block)


def _heard(value: Json, block: memoryview) -> Any:
    if isinstance(value, dict):
        return {k: _heard(v, block) for k, v in value.items()}
    if not isinstance(value, list):
        return value
    kind = value[0]
    if kind in ("list", "tuple"):
        made = [_heard(v, block) for v in value[1:]]
        return made if kind == "list" else tuple(made)
    if kind == "bytes":
        _, n_bytes, offset = value
        if not 0 <= offset <= offset + n_bytes <= len(block):
            raise ValueError(f"no bytes: {value!r}")
        return bytes(block[offset : offset + n_bytes])
    return _chosen(value, block)


def _otherwise(value: Any) -> Json:
    """What JSON has no word for, as the store's own rules would take it (see clipsearch.store.payload)."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date):  # a datetime is one; NaT, which is one too, is not equal to itself
        return value.isoformat() if value == value else None
    raise StoreError(
        f"a value of type {type(value).__name__} cannot be stored; a payload holds text, numbers, "
        "true/false, dates, and lists of them"
    )


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_otherwise)
