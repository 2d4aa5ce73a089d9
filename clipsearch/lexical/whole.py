"""What a record is stored with: its wording and its sparse vector. Remembers values that come again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from clipsearch.lexical.records import has_words, record_words
from clipsearch.lexical.vectors import index_of, weighted
from clipsearch.lexical.words import chunks, joined, of_chunk, phrase_tokens
from clipsearch.types import FieldKind, Payload, SparseVector

BETWEEN = " | "  # a token that no text has, so that no phrase goes from one field into the next
_SHORT = 64  # characters of a value that may well come again: a material, a colour, a folder


def words_of(payload: Payload, kinds: Mapping[str, FieldKind]) -> tuple[str, SparseVector]:
    """The record's wording ("" where it has no words) and its vector, whose indices ascend."""
    found = [
        _remembered(text) if len(text) <= _SHORT else _value(text) for text in record_words(payload, kinds)
    ]
    return BETWEEN.join([text for text, _ in found if text]), weighted([some for _, some in found])


def text_of(payload: Payload, kinds: Mapping[str, FieldKind]) -> str:
    """The record's wording: the finest tokens of its texts, a space between them."""
    return words_of(payload, kinds)[0]


def _value(text: str) -> tuple[str, tuple[int, ...]]:
    """A text's wording and its tokens' indices."""
    if not has_words(text):
        return "", ()
    wording: list[str] = []
    indices: list[int] = []
    before, was_number = "", False
    for chunk, is_cjk in chunks(text):
        finest, some, is_number = _of_chunk(chunk, is_cjk)
        wording.append(finest)
        indices += some
        if (is_number or was_number or (is_cjk and len(before) == 1)) and before:
            both = joined(before, chunk, is_cjk)
            if both:
                indices.append(index_of(both))
        before, was_number = chunk, is_number
    return " ".join(wording), tuple(indices)


_remembered = lru_cache(1 << 14)(_value)


@lru_cache(1 << 15)
def _of_chunk(chunk: str, is_cjk: bool) -> tuple[str, tuple[int, ...], bool]:
    """A chunk's wording, its tokens' indices, and whether it is a number."""
    if chunk.isdecimal():
        return chunk, (index_of(chunk),), True
    indices = tuple(index_of(token) for _, token in of_chunk(chunk, is_cjk))
    return " ".join(phrase_tokens(chunk)), indices, False
