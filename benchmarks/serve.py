"""What `clipsearch serve` holds: 50 clients at once on loopback, alone and beside clients that misbehave.

    python benchmarks/serve.py                two minutes, on the demo collection (after `clipsearch demo`)
    python benchmarks/serve.py --seconds 20

Starts the real server on a free port with a key. First half: the clients alone. Second half: beside them
a wrong key, an oversized upload, a bomb, a malformed filter, a slow body and slow headers, each over and
over. Prints requests, errors, latencies, the statuses the others got, and the server's memory.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

KEY = "benchmark-key-0123456789"
WORDS = (
    "brass",
    "steel",
    "red",
    "gear",
    "hex bolt",
    "washer",
    "真鍮",
    "六角ボルト",
    "bracket -holes",
    "elbow",
)
CLI = str(Path(sys.executable).parent / "clipsearch")
AUTHORISED = {"X-API-Key": KEY}


@dataclass
class Tally:
    """What one kind of client got."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    distinct: int = 0

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def main() -> None:
    """Run both halves and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="of both halves together (default: 120)")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--collection", default="demo")
    parser.add_argument(
        "--repeat", action="store_true", help="few different queries, as people's pages ask them"
    )
    arguments = parser.parse_args()
    server, port = start(arguments.collection)
    try:
        asyncio.run(measure(port, server.pid, arguments))
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(20)
        print(f"the server stopped with exit code {code}")


def start(collection: str) -> tuple[subprocess.Popen[str], int]:
    """The server and its port, when it listens."""
    environment = {**os.environ, "CLIPSEARCH_SERVE_KEY": KEY}
    server = subprocess.Popen(
        [CLI, "serve", collection, "--port", "0"], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert server.stderr is not None
    for line in server.stderr:
        if line.startswith("listening on "):
            threading.Thread(target=lambda: sys.stderr.writelines(server.stderr or []), daemon=True).start()
            return server, int(line.split(";")[0].split(" ")[2].rpartition(":")[2])
        print("  " + line.rstrip())
    raise SystemExit("the server did not start")


async def measure(port: int, pid: int, arguments: argparse.Namespace) -> None:
    """Both halves."""
    memory = Memory(pid)
    await asyncio.sleep(1)
    await ask(port, query("warm", top=1))
    half = arguments.seconds / 2
    memory.note("start")
    alone = await clients(port, half, arguments)
    memory.note("after the first half")
    bad = {name: Tally() for name in BAD}
    spoilers = [asyncio.create_task(spoil(run, port, bad[name])) for name, run in BAD.items()]
    beside = await clients(port, half, arguments)
    for task in spoilers:
        task.cancel()
    await asyncio.gather(*spoilers, return_exceptions=True)
    memory.note("after the second half")
    print(
        f"{arguments.clients} clients, {half:.0f} s each half, {os.cpu_count()} cores for them and the server"
    )
    print(f"{'':26}{'requests':>9}{'not 200':>9}{'req/s':>8}{'p50':>9}{'p95':>9}{'p99':>9}")
    for name, tally in (("alone", alone), ("beside misbehaving ones", beside)):
        n = sum(tally.statuses.values())
        row = "".join(f"{tally.percentile(share):6.0f} ms" for share in (0.5, 0.95, 0.99))
        print(f"{name:26}{n:9,}{n - tally.statuses['200']:9,}{n / half:8.0f}{row}")
        if set(tally.statuses) != {"200"}:
            print(f"  statuses: {dict(tally.statuses)}")
    for name, tally in bad.items():
        print(f"  {name:24}{sum(tally.statuses.values()):9,}   {dict(tally.statuses)}")
    memory.print()
    print(await batches(port))


async def clients(port: int, seconds: float, arguments: argparse.Namespace) -> Tally:
    """So many clients, each asking its next query when the last is answered."""
    tally = Tally()
    until = time.perf_counter() + seconds

    async def one(number: int) -> None:
        chance = random.Random(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            tally.distinct += 1
            words = f"{chance.choice(WORDS)} {chance.choice(WORDS)}"
            words += (
                "" if arguments.repeat else f" M{tally.distinct}"
            )  # new to the server: it has to encode it
            started = time.perf_counter()
            try:
                writer.write(query(words, top=10))
                status, _ = await answer(reader)
            except (OSError, asyncio.IncompleteReadError) as exc:
                status = type(exc).__name__
            tally.seconds.append(time.perf_counter() - started)
            tally.statuses[status] += 1
            if not status.isdigit():
                return  # a connection that broke is an error, and not made good
        writer.close()

    await asyncio.gather(*(one(number) for number in range(arguments.clients)))
    return tally


def query(words: str, *, top: int, key: str = KEY, **more: object) -> bytes:
    """A POST /search."""
    body = json.dumps({"q": words, "top": top, **more}).encode()
    return request("/search", body, "application/json", key=key)


def request(path: str, body: bytes, kind: str, *, key: str = KEY, length: int | None = None) -> bytes:
    """A whole request; length: what it declares."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", f"X-API-Key: {key}"]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Status and body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next(int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:"))
    return head.split(" ", 2)[1], await reader.readexactly(length)


async def ask(port: int, whole: bytes) -> tuple[str, bytes]:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(whole)
        return await answer(reader)
    finally:
        writer.close()


# --- clients that misbehave ----------------------------------------------------------------------


async def wrong_key(port: int) -> str:
    """Guesses."""
    return (await ask(port, query("gear", top=1, key="wrong-key-0123456789")))[0]


async def malformed_filter(port: int) -> str:
    """Asks for what there is not."""
    return (await ask(port, query("gear", top=1, filter=["teeth=many"])))[0]


async def bomb(port: int) -> str:
    """A PNG of 30,000 x 30,000 pixels in 900 KB."""
    return (await ask(port, upload(BOMB)))[0]


async def oversized(port: int) -> str:
    """Declares little and sends 40 MB, in chunks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = request("/search/image", b"", "multipart/form-data; boundary=x").replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )
    writer.write(head)
    getting = asyncio.create_task(answer(reader))
    try:
        for _ in range(640):
            if getting.done():
                break
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await writer.drain()
        return (await getting)[0]
    finally:
        getting.cancel()
        writer.close()


async def slow_body(port: int) -> str:
    """A byte a second of a body of a thousand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return await dribble(reader, writer, request("/search", b"{", "application/json", length=1000), b" ")


async def slow_headers(port: int) -> str:
    """A header line a second, without end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return await dribble(reader, writer, b"GET /search?q=gear HTTP/1.1\r\nHost: localhost\r\n", b"X-A: b\r\n")


async def dribble(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes, then: bytes
) -> str:
    """Send first, and then a little each second until there is an answer."""
    getting = asyncio.create_task(answer(reader))
    try:
        writer.write(first)
        while not getting.done():
            await asyncio.wait({getting}, timeout=1)
            writer.write(then)
        return (await getting)[0]
    finally:
        getting.cancel()
        writer.close()


async def spoil(run: Callable[[int], Awaitable[str]], port: int, tally: Tally) -> None:
    """One such client over and over, twenty times a second at most."""
    while True:
        try:
            tally.statuses[await run(port)] += 1
        except (OSError, asyncio.IncompleteReadError) as exc:
            tally.statuses[type(exc).__name__] += 1
        await asyncio.sleep(0.05)


def upload(picture: bytes) -> bytes:
    """A POST /search/image."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        + picture
        + b"\r\n--x--\r\n"
    )
    return request("/search/image", body, "multipart/form-data; boundary=x")


