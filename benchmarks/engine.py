"""Searches of the embedded engine at 100,000 points, beside exact NumPy and qdrant-client's local mode.

    python benchmarks/engine.py                       (100,000 x 512, about 20 minutes on 2 cores)
    python benchmarks/engine.py --points 20000 --setting usual --without-local
    python benchmarks/engine.py --sizes               (from how many points on a graph is worth building)

For each setting of the vectors (see vectors.py): what building the graph takes; then for top-10 searches,
one by one, without and with filters, the median and 95th percentile in ms and recall@10 against the exact
answer. With the first setting the same in NumPy and in local mode, and the filters at 1 % with and without
payload indexes. Queries are no stored points; hits come with their payloads.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
from filters import FIELDS, Case, cases
from vectors import SETTINGS, Columns, Setting, make

from clipsearch import store
from clipsearch.settings import Settings
from clipsearch.store import server
from clipsearch.store.collection import Collection
from clipsearch.store.embedded.engine import EdgeEngine
from clipsearch.store.embedded.folder import size_on_disk
from clipsearch.store.payload import json_path
from clipsearch.types import CollectionSpec, Embeddings, Fingerprint, Point

K = 10
_WARM_UP = 10  # first searches, not counted: they read the files
_LOCAL = ("none", "keyword 1 %", "float 10 %")  # local mode takes seconds a filter
_LOCAL_QUERIES = 20


def main() -> None:
    """Measure and print."""
    options = _options()
    print(
        f"{os.cpu_count()} cores ({_processor()}), load {os.getloadavg()[0]:.1f}; Python "
        f"{platform.python_version()}, NumPy {np.__version__}, qdrant-edge-py {version('qdrant-edge-py')}, "
        f"qdrant-client {version('qdrant-client')}; {options.dim} dims, {options.queries} queries, top {K}"
    )
    chosen = [s for s in SETTINGS if s.name in options.setting]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        settings = Settings(data=Path(name), cache=Path(name))
        if options.sizes:
            for n in (10_000, 20_000, 30_000, 50_000, 100_000):
                _size(settings, n, options)
            return
        for number, setting in enumerate(chosen):
            _setting(settings, setting, options, baselines=number == 0)


def _setting(settings: Settings, setting: Setting, options: argparse.Namespace, *, baselines: bool) -> None:
    rows, queries, columns = make(setting, options.points, options.queries, dim=options.dim)
    print(f"\n== {setting.name}: {_about(rows, queries)} ==")
    asked = cases(columns)
    truth = {case.name: _exact(rows, queries, case) for case in asked}
    with _filled(settings, setting.name, rows, columns) as opened:
        if baselines:
            with closing(_without_indexes(settings, rows, columns)) as bare:
                _indexes(opened, bare, queries, [case for case in asked if "1 %" in case.name])
            store.delete_collection("bare", settings)
        _build(opened, settings)
        print(f"{'':22} {'p50 ms':>8} {'p95 ms':>8} {'recall@10':>10}")
        for case in asked:
            _ask("clipsearch", opened, queries, case, truth[case.name])
    store.delete_collection(setting.name, settings)
    if not baselines:
        return
    for case in asked:
        _numpy(rows, queries, case)
    if not options.without_local:
        _local(settings, rows, queries, columns, [case for case in asked if case.name in _LOCAL], truth)


def _size(settings: Settings, n: int, options: argparse.Namespace) -> None:
    rows, queries, columns = make(SETTINGS[1], n, options.queries, dim=options.dim)
    case = cases(columns)[0]
    truth = _exact(rows, queries, case)
    with _filled(settings, f"size-{n}", rows, columns) as opened:
        _ask(f"{n:,} scanned", opened, queries, case, truth)
        _build(opened, settings)
        _ask(f"{n:,} by graph", opened, queries, case, truth)


# --- collections ---------------------------------------------------------------------------------


def _filled(settings: Settings, name: str, rows: Embeddings, columns: Columns) -> Collection:
    made = store.create(name, _spec(rows), settings)
    _fill(made, rows, columns)
    if not isinstance(made, Collection):
        raise TypeError("another process has the collection")
    return made


def _without_indexes(settings: Settings, rows: Embeddings, columns: Columns) -> Collection:
    """A collection whose fields can be filtered on but have no index."""
    from qdrant_edge import UpdateOperation

    made = store.create("bare", _spec(rows), settings)
    if not isinstance(made, Collection):
        raise TypeError("another process has the collection")
    for field in FIELDS:
        _engine(made)._update(UpdateOperation.delete_field_index(json_path(field)))
    _fill(made, rows, columns)
    return made


def _spec(rows: Embeddings) -> CollectionSpec:
    return CollectionSpec(Fingerprint("random", "", "", "", "", rows.shape[1]), FIELDS)


def _fill(opened: store.Store, rows: Embeddings, columns: Columns) -> None:
    points = (
        Point(str(uuid.UUID(int=i)), {"image": row}, payload)
        for i, (row, payload) in enumerate(zip(rows, columns.payloads(), strict=True))
    )
    while some := list(islice(points, 2048)):
        opened.upsert(some)
    opened.flush()


def _build(opened: Collection, settings: Settings) -> None:
    engine = _engine(opened)
    engine.graph_above = 1
    before, began = os.times(), time.perf_counter()
    opened.optimize()
    took, after = time.perf_counter() - began, os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    size = size_on_disk(settings.collection_dir(opened.name)) / 1e6
    print(f"graph built in {took:.1f} s ({busy:.1f} s of processor time), {size:,.0f} MB on disk")


def _engine(opened: Collection) -> EdgeEngine:
    engine = opened._open
    if not isinstance(engine, EdgeEngine):
        raise TypeError("not an embedded collection")
    return engine


# --- measuring -----------------------------------------------------------------------------------


def _ask(label: str, opened: store.Store, queries: Embeddings, case: Case, truth: Sequence[set[int]]) -> None:
    found: dict[int, set[int]] = {}

    def search(i: int) -> None:
        hits = opened.search(queries[i], limit=K, filter=case.filter)
        found[i] = {uuid.UUID(hit.id).int for hit in hits}

    times = _timed(search, len(truth))
    recall = np.mean([len(found[i] & best) / max(1, len(best)) for i, best in enumerate(truth)])
    _row(label, case, times, f"{recall:10.4f}")


def _indexes(opened: store.Store, bare: store.Store, queries: Embeddings, asked: Iterable[Case]) -> None:
    print("filters at 1 %, no graph: with the payload's indexes, and without")
    print(f"{'':22} {'p50 ms':>8} {'p95 ms':>8}")
    for case in asked:
        for label, one in (("indexed", opened), ("no index", bare)):
            _row(label, case, _searched(one, queries[:40], case))


def _searched(opened: store.Store, queries: Embeddings, case: Case) -> list[float]:
    return _timed(lambda i: opened.search(queries[i], limit=K, filter=case.filter), len(queries))


def _numpy(rows: Embeddings, queries: Embeddings, case: Case) -> None:
    def search(i: int) -> None:
        chosen = None if case.mask is None else np.flatnonzero(case.mask())
        scores = (rows if chosen is None else rows[chosen]) @ queries[i]
        best = np.argpartition(-scores, min(K, len(scores) - 1))[:K]
        best[np.argsort(-scores[best])]

    _row("NumPy, exact", case, _timed(search, len(queries)), f"{1:10.4f}")


def _local(
    settings: Settings,
    rows: Embeddings,
    queries: Embeddings,
    columns: Columns,
    asked: Iterable[Case],
    truth: dict[str, list[set[int]]],
) -> None:
    import warnings

    from qdrant_client import QdrantClient

    warnings.simplefilter("ignore")
    remote = replace(settings, url="http://127.0.0.1:6333")
    with server.create("local", _spec(rows), remote, client=QdrantClient(":memory:")) as opened:
        _fill(opened, rows, columns)
        for case in asked:
            _ask("client's local mode", opened, queries, case, truth[case.name][:_LOCAL_QUERIES])


def _exact(rows: Embeddings, queries: Embeddings, case: Case) -> list[set[int]]:
    chosen = np.arange(len(rows)) if case.mask is None else np.flatnonzero(case.mask())
    scores = queries @ rows[chosen].T  # (Q, n)
    return [set(chosen[np.argsort(-row)[:K]].tolist()) for row in scores]


def _timed(call: Callable[[int], object], n: int) -> list[float]:
    for i in range(min(n, _WARM_UP)):
        call(i)
    return list(_times(call, n))


def _times(call: Callable[[int], object], n: int) -> Iterator[float]:
    for i in range(n):
        began = time.perf_counter()
        call(i)
        yield (time.perf_counter() - began) * 1e3


def _row(label: str, case: Case, times: Sequence[float], more: str = "") -> None:
    middle, high = np.percentile(times, [50, 95])
    print(f"{label:20} {case.name:18} {middle:8.2f} {high:8.2f} {more}", flush=True)


def _about(rows: Embeddings, queries: Embeddings) -> str:
    scores = -np.sort(-(queries[:50] @ rows.T), axis=1)
    return (
        f"{len(rows):,} points; cosine of a query and its best hit {scores[:, 0].mean():.2f}, 10th "
        f"{scores[:, 9].mean():.2f}, 100th {scores[:, 99].mean():.2f}, middle {np.median(scores):.2f}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), sys.platform)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [setting.name for setting in SETTINGS]
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--setting", nargs="+", choices=names, default=names)
    parser.add_argument("--without-local", action="store_true")
    parser.add_argument("--sizes", action="store_true", help="scan and graph by number of points")
    parser.add_argument("--folder", type=Path, default=None, help="where (default: the temporary one)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
