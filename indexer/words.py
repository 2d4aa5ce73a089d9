"""Records' words written anew, in collections that another version wrote. Reads no picture.

A pass that was stopped or killed begins again with the next run: writing a record twice is writing it once.
Until it has ended, the collection says that its words are not to be searched.
"""

from __future__ import annotations

from collections.abc import Callable

from clipsearch import lexical
from clipsearch.store import Store

RENEWING = "writing words anew"
_BATCH = 1000


def told(n: int) -> str:
    """What is said of a pass over n records."""
    return f"wrote the words of {n:,} records anew: another version had made them, or none"


def renew(
    store: Store,
    *,
    on_progress: Callable[[int, int], None] = lambda done, found: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Give every record the words of this version; the number of records written.

    0 where they have them already. on_progress: told the records done and those there are. Where
    should_stop says yes, the rest is left for the next run.
    """
    if store.spec.lexical == lexical.VERSION:
        return 0
    store.add_fields({})  # makes indexes that the other version did not make
    found, done = store.count(), 0
    for points in store.scroll(batch_size=_BATCH, with_vectors=True):
        if should_stop():
            return done
        store.upsert(points)
        done += len(points)
        on_progress(done, found)
    store.flush()
    store.mark_words()
    return done
