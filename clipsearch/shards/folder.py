"""A folder of shards: part-00000.parquet with its seal part-00000.json, and so on.

Owns names, atomic writing, checksums and what counts as finished: a shard whose seal is there, which is
written last. So many processes on many machines can write into one folder without a file in common.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipsearch.errors import TableError
from clipsearch.files import replaced, write_json
from clipsearch.shards.columns import METADATA, Header, Rows, from_batch, to_table

_PART = re.compile(r"part-(\d{5,9})\.(parquet|json|failed\.jsonl)")
_WHOLE = "parts.json"  # how many shards there are when all are finished
_ROW_GROUP = 1024  # rows: 2 MB at 512 dimensions
_NOT_REPEATED = ("id", "key", "path", "sha256", "mtime_ns", "metadata_hash", "rest")


@dataclass(frozen=True, slots=True)
class Shard:
    """A finished shard, as its seal tells. Nothing of the file itself was read."""

    path: Path
    number: int
    header: Header
    n_rows: int
    n_failed: int  # pictures that could not be used, listed in .failed.jsonl
    n_bytes: int
    sha256: str

    def verify(self) -> None:
        """Raise TableError unless the file is, to the byte, what was written."""
        with _translated(self.path, "reading"), self.path.open("rb") as file:
            size, digest = os.fstat(file.fileno()).st_size, None
            if size == self.n_bytes:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.sha256:
            found = f"{size:,} bytes" if digest is None else f"SHA-256 {digest[:12]}…"
            wanted = f"{self.n_bytes:,}" if digest is None else f"{self.sha256[:12]}…"
            raise TableError(
                f"{self.path} is damaged: {found} instead of {wanted}. Copy it again, or delete it and run "
                "the command again that made it"
            )

    def is_whole(self) -> bool:
        """Whether the file has the size that was written; a look, not a proof."""
        try:
            return self.path.stat().st_size == self.n_bytes
        except OSError:
            return False

    def batches(self, size: int = _ROW_GROUP) -> Iterator[Batch]:
        """The rows, in order; only a batch of them is in memory. Raises TableError."""
        import pyarrow.parquet as pq

        with _translated(self.path, "reading"), pq.ParquetFile(self.path) as file:
            header = _header(file.schema_arrow, self.path)
            if header.spec["fingerprint"] != self.header.spec["fingerprint"]:
                raise TableError(f"{self.path} is not the file that {self.path.stem}.json belongs to")
            for data in file.iter_batches(size, use_threads=False):
                yield Batch(self, header, data)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as they were read, without the GIL; making points of them needs it, so it can wait."""

    shard: Shard
    header: Header
    data: Any  # a pyarrow.RecordBatch

    def rows(self) -> Rows:
        """The rows. Raises TableError for columns that are not a shard's."""
        with _translated(self.shard.path, "reading"):
            return from_batch(self.data, self.header)


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a folder: finished shards in order, and the names of those that are not finished."""

    shards: tuple[Shard, ...]
    unfinished: tuple[str, ...]


def find(folder: Path) -> Found:
    """The folder's shards. Raises TableError if there is none, or a seal cannot be read."""
    if not folder.is_dir():
        raise TableError(f"there is no folder {folder}; make shards with `clipsearch encode` or `export`")
    numbers = _numbers(folder)
    there = {shard.number: shard for shard in finished(folder)}
    expected = range(max(_n_whole(folder), max(numbers, default=-1) + 1))
    unfinished = tuple(_name(n) for n in expected if n not in there)
    if not expected:
        raise TableError(
            f"{folder} has no shards (part-00000.parquet and so on); make some with `clipsearch encode` "
            "or `clipsearch export`"
        )
    return Found(tuple(there.values()), unfinished)


def finished(folder: Path) -> list[Shard]:
    """The finished shards, in order; none where there is no folder. TableError if a seal cannot be read."""
    numbers = _numbers(folder) if folder.is_dir() else []
    return [shard for n in numbers if (shard := read_finished(folder, n)) is not None]


