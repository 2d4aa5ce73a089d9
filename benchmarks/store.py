"""What the embedded store takes: writing, searching, filtering, opening and closing.

    python benchmarks/store.py                 (20,000 points of 512 dimensions, about 20 s)
    python benchmarks/store.py --points 100000 --folder /dev/shm
    python benchmarks/store.py --sizes        (disk and memory of four collections, which --plan is fitted to)

Prints points/s of upsert in batches of 256, the median and 95th percentile of exact searches (k 10), and
how long a new process needs from nothing to an answer from a 600-point collection. Random unit vectors.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from clipsearch import store
from clipsearch.settings import Settings
from clipsearch.types import CollectionSpec, Fingerprint, Match, PayloadValue, Point, Range, SparseVector

DIM = 512
SPEC = CollectionSpec(
    Fingerprint("random", "", "", "", "", DIM),
    {"material": "keyword", "shape": "keyword", "price": "float", "holes": "integer", "note": "text"},
)
COLD = """
import sys, time
began = time.perf_counter()
from pathlib import Path
import numpy as np
from clipsearch import store
from clipsearch.settings import Settings
imported = time.perf_counter()
opened = store.open_store("small", Settings(data=Path(sys.argv[1]), cache=Path(sys.argv[1])))
ready = time.perf_counter()
assert len(opened.search(np.ones(512, np.float32), limit=10)) == 10
answered = time.perf_counter()
opened.close()
print(imported - began, ready - imported, answered - ready, time.perf_counter() - answered)
"""


SIZE = """
import sys, dataclasses
from pathlib import Path
import numpy as np
import store as bench
from clipsearch import store
from clipsearch.settings import Settings
from clipsearch.store.embedded.folder import size_on_disk
name, n, dim = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
bench.DIM = dim
settings = Settings(data=Path(name), cache=Path(name))
spec = dataclasses.replace(bench.SPEC, fingerprint=dataclasses.replace(bench.SPEC.fingerprint, dim=dim))
resident = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
points = bench._points(n)
with store.create("sized", spec, settings) as opened:
    before = resident()
    while some := [point for _, point in zip(range(512), points)]:
        opened.upsert(some)
with store.open_store("sized", settings) as opened:
    for seed in range(5):
        opened.search(np.random.default_rng(seed).normal(size=dim).astype(np.float32), limit=10)
    print(f"{n:7,} points of {dim:5} dims: {size_on_disk(Path(name)) / 1e6:6.1f} MB on disk, "
          f"{resident() - before:6.1f} MB more in memory")
"""


def main() -> None:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        settings = Settings(data=Path(name), cache=Path(name))
        if options.sizes:
            _sizes()
            return
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {DIM} dims, in {name}")
        _bulk(settings, options.points)
        _cold(settings)


def _bulk(settings: Settings, n: int) -> None:
    points = list(_points(n))
    with _timed("create"):
        opened = store.create("big", SPEC, settings)
    began = time.perf_counter()
    for start in range(0, n, 256):
        opened.upsert(points[start : start + 256])
    opened.flush()
    took = time.perf_counter() - began
    print(f"upsert {n:,} points, 5 fields and a sparse vector each: {n / took:,.0f} points/s")
    queries = np.random.default_rng(1).normal(size=(200, DIM)).astype(np.float32)
    _repeat("exact search, k 10", lambda i: opened.search(queries[i], limit=10))
    one = Match("material", ("m1",))
    _repeat("exact search, 10 % keyword filter", lambda i: opened.search(queries[i], limit=10, filter=one))
    few = Range("price", lt=1)
    _repeat("exact search, 1 % range filter", lambda i: opened.search(queries[i], limit=10, filter=few))
    _repeat("exact search, page at 200", lambda i: opened.search(queries[i], limit=10, offset=200))
    words = [SparseVector([i % 1000, 7], [1.0, 1.0]) for i in range(200)]
    _repeat("sparse search, 2 terms", lambda i: opened.search_sparse(words[i], limit=10))
    _repeat("facet", lambda i: opened.facet("shape"))
    began = time.perf_counter()
    opened.search_batch(queries, limit=10)
    print(f"{'exact search, 200 in one batch':36} {(time.perf_counter() - began) / 200 * 1e3:8.2f} ms each")
    with _timed("close"):
        opened.close()


def _sizes() -> None:
    """Each in a process of its own, whose memory is nobody else's."""
    for n, dim in ((2_000, 512), (20_000, 512), (60_000, 512), (20_000, 1152)):
        with tempfile.TemporaryDirectory() as name:
            subprocess.run(
                [sys.executable, "-c", SIZE, name, str(n), str(dim)], check=True, cwd=Path(__file__).parent
            )


def _cold(settings: Settings) -> None:
    with store.create("small", SPEC, settings) as opened:
        opened.upsert(list(_points(600)))
    runs = []
    for _ in range(7):
        out = subprocess.run(
            [sys.executable, "-c", COLD, str(settings.data)], check=True, capture_output=True, text=True
        ).stdout
        runs.append([float(x) * 1e3 for x in out.split()])
    for label, values in zip(
        ("import", "open", "first search", "close"), zip(*runs, strict=True), strict=True
    ):
        print(f"600 points, new process: {label:12} {statistics.median(values):8.1f} ms")


def _points(n: int) -> Iterator[Point]:
    rows = np.random.default_rng(0).normal(size=(n, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for i in range(n):
        payload: dict[str, PayloadValue] = {
            "_key": f"P-{i}",
            "_path": f"/parts/{i}.jpg",
            "_sha256": f"{i:064x}",
            "material": f"m{i % 10}",
            "shape": f"s{i % 37}",
            "price": i % 1000 / 10,
            "holes": i % 7,
            "note": f"hex bolt number {i}",
        }
        words = SparseVector([i % 1000, 1000 + i % 50], [1.0, 0.5])
        yield Point(str(uuid.UUID(int=i)), {"image": rows[i], "lexical": words}, payload)


def _repeat(label: str, call: Callable[[int], object]) -> None:
    times = []
    for i in range(100):
        began = time.perf_counter()
        call(i)
        times.append((time.perf_counter() - began) * 1e3)
    times.sort()
    print(f"{label:36} {statistics.median(times):8.2f} ms, 95 % within {times[94]:.2f}")


@contextmanager
def _timed(label: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"{label:36} {(time.perf_counter() - began) * 1e3:8.1f} ms")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--sizes", action="store_true", help="disk and memory by number and dimensions")
    parser.add_argument("--folder", type=Path, default=None, help="where (default: the temporary one)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
