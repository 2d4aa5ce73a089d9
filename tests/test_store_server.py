"""How a server's failures reach the user, against a stand-in on loopback that fails on purpose."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from clipsearch import store
from clipsearch.errors import CollectionNotFound, SettingsError, StoreError, StoreUnavailable
from clipsearch.settings import Settings
from clipsearch.store import server
from clipsearch.store.server.connection import Connection, connect
from clipsearch.types import CollectionSpec, Fingerprint, Match, Or, Point, Range

COMPOSE = Path(__file__).resolve().parents[1] / "compose.yaml"
SPEC = CollectionSpec(Fingerprint("starter", "", "0", "{}", "1", 4), {"holes": "integer", "note": "text"})


@dataclass
class StandIn:
    """A server that gives the queued answers first and then the usual ones; it keeps what it was sent."""

    url: str = ""
    queued: list[tuple[int, dict[str, str]] | None] = field(default_factory=list)  # None: hang up
    seen: list[tuple[str, str, Any, str | None]] = field(default_factory=list)
    collections: dict[str, Any] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        name = path.split("/")[2] if path.count("/") >= 2 else ""
        if path == "/collections":
            return 200, {"collections": [{"name": n} for n in self.collections]}
        if path.endswith("/exists"):
            return 200, {"exists": name in self.collections}
        if method == "PUT" and path == f"/collections/{name}":
            self.collections[name] = body
            return 200, True
        if method == "PATCH":
            self.collections[name]["metadata"] |= body["metadata"]
            return 200, True
        if method == "GET" and name in self.collections:
            return 200, self.description(name)
        if "/points" in path or "/index" in path:
            return 200, {"operation_id": 1, "status": "completed"}
        return 404, None

    def description(self, name: str) -> dict[str, Any]:
        made = self.collections[name]
        threshold = {"full_scan_threshold": 10000, "m": 16, "ef_construct": 100}
        optimizer = {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "default_segment_number": 0}
        return {
            "status": "green",
            "optimizer_status": "ok",
            "segments_count": 1,
            "indexed_vectors_count": 0,
            "points_count": 0,
            "config": {
                "params": {"vectors": made["vectors"], "sparse_vectors": made["sparse_vectors"]},
                "hnsw_config": threshold,
                "optimizer_config": optimizer | {"flush_interval_sec": 5},
                "metadata": made.get("metadata"),
            },
            "payload_schema": {},
        }


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    made = StandIn()
    web = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"http://127.0.0.1:{web.server_port}"
    yield made
    web.shutdown()
    web.server_close()
    thread.join()


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            body = json.loads(raw) if raw else None
            path = self.path.split("?")[0]
            stand_in.seen.append((self.command, path, body, self.headers.get("api-key")))
            headers: dict[str, str] = {}
            if stand_in.queued:
                queued = stand_in.queued.pop(0)
                if queued is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                status, headers = queued[0], dict(queued[1])
                result: Any = None
            else:
                status, result = stand_in.answer(self.command, path, body)
            said = {"result": result, "status": "ok", "time": 0.0}
            if status >= 300:
                said["status"] = {"error": headers.pop("says", "as told")}
            text = json.dumps(said).encode()
            self.send_response(status)
            for key, value in {**headers, "content-type": "application/json"}.items():
                self.send_header(key, value)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Handler


def settings_for(url: str, folder: Path, key: str | None = None) -> Settings:
    return Settings(data=folder, cache=folder, url=url, api_key=key)


def point() -> Point:
    import numpy as np

    return Point("2a7e3a0e-8a5f-5b0b-9d6e-0c6f0f1c2d3e", {"image": np.ones(4, np.float32)}, {"holes": 2})


@pytest.fixture
def connection(stand_in: StandIn, tmp_path: Path) -> Iterator[Connection]:
    made = connect(settings_for(stand_in.url, tmp_path))
    made.pause_s = 0.001
    yield made
    made.close()


@pytest.fixture
def grpc_stand_in(stand_in: StandIn) -> Iterator[list[Any]]:
    """gRPC on the port after the stand-in's, with one collection; the list is what was asked."""
    from qdrant_client import grpc as vendor

    grpc, qdrant = import_module("grpc"), cast(Any, vendor)  # neither has types

    asked: list[Any] = []

    class Collections(qdrant.CollectionsServicer):  # type: ignore[name-defined,misc]
        def List(self, request: Any, context: Any) -> Any:  # noqa: N802
            asked.append(dict(context.invocation_metadata()).get("api-key"))
            if asked[-1] == "wrong":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "Invalid API key")
            found = qdrant.CollectionDescription(name="through-grpc")
            return qdrant.ListCollectionsResponse(collections=[found], time=0.0)

    made = grpc.server(futures.ThreadPoolExecutor(2))
    qdrant.add_CollectionsServicer_to_server(Collections(), made)
    if not made.add_insecure_port(f"127.0.0.1:{int(stand_in.url.rpartition(':')[2]) + 1}"):
        pytest.skip("needs the port after a free one")
    made.start()
    yield asked
    made.stop(None)


