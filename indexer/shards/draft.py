"""One shard on its way: its pictures, what has become of them, and the name of just these files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from clipsearch.errors import TableError
from clipsearch.shards import Rows, Shard
from clipsearch.types import Fingerprint, ImageFile, PayloadValue, Point
from indexer.ledger import Record, metadata_hash
from indexer.loading import Loaded
from indexer.shards.comparing import essence


@dataclass(slots=True)
class Draft:
    """A shard's pictures in the source's order; done has those whose turn has come, by id."""

    number: int
    files: list[ImageFile]
    ids: list[str]
    identity: str = ""
    done: dict[str, Loaded] = field(default_factory=dict)
    n_ids: int = 0

    def __post_init__(self) -> None:
        self.n_ids = len(set(self.ids))

    @property
    def is_complete(self) -> bool:
        return len(self.done) >= self.n_ids

    def take_over(self, before: Shard) -> None:
        """Take from an earlier shard the vectors of files that are as they were. A damaged one gives none."""
        files = dict(zip(self.ids, self.files, strict=True))
        found: dict[str, Loaded] = {}
        try:
            before.verify()
            for batch in before.batches():
                rows = batch.rows()
                for point, n_bytes, mtime_ns in zip(rows.points, rows.n_bytes, rows.mtimes_ns, strict=True):
                    file = files.get(point.id)
                    if file is not None and (n_bytes, mtime_ns) == (file.n_bytes, file.mtime_ns):
                        found[point.id] = _loaded(point, file)
        except (TableError, FileNotFoundError):
            return
        self.done |= found

    def rows(self) -> Rows:
        """What could be encoded, in the source's order."""
        good = [item for id in dict.fromkeys(self.ids) if (item := self.done[id]).error is None]
        return Rows(
            [_point(item) for item in good],
            [item.file.n_bytes for item in good],
            [item.file.mtime_ns for item in good],
            [metadata_hash(item.file.metadata) for item in good],
        )

    def failures(self) -> list[dict[str, Any]]:
        """What could not, as in skipped.jsonl."""
        bad = [item for id in dict.fromkeys(self.ids) if (item := self.done[id]).error is not None]
        return [
            Record(item.id, item.file, None, item.error.reason, str(item.error)).as_failure()
            for item in bad
            if item.error is not None
        ]


def identity_of(draft: Draft, made: Fingerprint, dtype: str) -> str:
    """A name of the files as they are now, their columns, the model and the stored type."""
    digest = hashlib.sha256(json.dumps([essence(made), dtype]).encode())
    for id, file in zip(draft.ids, draft.files, strict=True):
        seen = [id, file.path, file.n_bytes, file.mtime_ns, metadata_hash(file.metadata)]
        digest.update(json.dumps(seen).encode())
    return digest.hexdigest()


def _point(item: Loaded) -> Point:
    file = item.file
    assert item.vector is not None
    ours: dict[str, PayloadValue] = {
        "_key": file.key,
        "_path": file.path,
        "_source": file.source,
        "_sha256": item.sha256,
        "_width": item.width,
        "_height": item.height,
    }
    return Point(item.id, {"image": item.vector}, {**ours, **file.metadata})


def _loaded(point: Point, file: ImageFile) -> Loaded:
    known: Any = point.payload.get
    vector: Any = point.vectors["image"]
    size = (known("_width", 0), known("_height", 0))
    return Loaded(file, point.id, known("_sha256"), vector, *size)
