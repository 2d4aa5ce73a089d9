"""The graph of a large embedded collection, built in a child process.

The engine holds the GIL while it builds, for minutes; a child has one of its own, and a kill leaves the
collection as it was. Knows only folders: the engine copies, locks and switches.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from clipsearch.errors import StoreError
from clipsearch.store.embedded.folder import size_on_disk


def bytes_needed(generation: Path) -> int:
    """Free disk that a build needs: the copy, and the new segment before the copy's own is dropped."""
    return 2 * size_on_disk(generation)


def build(generation: Path, n_points: int, *, collection: str) -> None:
    """Build the graph inside the folder. Raises StoreError unless all n_points are there afterwards."""
    package_root = str(Path(__file__).resolve().parents[3])
    paths = [package_root, os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "clipsearch.store.build", str(generation)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines() or [""]
    if done.returncode:
        raise StoreError(
            f"building the graph of collection {collection!r} failed (exit {done.returncode}: "
            f"{lines[-1][:300]}); the collection is as it was and can be searched, only slower"
        )
    built = json.loads(lines[-1])["n_points"]
    if built != n_points:
        raise StoreError(
            f"the graph of collection {collection!r} has {built} points instead of {n_points}; it was thrown "
            "away, the collection is as it was. Try again"
        )
