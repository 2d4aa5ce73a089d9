"""What it costs to work with a collection by way of the process that has it open.

    python benchmarks/served.py                (20,000 points of 512 dimensions, about a minute)

Prints, on the same collection with and without that way: points/s of upsert in batches of 256 and of a scroll
with vectors, and the median and 95th percentile of single requests; then searches while another client writes
without a pause. The owner is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import store as bench

from clipsearch import store
from clipsearch.settings import Settings
from clipsearch.store import Store
from clipsearch.types import Match, Point

OWNER = """
import sys
from pathlib import Path
from clipsearch import store
from clipsearch.settings import Settings
from clipsearch.store.served import Listener
settings = Settings(data=Path(sys.argv[1]), cache=Path(sys.argv[1]))
with store.open_store("big", settings) as owner, Listener({"big": owner}):
    print("serving", flush=True)
    sys.stdin.read()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--folder", help="where to put the collection; default: the temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        settings = Settings(data=Path(name), cache=Path(name))
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {bench.DIM} dims, in {name}")
        points = list(bench._points(options.points))
        with store.create("big", bench.SPEC, settings) as opened:
            _measure("in this process", opened, points)
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert owner.stdout is not None
        owner.stdout.readline()
        with store.open_store("big", settings) as opened:
            _measure("in another", opened, points)
            _while_writing(opened, store.open_store("big", settings), points)
        owner.communicate()


def _measure(where: str, opened: Store, points: list[Point]) -> None:
    """All figures of one way; the points are written anew, so both ways write the same."""
    began = time.perf_counter()
    for start in range(0, len(points), 256):
        opened.upsert(points[start : start + 256])
    opened.flush()
    print(
        f"{where:16} upsert, batches of 256      {len(points) / (time.perf_counter() - began):8,.0f} points/s"
    )
    began = time.perf_counter()
    n = sum(len(batch) for batch in opened.scroll(with_vectors=True))
    print(f"{where:16} scroll with vectors         {n / (time.perf_counter() - began):8,.0f} points/s")
    queries = np.random.default_rng(1).normal(size=(500, bench.DIM)).astype(np.float32)
    ids, one = [p.id for p in points[:500]], Match("material", ("m1",))
    _repeat(f"{where:16} retrieve 1 point", lambda i: opened.retrieve([ids[i]]))
    _repeat(f"{where:16} count with a filter", lambda i: opened.count(one))
    _repeat(f"{where:16} search, k 10", lambda i: opened.search(queries[i], limit=10))
    _repeat(f"{where:16} search, k 100", lambda i: opened.search(queries[i], limit=100))


def _while_writing(opened: Store, writing: Store, points: list[Point]) -> None:
    done, n = threading.Event(), 0
    queries = np.random.default_rng(1).normal(size=(500, bench.DIM)).astype(np.float32)

    def write() -> None:
        nonlocal n
        while not done.is_set():
            some = [points[(n + i) % len(points)] for i in range(256)]
            writing.upsert(some)
            n += len(some)

    thread = threading.Thread(target=write)
    began = time.perf_counter()
    thread.start()
    _repeat(f"{'in another':16} search, k 10, beside it", lambda i: opened.search(queries[i], limit=10))
    done.set()
    thread.join()
    print(f"{'in another':16} upsert beside that          {n / (time.perf_counter() - began):8,.0f} points/s")
    writing.close()


def _repeat(label: str, ask: Callable[[int], object]) -> None:
    times = []
    for i in range(500):
        began = time.perf_counter()
        ask(i)
        times.append((time.perf_counter() - began) * 1e6)
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{label:44} p50 {statistics.median(times):8,.0f} us   p95 {p95:8,.0f} us")


if __name__ == "__main__":
    main()
