"""`clipsearch serve` as people run it: a process of its own over the demo collection, asked over HTTP."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from serving import Running, serving

import clipsearch
from clipsearch.cli.demo import data_folder
from clipsearch.errors import CollectionLocked
from clipsearch.serve import Access
from clipsearch.serve.server import Service
from clipsearch.settings import Settings
from clipsearch.store import create, open_store

Run = Callable[..., subprocess.CompletedProcess[str]]
PHOTO = data_folder() / "images"


@pytest.fixture(scope="module")
def places(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a server over a copy of the demo collection."""
    data = tmp_path_factory.mktemp("serve") / "data"
    shutil.copytree(demo_data, data)
    return {"CLIPSEARCH_DATA": str(data), "CLIPSEARCH_CACHE": str(demo_data.parent / "cache")}


@pytest.fixture(scope="module")
def server(places: dict[str, str]) -> Iterator[Running]:
    with serving(**places) as running:
        yield running


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


# --- answers -------------------------------------------------------------------------------------


def test_it_says_what_it_serves_and_where(server: Running) -> None:
    said = "\n".join(server.said)
    assert "collection demo: 1,164 pictures, starter" in said
    assert f"docs: {server.url}/docs" in said
    assert "(this machine only)" in said


def test_a_search_by_json_and_by_query_string_are_one(http: httpx.Client) -> None:
    ask = {"q": "gear", "filter": ["material=brass", "teeth>=20"], "top": 2}
    posted = http.post("/search", json=ask).json()
    assert http.get("/search", params=ask).json() == posted
    assert [hit["rank"] for hit in posted["hits"]] == [1, 2]
    assert all(hit["payload"]["material"] == "brass" for hit in posted["hits"])
    assert not any(name.startswith("_") for hit in posted["hits"] for name in hit["payload"])
    assert (posted["collection"], posted["model"], posted["limit"]) == ("demo", "starter", 2)


def test_pages_continue_where_the_last_one_ended(http: httpx.Client) -> None:
    def ids(**ask: object) -> list[str]:
        return [hit["id"] for hit in http.post("/search", json={"q": "六角ナット", **ask}).json()["hits"]]

    assert ids(top=6) == [*ids(top=3), *ids(top=3, offset=3)]


def test_an_uploaded_picture_finds_its_own_record(http: httpx.Client) -> None:
    photo = min(PHOTO.glob("*.jpg"))
    found = http.post("/search/image", files={"image": photo.read_bytes()}, data={"top": 3}).json()
    assert Path(found["hits"][0]["path"]).name == photo.name
    filtered = http.post(
        "/search/image",
        files={"image": photo.read_bytes()},
        data={"q": "red", "filter": ["material=brass"], "top": 3},
    ).json()
    assert {hit["payload"]["material"] for hit in filtered["hits"]} == {"brass"}


def test_a_record_and_an_upload_are_tagged_alike(http: httpx.Client) -> None:
    hit = http.post("/search", json={"q": "hex nut", "top": 1}).json()["hits"][0]
    labels = ["gear", "hex nut", "elbow fitting"]
    by_key = http.post("/tag", json={"key": hit["key"], "labels": labels}).json()
    uploaded = http.post(
        "/tag/image", files={"image": Path(hit["path"]).read_bytes()}, data={"labels": labels}
    ).json()
    assert by_key["tags"][0]["label"] == uploaded["tags"][0]["label"] == "hex nut"
    assert sum(tag["probability"] for tag in by_key["tags"]) == pytest.approx(1, abs=1e-4)
    first, second = by_key["tags"][:2]
    odds = by_key["logit_scale"] * (first["cosine"] - second["cosine"])
    assert first["probability"] / second["probability"] == pytest.approx(2.718281828**odds, rel=1e-2)