def test_grpc_is_taken_where_the_server_speaks_it(
    stand_in: StandIn, grpc_stand_in: list[Any], tmp_path: Path
) -> None:
    made = connect(settings_for(stand_in.url, tmp_path, key="secret"))
    names = [c.name for c in made.call(made.client.get_collections).collections]
    made.close()
    assert names == ["through-grpc"]
    assert set(grpc_stand_in) == {"secret"}
    assert stand_in.seen == []


def test_a_key_that_grpc_refuses_is_tried_over_rest_and_then_explained(
    stand_in: StandIn, grpc_stand_in: list[Any], tmp_path: Path
) -> None:
    stand_in.queued.append((401, {"says": "Invalid API key"}))
    with pytest.raises(StoreError, match=r"refused the API key.*QDRANT_API_KEY"):
        connect(settings_for(stand_in.url, tmp_path, key="wrong"))
    assert grpc_stand_in == ["wrong"]


def test_rest_is_taken_where_the_next_port_belongs_to_something_else(
    stand_in: StandIn, tmp_path: Path
) -> None:
    try:
        port = int(stand_in.url.rpartition(":")[2]) + 1
        other = ThreadingHTTPServer(("127.0.0.1", port), _handler(StandIn()))
    except OSError:
        pytest.skip("needs the port after a free one")
    thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        assert store.list_collections(settings_for(stand_in.url, tmp_path)) == []
        assert [path for _, path, _, _ in stand_in.seen][:1] == ["/collections"]
    finally:
        other.shutdown()
        other.server_close()
        thread.join()


@pytest.mark.parametrize(
    "failures",
    [
        [(503, {}), (500, {})],
        [(429, {})],
        [(429, {"retry-after": "0"})],
        [None, None],
        [(502, {}), None, (504, {})],
    ],
    ids=["5xx", "429", "429-after", "hang-up", "mixed"],
)
def test_a_write_is_tried_again_until_the_server_is_back(
    stand_in: StandIn, connection: Connection, tmp_path: Path, failures: list[Any]
) -> None:
    opened = server.create("parts", SPEC, settings_for(stand_in.url, tmp_path), client=connection.client)
    opened._open._connection.pause_s = 0.001  # type: ignore[attr-defined]
    stand_in.seen.clear()
    stand_in.queued.extend(failures)
    opened.upsert([point()])
    sent = [body for _, path, body, _ in stand_in.seen if path == "/collections/parts/points"]
    assert len(sent) == len(failures) + 1
    assert all(body == sent[0] for body in sent)
    assert sent[-1]["points"][0]["payload"] == {"holes": 2}


def test_a_server_that_stays_away_is_given_up_with_the_way_out(
    stand_in: StandIn, connection: Connection
) -> None:
    stand_in.queued.extend([(503, {"says": "starting up"})] * 20)
    with pytest.raises(StoreUnavailable, match=rf"{stand_in.url}.*starting up.*docker compose up") as caught:
        connection.call(connection.client.get_collections, tries=3)
    assert caught.value.__cause__ is not None
    assert len(stand_in.queued) == 17


