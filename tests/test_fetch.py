"""What is fetched over the web, and what is not, on a real server of this machine."""

from __future__ import annotations

import gzip
import logging
import socket
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest
from web_server import Handler, Site, serving

import clipsearch
from clipsearch import images
from clipsearch.errors import ImageError
from indexer.sources.addresses import fault, is_public, without_credentials
from indexer.sources.fetch import Fetcher, Limits


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def fetcher(**limits: object) -> Fetcher:
    return Fetcher(Limits(**{"allow_private": True, "back_off_s": 0.01, **limits}))  # type: ignore[arg-type]


def refused(url: str, says: str, *, reason: str = "unreachable", **limits: object) -> str:
    with pytest.raises(ImageError, match=says) as caught:
        fetcher(**limits).fetch(url)
    assert caught.value.reason == reason
    assert reason in images.REASONS
    return str(caught.value)


def answers(*replies: tuple[int, bytes, dict[str, str]]) -> object:
    """A page that answers in turn, the last for ever."""
    todo = list(replies)

    def page(handler: Handler) -> None:
        status, body, headers = todo.pop(0) if len(todo) > 1 else todo[0]
        handler.answer(status, body, **headers)

    return page


def test_a_picture_is_fetched_by_whoever_says_who_it_is(site: Site) -> None:
    site.pages["/a b.jpg"] = site.pages["/a%20b.jpg"] = b"picture"
    assert fetcher().fetch(f"{site.url}/a b.jpg") == b"picture"
    assert site.headers[0]["User-Agent"] == f"clipsearch/{clipsearch.__version__}"


def test_what_is_not_there_is_said_once(site: Site) -> None:
    message = refused(f"{site.url}/nowhere.jpg", "answers 404")
    assert f"{site.url}/nowhere.jpg" in message
    assert "--retry-failed" in message
    assert site.asked["/nowhere.jpg"] == 1


def test_a_host_that_asks_to_wait_is_waited_for(site: Site) -> None:
    site.pages["/x"] = answers((429, b"", {"Retry_After": "1"}), (200, b"picture", {}))  # type: ignore[assignment]
    start = time.monotonic()
    assert fetcher().fetch(f"{site.url}/x") == b"picture"
    assert time.monotonic() - start >= 1
    dated = formatdate(time.time() + 2, usegmt=True)
    site.pages["/y"] = answers((503, b"", {"Retry_After": dated}), (200, b"picture", {}))  # type: ignore[assignment]
    start = time.monotonic()
    assert fetcher().fetch(f"{site.url}/y") == b"picture"
    assert time.monotonic() - start > 0.5


def test_a_host_that_asks_for_an_hour_is_left_alone(site: Site) -> None:
    site.pages["/x"] = answers((429, b"", {"Retry_After": "3600"}))  # type: ignore[assignment]
    refused(f"{site.url}/x", "answers 429, after 1 attempt")
    assert site.asked["/x"] == 1


def test_a_failing_host_is_tried_again_and_then_told_of(site: Site) -> None:
    site.pages["/x"] = answers((500, b"", {}), (502, b"", {}), (200, b"picture", {}))  # type: ignore[assignment]
    assert fetcher().fetch(f"{site.url}/x") == b"picture"
    site.pages["/y"] = answers((500, b"", {}))  # type: ignore[assignment]
    refused(f"{site.url}/y", "answers 500, after 4 attempts")
    assert site.asked["/y"] == 4


def test_a_slow_drip_ends_with_the_time_it_may_take(site: Site) -> None:
    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    site.pages["/x"] = drip
    start = time.monotonic()
    refused(f"{site.url}/x", r"not there after 0.5 s; allow more with --timeout", timeout_s=0.5)
    assert time.monotonic() - start < 2
    assert site.asked["/x"] == 1


def test_no_more_is_read_than_may_come_whatever_the_host_claims(site: Site) -> None:
    sent: list[int] = []

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        for i in range(10_000):
            sent.append(i)
            handler.wfile.write(b"x" * 100_000)

    site.pages["/endless"] = endless
    refused(
        f"{site.url}/endless", "more bytes, over the bound of 1,000,000", reason="too-large", max_bytes=10**6
    )
    assert len(sent) < 1000
    site.pages["/claimed"] = b"x" * 2000
    refused(f"{site.url}/claimed", "2,000 bytes, over the bound", reason="too-large", max_bytes=1999)
    assert len(fetcher(max_bytes=2000).fetch(f"{site.url}/claimed")) == 2000


def test_a_body_that_ends_too_early_is_tried_again_and_not_taken(site: Site) -> None:
    def cut(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)
        handler.close_connection = True

    site.pages["/x"] = cut
    refused(f"{site.url}/x", "after 4 attempts")
    assert site.asked["/x"] == 4


def packed(body: bytes, encoding: str) -> object:
    return answers((200, body, {"Content_Encoding": encoding}))


