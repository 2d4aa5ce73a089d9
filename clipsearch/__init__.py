"""clipsearch: search your own pictures by words or by example, on your own machine.

    import clipsearch

    with clipsearch.open("parts") as parts:
        for hit in parts.search("brass hex bolt -washer", filter="holes=4", top=5):
            print(round(hit.score, 3), hit.key, hit.payload["name"])

What is named here is the documented API; every other module may change between versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipsearch.errors import ClipSearchError
from clipsearch.settings import Settings
from clipsearch.types import Fingerprint, Hit, Page, Query, Tag

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder
    from clipsearch.search import Searcher, open
    from clipsearch.tagging.tagger import Tagger
    from clipsearch.tagging.vocabulary import Vocabulary, read_vocabulary

__version__ = "0.1.0"
__all__ = [
    "ClipSearchError",
    "Encoder",
    "Fingerprint",
    "Hit",
    "Page",
    "Query",
    "Searcher",
    "Settings",
    "Tag",
    "Tagger",
    "Vocabulary",
    "__version__",
    "open",
    "read_vocabulary",
]

_LAZY = {
    "Encoder": "clipsearch.encoder",
    "Searcher": "clipsearch.search",
    "Tagger": "clipsearch.tagging.tagger",
    "Vocabulary": "clipsearch.tagging.vocabulary",
    "open": "clipsearch.search",
    "read_vocabulary": "clipsearch.tagging.vocabulary",
}


def __getattr__(name: str) -> object:
    """The names whose modules load NumPy or more are imported on first use."""
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'clipsearch' has no attribute {name!r}")
