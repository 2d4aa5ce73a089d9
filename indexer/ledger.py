"""What has been indexed: one SQLite file beside the collection. Knows no pictures and no vectors.

A record is written only after the store acknowledged its point, so a run killed at any moment finds
here what it may skip, and does the rest again under the same ids.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid5

from clipsearch.errors import StoreError
from clipsearch.types import ImageFile, Payload

_NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562's for URLs
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL,
    n_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, metadata TEXT NOT NULL,
    sha256 TEXT, reason TEXT, message TEXT, run INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_content ON records (sha256) WHERE reason IS NULL;
CREATE INDEX IF NOT EXISTS by_source ON records (source, run);
PRAGMA user_version = 1;
"""
_BATCH = 500  # ids in one statement


@dataclass(frozen=True, slots=True)
class Record:
    """One picture's state. reason is None for one that is in the collection, else why it is not."""

    id: str
    file: ImageFile
    sha256: str | None = None
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger remembers of a picture."""

    n_bytes: int
    mtime_ns: int
    path: str
    metadata: str
    sha256: str | None
    reason: str | None

    def same_file(self, file: ImageFile) -> bool:
        return (self.n_bytes, self.mtime_ns, self.path) == (
            file.n_bytes,
            file.mtime_ns,
            _text(str(file.path)),
        )


def record_id(file: ImageFile) -> str:
    """The point's id: a UUIDv5 of source and key, the same on every machine and in every run."""
    return str(
        uuid5(_NAMESPACE, f"clipsearch:{file.source}\0{file.key}".encode("utf-8", "surrogatepass").hex())
    )


def metadata_hash(metadata: Payload) -> str:
    """A short name of a record's columns, to see that they changed."""
    text = json.dumps(dict(metadata), ensure_ascii=True, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Ledger:
    """The open file. Reads may come from any thread, writes from the one that runs the index."""

    def __init__(self, path: Path) -> None:
        """Open or make it. Raises StoreError if the file is no ledger or cannot be written."""
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
            self.run = 1 + int(self._one("SELECT COALESCE(MAX(run), 0) FROM records")[0])
        except (sqlite3.Error, OSError) as exc:
            raise StoreError(
                f"the ledger {path} cannot be used: {exc}. If the disk is full, free some space; else delete "
                "that file and index again: nothing in the collection is lost, all is encoded once more"
            ) from exc

    def known(self, ids: Sequence[str]) -> dict[str, Known]:
        """What is remembered of these ids."""
        found: dict[str, Known] = {}
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            marks = ",".join("?" * len(part))
            for row in self._all(
                "SELECT id, n_bytes, mtime_ns, path, metadata, sha256, reason FROM records "
                f"WHERE id IN ({marks})",
                part,
            ):
                found[row[0]] = Known(*row[1:])
        return found

    def id_of_content(self, sha256: str) -> str | None:
        """A record in the collection with this content, whose vector can be had from the store."""
        row = self._one("SELECT id FROM records WHERE sha256 = ? AND reason IS NULL LIMIT 1", (sha256,))
        return str(row[0]) if row else None

    def write(self, records: Iterable[Record]) -> None:
        """Remember these as they are now, in one transaction."""
        rows = [
            (
                r.id,
                _text(r.file.source),
                _text(r.file.key),
                _text(str(r.file.path)),
                r.file.n_bytes,
                r.file.mtime_ns,
                metadata_hash(r.file.metadata),
                r.sha256,
                r.reason,
                _text(r.message),
                self.run,
            )
            for r in records
        ]
        self._many("INSERT OR REPLACE INTO records VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows)

    def touch(self, ids: Iterable[str]) -> None:
        """These were met in this run and are unchanged."""
        self._many("UPDATE records SET run = ? WHERE id = ?", [(self.run, i) for i in ids])

    def gone(self, source: str) -> list[str]:
        """Ids of this source that this run has not met."""
        return [
            row[0]
            for row in self._all(
                "SELECT id FROM records WHERE source = ? AND run < ?", (_text(source), self.run)
            )
        ]

    def forget(self, ids: Iterable[str]) -> None:
        """Remove these records, so that their pictures are indexed anew."""
        self._many("DELETE FROM records WHERE id = ?", [(i,) for i in ids])

    def ids_in_collection(self) -> Iterator[list[str]]:
        """The ids of all points the ledger believes to be in the collection, in batches."""
        last = ""
        while True:
            rows = self._all(
                "SELECT id FROM records WHERE reason IS NULL AND id > ? ORDER BY id LIMIT 1000", (last,)
            )
            if not rows:
                return
            yield [row[0] for row in rows]
            last = rows[-1][0]

    def n_in_collection(self) -> int:
        """How many points the ledger believes to be in the collection."""
        return int(self._one("SELECT COUNT(*) FROM records WHERE reason IS NULL")[0])

    def failures(self) -> Iterator[dict[str, Any]]:
        """Every picture that could not be used, for skipped.jsonl."""
        for row in self._all(
            "SELECT source, key, path, reason, message FROM records "
            "WHERE reason IS NOT NULL ORDER BY source, key"
        ):
            yield dict(zip(("source", "key", "path", "reason", "message"), row, strict=True))

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        with self._lock:
            return self._db.execute(sql, values).fetchone()

    def _many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        try:
            with self._lock:
                self._db.execute("BEGIN")
                try:
                    self._db.executemany(sql, rows)
                    self._db.execute("COMMIT")
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
        except sqlite3.Error as exc:
            raise StoreError(
                f"the ledger {self.path} cannot be written: {exc}. Free some disk space and run the same "
                "command again; nothing acknowledged is lost"
            ) from exc


def _text(value: str | None) -> str | None:
    """A path as SQLite stores it: bytes that are no UTF-8 become visible escapes."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()
