"""Tokens as sparse vectors, weighted after BM25; the engine adds the inverse document frequency.

Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009): a token that a record holds f times
weighs f (K1 + 1) / (f + K1 (1 - B + B n / LENGTH)), n tokens in the record. LENGTH is the mean length there;
here it is fixed, so that a record's vector does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from zlib import crc32

from clipsearch.types import SparseVector

K1, B, LENGTH = 1.2, 0.5, 64
WITHIN = 0.5
_MAX_QUERY = 1000  # tokens
_MAX_TIMES = 16  # more of the same say no more: 16 weigh 0.93 of what a thousand do


def index_of(token: str) -> int:
    """The token's index, from 0 to 2**32 - 1; the same in every process and on every machine.

    Two tokens with one index add up as one. Of 1.5 million systematic part numbers and file numbers 752 share
    one (266 were to be expected, and BLAKE2 has 252 at five times the cost): one word in a thousand brings a
    stranger along, in a ranking that is joined with the pictures'.
    """
    return crc32(token.encode("utf-8", "surrogatepass"))


def document_vector(token_lists: Iterable[Sequence[str]]) -> SparseVector:
    """A record's vector from the tokens of its texts; indices ascend. Empty where there are none."""
    return weighted([[index_of(token) for token in some] for some in token_lists])


def query_vector(words: Sequence[str]) -> SparseVector:
    """A query's vector. Each different token weighs 1; one that is part of another, WITHIN.

    So hxm12x25st counts for more than the 12 and 25 in it. At weight 1, MRR 0.96 for part numbers that are
    typed without hyphens (benchmarks/lexical.py); from 0.3 to 0.7, 1.00.
    """
    different = list(dict.fromkeys(words))[:_MAX_QUERY]
    text = "\n".join(different)
    weights = {index_of(token): WITHIN if text.count(token) > 1 else 1.0 for token in different}
    return SparseVector(sorted(weights), [weights[index] for index in sorted(weights)])


def weighted(index_lists: Iterable[Sequence[int]]) -> SparseVector:
    """document_vector of tokens that are indices already."""
    every = [index for some in index_lists for index in some]
    n, indices = len(every), sorted(set(every))
    weights = _weights(n)
    if len(indices) == n:  # no doubles: most short records
        return SparseVector(indices, [weights[1]] * n)
    times: dict[int, int] = {}
    for index in every:
        times[index] = times.get(index, 0) + 1
    return SparseVector(indices, [weights[min(times[index], _MAX_TIMES)] for index in indices])


@lru_cache(4096)
def _weights(n: int) -> tuple[float, ...]:
    """The weight of a token by how often it is there, in a record of n tokens."""
    damping = K1 * (1 - B + B * n / LENGTH)
    return tuple(f * (K1 + 1) / (f + damping) for f in range(_MAX_TIMES + 1))
