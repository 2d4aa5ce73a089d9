"""find_duplicates: from a collection to groups, each around the picture to keep.

Owns the order of the steps. A group is a star: each of its others was compared with the kept one itself.
So a chain, where A is like B and B like C but A not like C, never makes C superfluous because of A, as
groups of whatever is linked (single linkage) would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from clipsearch.duplicates.bars import SAMPLE, Bars, bars_of
from clipsearch.duplicates.contents import Contents, contents_of
from clipsearch.duplicates.looker import Looker
from clipsearch.duplicates.nearest import Neighbours, by_asking, by_product
from clipsearch.duplicates.records import Group, Level, Reader
from clipsearch.duplicates.stars import Stars
from clipsearch.duplicates.vectors import Vectors
from clipsearch.types import Filter

if TYPE_CHECKING:
    from clipsearch.store import Store

Progress: TypeAlias = Callable[[str, int, int], None]
"""(what is done, how many so far, of how many)."""

# Rows from which on asking a graph takes less than the product: at 100,000 x 512 on two cores 160 and 100 s,
# and the product grows with the square (`python benchmarks/dupes.py size`, with and without --graph).
_GRAPH_FROM = 150_000


@dataclass
class Found:
    """What was found; iterate over it for the groups, once, while the store is open.

    Groups come as they are found, those with the most candidates first. least: the cosine from which pairs
    were considered, 1 for equal bytes. n_unread: pictures that could not be looked at so far.
    """

    level: Level
    n_records: int
    least: float
    bars: Bars | None
    _groups: Iterator[Group] = field(repr=False)
    _looker: Looker | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Group]:
        return self._groups

    @property
    def n_unread(self) -> int:
        """Pictures that could not be looked at, of those that had to be, up to now."""
        return len(self._looker.unread) if self._looker is not None else 0


def find_duplicates(
    store: Store,
    *,
    level: Level = "picture",
    threshold: float | None = None,
    filter: Filter | None = None,
    read: Reader | None = None,
    scratch: Path | None = None,
    on_progress: Progress | None = None,
) -> Found:
    """Groups of records that are one picture ("bytes", "picture") or one scene ("scene"). Changes nothing.

    threshold: the least cosine of a pair, instead of one told from the collection; at "picture" such pairs
    are still looked at. read: from a record's path to its picture, where that is no file. scratch: where
    the temporary file of vectors lies (4 bytes a dimension and picture). Raises StoreError, UnknownField.
    """
    tell = on_progress or (lambda _what, _done, _total: None)
    total = store.count(filter)
    if level == "bytes":
        contents = contents_of(store, filter=filter, vectors=None, done=lambda n: tell("reading", n, total))
        return _found(store, level, contents, Neighbours(), 1.0, None, read, tell)
    with Vectors(store.spec.fingerprint.dim, scratch) as vectors:
        contents = contents_of(
            store, filter=filter, vectors=vectors, done=lambda n: tell("reading", n, total)
        )
        bars = bars_of(vectors.sample(SAMPLE))
        least = threshold if threshold is not None else (bars.look if level == "picture" else bars.scene)
        done: Callable[[int], None] = lambda n: tell("comparing", n, contents.n_rows)  # noqa: E731
        if contents.n_rows >= _GRAPH_FROM and _has_graph(store):
            crowded = max(least, bars.sure if level == "picture" else bars.scene)
            neighbours = by_asking(
                store, vectors, contents.rows_of, least, done, crowded=crowded, filter=filter
            )
        else:
            neighbours = by_product(vectors, least, done)
    return _found(store, level, contents, neighbours, least, bars, read, tell)


def _has_graph(store: Store) -> bool:
    info = store.info()
    return info.n_indexed >= 0.9 * info.n_points


def _found(
    store: Store,
    level: Level,
    contents: Contents,
    neighbours: Neighbours,
    least: float,
    bars: Bars | None,
    read: Reader | None,
    tell: Progress,
) -> Found:
    parts = neighbours.components()
    linked = {row for part in parts for row in part}
    parts += [[row] for row in contents.copied() if row not in linked]
    looker = Looker(read) if level == "picture" else None
    sure = max(least, bars.sure) if bars is not None else 1.0
    stars = Stars(store, level, contents, neighbours, looker, sure=sure, read=read)
    return Found(level, contents.n_points, least, bars, _groups(parts, stars, looker, tell), looker)


def _groups(parts: list[list[int]], stars: Stars, looker: Looker | None, tell: Progress) -> Iterator[Group]:
    total, done = sum(map(len, parts)), 0
    try:
        for part in parts:
            yield from stars.of(part)
            done += len(part)
            tell("looking", done, total)
    finally:
        if looker is not None:
            looker.close()
