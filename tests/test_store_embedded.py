"""What only the embedded engine has: one owner, kills, generations, damage and full disks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipsearch import store
from clipsearch.errors import CollectionLocked, CollectionNotFound, StoreError
from clipsearch.files import write_json
from clipsearch.settings import Settings
from clipsearch.store.collection import Collection
from clipsearch.store.embedded import engine as engine_module
from clipsearch.store.embedded.engine import EdgeEngine
from clipsearch.store.embedded.folder import copy_sparse, size_on_disk
from clipsearch.store.spec import all_fields
from clipsearch.types import CollectionSpec, Fingerprint, Match, Phrase, Point, Prefix

DIM = 8
SPEC = CollectionSpec(Fingerprint("starter", "", "0", "{}", "1", DIM), {"n": "integer", "ok": "bool"})
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings with a data folder in memory where there is room: the engine syncs often."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < 2 << 30:
        yield Settings(data=tmp_path, cache=tmp_path)
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="clipsearch-test-") as path:
        yield Settings(data=Path(path), cache=Path(path))


def points(numbers: range) -> list[Point]:
    rows = np.random.default_rng(7).normal(size=(max(numbers, default=0) + 1, DIM)).astype(np.float32)
    return [Point(identity(i), {"image": rows[i]}, {"n": i, "ok": i % 2 == 0}) for i in numbers]


def identity(i: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(i)))


def child(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A Python process that runs the code with sys.argv[1:] = arguments."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def engine_of(opened: store.Store) -> EdgeEngine:
    assert isinstance(opened, Collection)
    found = opened._open
    assert isinstance(found, EdgeEngine)
    return found


# --- one owner -----------------------------------------------------------------------------------

OPEN = """
import sys
from pathlib import Path
from clipsearch import store
from clipsearch.errors import ClipSearchError
from clipsearch.settings import Settings
data = Path(sys.argv[1])
try:
    with store.open_store("main", Settings(data=data, cache=data)) as opened:
        print("opened", opened.count(), flush=True)
        sys.stdin.read()
except ClipSearchError as error:
    print(type(error).__name__, error)
"""


def test_a_second_process_is_told_who_holds_it_and_the_first_is_unharmed(
    settings: Settings,
) -> None:
    with store.create("main", SPEC, settings) as owner:
        owner.upsert(points(range(20)))
        began = time.monotonic()
        said, _ = child(OPEN, str(settings.data), stdin=subprocess.DEVNULL).communicate(timeout=60)
        assert said.startswith("CollectionLocked")
        assert f"pid {os.getpid()}" in said
        assert f"kill {os.getpid()}" in said
        assert "since 20" in said
        assert 2 <= time.monotonic() - began < 50
        owner.upsert(points(range(20, 40)))
        assert owner.count() == 40
    with store.open_store("main", settings) as again:
        assert again.count() == 40
        assert again.count(Match("ok", (True,))) == 20


def test_a_process_that_is_soon_done_is_waited_for(settings: Settings) -> None:
    store.create("main", SPEC, settings).close()
    owner = store.open_store("main", settings)
    timer = threading.Timer(0.7, owner.close)
    timer.start()
    with store.open_store("main", settings) as second:
        assert second.count() == 0
    timer.join()


def test_opening_twice_in_one_process_says_so(settings: Settings) -> None:
    with (
        store.create("main", SPEC, settings),
        pytest.raises(CollectionLocked, match="this process") as caught,
    ):
        store.open_store("main", settings)
    assert caught.value.holder == f"pid {os.getpid()}"
    store.open_store("main", settings).close()


def test_a_collection_in_use_cannot_be_deleted(settings: Settings) -> None:
    with store.create("main", SPEC, settings) as owner:
        with pytest.raises(CollectionLocked):
            store.delete_collection("main", settings)
        assert owner.count() == 0
    store.delete_collection("main", settings)
    assert not settings.collection_dir("main").exists()


def test_the_holder_of_a_dead_process_does_not_lock_anyone_out(settings: Settings) -> None:
    store.create("main", SPEC, settings).close()
    process = child(OPEN, str(settings.data), stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "opened 0\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads((settings.collection_dir("main") / "holder.json").read_text())["pid"] == process.pid
    process.communicate()
    with store.open_store("main", settings) as opened:
        assert opened.count() == 0


# --- kills ---------------------------------------------------------------------------------------

WRITE = """
import sys, uuid
from pathlib import Path
import numpy as np
from clipsearch import store
from clipsearch.settings import Settings
from clipsearch.types import Point
data = Path(sys.argv[1])
rows = np.random.default_rng(7).normal(size=(200_000, 8)).astype(np.float32)
with store.open_store("main", Settings(data=data, cache=data)) as opened:
    for start in range(0, 200_000, 50):
        opened.upsert([
            Point(str(uuid.uuid5(uuid.NAMESPACE_OID, str(i))), {"image": rows[i]}, {"n": i, "ok": i % 2 == 0})
            for i in range(start, start + 50)
        ])
        print(start + 50, flush=True)
