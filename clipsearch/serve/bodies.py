"""Request bodies, read to their end within bounds of size, time and memory. Knows no routes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from clipsearch.serve.options import Limits
from clipsearch.serve.replies import Refusal, busy, refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')
_PIECE = 256 * 1024  # handed on at a time, so that parsing a large upload lets others in between


class ClientGone(Exception):
    """The client closed the connection before its request had arrived."""


class Bodies:
    """Reads bodies and knows how many bytes of all of them are in memory. For one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    async def read(self, receive: Receive, *, limit: int, declared: int | None) -> bytearray:
        """The whole body. Its bytes count as held until release().

        Raises Refusal: 413 beyond limit (counted as they come, whatever was declared), 408 for a body that
        comes too slowly, 503 when all bodies together are too much; ClientGone.
        """
        if declared is not None and declared > limit:
            raise _too_large(limit)
        body = bytearray()
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            while True:
                allowed = self._limits.body_timeout_s + len(body) / self._limits.body_rate
                message = await _within(receive, started + allowed - loop.time())
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                if len(body) + len(chunk) > limit:
                    raise _too_large(limit)
                if self._held + len(chunk) > self._limits.buffered_bytes:
                    raise busy("the server holds as many uploads as it can; try again in a moment")
                body += chunk
                self._held += len(chunk)
                if not message.get("more_body", False):
                    return body
        except BaseException:
            self._held -= len(body)
            raise

    def release(self, body: bytearray) -> None:
        """The body is not needed any more."""
        self._held -= len(body)


def replay(body: bytearray, receive: Receive) -> Receive:
    """A receive that gives the body that was read, and then waits for the client to go."""
    position = 0
    view = memoryview(body)

    async def again() -> Message:
        nonlocal position
        if position > len(view):
            return await receive()
        if position:
            await asyncio.sleep(0)
        chunk = bytes(view[position : position + _PIECE])
        position += _PIECE
        return {"type": "http.request", "body": chunk, "more_body": position <= len(view)}

    return again


def check_depth(body: bytes | bytearray, deepest: int) -> None:
    """Raises Refusal (400) for JSON that nests deeper than any request of ours."""
    if body.count(b"[") + body.count(b"{") <= deepest:
        return
    depth = 0
    for match in _TOKEN.finditer(body):
        first = match[0][:1]
        if first == b'"':
            continue
        depth += 1 if first in b"[{" else -1
        if depth > deepest:
            raise refusal(400, "bad-request", f"the JSON nests more than {deepest} levels deep")


async def _within(receive: Receive, timeout_s: float) -> Message:
    try:
        async with asyncio.timeout(max(0.0, timeout_s)):
            return await receive()
    except TimeoutError:
        raise refusal(
            408, "too-slow", "the request's body did not arrive in time", connection="close"
        ) from None


def _too_large(limit: int) -> Refusal:
    return refusal(
        413, "too-large", f"the request's body is larger than {limit:,} bytes, the most taken here"
    )