def read_finished(folder: Path, number: int) -> Shard | None:
    """The shard of that number; None where it is not there or not finished."""
    path = folder / _name(number)
    seal = path.with_suffix(".json")
    try:
        with _translated(seal, "reading"):
            data = json.loads(seal.read_text(encoding="utf-8"))
            if not path.is_file():
                return None
            header = Header.from_json(data, where=str(seal))
            counts = (int(data["n_rows"]), int(data["n_failed"]), int(data["n_bytes"]))
            return Shard(path, number, header, *counts, str(data["sha256"]))
    except FileNotFoundError:
        return None


def write(folder: Path, number: int, rows: Rows, header: Header, *, n_failed: int = 0) -> Shard:
    """Write a shard, whole or not at all, in the place of one of that number. Raises TableError."""
    import pyarrow.parquet as pq

    path = folder / _name(number)
    with _translated(path, "writing"):
        table = to_table(rows, header)
        with replaced(path) as fresh:
            pq.write_table(table, fresh, row_group_size=_ROW_GROUP, **_encodings(table))
            n_bytes, sha256 = _on_disk(fresh)
            shard = Shard(path, number, header, len(rows), n_failed, n_bytes, sha256)
            path.with_suffix(".json").unlink(missing_ok=True)  # it is of the old file
        write_json(path.with_suffix(".json"), _seal(shard), ensure_ascii=True)
    return shard


def mark_whole(folder: Path, n_shards: int) -> None:
    """Note how many shards there are to be, so that a missing one is missed."""
    with _translated(folder / _WHOLE, "writing"):
        write_json(folder / _WHOLE, {"n_shards": n_shards}, ensure_ascii=True)


def remove(folder: Path, number: int) -> None:
    """Remove a shard and what belongs to it, the seal first."""
    with _translated(folder / _name(number), "removing"):
        for suffix in (".json", ".parquet", ".failed.jsonl"):
            (folder / _name(number)).with_suffix(suffix).unlink(missing_ok=True)


def is_ours(name: str) -> bool:
    """Whether a file of that name belongs to a folder of shards."""
    return name == _WHOLE or _PART.fullmatch(name) is not None


# --- parts -------------------------------------------------------------------------------------------


def _name(number: int) -> str:
    return f"part-{number:05}.parquet"


def _numbers(folder: Path) -> list[int]:
    with _translated(folder, "reading"):
        found = [_PART.fullmatch(entry.name) for entry in folder.iterdir()]
    return sorted({int(match[1]) for match in found if match and match[2] != "failed.jsonl"})


def _n_whole(folder: Path) -> int:
    try:
        with _translated(folder / _WHOLE, "reading"):
            return int(json.loads((folder / _WHOLE).read_text(encoding="utf-8"))["n_shards"])
    except FileNotFoundError:
        return 0


def _encodings(table: Any) -> dict[str, Any]:
    """How each column is written: embeddings as they are, for they do not compress."""
    leaves = {field.name: f"{field.name}.list.element" for field in table.schema if field.type.num_fields}
    leaves = {name: leaves.get(name, name) for name in table.column_names}
    repeated = sorted(leaf for name, leaf in leaves.items() if name not in ("embedding", *_NOT_REPEATED))
    codecs = {leaf: "none" if name == "embedding" else "zstd" for name, leaf in leaves.items()}
    return {"use_dictionary": repeated, "write_statistics": repeated, "compression": codecs}


def _seal(shard: Shard) -> dict[str, Any]:
    return {
        **shard.header.to_json(),
        "n_rows": shard.n_rows,
        "n_failed": shard.n_failed,
        "n_bytes": shard.n_bytes,
        "sha256": shard.sha256,
    }


def _header(schema: Any, path: Path) -> Header:
    data = (schema.metadata or {}).get(METADATA)
    return Header.from_json(json.loads(data) if data else None, where=str(path))


def _on_disk(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file that has reached the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _translated(path: Path, doing: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise TableError(
            f"{doing} {path} failed: {exc.strerror or exc}; check the disk and run it again"
        ) from exc
    except (pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as exc:
        what = " ".join(str(exc).split())[:200]
        raise TableError(
            f"{doing} {path} failed ({type(exc).__name__}: {what}); if it is damaged, delete it and run the "
            "command again that made it"
        ) from exc
