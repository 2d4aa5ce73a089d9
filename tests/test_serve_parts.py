"""The server's parts: batching, token buckets, keys, bodies. No sockets."""

from __future__ import annotations

import asyncio
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clipsearch.encoder import Encoder
from clipsearch.errors import EncoderError, ImageError, SettingsError
from clipsearch.serve import Limits, address, keys
from clipsearch.serve.batching import Batcher, BatchingEncoder
from clipsearch.serve.bodies import Bodies, check_depth
from clipsearch.serve.buckets import Buckets, network_of
from clipsearch.serve.replies import Refusal

# --- batching ------------------------------------------------------------------------------------


class Slow:
    """Rows [n] for the items n; each call waits for `go` and is written down."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.go = threading.Event()

    def __call__(self, items: list[int]) -> np.ndarray:
        self.calls.append(list(items))
        assert self.go.wait(10)
        if 13 in items:
            raise EncoderError("13 cannot be encoded")
        return np.array([[n] for n in items], np.float32)


def together(batcher: Batcher[int], slow: Slow, calls: list[list[int]]) -> list[object]:
    """Each call in a thread, the others while the first one runs; what each got."""
    got: list[object] = [None] * len(calls)

    def one(i: int) -> None:
        try:
            got[i] = batcher(calls[i]).ravel().tolist()
        except EncoderError as exc:
            got[i] = str(exc)

    threads = []
    for i in range(len(calls)):
        threads.append(threading.Thread(target=one, args=[i]))
        threads[-1].start()
        until(lambda: bool(slow.calls))
        until(lambda i=i: len(batcher._waiting) == i)  # type: ignore[misc]
    slow.go.set()
    for thread in threads:
        thread.join(10)
    return got


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_lone_call_runs_at_once_and_those_that_come_meanwhile_together() -> None:
    slow, sizes = Slow(), list[int]()
    batcher = Batcher(slow, largest=8, on_batch=sizes.append)
    assert together(batcher, slow, [[1], [2, 3], [4], [5]]) == [[1], [2, 3], [4], [5]]
    assert slow.calls == [[1], [2, 3, 4, 5]]
    assert sizes == [1, 4]


def test_a_batch_is_no_larger_than_it_may_be_and_keeps_the_order() -> None:
    slow = Slow()
    batcher = Batcher(slow, largest=3, on_batch=lambda n: None)
    assert together(batcher, slow, [[0], [1, 2], [3], [4], [5, 6, 7, 8]])[4] == [5, 6, 7, 8]
    assert slow.calls == [[0], [1, 2, 3], [4], [5, 6, 7, 8]]


def test_one_failing_call_of_a_batch_fails_alone_and_the_next_goes_on() -> None:
    slow = Slow()
    batcher = Batcher(slow, largest=8, on_batch=lambda n: None)
    assert together(batcher, slow, [[1], [2], [13], [4]]) == [[1], [2], "13 cannot be encoded", [4]]
    assert batcher([7]).tolist() == [[7]]


def test_many_threads_get_what_the_encoder_alone_gives(tiny: Path, cache: Path, tmp_path: Path) -> None:
    with Encoder.open(f"local-dir:{tiny}", device="cpu", cache=cache) as encoder:
        sizes: list[int] = []
        batching = BatchingEncoder(
            encoder, uploads=tmp_path, max_pixels=10_000, on_batch=lambda kind, n: sizes.append(n)
        )
        texts = [f"a cat number {i}" for i in range(40)]
        expected = encoder.encode_texts(texts)
        got = np.zeros_like(expected)
        threads = [
            threading.Thread(target=lambda i=i: got.__setitem__(i, batching.encode_texts([texts[i]])[0]))
            for i in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert np.allclose(got, expected, atol=1e-5)
        assert sum(sizes) == 40
        assert np.array_equal(batching.encode_texts(texts), got)
        assert sum(sizes) == 40, "a text that was encoded is remembered"
        assert batching.fingerprint == encoder.fingerprint


def test_an_upload_is_bounded_in_pixels_and_a_local_file_is_not(
    tiny: Path, cache: Path, tmp_path: Path
) -> None:
    from PIL import Image

    (tmp_path / "uploads").mkdir()
    for place in ("uploads/a.png", "mine.png"):
        Image.new("RGB", (200, 200), "red").save(tmp_path / place)
    with Encoder.open(f"local-dir:{tiny}", device="cpu", cache=cache) as encoder:
        batching = BatchingEncoder(
            encoder, uploads=tmp_path / "uploads", max_pixels=10_000, on_batch=lambda kind, n: None
        )
        assert batching.encode_images([tmp_path / "mine.png"]).shape == (1, encoder.dim)
        for source in (tmp_path / "uploads/a.png", (tmp_path / "uploads/a.png").read_bytes()):
            with pytest.raises(ImageError) as refused:
                batching.encode_images([source])
            assert refused.value.reason == "too-large"


# --- who may ask ---------------------------------------------------------------------------------


def test_a_bucket_lets_a_burst_through_and_then_so_many_a_second() -> None:
    now = [0.0]
    buckets = Buckets(2.0, burst_s=2.0, clock=lambda: now[0])
    assert [buckets.wait_s("a") for _ in range(4)] == [0, 0, 0, 0]
    assert buckets.wait_s("a") == pytest.approx(0.5)
    assert buckets.wait_s("b") == 0
    now[0] = 0.5
    assert buckets.wait_s("a") == 0
    assert buckets.wait_s("a") > 0
    assert all(Buckets(None, burst_s=1).wait_s("a") == 0 for _ in range(100))


def test_a_subscriber_of_ipv6_is_one_client() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("a socket") == "a socket"


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    key, where = keys.own_key(tmp_path / "data")
    assert stat.S_IMODE(Path(where).stat().st_mode) == 0o600
    assert len(key) >= 32
    assert keys.own_key(tmp_path / "data") == (key, where)
    Path(where).chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        keys.own_key(tmp_path / "data")


def test_a_given_key_must_be_long_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIPSEARCH_SERVE_KEY", raising=False)
    assert keys.given_key(None) is None
    monkeypatch.setenv("CLIPSEARCH_SERVE_KEY", "short")
    with pytest.raises(SettingsError, match="CLIPSEARCH_SERVE_KEY") as refused:
        keys.given_key(None)
    assert "short" not in str(refused.value), "a key is never shown"
    (tmp_path / "key").write_text("0123456789abcdef\n")
    assert keys.given_key(tmp_path / "key") == ("0123456789abcdef", str(tmp_path / "key"))


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ([(b"authorization", b"Bearer 0123456789abcdef")], True),
        ([(b"authorization", b"bearer 0123456789abcdef")], True),
        ([(b"x-api-key", b"0123456789abcdef")], True),
        ([(b"authorization", b"Bearer no"), (b"x-api-key", b"0123456789abcdef")], True),
        ([(b"authorization", b"Basic 0123456789abcdef")], False),
        ([(b"x-api-key", b"0123456789abcde")], False),
        ([(b"x-api-key", b"")], False),
        ([], False),
    ],
)
def test_a_key_is_a_bearer_token_or_a_header(headers: list[tuple[bytes, bytes]], allowed: bool) -> None:
    assert keys.has_key(headers, "0123456789abcdef") is allowed


def test_loopback_is_told_from_networks() -> None:
    assert address.is_loopback("127.0.0.1")
    assert address.is_loopback("localhost")
    assert not address.is_loopback("0.0.0.0")
    with pytest.raises(SettingsError, match="no address of this machine"):
        address.is_loopback("no such host.invalid")


def test_a_port_in_use_is_said_clearly() -> None:
    with (
        address.bind("127.0.0.1", 0) as first,
        pytest.raises(SettingsError, match=r"is in use.*--port 0"),
    ):
        address.bind("127.0.0.1", first.getsockname()[1])


# --- bodies --------------------------------------------------------------------------------------


def read(chunks: list[bytes | float], limits: Limits, *, limit: int = 100) -> bytes:
    """What Bodies makes of chunks; a number is a pause in seconds."""
    waiting = list(chunks)

    async def receive() -> dict[str, object]:
        while waiting and isinstance(waiting[0], float):
            await asyncio.sleep(waiting.pop(0))  # type: ignore[arg-type]
        chunk = waiting.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    return bytes(asyncio.run(Bodies(limits).read(receive, limit=limit, declared=None)))


def test_a_body_is_counted_as_it_comes() -> None:
    assert read([b"a" * 60, b"b" * 40], Limits()) == b"a" * 60 + b"b" * 40
    with pytest.raises(Refusal) as refused:
        read([b"a" * 60, b"b" * 41], Limits())
    assert refused.value.reply.status == 413


def test_a_slow_body_has_a_deadline_that_moves_with_what_has_come() -> None:
    limits = Limits(body_timeout_s=0.1, body_rate=100)
    with pytest.raises(Refusal) as refused:
        read([b"a", 0.3, b"b"], limits)
    assert refused.value.reply.status == 408
    assert len(read([b"a" * 50, 0.3, b"b"], limits)) == 51  # 0.1 s, and half a second for fifty bytes


def test_all_bodies_together_are_bounded() -> None:
    with pytest.raises(Refusal) as refused:
        read([b"a" * 60], Limits(buffered_bytes=50))
    assert refused.value.reply.status == 503


def test_deep_json_is_refused_and_brackets_in_words_are_not_depth() -> None:
    check_depth(b'{"q": "' + b"[" * 1000 + b'\\"[[["}', 16)
    check_depth(b"[" + b"[]," * 1000 + b"[]]", 16)
    with pytest.raises(Refusal, match="16 levels"):
        check_depth(b'{"q":' + b"[" * 17, 16)
