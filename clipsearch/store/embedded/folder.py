"""The files of an embedded collection: which folder is current, what it is made of, what is left over.

    collection.json   the spec; written last, so a folder without it is no collection
    current           {"generation": name, "n_graph": points behind the graph}; replaced atomically
    closed.json       how many points there were at the last clean close; gone while there are writes
    gen-0001-…/       the engine's own files
    lock, holder.json the lock's
    served.json       where its owner serves it, if it does (see clipsearch.store.served)

Knows nothing of the engine inside the generations. Every method but `exists` and `spec` wants the lock held.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clipsearch.errors import StoreError
from clipsearch.files import write_json
from clipsearch.store.lock import own_files
from clipsearch.store.spec import from_json, to_json
from clipsearch.types import CollectionSpec

_SPEC, _CURRENT, _CLOSED = "collection.json", "current", "closed.json"
_GENERATION = "gen-"
_BLOCK = 1 << 20


class Folder:
    """One collection's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The collection's name."""
        return self.path.name

    def exists(self) -> bool:
        """Whether a whole collection is here; a half-made one is none."""
        return (self.path / _SPEC).is_file()

    def spec(self) -> CollectionSpec:
        """The collection's spec; StoreError if its file is damaged or of another version."""
        return from_json(self._read(_SPEC), where=str(self.path / _SPEC))

    def engine_version(self) -> str:
        """The engine that made the collection, for messages."""
        try:
            return str(self._read(_SPEC).get("engine", "an unknown engine"))
        except (StoreError, OSError, AttributeError):
            return "an unknown engine"

    def write_spec(self, spec: CollectionSpec, *, engine: str) -> None:
        """Replace the spec's file atomically. The first time, this makes the folder a collection."""
        write_json(self.path / _SPEC, {**to_json(spec), "engine": engine})

    # --- generations ---------------------------------------------------------------------------

    def current(self) -> tuple[Path, int]:
        """The current generation's folder and how many of its points are behind a graph."""
        try:
            found = self._read(_CURRENT)
            name, n_graph = str(found["generation"]), int(found.get("n_graph", 0))
        except (FileNotFoundError, KeyError, TypeError, ValueError, AttributeError) as exc:
            raise self.damaged(f"the file {_CURRENT} does not name a generation") from exc
        path = self.path / name
        if not name.startswith(_GENERATION) or Path(name).name != name or not path.is_dir():
            raise self.damaged(f"its files {name!r} are gone")
        return path, n_graph

    def next_generation(self) -> Path:
        """A folder name that no generation has, and no orphaned build either (it carries our pid)."""
        numbers = [int(p.name.split("-")[1]) for p in self._generations() if p.name.split("-")[1].isdigit()]
        return self.path / f"{_GENERATION}{max(numbers, default=0) + 1:04d}-{os.getpid()}"

    def switch(self, generation: Path, *, n_graph: int = 0) -> None:
        """Make the generation current, atomically."""
        write_json(self.path / _CURRENT, {"generation": generation.name, "n_graph": n_graph})

    def sweep(self) -> None:
        """Remove generations that are not current: what a killed build or a switch left behind."""
        kept, _ = self.current()
        for other in self._generations():
            if other != kept:
                shutil.rmtree(other, ignore_errors=True)

    def wipe(self) -> None:
        """Remove everything but the lock; the spec first, so that a kill leaves no half collection."""
        (self.path / _SPEC).unlink(missing_ok=True)
        for entry in self.path.iterdir():
            if entry.name in own_files():
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)

    # --- the count at the last close -----------------------------------------------------------

    def closed_with(self) -> int | None:
        """Points at the last clean close, or None if there were writes since."""
        try:
            return int(self._read(_CLOSED)["n_points"])
        except (StoreError, OSError, KeyError, TypeError, ValueError):
            return None

    def mark_closed(self, n_points: int) -> None:
        """Remember the number of points; valid until mark_open."""
        write_json(self.path / _CLOSED, {"n_points": n_points})

    def mark_open(self) -> None:
        """Forget the number of points: writes follow."""
        (self.path / _CLOSED).unlink(missing_ok=True)

    def damaged(self, what: str) -> StoreError:
        """The error for files that cannot be used any more."""
        return StoreError(
            f"the files of collection {self.name!r} in {self.path} are damaged ({what}). Index again into "
            f"a new collection, or delete this one (clipsearch collection delete {self.name} --yes; the "
            f"pictures are not touched) and either index again or fill it from an export or its shards: "
            f"clipsearch load DIR -c {self.name}. It was made by {self.engine_version()}"
        )

    def _generations(self) -> list[Path]:
        return [p for p in self.path.iterdir() if p.name.startswith(_GENERATION) and p.is_dir()]

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except PermissionError as exc:
            raise StoreError(f"cannot read {self.path / name}: {exc.strerror}; mend its permissions") from exc
        except ValueError as exc:
            raise StoreError(
                f"{self.path / name} is damaged ({exc}); delete the collection and index again"
            ) from exc


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a folder, leaving holes where the source has zeros.

    The engine preallocates 32 MB files: a plain copy made 172 MB of a 6 MB generation.
    """
    copy: Callable[[str, str], object] = _copy_file
    shutil.copytree(source, target, copy_function=copy)


def _copy_file(source: str, target: str) -> None:
    zeros = bytes(_BLOCK)
    with Path(source).open("rb") as old, Path(target).open("wb") as new:
        size = os.fstat(old.fileno()).st_size
        at = _next_data(old.fileno(), 0, size)
        while at < size:
            old.seek(at)
            block = old.read(min(_BLOCK, size - at))
            if block != zeros[: len(block)]:
                new.seek(at)
                new.write(block)
            at = _next_data(old.fileno(), at + len(block), size) if block else size
        new.truncate(size)


def _next_data(handle: int, at: int, size: int) -> int:
    """The next offset that is not in a hole; `size` where there is none."""
    if not hasattr(os, "SEEK_DATA") or at >= size:
        return at
    try:
        return min(os.lseek(handle, at, os.SEEK_DATA), size)
    except OSError as exc:  # ENXIO: only a hole follows; anything else: not on this file system
        return size if exc.errno == errno.ENXIO else at


def size_on_disk(folder: Path) -> int:
    """Bytes that the folder's files really occupy."""
    return sum(
        getattr(stat, "st_blocks", stat.st_size // 512 + 1) * 512
        for stat in (p.stat() for p in folder.rglob("*") if p.is_file())
    )