def test_collections_health_docs_and_metrics(http: httpx.Client) -> None:
    assert http.get("/collections").json() == {"collections": ["demo"], "default": "demo"}
    info = http.get("/collections/demo").json()
    assert (info["n_points"], info["model"], info["fields"]["material"]) == (1164, "starter", "keyword")
    until(lambda: http.get("/healthz").json() == {"alive": True, "ready": True})
    page = http.get("/docs").text
    assert "POST /search/image" in page
    assert "http://" not in page
    assert "https://" not in page, "the page fetches nothing from elsewhere"
    http.post("/search", json={"q": "something new to encode"})
    metrics = http.get("/metrics").text
    for line in (
        'clipsearch_requests_total{method="POST",route="/search",status="200"}',
        'clipsearch_request_seconds_bucket{le="0.1",route="/collections/{name}",status="200"}',
        'clipsearch_batch_size_count{kind="text"}',
        "clipsearch_queue_depth 0.0",
        'clipsearch_points{collection="demo"} 1164.0',
    ):
        assert line in metrics


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "status", "code", "position"),
    [
        ({"q": 'brass "bolt'}, 400, "bad-query", 6),
        ({"q": "gear", "filter": ["teeth=many"]}, 400, "bad-query", ...),
        ({"q": "gear", "filter": ["colour=red"]}, 400, "unknown-field", ...),
        ({"q": "bolt + ./photo.jpg"}, 400, "no-files", 5),
        ({"q": "/etc/passwd"}, 400, "no-files", 0),
        ({"q": "like ~/secret.png"}, 400, "no-files", 5),
        ({"q": "http://169.254.169.254/latest"}, 400, "no-files", 0),
        ({"q": "-https://example.org/a.jpg gear"}, 400, "no-files", 0),
        ({"q": "gear", "tpo": 3}, 400, "bad-request", None),
        ({"q": "gear", "top": 100_000}, 400, "bad-request", None),
        ({"q": "gear" * 5000}, 400, "bad-request", None),
        ({}, 400, "bad-query", ...),
        ({"q": "gear", "collection": "holiday"}, 404, "no-collection", None),
        ({"q": "gear", "collection": "../demo"}, 404, "no-collection", None),
    ],
)
def test_a_wrong_request_says_what_is_wrong_and_where(
    http: httpx.Client, ask: dict[str, object], status: int, code: str, position: object
) -> None:
    for answer in (http.post("/search", json=ask), http.get("/search", params=ask)):  # type: ignore[arg-type]
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (status, code), error
        assert position is ... or error.get("position") == position
        assert error["message"]


def test_no_json_is_pointed_at(http: httpx.Client) -> None:
    answer = http.post("/search", content=b'{"q": gear}', headers={"Content-Type": "application/json"})
    assert answer.json()["error"]["code"] == "bad-json"
    assert answer.json()["error"]["position"] == 6


def test_what_is_no_usable_picture_gets_422_with_the_reason(http: httpx.Client) -> None:
    jpeg = next(PHOTO.glob("*.jpg")).read_bytes()
    pictures = {
        "not-an-image": b"hello",
        "truncated": jpeg[: len(jpeg) // 2],
        "too-large": bomb(),
        "empty": b"",
    }
    for reason, picture in pictures.items():
        for route, data in (("/search/image", {}), ("/tag/image", {"labels": ["gear"]})):
            answer = http.post(route, files={"image": picture}, data=data)
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, reason)
            assert "the uploaded picture" in answer.json()["error"]["message"]
    large = http.post("/search/image", files={"image": bytes(21 * 1024 * 1024)})
    assert (large.status_code, large.json()["error"]["code"]) == (413, "too-large")


