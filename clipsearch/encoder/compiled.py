"""Compiled towers on disk: where they are, whether they are whole, and the lock of who makes them.

A folder of them holds text.onnx, image.onnx (large ones with .data beside) and manifest.json, which
is written last: what it does not name, or names with another hash, does not count. Runs nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from clipsearch.errors import EncoderError
from clipsearch.models import file_sha256

TowerName = Literal["text", "image", "image-int8"]
EXPORT_VERSION = 1  # raise when export.py changes what a file means
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class CompiledFolder:
    """One folder that may hold a model's compiled towers. cache: where hashes are remembered."""

    folder: Path
    weights_sha256: str
    cache: Path
    _checked: dict[str, Any] = field(default_factory=dict, compare=False)

    def tower(self, name: TowerName) -> Path | None:
        """The tower's file if it is whole and was found good; None otherwise."""
        entry = self.entries().get(name, {})
        return self.folder / f"{name}.onnx" if "refused" not in entry and self._whole(entry) else None

    def is_settled(self, name: TowerName) -> bool:
        """Whether nothing is to be made: the tower is good, or was refused for a recorded reason."""
        return "refused" in self.entries().get(name, {}) or self.tower(name) is not None

    def refusal(self, name: TowerName) -> str:
        """Why the tower was refused; empty if it was not."""
        return str(self.entries().get(name, {}).get("refused", ""))

    def faster(self) -> str:
        """Which runtime measured faster for pictures in batches: onnx or torch."""
        return str(self.entries().get("image", {}).get("faster", "onnx"))

    def entries(self) -> dict[str, Any]:
        """The manifest's towers, if it is of this export and these weights; empty otherwise."""
        if "towers" not in self._checked:
            with contextlib.suppress(OSError, ValueError, AttributeError):  # absent or damaged: made anew
                manifest = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
                current = (EXPORT_VERSION, self.weights_sha256)
                if (manifest.get("export_version"), manifest.get("weights_sha256")) == current:
                    self._checked["towers"] = manifest["towers"]
        towers: dict[str, Any] = self._checked.get("towers", {})
        return towers

    def _whole(self, entry: dict[str, Any]) -> bool:
        files = entry.get("files", {})
        return bool(files) and all(self._is_whole_file(name, facts) for name, facts in files.items())

    def _is_whole_file(self, name: str, facts: dict[str, Any]) -> bool:
        path = self.folder / name
        try:
            if path.stat().st_size != facts["bytes"]:
                return False
            return bool(file_sha256(path, self.cache) == facts["sha256"])
        except OSError:
            return False


def cache_key(weights_sha256: str) -> str:
    """The name of the folder for a model's compiled towers: weights, our export, and the runtime."""
    facts = f"{weights_sha256}|{EXPORT_VERSION}|onnxruntime {version('onnxruntime')}"
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def write_manifest(target: Path, made: Mapping[TowerName, dict[str, Any]], weights_sha256: str) -> None:
    """Record made towers beside those already recorded, atomically."""
    kept = dict(CompiledFolder(target, weights_sha256, target).entries())
    manifest = {
        "export_version": EXPORT_VERSION,
        "weights_sha256": weights_sha256,
        "made_with": {name: version(name) for name in ("torch", "transformers", "onnxruntime")},
        "towers": kept | {str(name): entry for name, entry in made.items()},
    }
    draft = target / f".{MANIFEST}"
    draft.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(target / MANIFEST)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time makes the towers of one folder; others wait for it."""
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f"{folder.name}.lock"))
        lock.acquire()
    except OSError as exc:
        raise EncoderError(
            f"the cache {folder.parent} cannot be written ({exc.strerror or exc}); "
            "set CLIPSEARCH_CACHE to another folder"
        ) from exc
    try:
        yield
    finally:
        lock.release()
