"""From encoded pictures to points and ledger records. Owns what is copied and the order of writing: store,
disk, ledger. Reads no folder and no table, and encodes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging import payload as tags
from clipsearch.types import ImageFile, Payload, PayloadValue, Point, SparseVector
from indexer.ledger import Record
from indexer.loading import Loaded
from indexer.report import RunReport
from indexer.target import Target

_CANNOT_BE_HAD = ("unreadable", "unreachable")  # now; the picture need not have changed
_SAME_PIXELS = 0.9999  # cosine; in batches of other sizes a vector differs in the seventh digit
_COMMIT_EVERY_S = 2.0
"""A flush takes the embedded engine 7 ms of processor time whatever its size. At 0.5 s that was most of the
1 % of a run that is neither decoding nor encoding; at 2 s all of that is 0.6 %. What a kill costs beyond the
batch in flight is reading this much again: the points are there, found by their content."""


class Writer:
    """Writes batches into the target. What was written is in the ledger after commit()."""

    def __init__(
        self,
        target: Target,
        report: RunReport,
        *,
        make: Callable[[], None],
        reload: Callable[[ImageFile, str], Loaded],
        check: Callable[[Sequence[Loaded], Mapping[str, Point]], None],
    ) -> None:
        """make: makes the collection, when there is a vector. reload: loads and encodes a picture anew.

        check: told each batch, and by id the points its copies are of, before it is written; may raise.
        """
        self._target, self._report = target, report
        self._make, self._reload, self._check = make, reload, check
        self.pending: list[Record] = []  # not in the ledger yet; without a collection: the failures
        self.lost: list[Record] = []  # pictures that cannot be had now; their points stay as they are
        self._pending_content: dict[str, str] = {}  # sha256 -> id
        self._committed = time.monotonic()

    def id_of_content(self, sha256: str) -> str | None:
        """A record that is written and has this content. From any thread."""
        found = self._pending_content.get(sha256)
        if found is None and self._target.ledger is not None:
            found = self._target.ledger.id_of_content(sha256)
        return found

    def write(self, batch: Sequence[Loaded]) -> None:
        """Store a batch, and remember it."""
        fresh = {item.sha256: item for item in batch if item.vector is not None}
        twins = self._twins([item for item in batch if item.same_as is not None])
        self._check(batch, twins)
        lost = self._write_columns([item for item in batch if item.edited])
        lost |= {i.id for i in batch if i.same_as is not None and i.id not in twins and i.sha256 not in fresh}
        batch = [self._reload(item.file, item.id) if item.id in lost else item for item in batch]
        fresh |= {item.sha256: item for item in batch if item.vector is not None}
        points = [point for item in batch if (point := self._point(item, twins, fresh)) is not None]
        if points:
            if self._target.store is None:
                self._make()
            self._target.open_store().upsert(self._with_tags(points))
        self._drop([item for item in batch if item.error is not None])
        good = [item for item in batch if item.error is None and not item.edited]
        self._remember([Record(item.id, item.file, item.sha256) for item in good])

    def remove(self, ids: Sequence[str]) -> None:
        """Take records out of the collection, then out of the ledger."""
        store = self._target.open_store()
        store.delete(ids)
        store.flush()
        if self._target.ledger is not None:
            self._target.ledger.forget(ids)

    def commit(self) -> None:
        """Bring what was written to the disk, and only then into the ledger."""
        if self._target.store is None or self._target.ledger is None:
            return
        self._target.store.flush()
        self._target.ledger.write(self.pending)
        self.pending.clear()
        self._pending_content.clear()
        self._committed = time.monotonic()

    # --- parts -----------------------------------------------------------------------------------

    def _write_columns(self, edited: Sequence[Loaded]) -> set[str]:
        """Give records new columns and the vectors they have; ids of those that are not there."""
        if not edited:
            return set()
        store = self._target.open_store()
        there = {p.id: p for p in store.retrieve([item.id for item in edited], with_vectors=True)}
        kept = [item for item in edited if item.id in there]
        store.upsert([_with_columns(there[item.id], item.file.metadata) for item in kept])
        self._report.updated += len(kept)
        self._remember([Record(item.id, item.file, item.sha256) for item in kept])
        return {item.id for item in edited if item.id not in there}

    def _twins(self, batch: Sequence[Loaded]) -> dict[str, Point]:
        """By id, the stored points with the same content, whose vectors can be taken.

        Looked up again: since a picture was loaded its twin may have been stored, or changed, or removed.
        """
        wanted = {item.id: self.id_of_content(item.sha256 or "") or item.same_as for item in batch}
        ids = sorted({id for id in wanted.values() if id is not None})
        if not ids or self._target.store is None:
            return {}
        there = {point.id: point for point in self._target.store.retrieve(ids, with_vectors=True)}
        pairs = ((item, there.get(wanted[item.id] or "")) for item in batch)
        return {i.id: p for i, p in pairs if p is not None and p.payload.get("_sha256") == i.sha256}

    def _point(
        self, item: Loaded, twins: Mapping[str, Point], fresh: Mapping[str | None, Loaded]
    ) -> Point | None:
        """The point of a picture: with its own vector, or with that of the same content."""
        if item.error is not None or item.edited:
            return None
        if item.vector is not None:
            self._report.encoded += 1
            return _point(item, item.vector, item.width, item.height)
        self._report.reused += 1
        if item.id in twins:
            twin = twins[item.id]
            return _point(
                item, twin.vectors["image"], twin.payload.get("_width"), twin.payload.get("_height")
            )
        same = fresh[item.sha256]
        assert same.vector is not None
        return _point(item, same.vector, same.width, same.height)

    def _with_tags(self, points: Sequence[Point]) -> Sequence[Point]:
        """The points; those that take the place of one that looks the same keep its tags.

        A program wrote into such a picture's file, `clipsearch tag --embed` for one, and changed no pixel.
        """
        store, ledger = self._target.store, self._target.ledger
        known = ledger.known([point.id for point in points]) if ledger is not None else {}
        if store is None or not known:
            return points
        there = {point.id: point for point in store.retrieve(known, with_vectors=True)}
        return [
            replace(point, payload={**point.payload, **tags.kept(there[point.id].payload, point.payload)})
            if point.id in there and _look_alike(point, there[point.id])
            else point
            for point in points
        ]

    def _drop(self, failed: Sequence[Loaded]) -> None:
        """A picture that went bad must not be found any more; one that cannot be had stays as it was."""
        records = [Record(i.id, i.file, None, i.error.reason, str(i.error)) for i in failed if i.error]
        self._report.failed += len(records)
        store, ledger = self._target.store, self._target.ledger
        if records and store is not None and ledger is not None:
            known = ledger.known([record.id for record in records])
            good = {id for id, before in known.items() if before.reason is None}
            self.lost += [r for r in records if r.id in good and r.reason in _CANNOT_BE_HAD]
            records = [r for r in records if r.id not in good or r.reason not in _CANNOT_BE_HAD]
            store.delete([record.id for record in records if record.id in good])
        self._remember(records)

    def _remember(self, records: Sequence[Record]) -> None:
        self.pending += records
        self._pending_content.update((r.sha256, r.id) for r in records if r.sha256 is not None)
        if time.monotonic() - self._committed > _COMMIT_EVERY_S:
            self.commit()


def _point(
    item: Loaded,
    vector: NDArray[np.float32] | SparseVector,
    width: PayloadValue,
    height: PayloadValue,
) -> Point:
    file = item.file
    ours: dict[str, PayloadValue] = {
        "_key": file.key,
        "_path": file.path,
        "_source": file.source,
        "_sha256": item.sha256,
        "_width": width,
        "_height": height,
    }
    return Point(item.id, {"image": vector}, {**ours, **file.metadata})


def _look_alike(one: Point, other: Point) -> bool:
    """Whether two vectors of one model are those of the same pixels."""
    cosine = float(np.dot(np.asarray(one.vectors["image"]), np.asarray(other.vectors["image"])))
    return cosine > _SAME_PIXELS


def _with_columns(point: Point, columns: Payload) -> Point:
    ours = {name: value for name, value in point.payload.items() if name.startswith("_")}
    return Point(point.id, point.vectors, {**ours, **columns, **tags.kept(point.payload, columns)})
