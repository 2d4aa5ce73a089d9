"""The query layer: a Query over one collection -> a Page of hits.

    asking      what is asked: terms embedded, what is wanted and what is not
    channels    who finds something: pictures by vector, words by sparse vector, part numbers
    ranking     one order of all hits, of channels fused and penalties taken off
    confidence  how sure a hit is; calibration fits it to the collection
    rows        the order rearranged: groups, look-alikes, diversity, sorting
    searcher    Searcher, which puts these together; opening finds its collection and model

Knows nothing of the engine behind the store, or of how results are shown.
"""

from clipsearch.search.asking import combine
from clipsearch.search.opening import encoder_of, open
from clipsearch.search.searcher import MAX_LIMIT, MAX_OFFSET, Question, Searcher

__all__ = [
    "MAX_LIMIT",
    "MAX_OFFSET",
    "Question",
    "Searcher",
    "combine",
    "encoder_of",
    "open",
]
