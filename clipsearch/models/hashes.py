"""SHA-256 of files, remembered by path, size and time of change, so that opening a model is quick.

Knows files only. What it remembers lives in <cache>/hashes.json and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

_HEX = re.compile(r"[0-9a-f]{64}")


def file_sha256(path: Path, cache: Path | None = None) -> str:
    """The file's SHA-256; from `cache` if it was computed before and the file has not changed."""
    if cache is None:
        return _compute(path)
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    store = cache / "hashes.json"
    known = _load(store)
    if key not in known:
        sha = _compute(path)
        _remember(store, key, sha)
        return sha
    return known[key]


def weights_sha256(files: Sequence[Path], cache: Path | None = None) -> str:
    """One hash of a model's weights: the file's own, or of all shards' hashes in order of name.

    In the hub's cache a large file is a link to a blob named by its SHA-256: nothing is read.
    """
    hashes = [recorded_sha256(path) or file_sha256(path, cache) for path in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def recorded_sha256(path: Path) -> str | None:
    """The SHA-256 the hub recorded for a file of its cache; None elsewhere."""
    target = path.resolve()
    is_blob = path.is_symlink() and target.parent.name == "blobs" and _HEX.fullmatch(target.name)
    return target.name if is_blob else None


def _compute(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(store: Path) -> dict[str, str]:
    try:
        value = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent or damaged: everything is computed again
        return {}
    return value if isinstance(value, dict) else {}


def _remember(store: Path, key: str, sha: str) -> None:
    """Add one hash. Two processes at once: the later wins, the earlier computes again next time."""
    path = key.rsplit("|", 2)[0]
    known = {k: v for k, v in _load(store).items() if k.rsplit("|", 2)[0] != path} | {key: sha}
    draft = store.with_name(f".{store.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # a cache that cannot be written only costs time
        store.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(known, indent=1), encoding="utf-8")
        draft.replace(store)
