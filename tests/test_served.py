"""One process has a collection open, others work with it: real processes, real sockets, real kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from clipsearch import store
from clipsearch.errors import CollectionLocked, QueryError, StoreError, StoreUnavailable, UnknownField
from clipsearch.settings import Settings
from clipsearch.store.collection import Collection
from clipsearch.store.served import Connection, Listener, ServedStore, find, wire
from clipsearch.store.served.codec import Block
from clipsearch.store.served.record import FILE
from clipsearch.types import CollectionSpec, Fingerprint, Hit, Match, Page, Point, Query, SearchOptions, Term

DIM = 8
SPEC = CollectionSpec(
    Fingerprint("starter", "", "0", "{}", "1", DIM), {"n": "integer", "name": "keyword", "made": "datetime"}
)

SERVER = """
import sys, time
from pathlib import Path
from clipsearch import store
from clipsearch.settings import Settings
from clipsearch.store.served import Listener
data, name, late_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
with store.open_store(name, Settings(data=data, cache=data)) as owner:
    print("open", flush=True)
    time.sleep(late_s)
    with Listener({name: owner}):
        print("serving", flush=True)
        sys.stdin.read()
print("stopped", flush=True)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Settings]:
    """An empty data folder, in memory where there is room: the engine syncs often."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < 2 << 30:
        yield Settings(data=tmp_path, cache=tmp_path)
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="clipsearch-test-") as path:
        yield Settings(data=Path(path), cache=Path(path))


@pytest.fixture
def filled(place: Settings) -> Settings:
    """A collection `main` of 20 points."""
    with store.create("main", SPEC, place) as made:
        made.upsert(points(range(20)))
    return place


def identity(i: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(i)))


def vectors(n: int) -> Any:
    return np.random.default_rng(7).normal(size=(n, DIM)).astype(np.float32)


def points(numbers: range) -> list[Point]:
    rows = vectors(max(numbers, default=0) + 1)
    return [Point(identity(i), {"image": rows[i]}, {"n": i, "name": f"部品 {i}"}) for i in numbers]


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


@contextmanager
def serving(settings: Settings, name: str = "main", *, late_s: float = 0) -> Iterator[subprocess.Popen[str]]:
    """A process that serves the collection; it ends gracefully with the block, if it is still there."""
    process = child(SERVER, str(settings.data), name, str(late_s))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n", process.communicate()[1]
        if not late_s:
            assert process.stdout.readline() == "serving\n"
        yield process
        if process.poll() is None:
            out, said = process.communicate(timeout=30)
            assert (out.endswith("stopped\n"), said, process.returncode) == (True, "", 0)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


# --- together ------------------------------------------------------------------------------------


def test_a_served_collection_is_opened_by_way_of_its_owner_and_later_directly(filled: Settings) -> None:
    began = time.monotonic()
    with serving(filled) as server, store.open_store("main", filled) as opened:
        assert isinstance(opened, ServedStore)
        assert opened.spec == SPEC == store.read_spec("main", filled)
        assert opened.connection.pid == server.pid
        opened.upsert(points(range(20, 30)))
        assert opened.info().n_points == 30
        assert time.monotonic() - began < 20
    assert not (filled.collection_dir("main") / FILE).exists()
    with store.open_store("main", filled) as again:
        assert isinstance(again, Collection)
        assert again.count() == 30
        assert store.serving("main", filled) is None


def test_through_the_socket_everything_is_as_without_it(place: Settings) -> None:
    from datetime import UTC, datetime

    rows = points(range(300))
    odd = {
        "name": "a\udc80b/1",
        "n": np.int64(4),
        "made": datetime(2026, 1, 5, tzinfo=UTC),
        "x": float("nan"),
    }
    rows[3] = Point(rows[3].id, {"image": rows[3].vectors["image"]}, odd)
    for name in ("main", "other"):
        store.create(name, SPEC, place).close()
    with store.open_store("other", place) as direct:
        direct.upsert(rows)
        with serving(place), store.open_store("main", place) as served:
            served.upsert(rows)
            query = vectors(5)
            both: tuple[store.Store, store.Store] = (served, direct)
            for ask in (
                lambda s: s.search(query[0], limit=50, filter=Match("name", ("部品 3", "部品 9"))),
                lambda s: s.search_batch(query, limit=20, offset=7),
                lambda s: s.facet("n", limit=400),
                lambda s: s.retrieve([identity(3), identity(999), identity(5)]),
                lambda s: [p.vectors["image"].tolist() for p in s.retrieve([identity(5)], with_vectors=True)],
                lambda s: list(s.scroll(batch_size=70)),
                lambda s: s.count(Match("made", ("2026-01-05",))),
            ):
                one, other = (ask(s) for s in both)
                assert one == other
                assert one
            assert served.retrieve([identity(3)])[0].payload["name"] == "a\udc80b/1"


def test_a_page_a_query_and_an_index_run_work_at_the_same_time(
    settings: Settings, tmp_path: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    from clipsearch import images
    from clipsearch.search import open as open_searcher

    rng = np.random.default_rng(0)
    for part, n in (("one", 30), ("two", 60)):
        (tmp_path / part).mkdir()
        for i in range(n):
            pixels = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
            images.save_jpeg(pixels, tmp_path / part / f"{i:02}.jpg")
    environment = {"CLIPSEARCH_DATA": str(settings.data), "CLIPSEARCH_CACHE": str(settings.cache)}

    def index(part: str, name: str) -> subprocess.CompletedProcess[str]:
        arguments = ("index", str(tmp_path / part), "-c", name, "--model", settings.model)
        done = run_cli(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done

    def stored(name: str) -> dict[str, Any]:
        with store.open_store(name, settings) as opened:
            return {
                p.id: (p.payload, p.vectors["image"].tolist())
                for batch in opened.scroll(with_vectors=True)
                for p in batch
            }

    index("one", "t")
    index("one", "u")
    index("two", "u")
    with serving(settings, "t"), ThreadPoolExecutor() as pool, open_searcher("t", settings=settings) as page:
        run = pool.submit(index, "two", "t")
        n_searches = 0
        while not run.done():
            assert len(page.search("a bolt", top=3)) == 3
            n_searches += 1
        assert n_searches > 5
        assert "indexed 60" in run.result().stderr
        found = run_cli("search", "a bolt", "-c", "t", "--top", "5", "--json", **environment)
        assert found.returncode == 0, found.stderr
        assert stored("t") == stored("u")
        assert "unchanged 60" in index("two", "t").stderr


def test_twenty_clients_at_once_are_served(filled: Settings) -> None:
    def work(i: int) -> int:
        mine = range(100 + 50 * i, 150 + 50 * i)
        with store.open_store("main", filled) as opened:
            for start in range(mine.start, mine.stop, 10):
                opened.upsert(points(range(start, start + 10)))
                assert opened.search(vectors(1)[0], limit=5)[0].payload["n"] == 0
            return len(opened.retrieve([identity(n) for n in mine]))

    with serving(filled), ThreadPoolExecutor(20) as pool:
        assert list(pool.map(work, range(20))) == [50] * 20
        with store.open_store("main", filled) as opened:
            assert opened.count() == 1020


def test_threads_share_one_opened_collection(filled: Settings) -> None:
    with serving(filled), store.open_store("main", filled) as opened, ThreadPoolExecutor(16) as pool:
        rows = vectors(20)
        found = pool.map(lambda i: opened.search(rows[i % 20], limit=1)[0].payload["n"], range(400))
        assert list(found) == [i % 20 for i in range(400)]


def test_fields_declared_by_one_client_are_known_to_another(filled: Settings) -> None:
    with serving(filled), store.open_store("main", filled) as one, store.open_store("main", filled) as other:
        one.add_fields({"colour": "keyword"})
        one.set_payload([identity(1)], {"colour": "赤"})
        assert other.spec.fields["colour"] == "keyword"
        assert other.count(Match("colour", ("赤",))) == 1
        with pytest.raises(UnknownField, match=r"'color'.*mean 'colour'"):
            other.count(Match("color", ("x",)))


def test_a_scroll_goes_on_while_other_requests_are_made_and_may_be_left(filled: Settings) -> None:
    with serving(filled), store.open_store("main", filled) as opened:
        for _ in range(30):
            batches = opened.scroll(batch_size=3)
            first = next(batches)
            assert opened.count() == 20
            assert len(opened.retrieve([p.id for p in first])) == 3
            batches.close()  # type: ignore[attr-defined]
        assert sum(len(batch) for batch in opened.scroll(batch_size=3)) == 20
        with pytest.raises(UnknownField):
            next(opened.scroll(filter=Match("nn", (1,))))


def test_a_process_that_begins_to_serve_is_waited_for(filled: Settings) -> None:
    with serving(filled, late_s=1), store.open_store("main", filled) as opened:
        assert isinstance(opened, ServedStore)
        assert opened.count() == 20


# --- refusals ------------------------------------------------------------------------------------


def test_a_collection_in_use_and_not_served_names_the_way_out(filled: Settings) -> None:
    with serving(filled, late_s=30) as server:
        with pytest.raises(CollectionLocked, match=rf"pid {server.pid}.*clipsearch serve"):
            store.open_store("main", filled)
        kill(server)


def test_a_served_collection_is_neither_deleted_nor_made_again_nor_served_twice(filled: Settings) -> None:
    with serving(filled) as server:
        with pytest.raises(CollectionLocked, match=rf"served by another process \(pid {server.pid}\).*stop"):
            store.delete_collection("main", filled)
        with pytest.raises(StoreError, match="already exists"):
            store.create("main", SPEC, filled)
        with store.open_store("main", filled) as opened:
            assert opened.count() == 20
            with pytest.raises(CollectionLocked, match=rf"already \(pid {server.pid}\)"):
                Listener({"main": opened})
    store.delete_collection("main", filled)
    assert not filled.collection_dir("main").exists()


def test_a_server_of_another_version_is_named(filled: Settings) -> None:
    with serving(filled) as server:
        _edit_record(filled, protocol="0.old")
        with pytest.raises(StoreError, match=rf"pid {server.pid}.*another version.*clipsearch serve"):
            store.open_store("main", filled)


def test_a_closed_collection_says_so(filled: Settings) -> None:
    with serving(filled):
        opened = store.open_store("main", filled)
        opened.close()
        opened.close()
        assert opened.spec == SPEC
        for use in (opened.count, lambda: opened.upsert([]), lambda: next(opened.scroll())):
            with pytest.raises(StoreError, match="was closed"):
                use()


def test_a_second_index_run_waits_for_the_first(settings: Settings, filled: Settings) -> None:
    from contextlib import ExitStack
    from dataclasses import replace

    from indexer.target import Target

    named = replace(filled, collection="main")
    with serving(filled), ExitStack() as first, ExitStack() as second:
        Target(named, first)
        with pytest.raises(CollectionLocked, match="another index run"):
            Target(named, second)


# --- ends ----------------------------------------------------------------------------------------

WRITER = """
import sys
import test_served as t
from clipsearch import store
from clipsearch.settings import Settings
from pathlib import Path
data = Path(sys.argv[1])
with store.open_store("main", Settings(data=data, cache=data)) as opened:
    for i in range(100, 100_000, 50):
        opened.upsert(t.points(range(i, i + 50)))
        print(i + 50, flush=True)