def test_a_packed_answer_is_unpacked_up_to_the_bound(site: Site) -> None:
    site.pages["/good"] = packed(gzip.compress(b"picture"), "gzip")  # type: ignore[assignment]
    site.pages["/zlib"] = packed(zlib.compress(b"picture"), "deflate")  # type: ignore[assignment]
    assert fetcher().fetch(f"{site.url}/good") == fetcher().fetch(f"{site.url}/zlib") == b"picture"
    site.pages["/bomb"] = packed(gzip.compress(bytes(200_000_000), 9), "gzip")  # type: ignore[assignment]
    refused(f"{site.url}/bomb", "over the bound of 1,000,000", reason="too-large", max_bytes=10**6)
    nested = gzip.compress(gzip.compress(bytes(10_000_000)))
    site.pages["/nested"] = packed(nested, "gzip, gzip")  # type: ignore[assignment]
    refused(f"{site.url}/nested", "packed as 'gzip, gzip'")
    site.pages["/cut"] = packed(gzip.compress(b"picture" * 99)[:-10], "gzip")  # type: ignore[assignment]
    refused(f"{site.url}/cut", "ends before", reason="truncated")
    site.pages["/noise"] = packed(b"no gzip at all", "gzip")  # type: ignore[assignment]
    refused(f"{site.url}/noise", "packing is damaged", reason="corrupt")


def to(location: str, status: int = 302) -> object:
    return answers((status, b"", {"Location": location}))


def test_redirects_are_followed_but_not_in_circles(site: Site) -> None:
    site.pages["/1"], site.pages["/2"] = to("/2", 301), to("three", 307)  # type: ignore[assignment]
    site.pages["/three"] = b"picture"
    assert fetcher().fetch(f"{site.url}/1") == b"picture"
    site.pages["/loop"] = to("/loop")  # type: ignore[assignment]
    refused(f"{site.url}/loop", "more than 5 redirects")
    assert site.asked["/loop"] == 6
    site.pages["/file"] = to("file:///etc/passwd")  # type: ignore[assignment]
    refused(f"{site.url}/file", "only http:// and https:// are fetched")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_this_machines_own_network_is_not_asked_unless_allowed(site: Site, host: str) -> None:
    port = site.url.rpartition(":")[2]
    site.pages["/x"] = b"secret"
    refused(f"http://{host}:{port}/x", "no public address; .*--allow-private", allow_private=False)
    assert not site.asked


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Names lead to these addresses in turn, the last for ever; numbers to themselves."""
    asked: list[str] = []
    todo = list(answers)
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *rest: object, **more: object) -> object:
        if host.replace(".", "").isdigit():
            return real(host, port, *rest, **more)  # type: ignore[arg-type]
        asked.append(host)
        address = todo.pop(0) if len(todo) > 1 else todo[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_every_hop_is_looked_at(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first host is taken for a public one; it sends on to one that is not."""
    port = int(site.url.rpartition(":")[2])
    resolve(monkeypatch, "127.0.0.1")
    monkeypatch.setattr("indexer.sources.network.is_public", _public_at_first())
    site.pages["/x"] = to(f"http://inside.example:{port}/secret")  # type: ignore[assignment]
    site.pages["/secret"] = b"secret"
    refused(f"http://outside.example:{port}/x", "inside.example leads to 127.0.0.1", allow_private=False)
    assert site.asked == {"/x": 1}


def _public_at_first() -> object:
    """The first connection's two looks, at the name and at the socket, find nothing wrong."""
    looks = iter([True, True])
    return lambda address: next(looks, False) or is_public(address)


