"""How every peer is timed: one warm-up on a few pictures, then all of a folder, as JSON on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def pictures(folder: str) -> list[Path]:
    """The folder's pictures, in order of name."""
    return sorted(Path(folder).glob("*.jpg"))


def report(
    encode: Callable[[Sequence[Path]], Any], folder: str, *, vectors: str | None = None, **facts: str
) -> None:
    """Time encode(paths) -> (N, D), and save the vectors if asked."""
    paths = pictures(folder)
    encode(paths[:16])
    start = time.perf_counter()
    result = encode(paths)
    seconds = time.perf_counter() - start
    if vectors:
        import numpy as np

        np.save(vectors, np.asarray(result, dtype=np.float32), allow_pickle=False)
    sys.stdout.write(json.dumps({"images_per_s": len(paths) / seconds, "n": len(paths), **facts}) + "\n")