"""


def test_everything_acknowledged_is_there_after_a_kill_in_the_middle_of_writing(settings: Settings) -> None:
    store.create("main", SPEC, settings).close()
    process = child(WRITE, str(settings.data))
    assert process.stdout is not None
    acknowledged = 0
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged >= 6000:  # past the first flush, inside the second stretch
            process.send_signal(signal.SIGKILL)
            break
    rest = process.stdout.read()  # communicate() would pass over what the loop has buffered
    process.communicate()
    acknowledged = max([acknowledged, *(int(n) for n in rest.split())])
    assert process.returncode == -signal.SIGKILL
    with store.open_store("main", settings) as again:
        found = {p.id: p for batch in again.scroll(with_vectors=True) for p in batch}
        assert acknowledged <= len(found) <= acknowledged + 50
        rows = np.random.default_rng(7).normal(size=(acknowledged, DIM)).astype(np.float32)
        for i in range(0, acknowledged, 97):
            unit = rows[i] / np.linalg.norm(rows[i])
            np.testing.assert_allclose(np.asarray(found[identity(i)].vectors["image"]), unit, atol=1e-6)
            assert found[identity(i)].payload == {"n": i, "ok": i % 2 == 0}


def test_a_half_made_collection_is_none_and_is_made_anew(settings: Settings) -> None:
    folder = settings.collection_dir("main")
    store.create("main", SPEC, settings).close()
    (folder / "collection.json").unlink()  # as if killed before the last step
    (folder / "ledger.sqlite").write_text("of a collection that is no more")
    assert not store.exists("main", settings)
    assert store.list_collections(settings) == []
    with pytest.raises(CollectionNotFound):
        store.open_store("main", settings)
    with store.create("main", SPEC, settings) as made:
        made.upsert(points(range(5)))
    assert not (folder / "ledger.sqlite").exists()
    assert len(list(folder.glob("gen-*"))) == 1


def test_a_create_that_fails_leaves_nothing_behind(settings: Settings) -> None:
    bad = CollectionSpec(SPEC.fingerprint, {" ": "keyword"})
    with pytest.raises(StoreError, match="empty name"):
        store.create("main", bad, settings)
    impossible = CollectionSpec(Fingerprint("m", "", "", "", "", 0), {})
    with pytest.raises(StoreError, match="making collection 'main' failed"):
        store.create("main", impossible, settings)
    assert not settings.collection_dir("main").exists()


def test_a_json_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


# --- generations ---------------------------------------------------------------------------------


def test_a_large_collection_gets_a_graph_in_a_new_generation(settings: Settings) -> None:
    folder = settings.collection_dir("main")
    rows = points(range(3000))
    with store.create("main", SPEC, settings) as opened:
        opened.upsert(rows)
        engine_of(opened).graph_above = 1000
        before = [[h.id for h in hits] for hits in _searches(opened, exact=True)]
        old = folder / json.loads((folder / "current").read_text())["generation"]
        stop, failures = threading.Event(), list[BaseException]()
        searcher = threading.Thread(target=_search_until, args=(opened, stop, failures))
        searcher.start()
        opened.optimize()
        stop.set()
        searcher.join()
        assert failures == []
        info = opened.info()
        assert (info.n_points, info.n_indexed) == (3000, 3000)
        assert not old.exists()
        assert [[h.id for h in hits] for hits in _searches(opened, exact=True)] == before
        overlap = [
            len({h.id for h in hits} & set(b)) for hits, b in zip(_searches(opened), before, strict=True)
        ]
        assert np.mean(overlap) >= 9
        assert opened.count(Match("ok", (True,))) == 1500
        opened.upsert(points(range(3000, 3100)))  # few: the graph stays
        generation = (folder / "current").read_text()
        opened.optimize()
        assert (folder / "current").read_text() == generation
    with store.open_store("main", settings) as again:
        assert again.count() == 3100
        assert again.info().n_indexed == 3000
        assert again.search(np.asarray(rows[5].vectors["image"]), limit=1)[0].id == identity(5)
        assert again.search(np.asarray(points(range(3051))[3050].vectors["image"]), limit=1)[0].score > 0.999


def test_records_written_anew_have_left_the_graph_until_it_is_built_again(settings: Settings) -> None:
    current = settings.collection_dir("main") / "current"
    with store.create("main", SPEC, settings) as opened:
        opened.upsert(points(range(3000)))
        engine_of(opened).graph_above = 1000
        opened.optimize()
        generation = json.loads(current.read_text())["generation"]
        opened.set_payloads([(identity(i), {"tags": ["brass"]}) for i in range(200)])
        assert opened.info().n_indexed == 2800
        opened.optimize()  # few: the graph stays
        opened.flush()
        assert json.loads(current.read_text()) == {"generation": generation, "n_graph": 2800}
        opened.set_payloads([(identity(i), {"tags": ["zinc"]}) for i in range(200, 400)])
    with store.open_store("main", settings) as opened:
        assert opened.info().n_indexed == 2600
        engine_of(opened).graph_above = 1000
        opened.optimize()
        assert opened.info().n_indexed == 3000
        assert opened.search(np.asarray(points(range(5, 6))[0].vectors["image"]), limit=1)[0].payload[
            "tags"
        ] == ["brass"]


def _searches(opened: store.Store, exact: bool | None = None) -> list[list[Any]]:
    queries = np.random.default_rng(1).normal(size=(20, DIM)).astype(np.float32)
    return opened.search_batch(queries, limit=10, exact=exact)


def _search_until(opened: store.Store, stop: threading.Event, failures: list[BaseException]) -> None:
    while not stop.is_set():
        try:
            if len(opened.search(np.ones(DIM, np.float32), limit=5)) != 5:
                raise AssertionError("a search came back short")
        except BaseException as exc:
            failures.append(exc)
            return
        time.sleep(0.005)


BUILD = """
import sys
from pathlib import Path
from clipsearch import store
from clipsearch.settings import Settings
opened = store.open_store("main", Settings(data=Path(sys.argv[1]), cache=Path(sys.argv[1])))
opened._open.graph_above = 1000
opened.optimize()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and a kernel that ends orphans")
def test_a_build_ends_with_the_process_that_wanted_it(settings: Settings) -> None:
    folder = settings.collection_dir("main")
    with store.create("main", SPEC, settings) as opened:
        opened.upsert(points(range(30_000)))  # a few seconds of building
    wanting = child(BUILD, str(settings.data))
    while not (building := _processes_on(str(folder))):
        assert wanting.poll() is None, wanting.communicate()[1]
        time.sleep(0.01)
    time.sleep(0.5)
    wanting.kill()
    wanting.communicate()
    time.sleep(0.5)
    assert not building & _processes_on(str(folder)), "it builds on, for nobody"
    with store.open_store("main", settings) as again:
        assert again.count() == 30_000
        assert len(list(folder.glob("gen-*"))) == 1


