"""The gate before every route: who may ask, how often, how much at once. Refuses before reading a body.

A plain ASGI application around another; knows no framework and no route's work.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from clipsearch.serve.bodies import Bodies, ClientGone, Message, Receive, check_depth, replay
from clipsearch.serve.buckets import Buckets, network_of
from clipsearch.serve.keys import has_key
from clipsearch.serve.options import Access, Limits
from clipsearch.serve.replies import Refusal, Reply, busy, refusal

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
OnRequest = Callable[[str, str, int, float], None]
"""Called with route, method, status and seconds when a request has been answered."""

OPEN = frozenset({"/healthz", "/docs", "/openapi.json"})
"""Paths that need no key: they tell nothing of the collections."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"})


class Gate:
    """The outermost application. in_flight: requests whose work is going on."""

    def __init__(
        self,
        inner: Application,
        *,
        access: Access,
        limits: Limits,
        on_request: OnRequest,
        routes: frozenset[str],
    ) -> None:
        self._inner, self._access, self._limits = inner, access, limits
        self._on_request, self._routes = on_request, routes
        self._buckets = Buckets(limits.rate, burst_s=limits.burst_s)
        self._bodies = Bodies(limits)
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with a refusal or by the inner application."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        started, status = time.perf_counter(), 499  # nginx's word for a client that went away

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            await self._pass(scope, receive, noting)
        except Refusal as refused:
            await _reply(refused.reply, noting)
        except ClientGone:
            pass
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._on_request(self._route(scope), method, status, time.perf_counter() - started)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = list(scope["headers"])
        self._check_browser(scope, headers)
        self._check_client(scope, headers)
        body = await self._bodies.read(receive, limit=self._limit(headers), declared=_declared(headers))
        try:
            if _content_type(headers).endswith(b"json"):
                check_depth(body, self._limits.json_depth)
            if self.in_flight >= self._limits.in_flight and scope["path"] not in OPEN:
                raise busy("the server has as many requests as it can answer; try again in a moment")
            self.in_flight += 1
            try:
                await self._inner(scope, replay(body, receive), send)
            finally:
                self.in_flight -= 1
        finally:
            self._bodies.release(body)

    def _check_browser(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
        """A web page's script may ask only if the page is allowed, even if it could not read the answer."""
        host = _header(headers, b"host")
        if self._access.hosts and _host_name(host) not in self._access.hosts:
            raise refusal(
                403, "wrong-host", "the Host header names another machine; use the server's own address"
            )
        origin = _header(headers, b"origin")
        own = origin.partition("://")[2] == host and bool(host)
        foreign = bool(origin) and not own and origin not in self._access.origins
        crossed = _header(headers, b"sec-fetch-site") == "cross-site" and not origin
        if foreign or (crossed and _header(headers, b"sec-fetch-mode") != "navigate"):
            raise refusal(
                403, "wrong-origin", "web pages of other addresses may not ask; allow one with --allow-origin"
            )

    def _check_client(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
        key = self._access.key
        allowed = key is None or scope["path"] in OPEN or has_key(headers, key)
        # Wrong keys are counted apart: who guesses one does not use up the tokens of a neighbour who has it.
        client = (network_of(scope["client"][0]) if scope.get("client") else "", allowed)
        wait_s = self._buckets.wait_s(client)
        if wait_s > 0:
            raise refusal(
                429,
                "too-many",
                "too many requests from this address",
                retry_after=str(max(1, round(wait_s + 0.5))),
            )
        if not allowed:
            raise refusal(
                401,
                "no-key",
                "this server wants its key: Authorization: Bearer KEY, or X-API-Key: KEY",
                www_authenticate="Bearer",
            )

    def _limit(self, headers: list[tuple[bytes, bytes]]) -> int:
        form = _content_type(headers) == b"multipart/form-data"
        return self._limits.upload_bytes if form else self._limits.json_bytes

    def _route(self, scope: Scope) -> str:
        """The route's template; few, whatever paths are asked for."""
        found = getattr(scope.get("route"), "path", None) or scope["path"]
        return found if found in self._routes else "other"


async def _reply(reply: Reply, send: Send) -> None:
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.raw_headers()})
    await send({"type": "http.response.body", "body": reply.body()})


def _header(headers: list[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1").strip() for key, value in headers if key == name), "")


def _content_type(headers: list[tuple[bytes, bytes]]) -> bytes:
    return _header(headers, b"content-type").partition(";")[0].strip().lower().encode("latin-1")


def _host_name(host: str) -> str:
    """Without the port: localhost:8300, [::1]:8300."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower()


def _declared(headers: list[tuple[bytes, bytes]]) -> int | None:
    length = _header(headers, b"content-length")
    return int(length[:18]) if length.isascii() and length.isdigit() else None
