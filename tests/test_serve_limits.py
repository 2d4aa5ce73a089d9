"""The server's bounds with short deadlines, on a socket, in this process; no collection is needed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from clipsearch.serve import Access, Limits, address
from clipsearch.serve.server import Service, make_server
from clipsearch.settings import Settings

SHORT = Limits(header_timeout_s=0.4, body_timeout_s=0.4, stop_timeout_s=2)


@contextmanager
def listening(tmp_path: Path, limits: Limits = SHORT, access: Access | None = None) -> Iterator[int]:
    """The port of a server without collections."""
    service = Service(Settings.load(data=tmp_path / "data"), access=access or Access(), limits=limits)
    ready = threading.Event()
    server = make_server(service, ready.set)
    thread = threading.Thread(target=lambda: server.run(sockets=[bound]))
    with address.bind("127.0.0.1", 0) as bound:
        thread.start()
        assert ready.wait(10)
        service.warm(tell=lambda line: None)
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)
            service.close()


def talk(port: int, *pieces: bytes | float) -> bytes:
    """What the server answers until it closes the connection; a number is a pause in seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for piece in pieces:
            if isinstance(piece, float):
                time.sleep(piece)
            else:
                connection.sendall(piece)
        answer = b""
        try:
            while block := connection.recv(65536):
                answer += block
        except ConnectionResetError:
            pass
        return answer


def test_slow_headers_and_a_slow_body_get_408_and_others_are_served_meanwhile(tmp_path: Path) -> None:
    slow: dict[str, bytes] = {}

    def late(name: str, *pieces: bytes | float) -> None:
        slow[name] = talk(port, *pieces)

    head = b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n"
    with listening(tmp_path) as port:
        threads = [
            threading.Thread(target=late, args=["headers", b"GET /healthz HTTP/1.1\r\nHost: lo"]),
            threading.Thread(
                target=late, args=["drops", b"GET /healthz HTTP/1.1\r\n", 0.2, b"Host: localhost\r\n"]
            ),
            threading.Thread(target=late, args=["body", head, b"{"]),
            threading.Thread(target=late, args=["silent"]),
        ]
        for thread in threads:
            thread.start()
        started = time.perf_counter()
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        assert time.perf_counter() - started < 0.35, "a slow client made another wait"
        for thread in threads:
            thread.join(10)
    for name in ("headers", "drops", "body"):
        assert slow[name].startswith(b"HTTP/1.1 408 "), name
        assert b'"code": "too-slow"' in slow[name]
    assert slow["silent"] == b""


def test_a_kept_connection_has_the_deadline_for_every_request(tmp_path: Path) -> None:
    whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with listening(tmp_path) as port:
        answer = talk(port, whole, 0.2, whole, 0.2, b"GET /heal")
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.count(b"HTTP/1.1 408 ") == 1


def test_what_is_no_http_and_headers_without_end_get_400_in_the_one_shape(tmp_path: Path) -> None:
    with listening(tmp_path) as port:
        assert b'"code": "bad-http"' in talk(port, b"hello\r\n\r\n")
        assert talk(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 70_000).startswith(
            b"HTTP/1.1 400 "
        )


def test_a_refused_upload_is_answered_while_it_is_still_coming(tmp_path: Path) -> None:
    limits = replace(SHORT, upload_bytes=100_000)
    head = (
        b"POST /search/image HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    )
    with listening(tmp_path, limits) as port:
        declared = talk(port, head + b"Content-Length: 99999999\r\nConnection: close\r\n\r\n")
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        counted = talk(
            port, head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n", chunk, chunk, chunk
        )
    for answer in (declared, counted):
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"code": "too-large"' in answer


def test_too_many_connections_of_one_client_are_refused(tmp_path: Path) -> None:
    with listening(tmp_path, replace(SHORT, connections=4)) as port:
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        time.sleep(0.1)
        refused = talk(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in refused.lower()
        for connection in held:
            connection.close()
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200)


def test_too_many_requests_get_429_with_when_to_come_again(tmp_path: Path) -> None:
    key = "0123456789abcdef"
    with listening(tmp_path, replace(SHORT, rate=1.0, burst_s=3.0), Access(key=key)) as port:
        url = f"http://127.0.0.1:{port}/collections"
        guesses = [httpx.get(url, headers={"X-API-Key": "no"}).status_code for _ in range(5)]
        assert guesses == [401, 401, 401, 429, 429]
        answers = [httpx.get(url, headers={"X-API-Key": key}) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert answers[-1].json()["error"]["code"] == "too-many"


def test_more_requests_at_once_than_the_server_takes_get_503(tmp_path: Path) -> None:
    with listening(tmp_path, replace(SHORT, in_flight=0)) as port:
        refused = httpx.get(f"http://127.0.0.1:{port}/collections")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://shop.example"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
    ],
)
def test_web_pages_of_other_addresses_may_not_ask(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    access = Access(hosts=frozenset({"localhost", "127.0.0.1"}), origins=("https://shop.example",))
    with listening(tmp_path, access=access) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/collections", headers=headers)
        assert answer.status_code == status
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == ("https://shop.example" if "shop" in headers.get("Origin", "") else None)


def test_the_servers_own_page_may_ask(tmp_path: Path) -> None:
    with listening(tmp_path, access=Access(hosts=frozenset({"127.0.0.1"}))) as port:
        own = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{own}/collections", headers={"Origin": own}).status_code == 200
        assert "access-control-allow-origin" not in httpx.get(own, headers={"Origin": own}).headers


def test_a_client_that_does_not_take_its_answer_is_cut_off(tmp_path: Path) -> None:
    with listening(tmp_path, replace(SHORT, read_timeout_s=0.5)) as port:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", port))
            deaf.settimeout(10)
            ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
            deaf.setblocking(False)
            cut = False
            deadline = time.monotonic() + 10
            while not cut and time.monotonic() < deadline:
                try:
                    deaf.send(ask * 50)
                except BlockingIOError:
                    time.sleep(0.02)
                except (ConnectionResetError, BrokenPipeError):
                    cut = True
            assert cut
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