def _processes_on(folder: str) -> set[str]:
    """Processes that build a graph in the folder."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode().split("\0")
            if "clipsearch.store.build" in words and any(word.startswith(folder) for word in words):
                found.add(process.name)
    return found


def test_a_build_that_fails_leaves_the_collection_as_it_was(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings.collection_dir("main")
    with store.create("main", SPEC, settings) as opened:
        opened.upsert(points(range(50)))
        engine_of(opened).graph_above = 10
        monkeypatch.setattr(sys, "executable", shutil.which("false"))  # a child that dies
        with pytest.raises(StoreError, match=r"exit 1.*as it was"):
            opened.optimize()
        assert opened.count() == 50
        assert len(list(folder.glob("gen-*"))) == 1
        opened.upsert(points(range(50, 60)))
    with store.open_store("main", settings) as again:
        assert again.count() == 60


def test_what_a_killed_build_left_is_swept_away(settings: Settings) -> None:
    folder = settings.collection_dir("main")
    store.create("main", SPEC, settings).close()
    current = json.loads((folder / "current").read_text())["generation"]
    copy_sparse(folder / current, folder / "gen-0002-1")
    store.open_store("main", settings).close()
    assert [p.name for p in folder.glob("gen-*")] == [current]


def test_a_sparse_copy_is_equal_and_as_small_as_the_original(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.mkdir()
    with (source / "x").open("wb") as file:
        file.write(b"begin")
        file.seek(40 << 20)
        file.write(b"middle")
        file.truncate(64 << 20)
    (source / "empty").touch()
    (source / "zeros").write_bytes(bytes(5000))
    copy_sparse(source, tmp_path / "b")
    for name in ("x", "empty", "zeros"):
        assert (tmp_path / "b" / name).read_bytes() == (source / name).read_bytes()
    assert size_on_disk(tmp_path / "b") <= size_on_disk(source) + (2 << 20)


def test_an_older_collection_gets_the_indexes_it_lacks_when_it_is_indexed_again(settings: Settings) -> None:
    from qdrant_edge import PayloadSchemaType, UpdateOperation

    one = points(range(1))[0]
    with store.create("main", SPEC, settings) as made:
        engine = engine_of(made)
        engine._update(UpdateOperation.delete_field_index('"_text"'))  # as an earlier version left them
        engine._update(UpdateOperation.create_field_index('"_key"', PayloadSchemaType.Keyword))
        made.upsert([Point(one.id, one.vectors, {"_key": "HX-1", "n": 3})])
        assert engine.unindexed(all_fields(SPEC)) == {"_text": "text", "_key": "keyword"}
    with store.open_store("main", settings) as again:
        again.add_fields({})
        assert engine_of(again).unindexed(all_fields(SPEC)) == {}
        assert again.count(Phrase(("hx", "1"))) == 1
        assert again.count(Prefix("_key", "HX")) == 1
        assert again.spec == SPEC


# --- damage --------------------------------------------------------------------------------------


def _filled(settings: Settings) -> Path:
    with store.create("main", SPEC, settings) as made:
        for start in range(0, 300, 50):  # flushed in between, so that the log alone cannot bring it all back
            made.upsert(points(range(start, start + 50)))
            made.flush()
    folder = settings.collection_dir("main")
    name: str = json.loads((folder / "current").read_text())["generation"]
    return folder / name


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("segments/*/segment.json", 0.5),
        ("segments/*/mutable_id_tracker.mappings", 0.5),  # the engine itself loads it, short of points
        ("segments/*/vector_storage-image/vectors/status.dat", 0.5),  # the engine panics
        ("edge_config.json", 0.0),
        ("wal/first-index", 0.5),
    ],
)
def test_damaged_files_are_named_with_a_way_out_and_no_trace(
    settings: Settings, capfd: pytest.CaptureFixture[str], pattern: str, kept: float
) -> None:
    (file,) = _filled(settings).glob(pattern)
    os.truncate(file, int(file.stat().st_size * kept))
    capfd.readouterr()
    with pytest.raises(StoreError, match=r"'main'.* damaged .*Index again.*delete"):
        store.open_store("main", settings)
    assert "panicked" not in capfd.readouterr().err
    assert store.list_collections(settings) == ["main"]
    assert store.read_spec("main", settings) == SPEC
    store.delete_collection("main", settings)
    with store.create("main", SPEC, settings) as again:
        assert again.count() == 0


def test_lost_payloads_are_an_error_when_they_are_read(settings: Settings) -> None:
    (file,) = _filled(settings).glob("segments/*/payload_storage/page_0.dat")
    size = file.stat().st_size
    file.write_bytes(b"\xff" * 4096 + bytes(size - 4096))
    with contextlib.ExitStack() as stack, pytest.raises(StoreError, match=r"'main'.*(damaged|index again)"):
        opened = stack.enter_context(store.open_store("main", settings))
        opened.search(np.ones(DIM, np.float32), limit=300)


def test_missing_and_unreadable_files_of_ours_are_explained(settings: Settings) -> None:
    folder = _filled(settings).parent
    (folder / "current").rename(folder / "elsewhere")
    with pytest.raises(StoreError, match=r"damaged.*current"):
        store.open_store("main", settings)
    write_json(folder / "current", {"generation": "gen-9999"})
    with pytest.raises(StoreError, match=r"'gen-9999' are gone"):
        store.open_store("main", settings)
    write_json(folder / "current", {"generation": "../../x"})
    with pytest.raises(StoreError, match="damaged"):
        store.open_store("main", settings)
    (folder / "elsewhere").replace(folder / "current")
    spec = json.loads((folder / "collection.json").read_text())
    write_json(folder / "collection.json", spec | {"format": 99})
    with pytest.raises(StoreError, match=r"format 99.*reads 1.*another version"):
        store.open_store("main", settings)
    write_json(folder / "collection.json", spec | {"fingerprint": {}})
    with pytest.raises(StoreError, match=r"collection.json is damaged"):
        store.read_spec("main", settings)
    write_json(folder / "collection.json", ["something else"])
    with pytest.raises(StoreError, match="does not describe a clipsearch collection"):
        store.read_spec("main", settings)
    (folder / "collection.json").write_text("{ half")
    with pytest.raises(StoreError, match=r"collection.json is damaged"):
        store.open_store("main", settings)
    write_json(folder / "collection.json", spec)
    with store.open_store("main", settings) as again:
        assert again.count() == 300


# --- disks ---------------------------------------------------------------------------------------


def test_a_full_disk_stops_a_write_before_the_engine_sees_it(settings: Settings) -> None:
    with store.create("main", SPEC, settings) as opened:
        opened.upsert(points(range(10)))
        free = shutil.disk_usage(settings.data).free
        engine_of(opened).min_free = free + (1 << 30)
        with pytest.raises(StoreError, match=r"free disk.*Free some space.*nothing acknowledged is lost"):
            opened.upsert(points(range(10, 20)))
        assert opened.count() == 10
        engine_of(opened).graph_above = 1
        with pytest.raises(StoreError, match=r"building the graph.*free disk"):
            opened.optimize()
        engine_of(opened).min_free = 0
        opened.upsert(points(range(10, 20)))
        assert opened.count() == 20


def test_no_collection_is_begun_on_a_full_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from clipsearch.store import embedded

    free = shutil.disk_usage(settings.data).free
    monkeypatch.setattr(embedded, "MIN_FREE", free + (1 << 30))
    with pytest.raises(StoreError, match=r"free disk.*CLIPSEARCH_DATA"):
        store.create("main", SPEC, settings)
    assert not settings.collection_dir("main").exists()


def test_a_data_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    settings = Settings(data=tmp_path / "file", cache=tmp_path)
    with pytest.raises(StoreError, match="making collection 'main' failed"):
        store.create("main", SPEC, settings)
    assert store.list_collections(settings) == []


def test_the_engines_own_disk_full_error_says_what_to_do() -> None:
    from clipsearch.store.embedded import edge

    with (
        pytest.raises(StoreError, match="the disk is full: free some space"),
        edge.translated("main", "writing to"),
    ):
        raise Exception("Service runtime error: No space left on device (os error 28)")
    with pytest.raises(KeyboardInterrupt), edge.translated("main", "writing to"):
        raise KeyboardInterrupt


def test_reading_needs_no_flush_and_writing_flushes_now_and_then(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_FLUSH_EVERY", 100)
    folder = settings.collection_dir("main")
    with store.create("main", SPEC, settings) as opened:
        opened.upsert(points(range(90)))
        assert engine_of(opened)._unflushed == 90
        opened.upsert(points(range(90, 110)))
        assert engine_of(opened)._unflushed == 0
    marker = (folder / "closed.json").stat().st_mtime_ns
    with store.open_store("main", settings) as again:
        again.search(np.ones(DIM, np.float32), limit=3)
    assert (folder / "closed.json").stat().st_mtime_ns == marker
