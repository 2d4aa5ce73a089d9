"""How a collection's graph is held against an exact scan, and what is done about it."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from clipsearch import store
from clipsearch.errors import StoreError
from clipsearch.settings import Settings
from clipsearch.store import server
from clipsearch.store.collection import Collection
from clipsearch.store.embedded.engine import EdgeEngine
from clipsearch.types import CollectionSpec, Fingerprint, Hit, Match, Point
from clipsearch.verification import recall, sampled, verify

DIM = 64
N = 14_000  # more than the engine scans exactly
SPEC = CollectionSpec(Fingerprint("starter", "", "0", "{}", "1", DIM), {"material": "keyword"})
Run = Callable[..., CompletedProcess[str]]


def points(n: int) -> list[Point]:
    """Directions without any structure: the hardest for a graph."""
    rows = np.random.default_rng(0).normal(size=(n, DIM)).astype(np.float32)
    return [
        Point(str(uuid.UUID(int=i)), {"image": rows[i]}, {"material": "steel" if i % 2 else "brass"})
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def with_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of collection "main", which has a graph."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 << 30
    with tempfile.TemporaryDirectory(dir=memory if roomy else None, prefix="clipsearch-test-") as path:
        with store.create("main", SPEC, _settings(Path(path))) as made:
            made.upsert(points(N))
            assert isinstance(made, Collection)
            engine = made._open
            assert isinstance(engine, EdgeEngine)
            engine.graph_above = 1000
            made.optimize()
        yield Path(path)


@pytest.fixture
def graph_settings(with_graph: Path, tmp_path: Path) -> Settings:
    """Of a copy that a test may change."""
    shutil.copytree(with_graph, tmp_path / "copy")
    return _settings(tmp_path / "copy")


def _settings(path: Path) -> Settings:
    return Settings(data=path, cache=path, collection="main")


def test_more_candidates_find_more_until_nothing_is_missed(graph_settings: Settings) -> None:
    said: list[tuple[str, int, int]] = []
    with store.open_store("main", graph_settings) as opened:
        found = verify(
            opened,
            wanted=0.9,
            n_queries=60,
            efs=(11, 100, N),
            on_progress=lambda *told: said.append(told),
        )
    assert (found.n_points, found.n_indexed, found.n_queries, found.k) == (N, N, 60, 10)
    assert [row.ef for row in found.rows] == [11, 100, N]
    recalls = [row.recall for row in found.rows]
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.9
    assert recalls[-1] > 0.99
    assert found.enough is next(row for row in found.rows if row.recall >= 0.9)
    assert found.current.ef == 0
    assert all(0 < row.p50_ms <= row.p95_ms for row in (*found.rows, found.exact, found.current))
    assert said[-1] == ("candidates", 3, 3)


def test_the_recall_of_a_graph_is_that_of_counting_by_hand(graph_settings: Settings) -> None:
    rows = np.stack([np.asarray(p.vectors["image"]) for p in points(N)])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with store.open_store("main", graph_settings) as opened:
        queries = sampled(opened, 40, seed=3)
        hits = opened.search_batch(queries, limit=10, ef=11)
        found = verify(opened, n_queries=40, efs=(11,), seed=3)
    best = [{str(uuid.UUID(int=int(i))) for i in np.argsort(-(rows @ query))[:10]} for query in queries]
    counted = [len(b & {h.id for h in some}) / 10 for b, some in zip(best, hits, strict=True)]
    assert found.rows[0].recall == pytest.approx(np.mean(counted))


def test_the_kept_number_of_candidates_is_what_searches_use(graph_settings: Settings) -> None:
    with store.open_store("main", graph_settings) as opened:
        opened.set_hnsw_ef(N)
        assert verify(opened, n_queries=30, efs=(11,)).current.recall > 0.99
        opened.set_hnsw_ef(11)
        found = verify(opened, wanted=0.98, n_queries=30, efs=(11,))
    assert found.current.recall == found.rows[0].recall < 0.98
    assert (found.ok, found.enough) == (False, None)


def test_a_filter_holds_for_graph_and_scan_alike(graph_settings: Settings) -> None:
    with store.open_store("main", graph_settings) as opened:
        found = verify(opened, n_queries=30, filter=Match("material", ("steel",)), efs=(N,))
    assert found.rows[0].recall > 0.99


def test_given_queries_are_asked_besides_the_sampled_ones(graph_settings: Settings) -> None:
    more = np.ones((7, DIM), np.float32)
    with store.open_store("main", graph_settings) as opened:
        assert verify(opened, n_queries=5, queries=more, efs=()).n_queries == 12


def test_without_a_graph_everything_is_exact(tmp_path: Path) -> None:
    with store.create("main", SPEC, _settings(tmp_path)) as opened:
        with pytest.raises(StoreError, match="'main' is empty; index some"):
            verify(opened)
        opened.upsert(points(50))
        found = verify(opened, n_queries=80)
    assert (found.has_graph, found.ok, found.rows) == (False, True, ())
    assert (found.n_queries, found.current) == (50, found.exact)


def test_sampled_queries_are_near_stored_points_and_from_everywhere(tmp_path: Path) -> None:
    rows = np.stack([np.asarray(p.vectors["image"]) for p in points(500)])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with store.create("main", SPEC, _settings(tmp_path)) as opened:
        opened.upsert(points(500))
        queries = sampled(opened, 100)
        again = sampled(opened, 100)
    np.testing.assert_array_equal(queries, again)
    nearest = (queries @ rows.T).max(axis=1)
    np.testing.assert_allclose(nearest, 1 / np.sqrt(1.25), atol=0.05)
    origins = (queries @ rows.T).argmax(axis=1)
    assert len(set(origins)) == 100
    assert 150 < np.mean(origins) < 350


def test_of_equal_scores_one_is_as_good_as_another() -> None:
    def hits(*scores: float) -> list[Hit]:
        return [Hit(str(uuid.uuid4()), score, {}) for score in scores]

    assert recall(hits(0.9, 0.8, 0.5, 0.5), hits(0.9, 0.8, 0.5, 0.5)) == 1
    assert recall(hits(0.9, 0.5, 0.5, 0.4), hits(0.9, 0.8, 0.5, 0.5)) == 0.75
    assert recall([], hits(0.9)) == 0
    assert recall([], []) == 1


@pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode performs exact")
def test_a_server_collection_is_verified_the_same_way(tmp_path: Path) -> None:
    from qdrant_client import QdrantClient

    settings = replace(_settings(tmp_path), url="http://127.0.0.1:6333")
    with server.create("main", SPEC, settings, client=QdrantClient(":memory:")) as opened:
        opened.upsert(points(50))
        found = verify(opened, n_queries=20)
    assert found.ok
    assert found.n_points == 50


# --- the command ---------------------------------------------------------------------------------


def _ran(run_cli: Run, settings: Settings, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = run_cli("verify", "main", "--data", str(settings.data), "--sample", "40", "--json", *arguments)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def test_the_command_keeps_what_reaches_the_recall_and_says_so_by_its_exit_code(
    run_cli: Run, graph_settings: Settings
) -> None:
    with store.open_store("main", graph_settings) as opened:
        opened.set_hnsw_ef(11)
    code, found = _ran(run_cli, graph_settings, "--recall", "0.99")
    assert (code, found["reached"], found["applied_ef"]) == (1, False, None)
    assert found["current"]["ef"] == 11
    assert found["smallest_ef"] > 11
    code, found = _ran(run_cli, graph_settings, "--recall", "0.99", "--apply")
    assert (code, found["reached"]) == (0, True)
    assert store.read_spec("main", graph_settings).hnsw_ef == found["applied_ef"] == found["smallest_ef"]
    code, found = _ran(run_cli, graph_settings, "--recall", "0.99")
    assert (code, found["current"]["ef"]) == (0, found["smallest_ef"])


def test_the_command_prints_a_table_and_what_to_do(run_cli: Run, graph_settings: Settings) -> None:
    with store.open_store("main", graph_settings) as opened:
        opened.set_hnsw_ef(11)
    done = run_cli("verify", "main", "--data", str(graph_settings.data), "--sample", "30", "--recall", "0.99")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "collection 'main': 14,000 points, 14,000 of them in a graph; 30 queries, top 10"
    assert lines[1].split() == ["ef", "recall@10", "p50", "ms", "p95", "ms"]
    assert [line.split()[0] for line in lines[2:6]] == ["16", "32", "48", "64"]
    assert lines[-1].endswith("reaches it: run this again with --apply")


def test_the_command_says_that_a_collection_without_a_graph_is_exact(
    run_cli: Run, demo_copy: Path, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("brass gear\n\n真鍮の歯車\n", encoding="utf-8")
    done = run_cli(
        "verify",
        "demo",
        "--data",
        str(demo_copy),
        "--sample",
        "10",
        "--queries",
        str(words),
    )
    assert done.returncode == 0, done.stderr
    assert "12 queries" in done.stdout
    assert done.stdout.splitlines()[-1] == "it has no graph: every search is exact and misses nothing"
    words.write_text("\n")
    done = run_cli("verify", "demo", "--data", str(demo_copy), "--queries", str(words))
    assert done.returncode != 0
