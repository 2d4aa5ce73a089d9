"""Which texts of a record are its words. Cuts no words and knows no vectors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from clipsearch.lexical.words import MAX_CHARS
from clipsearch.types import FieldKind, Payload

_OF_WORDS = ("keyword", "text")
_PICTURE = r"\.(?:jpe?g|jpe|jfif|png|webp|gif|bmp|tiff?|hei[cf]|avif|jxl|jp2|ico|p[bgnp]m|tga|psd|svg)"
_SUFFIX = re.compile(_PICTURE + "$", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Addresses, hashes, UUIDs and the names of pictures: nobody looks for them by words.
_NO_WORDS = re.compile(
    r"[a-z][a-z0-9+.-]*://\S*|[0-9a-f]{32,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    rf"|[^\n]{{1,1000}}{_PICTURE}",
    re.IGNORECASE,
)


def record_words(payload: Payload, kinds: Mapping[str, FieldKind]) -> list[str]:
    """The texts of a record that count, each once: its key's, then its fields of words.

    Fields count that are keywords, texts or undeclared, and that hold words or lists of them; the index's own
    (with an underscore before) do not. Not more than MAX_CHARS characters in all.
    """
    key = payload.get("_key")
    found = key_words(key, payload.get("_group")) if isinstance(key, str) else []
    for name, value in payload.items():
        if name[:1] == "_" or kinds.get(name, "text") not in _OF_WORDS:
            continue
        if type(value) is str:
            found.append(value)
        elif value is not None:
            found += _others(value, declared=name in kinds)
    found = list(dict.fromkeys(found))
    return found if sum(map(len, found)) <= MAX_CHARS else list(_cut(found))


def holds_words(name: str, kinds: Mapping[str, FieldKind]) -> bool:
    """Whether a field of that name has a part in the record's words."""
    return name in ("_key", "_group") or (name[:1] != "_" and kinds.get(name, "text") in _OF_WORDS)


def has_words(value: str) -> bool:
    """Whether the value is more than an address, a hash or a picture's name."""
    return not ((len(value) >= 32 or "." in value or ":" in value) and _NO_WORDS.fullmatch(value))


def key_words(key: str, group: object = None) -> list[str]:
    """A path's folders and its name without the suffix; any other key as it stands.

    group: the record's id, where the key is that with a column's name (PART-7#image_2).
    """
    if isinstance(group, str) and key.startswith(f"{group}#"):
        return [group]
    if "://" in key and _ADDRESS.match(key):
        try:
            key = unquote(urlsplit(key).path).strip("/")
        except ValueError:  # an address of its own kind
            return []
    suffix = _SUFFIX.search(key, max(0, len(key) - 6))
    if suffix:
        return [part for part in key[: suffix.start()].replace("\\", "/").split("/") if part]
    return [key]


def _others(value: Any, *, declared: bool) -> Iterator[str]:
    """A list's texts, and the numbers of a field of words."""
    if hasattr(value, "tolist"):  # of NumPy's
        value = value.tolist()
    for item in value if isinstance(value, (list, tuple, set, frozenset)) else (value,):
        if isinstance(item, str):
            yield item
        elif declared and isinstance(item, (int, float)) and not isinstance(item, bool) and item == item:
            yield str(item)


def _cut(texts: list[str]) -> Iterator[str]:
    left = MAX_CHARS
    for text in texts:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return
