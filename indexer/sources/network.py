"""Connections to checked addresses, and bodies no longer than they may be. The only module that knows httpx.

A name is looked up here and the connection goes to the very address that was looked at, so a name that
answers differently the second time (DNS rebinding) gains nothing. Proxies of the environment are not used:
they would look names up themselves.
"""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpcore
import httpx

from clipsearch import __version__, images
from clipsearch.errors import ImageError
from indexer.sources.addresses import is_public

FAILURES = (httpx.HTTPError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
"""What a request ends in that got no whole answer."""
MALFORMED = (httpx.InvalidURL, UnicodeError)
CONNECT_S = 10.0
_MOST_ADDRESSES = 4  # of one name that are tried
_RESOLVERS = 32  # threads that look names up
_KEEP_ALIVE_S = 30.0
_CHUNK = 1 << 16
_ENCODINGS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class AddressRefused(Exception):
    """A name that only leads where nothing may be fetched from."""


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects only to public addresses, unless all are allowed."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._sockets = httpcore.AnyIOBackend()
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolve")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises AddressRefused, or one of FAILURES for the last address tried."""
        addresses = await self._allowed(host, port)
        timeout = (timeout or CONNECT_S) / len(addresses)
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = await self._sockets.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
                continue
            await self._check_peer(stream)
            return stream
        raise failure or httpcore.ConnectError(f"no address for {host}")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never: Raises AddressRefused."""
        raise AddressRefused(f"{path} is a local socket")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _allowed(self, host: str, port: int) -> list[str]:
        """The name's addresses that may be asked, in the system's order."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._resolvers, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError) as exc:
            raise httpcore.ConnectError(f"the name {host} is not known ({exc})") from exc
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        allowed = [address for address in addresses if self._allow_private or is_public(address)]
        if addresses and not allowed:
            leads = "" if host == str(addresses[0]) else f" leads to {addresses[0]}, which"
            raise AddressRefused(f"{host}{leads} is no public address")
        return allowed[:_MOST_ADDRESSES]

    async def _check_peer(self, stream: httpcore.AsyncNetworkStream) -> None:
        """The address at the other end once more, as the socket knows it."""
        peer = stream.get_extra_info("server_addr")
        if not self._allow_private and not is_public(str(peer[0])):
            await stream.aclose()
            raise AddressRefused(f"the connection leads to {peer[0]}, which is no public address")


class CheckedTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over connections of a CheckedBackend, each kept for the next request to its host.

    Not httpcore's pool, which looks at every connection several times a request. How many requests run
    at once is the caller's affair.
    """

    def __init__(self, *, allow_private: bool, n_idle: int) -> None:
        self._ssl = httpx.create_ssl_context()
        self._backend = CheckedBackend(allow_private=allow_private)
        self._n_idle = n_idle
        self._idle: list[tuple[str, httpcore.AsyncHTTPConnection]] = []  # the last used at the end

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, whose body is read later and then closed."""
        raw = request.url
        url = httpcore.URL(scheme=raw.raw_scheme, host=raw.raw_host, port=raw.port, target=raw.raw_path)
        connection = await self._connection(url.origin)
        answer = await connection.handle_async_request(
            httpcore.Request(request.method, url, headers=request.headers.raw, extensions=request.extensions)
        )
        body = _Body(answer, lambda: self._put_back(str(url.origin), connection))
        return httpx.Response(answer.status, headers=answer.headers, stream=body)

    async def aclose(self) -> None:
        """Close what is kept."""
        while self._idle:
            await self._idle.pop()[1].aclose()

    async def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        """One to the host that is free and still open, or a new one."""
        name = str(origin)
        while (at := next((i for i, (of, _) in enumerate(self._idle) if of == name), None)) is not None:
            _, connection = self._idle.pop(at)
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return httpcore.AsyncHTTPConnection(
            origin, self._ssl, keepalive_expiry=_KEEP_ALIVE_S, network_backend=self._backend
        )

    async def _put_back(self, origin: str, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep a connection whose answer was read to its end; others were closed with it."""
        if connection.is_available():
            self._idle.append((origin, connection))
        if len(self._idle) > self._n_idle:
            await self._idle.pop(0)[1].aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response, when_closed: Callable[[], Awaitable[None]]) -> None:
        self._answer, self._when_closed = answer, when_closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()
        await self._when_closed()


def client(*, allow_private: bool, n_idle: int) -> httpx.AsyncClient:
    """A client that follows no redirect, keeps no cookie, and says who it is."""
    return httpx.AsyncClient(
        transport=CheckedTransport(allow_private=allow_private, n_idle=n_idle),
        headers={
            "User-Agent": f"clipsearch/{__version__}",
            "Accept": "image/*,*/*;q=0.5",
            "Accept-Encoding": "identity",
        },
        timeout=httpx.Timeout(None, connect=CONNECT_S),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
    )


async def body(response: httpx.Response, *, max_bytes: int) -> bytes:
    """The body, unpacked. Raises ImageError for one that is longer than max_bytes, as it came or unpacked."""
    claimed = response.headers.get("content-length", "")
    if claimed.isdecimal() and int(claimed) > max_bytes:
        raise _too_large(f"{int(claimed):,} bytes", max_bytes)
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    unpack = _Unpacker(packing, max_bytes) if packing not in ("", "identity") else None
    parts: list[bytes] = []
    n_bytes = n_raw = 0
    async for raw in response.aiter_raw(_CHUNK):
        n_raw += len(raw)
        part = raw if unpack is None else unpack(raw)
        n_bytes += len(part)
        if max(n_bytes, n_raw) > max_bytes:
            raise _too_large("more bytes", max_bytes)
        parts.append(part)
    if unpack is not None and not unpack.ended:
        raise ImageError("truncated", images.REASONS["truncated"])
    return b"".join(parts)


class _Unpacker:
    """Unpacks what was packed once; a packing in a packing could grow a million times in one step."""

    def __init__(self, packing: str, max_bytes: int) -> None:
        if packing not in _ENCODINGS:
            raise ImageError("unreachable", f"it is packed as {packing!r}, which was not asked for")
        self._zlib = zlib.decompressobj(_ENCODINGS[packing])
        self._left = max_bytes

    @property
    def ended(self) -> bool:
        return self._zlib.eof

    def __call__(self, packed: bytes) -> bytes:
        """At most one byte more than may come."""
        try:
            part = self._zlib.decompress(packed, self._left + 1)
        except zlib.error as exc:
            raise ImageError("corrupt", f"its packing is damaged ({exc})") from exc
        self._left -= len(part)
        return part


def _too_large(what: str, max_bytes: int) -> ImageError:
    return ImageError("too-large", f"{what}, over the bound of {max_bytes:,}; raise it with --max-bytes")