def bomb_png(side: int = 30_000) -> bytes:
    """A PNG of side x side grey pixels, a thousandth of that in bytes."""
    out = io.BytesIO()
    out.write(b"\x89PNG\r\n\x1a\n")

    def chunk(kind: bytes, data: bytes) -> None:
        out.write(len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big"))

    chunk(b"IHDR", side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0]))
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    chunk(b"IDAT", rows)
    chunk(b"IEND", b"")
    return out.getvalue()


BOMB = bomb_png()
BAD: dict[str, Callable[[int], Awaitable[str]]] = {
    "wrong key": wrong_key,
    "oversized upload": oversized,
    "bomb picture": bomb,
    "malformed filter": malformed_filter,
    "slow body": slow_body,
    "slow headers": slow_headers,
}


class Memory:
    """The server's resident memory, read from /proc."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._notes: list[tuple[str, int]] = []

    def note(self, when: str) -> None:
        """Remember what it is now."""
        self._notes.append((when, self._read("VmRSS")))

    def print(self) -> None:
        """All notes and the peak."""
        notes = [*self._notes, ("peak", self._read("VmHWM"))]
        print("memory: " + ", ".join(f"{when} {kb // 1024} MB" for when, kb in notes))

    def _read(self, name: str) -> int:
        lines = self._status.read_text().splitlines() if self._status.exists() else []
        return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


async def batches(port: int) -> str:
    """How many texts were encoded together on average."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n\r\n".encode())
    text = (await answer(reader))[1].decode()
    writer.close()
    found = {
        name: float(line.split()[1])
        for name in ("sum", "count")
        for line in text.splitlines()
        if line.startswith(f'clipsearch_batch_size_{name}{{kind="text"}}')
    }
    return f"texts encoded: {found['sum']:,.0f}, {found['sum'] / max(1, found['count']):.1f} in a batch"


if __name__ == "__main__":
    main()
