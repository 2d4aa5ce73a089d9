"""A record's words as tokens and sparse vectors. Knows no store and no query language."""

from __future__ import annotations

from clipsearch.lexical.records import holds_words, record_words
from clipsearch.lexical.share import matched
from clipsearch.lexical.vectors import document_vector, query_vector
from clipsearch.lexical.whole import text_of, words_of
from clipsearch.lexical.words import phrase_tokens, tokens

VERSION = 1
"""Of the tokens; a collection written with another has its words written anew by the next index run."""

__all__ = [
    "VERSION",
    "document_vector",
    "holds_words",
    "matched",
    "phrase_tokens",
    "query_vector",
    "record_words",
    "text_of",
    "tokens",
    "words_of",
]