"""


def test_a_client_killed_while_it_writes_costs_nothing(filled: Settings) -> None:
    with serving(filled), store.open_store("main", filled) as opened:
        for _ in range(3):
            writer = child(
                f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n{WRITER}", str(filled.data)
            )
            assert writer.stdout is not None
            acknowledged = [int(writer.stdout.readline()) for _ in range(20)][-1]
            kill(writer)
            writer.communicate()
            ids = [identity(i) for i in range(100, acknowledged)]
            assert len(opened.retrieve(ids)) == len(ids)
            assert opened.search(vectors(1)[0], limit=1)[0].payload["n"] == 0


def test_a_server_killed_while_it_writes_loses_nothing_that_it_acknowledged(filled: Settings) -> None:
    acknowledged = 100
    with serving(filled) as server:
        opened = store.open_store("main", filled)
        killer = threading.Timer(0.5, kill, [server])
        killer.start()
        with pytest.raises(
            StoreUnavailable, match=rf"pid {server.pid}.*same command again.*clipsearch serve"
        ):
            for start in range(100, 1_000_000, 50):
                opened.upsert(points(range(start, start + 50)))
                acknowledged = start + 50
        killer.join()
    assert acknowledged > 100
    with pytest.raises(StoreUnavailable):
        opened.count()
    with store.open_store("main", filled) as direct:
        assert isinstance(direct, Collection)
        ids = [identity(i) for i in range(100, acknowledged)]
        assert len(direct.retrieve(ids)) == len(ids)
    with serving(filled) as server:  # and who was connected to the first goes on with the second
        assert opened.count() >= acknowledged - 80
        assert opened.connection.pid == server.pid
        opened.close()


def test_what_a_killed_server_left_is_ignored_overwritten_and_swept(filled: Settings) -> None:
    record = filled.collection_dir("main") / FILE
    with serving(filled) as server:
        kill(server)
    old = json.loads(record.read_text())["address"]
    assert Path(old).exists()
    copy = record.read_text()
    store.open_store("main", filled).close()
    assert not record.exists()
    assert not Path(old).parent.exists()
    record.write_text(copy)
    with serving(filled) as server:
        new = json.loads(record.read_text())
        assert (new["pid"], new["address"] != old) == (server.pid, True)
        store.open_store("main", filled).close()
    assert not Path(new["address"]).parent.exists()


def test_stopping_answers_what_was_asked_and_then_says_that_it_is_gone(filled: Settings) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(asked: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        go_on.wait(20)
        return {"got": asked["n"]}

    with store.open_store("main", filled) as owner, ThreadPoolExecutor() as pool:
        listener = Listener({"main": owner}, handlers={"slow": slow})
        listener.start()
        connection = find(filled.collection_dir("main"))
        assert connection is not None
        answer = pool.submit(connection.call, "slow", {"n": 3})
        assert begun.wait(10)
        stopping = pool.submit(listener.stop)
        time.sleep(0.3)
        assert not stopping.done()
        go_on.set()
        assert answer.result(10) == {"got": 3}
        stopping.result(10)
        with pytest.raises(StoreUnavailable):
            connection.call("slow", {"n": 4})
        listener.stop()
        assert owner.count() == 20


def test_a_stopped_process_is_named_and_a_full_one_is_waited_for(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HANDSHAKE_S", 1.0)
    with serving(filled) as server:
        server.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreUnavailable, match=rf"pid {server.pid}.*does not answer.*kill {server.pid}"):
            store.open_store("main", filled)
        server.send_signal(signal.SIGCONT)
        store.open_store("main", filled).close()
    with store.open_store("main", filled) as owner, Listener({"main": owner}, max_connections=2):
        kept = [store.open_store("main", filled) for _ in range(2)]
        threading.Timer(0.3, kept[0].close).start()
        with store.open_store("main", filled) as third:
            assert third.count() == 20
        kept[1].close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_take_its_parents_answers(filled: Settings) -> None:
    code = f"""
