"""The order of hits, so that pages never overlap or skip. Knows no engine.

The engines return equal scores in any order, and in another order when asked for more (measured with
qdrant-edge-py 0.9.0). So one more hit than needed is asked for, and where a tie runs over the edge
of the page, more of them, until the whole tie is there to be sorted by id.
"""

from __future__ import annotations

from collections.abc import Callable

from clipsearch.types import Hit

# Equal vectors can differ in the last bits of a float32 score, with the engine's path through its data.
SCORE_DIGITS = 6
MAX_TIES = 10_000  # a longer run of equal scores is cut where the engine cuts it


def page(first: list[Hit], ask: Callable[[int], list[Hit]], *, asked: int, wanted: int) -> list[Hit]:
    """The best `wanted` hits, best first, ties by id.

    `first` is the engine's answer when `asked` (more than wanted) hits were asked for; `ask` gets more.
    """
    hits = first
    limit = wanted + MAX_TIES
    while len(hits) >= asked and asked < limit and hits[-1].score == hits[wanted - 1].score:
        asked = min(4 * asked, limit)
        hits = ask(asked)
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:wanted]