@pytest.mark.parametrize(
    ("status", "says", "error", "message"),
    [
        (401, "Must provide an API key", StoreError, "refused the API key.*Must provide.*QDRANT_API_KEY"),
        (403, "Forbidden", StoreError, "refused the API key"),
        (404, "Collection `x` doesn't exist", CollectionNotFound, "doesn't exist"),
        (400, "Wrong input: Vector dimension error", StoreError, "refused: Wrong input: Vector dimension"),
    ],
)
def test_a_refusal_is_not_tried_again_and_says_why(
    stand_in: StandIn, connection: Connection, status: int, says: str, error: type[Exception], message: str
) -> None:
    stand_in.queued.append((status, {"says": says}))
    stand_in.seen.clear()
    with pytest.raises(error, match=message):
        connection.call(connection.client.get_collections)
    assert len(stand_in.seen) == 1


def test_a_full_disk_of_the_server_says_what_to_do(stand_in: StandIn, connection: Connection) -> None:
    stand_in.queued.append((500, {"says": "Service internal error: No space left on device"}))
    with pytest.raises(StoreError, match=r"disk of the Qdrant server.*full.*free some space"):
        connection.call(connection.client.get_collections, tries=1)


def test_a_dead_server_is_said_at_once(tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    doors: list[Callable[[], Any]] = [
        lambda: store.open_store("parts", settings_for(url, tmp_path)),
        lambda: store.create("parts", SPEC, settings_for(url, tmp_path)),
        lambda: store.list_collections(settings_for(url, tmp_path)),
        lambda: store.delete_collection("parts", settings_for(url, tmp_path)),
        lambda: store.exists("parts", settings_for(url, tmp_path)),
    ]
    for door in doors:
        with pytest.raises(StoreUnavailable, match=rf"{url} does not answer .*refused.*QDRANT_URL"):
            door()


def test_something_that_is_no_qdrant_is_not_believed(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answer = lambda method, path, body: (200, "hello")  # type: ignore[method-assign]
    with pytest.raises(StoreError, match=stand_in.url):
        store.list_collections(settings_for(stand_in.url, tmp_path))


def test_the_key_travels_only_encrypted_or_on_loopback(stand_in: StandIn, tmp_path: Path) -> None:
    store.list_collections(settings_for(stand_in.url, tmp_path, key="secret"))
    assert {key for *_, key in stand_in.seen} == {"secret"}
    with pytest.raises(SettingsError, match=r"API key.*unencrypted.*http://example\.com.*https"):
        store.list_collections(settings_for("http://example.com:6333", tmp_path, key="secret"))


def test_indexes_come_before_points_and_the_spec_is_kept_in_the_metadata(
    stand_in: StandIn, tmp_path: Path
) -> None:
    settings = settings_for(stand_in.url, tmp_path)
    with store.create("parts", SPEC, settings) as made:
        made.upsert([point()])
    paths = [path for _, path, _, _ in stand_in.seen]
    indexed = [body["field_name"] for _, path, body, _ in stand_in.seen if path.endswith("/index")]
    assert {'"holes"', '"note"', '"_key"', '"_sha256"'} <= set(indexed)
    last_index = max(i for i, path in enumerate(paths) if path.endswith("/index"))
    assert paths.index("/collections/parts/points") > last_index
    created = stand_in.collections["parts"]
    assert created["vectors"] == {"image": {"size": 4, "distance": "Cosine"}}
    assert created["sparse_vectors"] == {"lexical": {"modifier": "idf"}}
    assert created["metadata"]["clipsearch"]["ready"] is True
    with store.open_store("parts", settings) as again:
        assert again.spec == SPEC
    assert store.list_collections(settings) == ["parts"]


def test_a_collection_whose_making_was_cut_short_is_finished_on_opening(
    stand_in: StandIn, tmp_path: Path
) -> None:
    settings = settings_for(stand_in.url, tmp_path)
    store.create("parts", SPEC, settings).close()
    stand_in.collections["parts"]["metadata"]["clipsearch"]["ready"] = False
    stand_in.seen.clear()
    store.open_store("parts", settings).close()
    indexed = sum(path.endswith("/index") for _, path, _, _ in stand_in.seen)
    assert indexed == len(store.all_fields(SPEC))
    assert stand_in.collections["parts"]["metadata"]["clipsearch"]["ready"] is True


def test_a_collection_that_is_not_ours_is_left_alone(stand_in: StandIn, tmp_path: Path) -> None:
    settings = settings_for(stand_in.url, tmp_path)
    store.create("parts", SPEC, settings).close()
    stand_in.collections["other"] = stand_in.collections["parts"] | {"metadata": None}
    assert store.list_collections(settings) == ["parts"]
    for door in (store.open_store, store.read_spec, store.delete_collection):
        with pytest.raises(StoreError, match="not made by clipsearch"):
            door("other", settings)
    with pytest.raises(CollectionNotFound, match="there are: other, parts"):
        store.open_store("third", settings)


def test_a_filter_is_sent_as_the_server_reads_it(stand_in: StandIn, connection: Connection) -> None:
    from clipsearch.store.filters import translate
    from clipsearch.store.server.engine import ServerDialect
    from clipsearch.store.spec import all_fields

    filter = Or((Match("holes", (1, 2)), Range("holes", gt=3), Match("note", ("真鍮",))))
    sent = translate(filter, all_fields(SPEC), ServerDialect()).model_dump(exclude_none=True)
    assert sent == {
        "should": [
            {"must": [{"key": '"holes"', "match": {"any": [1, 2]}}]},
            {"must": [{"key": '"holes"', "range": {"gt": 3.0}}]},
            {
                "must": [
                    {
                        "should": [
                            {"key": '"note"', "match": {"text": "真鍮"}},
                            {"key": '"note"', "match": {"substring": "真鍮"}},
                        ]
                    }
                ]
            },
        ]
    }


# --- compose.yaml --------------------------------------------------------------------------------


def test_the_compose_file_keeps_the_server_to_this_machine_and_behind_a_key() -> None:
    told = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert set(told) == {"name", "services", "volumes"}
    qdrant = told["services"]["qdrant"]
    image, tag = qdrant["image"].split(":")
    assert image == "qdrant/qdrant"
    assert [part.isdigit() for part in tag.removeprefix("v").split(".")] == [True, True, True]
    assert all(port.startswith("127.0.0.1:") for port in qdrant["ports"])
    assert {port.split(":")[1] for port in qdrant["ports"]} == {"6333", "6334"}
    assert qdrant["environment"]["QDRANT__SERVICE__API_KEY"].startswith("${QDRANT_API_KEY:?")
    assert all(isinstance(value, str) for value in qdrant["environment"].values())
    assert qdrant["volumes"] == ["qdrant:/qdrant/storage"]
    assert set(told["volumes"]) == {"qdrant"}
    assert qdrant["read_only"] is True
    written = [v for k, v in qdrant["environment"].items() if k.endswith("_PATH")]
    assert all(path.startswith(("/qdrant/storage", "/tmp")) for path in written)
    assert qdrant["mem_limit"]
    assert qdrant["cpus"]


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_asks_readyz_with_nothing_but_bash(
    stand_in: StandIn, status: int, healthy: bool
) -> None:
    import shutil
    import subprocess

    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    told = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    kind, shell, *command = told["services"]["qdrant"]["healthcheck"]["test"]
    assert (kind, shell) == ("CMD", "bash")
    port = stand_in.url.rpartition(":")[2]
    command = [bash, *(part.replace("$$", "$").replace("/6333", f"/{port}") for part in command)]
    stand_in.queued.append((status, {}))
    assert (subprocess.run(command, timeout=20, check=False, env={"PATH": ""}).returncode == 0) is healthy
    assert [(method, path) for method, path, *_ in stand_in.seen] == [("GET", "/readyz")]
    dead = [part.replace(f"/{port}", "/1") for part in command]
    assert subprocess.run(dead, timeout=20, check=False, stderr=subprocess.DEVNULL).returncode != 0