def test_a_name_that_answers_differently_the_second_time_gains_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is looked up once for a connection, and the connection goes where it was found to lead."""
    port = int(site.url.rpartition(":")[2])
    asked = resolve(monkeypatch, "203.0.113.7", "127.0.0.1")
    monkeypatch.setattr("indexer.sources.network.is_public", lambda address: address == "203.0.113.7")
    reached: list[tuple[str, int]] = []

    async def connect(self: object, host: str, port: int, *rest: object) -> object:
        import httpcore

        reached.append((host, port))
        raise httpcore.ConnectError("no way there")

    monkeypatch.setattr("httpcore.AnyIOBackend.connect_tcp", connect)
    with pytest.raises(ImageError, match="no public address"):
        fetcher(allow_private=False).fetch(f"http://rebind.example:{port}/x")
    assert reached == [("203.0.113.7", port)]
    assert asked == ["rebind.example", "rebind.example"]
    assert not site.asked


def test_a_connection_that_leads_elsewhere_is_closed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket's own word counts, whatever the name was found to be."""
    looks = iter([True])
    monkeypatch.setattr("indexer.sources.network.is_public", lambda address: next(looks, False))
    refused(f"{site.url}/x", "the connection leads to 127.0.0.1", allow_private=False)
    assert not site.asked


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("::ffff:8.8.8.8", True),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00:ec2::254", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("ff02::1", False),
        ("no address", False),
    ],
)
def test_which_addresses_are_the_internets(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_password_is_sent_and_never_shown(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    site.pages["/x"] = b"picture"
    site.pages["/away"] = to(f"http://localhost:{site.url.rpartition(':')[2]}/x")  # type: ignore[assignment]
    url = site.url.replace("://", "://user:geheim@")
    assert fetcher().fetch(f"{url}/x") == b"picture"
    assert site.headers[-1]["Authorization"].startswith("Basic ")
    assert fetcher().fetch(f"{url}/away") == b"picture"
    assert "Authorization" not in site.headers[-1]
    assert "geheim" not in refused(f"{url}/nowhere", "404")
    assert "geheim" not in refused(f"{url}/\x00", "control character")
    assert "geheim" not in caplog.text
    assert without_credentials("https://u:p@h/x?a=b@c") == "https://h/x?a=b@c"
    assert without_credentials("http://u:p@[::1/x") == "[::1/x"


def test_cookies_are_not_kept(site: Site) -> None:
    site.pages["/x"] = answers((200, b"picture", {"Set_Cookie": "id=1"}))  # type: ignore[assignment]
    one = fetcher()
    one.fetch(f"{site.url}/x")
    one.fetch(f"{site.url}/x")
    assert "Cookie" not in site.headers[-1]


def test_one_host_is_asked_a_few_at_once_and_not_faster_than_wished(site: Site) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.05)
        handler.answer(200, b"picture")

    site.pages["/x"] = slow
    together = fetcher(n_per_host=3)
    with ThreadPoolExecutor(12) as pool:
        assert len(list(pool.map(together.fetch, [f"{site.url}/x"] * 24))) == 24
    assert site.most <= 3
    polite = fetcher(per_host_delay_s=0.2)
    start = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(polite.fetch, [f"{site.url}/x"] * 4))
    assert time.monotonic() - start >= 0.6


def test_a_dead_host_does_not_hold_up_the_run(site: Site) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = fetcher()
    for _ in range(3):
        with pytest.raises(ImageError):
            one.fetch(f"http://127.0.0.1:{port}/x")
    with pytest.raises(ImageError, match="has not answered for a while"):
        one.fetch(f"http://127.0.0.1:{port}/x")


def test_an_unknown_name_is_named() -> None:
    refused("http://nowhere.invalid/x.jpg", "the name nowhere.invalid is not known")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://h/x", "only http"),
        ("http://", "no host"),
        ("http:///x", "no host"),
        ("http://h:0/x", "port 0"),
        ("http://h:99999/x", "[Pp]ort"),
        ("http://[::1/x", "IPv6"),
        ("http://h/\nx", "control"),
        ("http://h/\udc80", "UTF-8"),
        ("http://h/" + "x" * 9000, "characters"),
    ],
)
def test_what_is_no_url_says_why(url: str, says: str) -> None:
    import re

    assert re.search(says, fault(url))
    with pytest.raises(ImageError):
        fetcher().fetch(url)


def test_a_fetcher_that_nobody_holds_ends_its_thread(site: Site) -> None:
    import gc
    import threading

    def fetching() -> int:
        return [thread.name for thread in threading.enumerate()].count("fetch")

    site.pages["/x"] = b"picture"
    one = fetcher()
    one.fetch(f"{site.url}/x")
    names = [thread.name for thread in threading.enumerate()]
    assert "fetch" in names
    del one
    gc.collect()
    end = time.monotonic() + 20
    while fetching() >= names.count("fetch") and time.monotonic() < end:
        time.sleep(0.02)
    assert fetching() < names.count("fetch")


def test_a_connection_is_used_again_while_it_is_open(site: Site) -> None:
    ports: list[int] = []

    def page(handler: Handler) -> None:
        ports.append(handler.client_address[1])
        handler.answer(200, b"picture")

    def closing(handler: Handler) -> None:
        page(handler)
        handler.close_connection = True  # without having said so

    site.pages["/x"], site.pages["/closing"] = page, closing
    one = fetcher()
    for name in ("x", "x", "x", "closing", "x", "x"):
        assert one.fetch(f"{site.url}/{name}") == b"picture"
        time.sleep(0.02)
    assert len(ports) == 6
    assert len(set(ports)) == 2


def test_an_answer_that_was_not_read_to_its_end_leaves_no_connection_behind(site: Site) -> None:
    site.pages["/large"], site.pages["/x"] = b"x" * 1_000_000, b"picture"
    one = fetcher(max_bytes=1000)
    for _ in range(5):
        with pytest.raises(ImageError, match="over the bound"):
            one.fetch(f"{site.url}/large")
        assert one.fetch(f"{site.url}/x") == b"picture"
