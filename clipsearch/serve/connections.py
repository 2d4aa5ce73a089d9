"""Connections with deadlines: slow headers, clients that do not read, too many of them.

The only module that reaches into uvicorn's protocol; it speaks HTTP/1.1 by h11, in plain Python.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import h11

from clipsearch.serve.buckets import network_of
from clipsearch.serve.options import Limits
from clipsearch.serve.replies import Reply

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol

_LINGER_S = 5.0  # for a refused upload's sender to notice the answer before the connection is cut
_SHARE = 2  # one client may have half of all connections

_SLOW = Reply(
    408, "too-slow", "the request's headers did not arrive in time", headers=(("connection", "close"),)
)
_FULL = Reply(
    503,
    "busy",
    "the server has as many connections as it can hold; try again in a moment",
    headers=(("retry-after", "1"), ("connection", "close")),
)
_INVALID = Reply(400, "bad-http", "this is not a request of HTTP/1.1", headers=(("connection", "close"),))


class _Deadline:
    """A timer that can be put off or called off."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        return self._handle is not None

    def set(self, loop: asyncio.AbstractEventLoop, seconds: float, then: Callable[[], None]) -> None:
        """Call then() after so many seconds, and not when it was to be called before."""
        self.clear()
        self._handle = loop.call_later(seconds, then)

    def clear(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def protocol(limits: Limits) -> type[H11Protocol]:
    """uvicorn's H11Protocol with the deadlines of limits."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    clients: Counter[str] = Counter()

    class Connection(H11Protocol):
        """One client's connection."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self._headers, self._reading = _Deadline(), _Deadline()  # reading: for one that takes nothing
            super().connection_made(transport)
            self._client_name = network_of(self.client[0]) if self.client else ""
            clients[self._client_name] += 1
            share = max(1, limits.connections // _SHARE)
            if len(self.connections) > limits.connections or clients[self._client_name] > share:
                self._refuse(_FULL)
                return
            self._await_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._headers.clear()
            self._reading.clear()
            clients[self._client_name] -= 1
            if clients[self._client_name] <= 0:
                del clients[self._client_name]
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if not self._headers.is_set and not self._is_answering():
                self._await_headers()  # the next request on a kept connection begins
            super().data_received(data)
            if self._is_answering() or self.transport.is_closing():
                self._headers.clear()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.transport.is_closing():
                self._abort_later(limits.read_timeout_s)
            elif self.conn.their_state is h11.SEND_BODY:  # refused while its body is still coming
                self._abort_later(_LINGER_S)

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self._abort_later(limits.read_timeout_s)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._abort_later(limits.read_timeout_s)

        def resume_writing(self) -> None:
            self._reading.clear()
            super().resume_writing()

        def send_400_response(self, msg: str) -> None:
            self._refuse(_INVALID)

        def _is_answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _await_headers(self) -> None:
            self._headers.set(self.loop, limits.header_timeout_s, self._headers_are_late)

        def _headers_are_late(self) -> None:
            if self.transport.is_closing() or self._is_answering():
                return
            if self.conn.trailing_data[0]:
                self._refuse(_SLOW)
            else:  # connected and said nothing
                self.transport.abort()

        def _abort_later(self, seconds: float) -> None:
            self._reading.set(self.loop, seconds, self._abort)

        def _abort(self) -> None:
            still_sending = self.conn.their_state is h11.SEND_BODY and not self._is_answering()
            if self.transport.is_closing() or self.flow.write_paused or still_sending:
                self.transport.abort()

        def _refuse(self, reply: Reply) -> None:
            """Answer without any application, and close."""
            self._headers.clear()
            headers: Any = reply.raw_headers()
            try:
                for event in (
                    h11.Response(status_code=reply.status, headers=headers),
                    h11.Data(data=reply.body()),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
            except h11.LocalProtocolError:  # in the middle of an answer: there is nothing to say
                self.transport.abort()
                return
            self.transport.close()
            self._abort_later(limits.read_timeout_s)

    return Connection