def test_unknown_records_and_labels_without_a_place_are_refused(http: httpx.Client) -> None:
    assert http.post("/tag", json={"key": "nothing", "labels": ["a"]}).status_code == 404
    assert http.post("/tag", json={"key": "nothing", "labels": []}).status_code == 400
    key = http.post("/search", json={"q": "gear", "top": 1}).json()["hits"][0]["key"]
    answer = http.post("/tag", json={"key": key, "labels": ["a"], "template": "a photo"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad-request")


def test_on_a_network_address_the_key_is_made_and_never_shown(places: dict[str, str]) -> None:
    with serving(
        "--host", "0.0.0.0", **{**places, "CLIPSEARCH_DATA": f"{places['CLIPSEARCH_DATA']}-empty"}
    ) as running:
        file = Path(f"{places['CLIPSEARCH_DATA']}-empty/serve.key")
        key = file.read_text().strip()
        said = "\n".join(running.said)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert str(file) in said
        assert key not in said
        url = f"http://127.0.0.1:{running.port}"
        for headers, status in (
            ({}, 401),
            ({"X-API-Key": key[:-1]}, 401),
            ({"Authorization": f"Bearer {key}"}, 200),
        ):
            answer = httpx.get(f"{url}/collections", headers=headers)
            assert answer.status_code == status
        assert httpx.get(f"{url}/metrics").status_code == 401
        assert httpx.get(f"{url}/healthz").status_code in (200, 503)


def test_a_port_in_use_and_an_unknown_collection_are_said_clearly(
    run_cli: Run, server: Running, places: dict[str, str]
) -> None:
    taken = run_cli("serve", "--port", str(server.port), **places)
    assert taken.returncode == 1
    assert f"port {server.port} of 127.0.0.1 is in use" in taken.stderr
    unknown = run_cli("serve", "holiday", "--port", "0", **places)
    assert unknown.returncode == 1
    assert "no collection 'holiday'" in unknown.stderr
    twice = run_cli("serve", "demo", "--port", "0", **places)
    assert twice.returncode == 1
    assert "served by another process" in twice.stderr
    assert "Traceback" not in taken.stderr + unknown.stderr + twice.stderr


# --- one owner -----------------------------------------------------------------------------------


def test_the_command_line_goes_through_the_server(
    run_cli: Run, http: httpx.Client, places: dict[str, str]
) -> None:
    local = run_cli("search", "brass hex bolt", "-c", "demo", "--top", "3", "--json", **places)
    assert local.returncode == 0, local.stderr
    served = http.post("/search", json={"q": "brass hex bolt", "top": 3}).json()
    assert [hit["id"] for hit in json.loads(local.stdout)["hits"]] == [hit["id"] for hit in served["hits"]]


def test_the_local_handler_answers_with_the_clients_own_files(
    server: Running, places: dict[str, str]
) -> None:
    from clipsearch.store import serving as served_by

    connection = served_by("demo", Settings.load(data=Path(places["CLIPSEARCH_DATA"])))
    assert connection is not None
    try:
        photo = min(PHOTO.glob("*.jpg"))
        for how in ({"image": [str(photo)]}, {"text": f"./{photo.name}", "folder": str(PHOTO)}):
            answer = connection.call("search", {**how, "options": {"top": 2}})
            assert next(hit.path for hit in answer["page"]) == str(photo)
            assert answer["model"] == "starter"
    finally:
        connection.close()


def test_a_collection_made_later_is_served_and_two_share_one_encoder(
    settings: Settings, tmp_path: Path
) -> None:
    from clipsearch.encoder import Encoder
    from clipsearch.types import CollectionSpec

    with Encoder.open(settings.model, device="cpu", cache=settings.cache) as encoder:
        spec = CollectionSpec(encoder.fingerprint)
    create("first", spec, settings).close()
    service = Service(settings, access=Access())
    service.open(tell=pytest.fail)
    try:
        assert service.collections.names() == ["first"]
        create("second", spec, settings).close()
        assert service.collections.encoder("second") is service.collections.encoder("first")
        assert service.collections.n_points() == {"first": 0, "second": 0}
        with open_store("second", settings) as theirs:
            assert theirs.count() == 0
    finally:
        service.close()
    with open_store("second", settings) as ours:
        assert ours.count() == 0


def test_a_collection_in_use_elsewhere_is_tried_again_when_asked_for(settings: Settings) -> None:
    from clipsearch.encoder import Encoder
    from clipsearch.types import CollectionSpec

    with Encoder.open(settings.model, device="cpu", cache=settings.cache) as encoder:
        held = create("held", CollectionSpec(encoder.fingerprint), settings)
    said: list[str] = []
    service = Service(settings, access=Access())
    try:
        service.open(tell=said.append)
        assert "held" in said[0]
        with pytest.raises(CollectionLocked):
            service.collections.searcher("held")
        held.close()
        assert service.collections.store("held").count() == 0
    finally:
        service.close()


# --- the end -------------------------------------------------------------------------------------


def test_told_to_stop_it_answers_what_it_has_begun_and_closes(demo_copy: Path) -> None:
    with serving() as running:
        answers: list[int] = []

        def ask() -> None:
            with httpx.Client(base_url=running.url, timeout=30) as client:
                while True:
                    try:
                        answers.append(client.post("/search", json={"q": f"gear {len(answers)}"}).status_code)
                    except httpx.TransportError:
                        return

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        until(lambda: len(answers) > 20)
        assert running.stop() == 0
        for thread in asking:
            thread.join(10)
        assert set(answers) == {200}
        until(lambda: running.said[-1] == "stopped")
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", running.port), timeout=1):
            pass
    with clipsearch.open("demo") as searcher:
        assert len(searcher.search("gear", top=3)) == 3


def test_a_second_signal_ends_it_at_once(demo_copy: Path) -> None:
    with serving() as running, socket.create_connection(("127.0.0.1", running.port)) as slow:
        slow.sendall(b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
        until(lambda: httpx.get(f"{running.url}/healthz").status_code == 200)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert running.process.poll() is None, "it waits for the request that has begun"
        started = time.monotonic()
        assert running.stop() == 128 + signal.SIGTERM
        assert time.monotonic() - started < 2
    with clipsearch.open("demo") as searcher:
        assert len(searcher.search("gear", top=3)) == 3


def bomb(side: int = 20_000) -> bytes:
    """A PNG of side x side pixels, a thousandth of that in bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    head = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
