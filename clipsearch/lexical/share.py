"""How much of a query's words a record holds, from its payload alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from clipsearch.lexical.records import has_words, record_words
from clipsearch.lexical.words import chunks, joined, of_chunk, tokens
from clipsearch.types import FieldKind, Payload

# Words that say nothing by themselves. The ranking needs no such list (they are in every record or in none);
# a share, in which all words count alike, does.
_EMPTY = frozenset(
    ("a", "an", "and", "at", "by", "for", "from", "in", "is", "it", "of", "on",
     "or", "that", "the", "this", "to", "with")
)  # fmt: skip


def matched(query: str, payload: Payload, kinds: Mapping[str, FieldKind]) -> float:
    """The share of the query's words that the record's words hold, from 0 to 1.

    A word is there wholly, or in part: as many of its parts (a part number's, a Japanese word's pairs of
    characters) as the record holds. Long Japanese words, which are several, count for more.
    """
    wanted = _wanted(query)
    if not wanted:
        return 0.0
    there = _tokens(payload, kinds)
    total = sum(weight for _, _, weight in wanted)
    return sum(weight * _share(whole, parts, there) for whole, parts, weight in wanted) / total


def _share(whole: str, parts: tuple[str, ...], there: set[str]) -> float:
    if whole in there:
        return 1.0
    return sum(part in there for part in parts) / len(parts)


@lru_cache(256)
def _wanted(query: str) -> tuple[tuple[str, tuple[str, ...], int], ...]:
    """Each word of the query: whole, its parts, and its weight."""
    found: list[tuple[str, tuple[str, ...], int]] = []
    before = ""
    for chunk, is_cjk in chunks(query):
        measure = joined(before, chunk, is_cjk) if before else ""
        before = chunk
        if chunk in _EMPTY:
            continue
        some = [token for _, token in of_chunk(chunk, is_cjk)]
        if measure and not is_cjk and found:  # 8 mm is one word
            _, parts, weight = found.pop()
            found.append((measure, (*parts, *some), weight))
        elif is_cjk:
            pairs = tuple(t for level, t in of_chunk(chunk, True) if level in ("word", "pair"))
            found.append((pairs[0] if len(pairs) == 1 else "", pairs, max(1, len(chunk) // 2)))
        else:
            found.append((some[0], tuple(some[1:]) or (some[0],), 1))
    return tuple(found)


def _tokens(payload: Payload, kinds: Mapping[str, FieldKind]) -> set[str]:
    there: set[str] = set()
    for text in record_words(payload, kinds):
        there.update(_remembered(text) if len(text) <= 64 else _of_value(text))
    return there


def _of_value(text: str) -> frozenset[str]:
    return frozenset(tokens(text)) if has_words(text) else frozenset()


_remembered = lru_cache(1 << 13)(_of_value)
