"""From loaded pictures to points and ledger records. Owns what is encoded, what is copied, and the order
of writing: store, disk, ledger. Reads no folder and no table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipsearch.encoder import Encoder
from clipsearch.types import ImageFile, Payload, Point, SparseVector
from indexer.ledger import Record
from indexer.pipeline import Loaded
from indexer.report import RunReport
from indexer.target import Target

_COMMIT_EVERY_S = 0.5
"""A flush takes the embedded engine 10-15 ms whatever its size, so at most 3 % of the time. What a kill
costs beyond the batch in flight is reading this much again: the points are there, found by their content."""


class Writer:
    """Writes batches into the target. What was written is in the ledger after commit()."""

    def __init__(
        self,
        target: Target,
        encoder: Encoder,
        report: RunReport,
        *,
        make: Callable[[], None],
        reload: Callable[[ImageFile, str], Loaded],
        check: Callable[[int, Sequence[Point]], None],
    ) -> None:
        """make: makes the collection, when the first vector is needed. reload: loads a picture anew.

        check: told each batch's size and the points its copies are of, before it is written; may raise.
        """
        self._target, self._encoder, self._report = target, encoder, report
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
        """Encode what has to be encoded, and store the batch."""
        twins = self._twins(batch)
        self._check(len(batch), list(twins.values()))
        batch = [
            self._reload(item.file, item.id) if item.same_as is not None and item.id not in twins else item
            for item in batch
        ]
        points = self._copied(batch, twins) + self._encoded([i for i in batch if i.id not in twins])
        if points:
            self._target.open_store().upsert(points)
        self._drop([item for item in batch if item.error is not None])
        self._remember([Record(item.id, item.file, item.sha256) for item in batch if item.error is None])

    def write_columns(self, edited: Sequence[Record]) -> list[Record]:
        """Give records new columns and the vectors they have; those that are not there come back."""
        store = self._target.open_store()
        there = {p.id: p for p in store.retrieve([record.id for record in edited], with_vectors=True)}
        kept = [record for record in edited if record.id in there]
        store.upsert([_with_columns(there[record.id], record.file.metadata) for record in kept])
        self._report.updated += len(kept)
        self._remember(kept)
        return [record for record in edited if record.id not in there]

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

    def _twins(self, batch: Sequence[Loaded]) -> dict[str, Point]:
        """By id, the stored points with the same content, whose vectors can be taken.

        Looked up again: since a picture was loaded its twin may have been stored, or changed, or removed.
        """
        wanted = {item.id: self._twin_id(item) for item in batch}
        ids = sorted({id for id in wanted.values() if id is not None})
        if not ids:
            return {}
        there = {point.id: point for point in self._target.open_store().retrieve(ids, with_vectors=True)}
        pairs = ((item, there.get(wanted[item.id] or "")) for item in batch)
        return {i.id: p for i, p in pairs if p is not None and p.payload.get("_sha256") == i.sha256}

    def _twin_id(self, item: Loaded) -> str | None:
        if item.sha256 is None:
            return None
        return self.id_of_content(item.sha256) or item.same_as

    def _copied(self, batch: Sequence[Loaded], twins: Mapping[str, Point]) -> list[Point]:
        pairs = [(item, twins[item.id]) for item in batch if item.id in twins]
        self._report.reused += len(pairs)
        return [_point(item, twin.vectors["image"], twin.payload) for item, twin in pairs]

    def _encoded(self, batch: Sequence[Loaded]) -> list[Point]:
        """Points of pictures that pass through the model; the same content twice passes once."""
        items = [item for item in batch if item.pixels is not None]
        pixels: dict[str | None, NDArray[np.uint8]] = {
            i.sha256: i.pixels for i in items if i.pixels is not None
        }
        if not items:
            return []
        if self._target.store is None:
            self._make()
        vectors = self._encoder.encode_pixels(np.stack(list(pixels.values())))  # (B, D)
        rows = {sha256: row for row, sha256 in enumerate(pixels)}
        self._report.encoded += len(rows)
        self._report.reused += len(items) - len(rows)
        return [
            _point(item, vectors[rows[item.sha256]], {"_width": item.width, "_height": item.height})
            for item in items
        ]

    def _drop(self, failed: Sequence[Loaded]) -> None:
        """A picture that went bad must not be found any more; one that cannot be had stays as it was."""
        records = [Record(i.id, i.file, None, i.error.reason, str(i.error)) for i in failed if i.error]
        self._report.failed += len(records)
        store, ledger = self._target.store, self._target.ledger
        if records and store is not None and ledger is not None:
            known = ledger.known([record.id for record in records])
            good = {id for id, before in known.items() if before.reason is None}
            self.lost += [r for r in records if r.id in good and r.reason == "unreadable"]
            records = [r for r in records if r.id not in good or r.reason != "unreadable"]
            store.delete([record.id for record in records if record.id in good])
        self._remember(records)

    def _remember(self, records: Sequence[Record]) -> None:
        self.pending += records
        self._pending_content.update((r.sha256, r.id) for r in records if r.sha256 is not None)
        if time.monotonic() - self._committed > _COMMIT_EVERY_S:
            self.commit()


def _point(item: Loaded, vector: NDArray[np.float32] | SparseVector, size: Payload) -> Point:
    file = item.file
    ours = {
        "_key": file.key,
        "_path": file.path,
        "_source": file.source,
        "_sha256": item.sha256,
        "_width": size.get("_width"),
        "_height": size.get("_height"),
    }
    return Point(item.id, {"image": vector}, {**ours, **file.metadata})


def _with_columns(point: Point, columns: Payload) -> Point:
    ours = {name: value for name, value in point.payload.items() if name.startswith("_")}
    return Point(point.id, point.vectors, {**ours, **columns})
