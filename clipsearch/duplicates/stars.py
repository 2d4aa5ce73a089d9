"""Groups as stars: the best picture first takes whatever is like it, then the best of what is left.

Owns who is compared with whom and what each level asks of a pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from clipsearch.duplicates.contents import Contents
from clipsearch.duplicates.looker import Looker
from clipsearch.duplicates.looks import Look, compare
from clipsearch.duplicates.nearest import Neighbours
from clipsearch.duplicates.records import (
    Group,
    Level,
    Member,
    Reader,
    Reason,
    Record,
    because,
    order,
    record_of,
)

if TYPE_CHECKING:
    from clipsearch.store import Store

_PATIENCE = 16  # refusals in a row, from the nearest on, after which no more are looked at
_AT_ONCE = 8

_Records: TypeAlias = dict[int, list[Record]]
_Like: TypeAlias = tuple[int, float, Reason, float | None]  # row, cosine, reason, difference


class Stars:
    """Groups of one level in one collection."""

    def __init__(
        self,
        store: Store,
        level: Level,
        contents: Contents,
        neighbours: Neighbours,
        looker: Looker | None,
        *,
        sure: float,
        read: Reader | None,
    ) -> None:
        """looker: for "picture"; sure: the least cosine of a pair nobody can look at."""
        self._store, self._level, self._contents = store, level, contents
        self._neighbours, self._looker, self._sure, self._read = neighbours, looker, sure, read

    def of(self, rows: Sequence[int]) -> Iterator[Group]:
        """The groups among these rows, the one with the best picture first."""
        records = self._records(rows)
        waiting = dict.fromkeys(sorted(records, key=lambda row: order(records[row][0])))
        while waiting:
            row = next(iter(waiting))
            del waiting[row]
            like = list(self._like(row, waiting, records))
            for other, *_ in like:
                del waiting[other]
            group = self._group(records, row, like)
            if group is not None:
                yield group

    def _records(self, rows: Sequence[int]) -> _Records:
        """Each row's records, the best first; rows whose points are gone are left out."""
        row_of = {id: row for row in rows for id in self._contents.ids_of(row)}
        records: _Records = {}
        for point in self._store.retrieve(row_of):
            records.setdefault(row_of[point.id], []).append(record_of(point, self._read))
        for some in records.values():
            some.sort(key=order)
        return records

    def _like(self, row: int, waiting: dict[int, None], records: _Records) -> Iterator[_Like]:
        near = [(other, cosine) for other, cosine in self._neighbours.of(row) if other in waiting]
        if self._looker is None:
            yield from ((other, cosine, "scene", None) for other, cosine in near)
            return
        refused = 0
        for start in range(0, len(near), _AT_ONCE):
            some = near[start : start + _AT_ONCE]
            seen = [row, *(other for other, _ in some)]
            mine, *theirs = self._looker.looks(seen, [records[r] for r in seen])
            for (other, cosine), their in zip(some, theirs, strict=True):
                reason, difference = self._reason(cosine, mine, their)
                refused = 0 if reason else refused + 1
                if reason:
                    yield other, cosine, reason, difference
            if refused >= _PATIENCE:
                return

    def _reason(
        self, cosine: float, mine: Look | None, their: Look | None
    ) -> tuple[Reason | None, float | None]:
        if mine is None or their is None:
            return ("vector" if cosine >= self._sure else None), None
        verdict = compare(mine, their)
        if not verdict.same:
            return None, verdict.difference
        return ("crop" if verdict.cropped else "picture"), verdict.difference

    def _group(self, records: _Records, row: int, like: Sequence[_Like]) -> Group | None:
        keep, *copies = records[row]
        others = [_copy(record, keep) for record in copies]
        others += [
            Member(record, cosine, reason, difference)
            for other, cosine, reason, difference in like
            for record in records[other]
        ]
        if not others:
            return None
        return Group(self._level, keep, because(keep, [member.record for member in others]), tuple(others))


def _copy(record: Record, keep: Record) -> Member:
    return Member(record, 1.0, "file" if record.file == keep.file else "bytes", 0.0)
