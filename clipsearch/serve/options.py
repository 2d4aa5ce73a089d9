"""The server's bounds and who may ask it: plain values with the reasons beside the numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the server; beyond one a request is refused: 4xx, or 503 where the server is full."""

    upload_bytes: int = 20 * MIB  # a phone's photo has 2 to 12
    json_bytes: int = 1024 * 1024  # a vocabulary of 100,000 letters, each six bytes as JSON may write it
    json_depth: int = 16  # ours is 2 deep; Python's parser gives up at about 1,000
    pixels: int = 50_000_000  # of an upload while it is decoded: 350 MB for a moment, one at a time
    buffered_bytes: int = 256 * MIB  # of all bodies that are arriving or waiting
    connections: int = 512  # half of the usual 1,024 open files
    in_flight: int = 128  # requests whose body has arrived and whose answer has not left
    threads: int = 16  # they mostly wait for their batch; more give larger batches, not more work
    rate: float | None = None  # requests a second and client; None: no bound
    burst_s: float = 3.0  # so many seconds' requests may come at once
    header_timeout_s: float = 10.0
    body_timeout_s: float = 10.0  # and one second more for each body_rate bytes that have come
    body_rate: int = 64 * 1024
    read_timeout_s: float = 30.0  # a client that does not take its answer
    stop_timeout_s: int = 10  # requests in flight when the server is told to stop


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask.

    key: without it, everybody who can connect. hosts: names that the Host header may have, which keeps
    a web page from reaching a loopback server under the page's own name; empty: any. origins: web pages
    that may ask from a browser, beside the server's own.
    """

    key: str | None = field(default=None, repr=False)
    hosts: frozenset[str] = frozenset()
    origins: tuple[str, ...] = ()
