"""A record's words as tokens and sparse vectors. Knows no store and no query language."""

from __future__ import annotations

from collections.abc import Sequence

from clipsearch.types import SparseVector

VERSION = 1
"""Of the tokens; a collection written with another has its words written anew by the next index run."""


def tokens(text: str) -> list[str]:
    """The text's tokens for ranking, in order, with doubles."""
    return text.casefold().split()


def phrase_tokens(text: str) -> list[str]:
    """The text's finest tokens, in order: equal sequences are equal wording."""
    return text.casefold().split()


def query_vector(words: Sequence[str]) -> SparseVector:
    """A query's sparse vector: each different token with weight 1."""
    return SparseVector([hash(w) & 0xFFFFFFFF for w in words], [1.0] * len(words))
