"""Loading shards, beside what the engine takes from a bare upsert loop; exporting, and the files' size.

    python benchmarks/shards.py                         (100,000 points of 512 dimensions, about 2 min)
    python benchmarks/shards.py --points 200000 --folder /dev/shm

The bare loop is the engine alone: the same points from arrays in memory, whose rows it takes as buffers (the
fastest way found; what it takes as lists of floats is printed, too), the same payloads with their wordings
and sparse vectors made before, the same payload indexes, batches of 512, a flush every 4,096 points, closing.
It reads nothing, makes no words, checks nothing, remembers nothing. What the words cost the engine itself is
printed, too: the bare loop without them.
Loading opens an empty collection, reads Parquet, compares checksums, checks every point, makes its words,
writes the ledger, and closes; the graph that a large collection gets at the end is left out. They take turns;
printed are the medians, the median of the rounds' ratios, and the processor time, which a busy machine
spoils less. Random unit vectors, eleven payload fields.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsearch import shards, store
from clipsearch.lexical import words_of
from clipsearch.settings import Settings
from clipsearch.shards import Header, Rows
from clipsearch.store import all_fields
from clipsearch.store.embedded import edge, engine
from clipsearch.store.payload import json_path
from clipsearch.store.spec import to_json
from clipsearch.types import CollectionSpec, Fingerprint, PayloadValue, Point, SparseVector
from indexer.shards.export import ExportOptions, export
from indexer.shards.load import load

DIM, SHARD, BATCH, FLUSH = 512, 10_000, 512, 4096
SPEC = CollectionSpec(
    Fingerprint("random", "", "", "", "", DIM),
    {"material": "keyword", "shape": "keyword", "price": "float", "holes": "integer", "note": "text"},
)


def main() -> None:
    """Measure and print."""
    options = _options()
    n = options.points
    engine.GRAPH_ABOVE = n + 1
    rows, ids, payloads = _made(n)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {n:,} points of {DIM} dims, in {name}")
        for dtype in ("float32", "float16"):
            size = _write(folder / dtype, rows, ids, payloads, dtype=dtype)
            print(f"{dtype} shards: {size / n:,.0f} bytes a point")
        words = [words_of(payload, all_fields(SPEC)) for payload in payloads]
        with_lists = n / _bare(folder / "lists", rows, ids, payloads, words, as_lists=True)[0]
        wordless = _bare(folder / "wordless", rows, ids, payloads)
        bare: list[tuple[float, float]] = []
        loaded: list[tuple[float, float]] = []
        for i in range(options.rounds):
            bare.append(_bare(folder / f"bare{i}", rows, ids, payloads, words))
            loaded.append(_load(folder / "float32", folder / f"data{i}"))
            print(f"round {i + 1}: bare {n / bare[-1][0]:,.0f}, load {n / loaded[-1][0]:,.0f} points/s")
        ratio = statistics.median(a[0] / b[0] for a, b in zip(bare, loaded, strict=True))
        a, b = (n / statistics.median(wall for wall, _ in some) for some in (bare, loaded))
        print(f"bare upsert loop {a:,.0f} points/s, clipsearch load {b:,.0f} points/s: ratio {ratio:.2f}")
        a, b = (statistics.median(cpu for _, cpu in some) / n * 1e6 for some in (bare, loaded))
        print(f"processor time a point: bare {a:.0f} us, load {b:.0f} us in three threads")
        print(f"bare upsert loop with lists of floats: {with_lists:,.0f} points/s")
        a, b = n / wordless[0], wordless[1] / n * 1e6
        print(f"bare upsert loop without words: {a:,.0f} points/s, {b:.0f} us of the processor a point")
        _exported(folder, n)


def _bare(
    folder: Path,
    rows: NDArray[np.float32],
    ids: list[str],
    payloads: list[dict[str, PayloadValue]],
    words: list[tuple[str, SparseVector]] | None = None,
    *,
    as_lists: bool = False,
) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    import qdrant_edge

    shard: Any = qdrant_edge.EdgeShard.create(str(folder), edge.config(DIM))
    for name, kind in all_fields(SPEC).items():
        shard.update(
            qdrant_edge.UpdateOperation.create_field_index(json_path(name), edge.field_index(name, kind))
        )
    began, cpu, unflushed = time.perf_counter(), time.process_time(), 0
    for start in range(0, len(ids), BATCH):
        points = []
        for i in range(start, min(start + BATCH, len(ids))):
            vectors: dict[str, Any] = {"image": rows[i].tolist() if as_lists else rows[i].data}
            payload = payloads[i]
            if words is not None:
                text, sparse = words[i]
                vectors["lexical"] = qdrant_edge.SparseVector(sparse.indices, sparse.values)
                payload = {**payload, "_text": text}
            points.append(qdrant_edge.Point(ids[i], vectors, payload))
        shard.update(qdrant_edge.UpdateOperation.upsert_points(points))
        unflushed += len(points)
        if unflushed >= FLUSH:
            shard.flush()
            unflushed = 0
    shard.flush()
    shard.close()
    return time.perf_counter() - began, time.process_time() - cpu


def _load(folder: Path, data: Path) -> tuple[float, float]:
    """Seconds by the clock and of the processor, from opening the collection to its being closed."""
    settings = Settings(data=data, cache=data, collection="x")
    store.create("x", SPEC, settings).close()
    began, cpu = time.perf_counter(), time.process_time()
    load(folder, settings)
    return time.perf_counter() - began, time.process_time() - cpu


def _exported(folder: Path, n: int) -> None:
    settings = Settings(data=folder / "data0", cache=folder, collection="x")
    began = time.perf_counter()
    export(folder / "export", settings, ExportOptions())
    print(f"clipsearch export: {n / (time.perf_counter() - began):,.0f} points/s")


def _write(
    folder: Path,
    rows: NDArray[np.float32],
    ids: list[str],
    payloads: list[dict[str, PayloadValue]],
    *,
    dtype: shards.DType,
) -> int:
    folder.mkdir()
    for start in range(0, len(ids), SHARD):
        some = range(start, min(start + SHARD, len(ids)))
        points = [Point(ids[i], {"image": rows[i]}, payloads[i]) for i in some]
        shards.write(
            folder,
            start // SHARD,
            Rows(points, [1000] * len(some), [1] * len(some), ["0" * 32] * len(some)),
            Header(to_json(SPEC), dtype),
        )
    return sum(path.stat().st_size for path in folder.iterdir())


def _made(n: int) -> tuple[NDArray[np.float32], list[str], list[dict[str, PayloadValue]]]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ids = [str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(n)]
    payloads: list[dict[str, PayloadValue]] = [
        {
            "_key": f"parts/{i}.jpg",
            "_path": f"/pictures/parts/{i}.jpg",
            "_source": "/pictures",
            "_sha256": f"{i:064x}",
            "_width": 1024,
            "_height": 768,
            "material": f"m{i % 10}",
            "shape": f"s{i % 37}",
            "price": i % 1000 / 10,
            "holes": i % 7,
            "note": f"hex bolt number {i}",
        }
        for i in range(n)
    ]
    return rows, ids, payloads


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where (default: the temporary one)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