import os, sys; sys.path.insert(0, {str(ROOT / "tests")!r})
import test_served as t
from pathlib import Path
from clipsearch import store
from clipsearch.settings import Settings
data = Path(sys.argv[1])
with store.open_store("main", Settings(data=data, cache=data)) as opened:
    pid = os.fork()
    for i in range(300):
        assert opened.retrieve([t.identity(pid and 3 or 4)])[0].payload["n"] == (pid and 3 or 4)
    if not pid:
        os._exit(0)
    print(os.waitpid(pid, 0)[1])
"""
    with serving(filled):
        out, said = child(code, str(filled.data)).communicate(timeout=60)
        assert (out, said) == ("0\n", "")


# --- strangers -----------------------------------------------------------------------------------


def test_only_the_user_can_read_the_record_and_reach_the_socket(filled: Settings) -> None:
    with serving(filled):
        record = filled.collection_dir("main") / FILE
        assert stat.S_IMODE(record.stat().st_mode) == 0o600
        address = Path(json.loads(record.read_text())["address"])
        assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
        assert len(os.fsencode(address)) <= 104


def test_a_client_with_another_key_is_refused_and_so_is_such_a_server(filled: Settings) -> None:
    with serving(filled):
        _edit_record(filled, key="00" * 32)
        assert find(filled.collection_dir("main")) is None
        with pytest.raises(CollectionLocked):
            store.open_store("main", filled)
    # one that only listens at the address, to be told what others write, learns nothing
    with socket.socket(socket.AF_UNIX) as fake, tempfile.TemporaryDirectory() as folder:
        fake.bind(f"{folder}/s")
        fake.listen()
        heard: list[bytes] = []

        def listen() -> None:
            peer, _ = fake.accept()
            with peer:
                peer.sendall(bytes(32))
                heard.append(peer.recv(4096))
                peer.sendall(bytes(32))
                heard.append(peer.recv(4096))

        thread = threading.Thread(target=listen)
        thread.start()
        with pytest.raises(wire.Refused):
            wire.connected(f"{folder}/s", b"k" * 32)
        thread.join()
        assert [len(part) for part in heard] == [64, 0]


def test_a_copy_of_a_served_collection_is_a_collection_of_its_own(filled: Settings, tmp_path: Path) -> None:
    with serving(filled):
        shutil.copytree(filled.data, tmp_path / "copy")
        copy = Settings(data=tmp_path / "copy", cache=tmp_path)
        assert (copy.collection_dir("main") / FILE).exists()
        with store.open_store("main", copy) as opened:
            assert isinstance(opened, Collection)
            opened.delete([identity(3)])
        with store.open_store("main", filled) as served:
            assert served.count() == 20


def test_garbage_and_silence_cost_the_others_nothing(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HANDSHAKE_S", 1.0)
    monkeypatch.setattr(wire, "STALL_S", 1.0)
    with store.open_store("main", filled) as owner, Listener({"main": owner}) as listener:
        folder = filled.collection_dir("main")
        address = json.loads((folder / FILE).read_text())["address"]
        strangers = [_stranger(address) for _ in range(40)]
        for i, one in enumerate(strangers[:20]):
            with suppress(OSError):
                one.sendall(np.random.default_rng(i).bytes(200 + 1000 * i))
        for bad in (b"not json", b"[]", b'"x"', b"{}", b'{"method": 3}', b'{"method": "close"}'):
            with pytest.raises(StoreError, match=r"cannot read|no method"):
                _say(folder, struct.pack("<II", len(bad), 0) + bad)
        for name in ("close", "__init__", "_open", "name"):
            with pytest.raises(StoreError, match="no method"):
                _request(folder, {"collection": "main", "method": name, "arguments": {}})
        with pytest.raises(StoreError, match="cannot read"):
            _request(folder, {"collection": "main", "method": "count", "arguments": {"x": 1}})
        with pytest.raises(StoreError, match="not served here"):
            _request(folder, {"collection": "other", "method": "count", "arguments": {}})
        began = time.monotonic()
        with store.open_store("main", filled) as opened:
            assert opened.count() == 20
            half = _half_a_message(folder)
            assert opened.count() == 20
        assert time.monotonic() - began < 0.9
        _wait(lambda: not listener._threads())  # silent and stalled ones are let go
        for one in (*strangers, half):
            one.close()


def test_a_message_over_the_limit_is_refused_on_both_sides(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(filled), store.open_store("main", filled) as opened:
        assert isinstance(opened, ServedStore)
        monkeypatch.setattr(wire, "MAX_MESSAGE", 10_000)
        with pytest.raises(StoreError, match="over the limit"):
            opened.upsert(points(range(1000, 2000)))
        assert opened.count() == 20
        monkeypatch.undo()
        with pytest.raises(StoreError, match="over the limit"):
            _say(opened.connection.folder, struct.pack("<II", 100, (1 << 32) - 200))
        opened.upsert(points(range(1000, 6000)))  # in several messages
        assert opened.count() == 5020
        assert len(opened.retrieve([identity(i) for i in (*range(1000, 6000), 1000)])) == 5000
        opened.delete(identity(i) for i in range(1000, 6000))
        assert opened.count() == 20
    with (
        store.open_store("main", filled) as owner,
        Listener({"main": owner}),
        store.open_store("main", filled) as opened,
    ):
        monkeypatch.setattr(wire, "MAX_MESSAGE", 2000)
        with pytest.raises(StoreError, match=r"over the limit.*fewer points"):
            opened.search(vectors(1)[0], limit=20)
        assert len(opened.search(vectors(1)[0], limit=2)) == 2


# --- whole searches ------------------------------------------------------------------------------


def test_a_handler_is_asked_for_a_whole_search(filled: Settings) -> None:
    query = Query((Term("text", "六角ボルト"),), Match("n", (3,)), "六角ボルト n=3")
    page = Page((Hit("a", 0.5, {"name": "歯車", "tags": ["x"]}, {"image": 0.5}),), 0, 10, False, 1, query)
    heard: list[dict[str, Any]] = []

    def search(asked: dict[str, Any]) -> dict[str, Any]:
        heard.append(asked)
        if asked["options"].top == 0:
            raise QueryError("top must be from 1", text="x", position=1)
        if asked["options"].top == 1:
            raise RuntimeError("boom")
        return {"page": page, "vector": np.arange(3, dtype=np.float32)}

    with (
        store.open_store("main", filled) as owner,
        Listener({"main": owner}, handlers={"search": search}),
        store.serving("main", filled) as connection,  # type: ignore[union-attr]
    ):
        assert isinstance(connection, Connection)
        assert connection.handlers == {"search"}
        asked = {"query": query, "options": SearchOptions(top=3, like=("a",)), "image": b"\xff\xd8"}
        answer = connection.call("search", asked)
        assert answer["page"] == page
        assert answer["vector"].tolist() == [0, 1, 2]
        assert heard == [asked | {"collection": "main"}]
        with pytest.raises(QueryError, match="top must be") as caught:
            connection.call("search", {"options": SearchOptions(top=0)})
        assert (caught.value.text, caught.value.position) == ("x", 1)
        with pytest.raises(StoreError, match="RuntimeError: boom"):
            connection.call("search", {"options": SearchOptions(top=1)})
        with pytest.raises(StoreError, match="no handler 'tag'; it has: search"):
            connection.call("tag", {})
        assert connection.call("search", asked) is not None


# --- parts ---------------------------------------------------------------------------------------


def _edit_record(settings: Settings, **changes: Any) -> None:
    path = settings.collection_dir("main") / FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _channel(folder: Path) -> wire.Channel:
    found = json.loads((folder / FILE).read_text())
    return wire.connected(found["address"], bytes.fromhex(found["key"]))


def _say(folder: Path, data: bytes) -> Any:
    """What comes back for bytes from one who has the key; its error is raised."""
    channel = _channel(folder)
    with suppress(OSError):
        channel._sock.sendall(data)
    return _answer(channel)


def _request(folder: Path, document: Any) -> Any:
    channel = _channel(folder)
    channel.send(document, Block())
    return _answer(channel)


def _answer(channel: wire.Channel) -> Any:
    from clipsearch.store.served.methods import error_in

    answer, _ = channel.receive(wait_s=10)
    channel.close()
    if "error" in answer:
        raise error_in(answer["error"])
    return answer["result"]


def _stranger(address: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(address)
    return made


def _half_a_message(folder: Path) -> socket.socket:
    channel = _channel(folder)
    channel._sock.sendall(struct.pack("<II", 5000, 0) + b"{")
    return channel._sock


def _wait(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
