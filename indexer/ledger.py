"""What has been indexed: one SQLite file beside the collection. Knows no pictures and no vectors.

A record is written only after its point is on the store's disk, so a run killed at any moment finds
here what it may skip, and does the rest again under the same ids.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from uuid import UUID, uuid5

from clipsearch.errors import StoreError
from clipsearch.types import ImageFile, Payload

_NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562's for URLs
_VERSION = 2
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS records (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL,
    n_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, metadata TEXT NOT NULL,
    sha256 TEXT, reason TEXT, message TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_content ON records (sha256) WHERE reason IS NULL;
CREATE INDEX IF NOT EXISTS by_source ON records (source);
PRAGMA user_version = {_VERSION};
"""
LEDGER = "ledger.sqlite"  # its name, beside the collection
_MARKS = "(?,?,?,?,?,?,?,?,?,?)"
_INSERT = f"INSERT OR REPLACE INTO records VALUES {_MARKS}"
_ROWS = 500  # in one statement
_BATCH = 1000  # ids in one statement
_SAMPLE = 64
_CANONICAL = json.JSONEncoder(ensure_ascii=True, sort_keys=True, default=str)
_FAILURE = ("source", "key", "path", "reason", "message")


@dataclass(frozen=True, slots=True)
class Record:
    """One picture's state. reason is None for one that is in the collection, else why it is not."""

    id: str
    file: ImageFile
    sha256: str | None = None
    reason: str | None = None
    message: str | None = None

    def as_failure(self) -> dict[str, Any]:
        """The row of skipped.jsonl."""
        values = (self.file.source, self.file.key, self.file.path, self.reason, self.message)
        return dict(zip(_FAILURE, map(_text, values), strict=True))


Restored = tuple[str, str, str, str, int, int, str, str | None]
"""id, source, key, path, n_bytes, mtime_ns, metadata_hash and sha256 of a record in the collection."""


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
            _text(file.path),
        )


def change(file: ImageFile, before: Known | None) -> Literal["new", "failed", "columns", "none"]:
    """What is different now. new: its content may be; failed: nothing since it failed; columns: only they."""
    if before is None or not before.same_file(file):
        return "new"
    if before.reason:
        return "failed"
    return "none" if before.metadata == metadata_hash(file.metadata) else "columns"


def record_id(file: ImageFile) -> str:
    """The point's id: a UUIDv5 of source and key, the same on every machine and in every run."""
    return str(
        uuid5(_NAMESPACE, f"clipsearch:{file.source}\0{file.key}".encode("utf-8", "surrogatepass").hex())
    )


def metadata_hash(metadata: Payload) -> str:
    """A short name of a record's columns, to see that they changed."""
    if not metadata:
        return ""
    return hashlib.sha256(_CANONICAL.encode(dict(metadata)).encode()).hexdigest()[:32]


class Ledger:
    """The open file. Reads may come from any thread, writes from the one that runs the index."""

    def __init__(self, path: Path) -> None:
        """Open or make it. Raises StoreError if the file is no ledger or cannot be written."""
        self.path = path
        self._lock = threading.Lock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA cache_size = -65536")  # KB; with 2 MB, 50,000 records take twice as long
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):  # it only remembers: what is in the collection is found again
                self._db.execute("DROP TABLE IF EXISTS records")
            self._db.executescript(_SCHEMA)

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
                _text(r.file.path),
                r.file.n_bytes,
                r.file.mtime_ns,
                metadata_hash(r.file.metadata),
                r.sha256,
                r.reason,
                _text(r.message),
            )
            for r in records
        ]
        self._many(_INSERT, rows)

    def restore(self, rows: Iterable[Restored]) -> None:
        """Remember records as another ledger did, in one transaction. Best many at once, in a thread."""
        ordered = sorted(rows, key=itemgetter(0))  # into the tree from left to right: 8 us a row, not 10
        values = [
            (id, _text(source), _text(key), _text(path), n_bytes, mtime_ns, metadata, sha256, None, None)
            for id, source, key, path, n_bytes, mtime_ns, metadata, sha256 in ordered
        ]
        with self._transaction():
            for start in range(0, len(values), _ROWS):  # each of them without the GIL, at one go
                some = values[start : start + _ROWS]
                self._db.execute(_INSERT + f",{_MARKS}" * (len(some) - 1), list(chain.from_iterable(some)))

    def ids_of(self, source: str) -> Iterator[str]:
        """The ids of all records of a source."""
        yield from self._ids("source = ?", _text(source))

    def forget(self, ids: Iterable[str]) -> None:
        """Remove these records, so that their pictures are indexed anew."""
        self._many("DELETE FROM records WHERE id = ?", [(i,) for i in ids])

    def ids_in_collection(self) -> Iterator[str]:
        """The ids of all points the ledger believes to be in the collection."""
        yield from self._ids("reason IS NULL")

    def sample(self) -> list[str]:
        """Some of ids_in_collection."""
        return list(islice(self.ids_in_collection(), _SAMPLE))

    def n_in_collection(self) -> int:
        """How many points the ledger believes to be in the collection."""
        return int(self._one("SELECT COUNT(*) FROM records WHERE reason IS NULL")[0])

    def failures(self) -> Iterator[dict[str, Any]]:
        """Every picture that could not be used, for skipped.jsonl."""
        for row in self._all(
            f"SELECT {', '.join(_FAILURE)} FROM records WHERE reason IS NOT NULL ORDER BY source, key"
        ):
            yield dict(zip(_FAILURE, row, strict=True))

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ids(self, condition: str, *values: Any) -> Iterator[str]:
        """Ids in ascending order; records may be written and removed meanwhile."""
        last = ""
        while rows := self._all(
            f"SELECT id FROM records WHERE {condition} AND id > ? ORDER BY id LIMIT {_BATCH}",
            (*values, last),
        ):
            yield from (row[0] for row in rows)
            last = rows[-1][0]

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, self._translated():
            return self._db.execute(sql, values).fetchall()

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        with self._lock, self._translated():
            return self._db.execute(sql, values).fetchone()

    def _many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            with self._transaction():
                self._db.executemany(sql, rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._translated():
            self._db.execute("BEGIN")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled it back already
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            raise StoreError(
                f"the ledger {self.path} cannot be used: {exc}. If the disk is full, free some space and run "
                "the same command again; else delete that file and index again. The collection loses nothing"
            ) from exc


def _text(value: str | None) -> str | None:
    """A path as SQLite stores it: bytes that are no UTF-8 become visible escapes."""
    if value is None or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode()
