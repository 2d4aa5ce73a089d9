"""Pictures over the web: one call, from any thread, a URL to bytes. Owns retries, redirects and pace.

The requests run in an event loop in a thread of its own. What connects, and where to, is in `network`.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import weakref
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from clipsearch import images
from clipsearch.errors import ImageError
from indexer.sources.addresses import credentials, fault, origin, without_credentials
from indexer.sources.pace import Host, Hosts

if TYPE_CHECKING:
    from indexer.sources.source import SourceOptions

MAX_REDIRECTS = 5
_ATTEMPTS = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # statuses that may be others in a moment
_GOOD = frozenset({200, 203})
_BACK_OFF_S, _MAX_BACK_OFF_S = 0.5, 20.0
_MAX_RETRY_AFTER_S = 60.0  # a host that asks for more is left alone


@dataclass(frozen=True, slots=True)
class Limits:
    """What a fetch may take. timeout_s: for one attempt with all its redirects, without the host's pace."""

    allow_private: bool = False
    per_host_delay_s: float = 0.0
    timeout_s: float = 30.0
    max_bytes: int = 64 << 20
    n_connections: int = 64
    n_per_host: int = 8
    back_off_s: float = _BACK_OFF_S  # before the second attempt; each further waits up to twice as long


class Fetcher:
    """Fetches pictures. Thread-safe; its own thread begins with the first fetch."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: _Session | None = None

    def fetch(self, url: str) -> bytes:
        """The bytes that are there. Raises ImageError: unreachable, too-large, truncated or corrupt.

        A passing failure is tried again, later and later; a host's Retry-After is kept to.
        """
        wrong = fault(url)
        if wrong:
            raise _unreachable(without_credentials(url)[:200], wrong)
        with self._lock:
            loop, session = self._running()
        return asyncio.run_coroutine_threadsafe(session.get(url), loop).result()

    def _running(self) -> tuple[asyncio.AbstractEventLoop, _Session]:
        if self._loop is None or self._session is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True).start()
            self._session = asyncio.run_coroutine_threadsafe(_opened(self.limits), self._loop).result()
            weakref.finalize(self, _close, self._loop, self._session).atexit = False
        return self._loop, self._session


def fetcher(options: SourceOptions) -> Fetcher:
    """The fetcher for these options; equal options share one, and so each host's pace."""
    return _fetcher(
        Limits(
            allow_private=options.allow_private,
            per_host_delay_s=options.per_host_delay_s,
            timeout_s=options.timeout_s,
            max_bytes=options.max_bytes,
            n_connections=options.n_connections,
            n_per_host=options.n_per_host,
        )
    )


def n_readers(options: SourceOptions, n_hosts: int) -> int:
    """Fetches at once that pay: no more than the hosts will be asked."""
    return max(1, min(options.n_connections, n_hosts * options.n_per_host))


@lru_cache(maxsize=8)
def _fetcher(limits: Limits) -> Fetcher:
    return Fetcher(limits)


async def _opened(limits: Limits) -> _Session:
    return _Session(limits)


def _close(loop: asyncio.AbstractEventLoop, session: _Session) -> None:
    """Let go of the connections and end the thread."""
    if not loop.is_closed():
        asyncio.run_coroutine_threadsafe(session.close(), loop).add_done_callback(
            lambda _: loop.call_soon_threadsafe(loop.stop)
        )


class _PassingFailure(Exception):
    """What may go well the next time. wait_s: what the host asked for."""

    def __init__(self, message: str, *, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class _Session:
    """The client and what is known of the hosts; lives in the loop's thread."""

    def __init__(self, limits: Limits) -> None:
        from indexer.sources import network

        self._limits = limits
        self._client = network.client(allow_private=limits.allow_private, n_idle=limits.n_connections)
        self._failures, self._malformed = network.FAILURES, network.MALFORMED
        self._refused = network.AddressRefused
        self._body = network.body
        self._places = asyncio.Semaphore(limits.n_connections)
        self._hosts = Hosts(at_once=limits.n_per_host, delay_s=limits.per_host_delay_s)

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, url: str) -> bytes:
        """The bytes, after as many attempts as it takes. Raises ImageError with the URL's name."""
        shown = without_credentials(url)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._followed(url)
            except _PassingFailure as exc:
                wait_s = self._back_off_s(attempt) if exc.wait_s is None else exc.wait_s
                if attempt == _ATTEMPTS or wait_s > _MAX_RETRY_AFTER_S:
                    raise _unreachable(shown, f"{exc}, after {_times(attempt)}") from exc
                await asyncio.sleep(wait_s)
            except self._refused as exc:
                advice = "; if that is meant, allow it with --allow-private"
                raise ImageError("unreachable", f"{shown}: {exc}{advice}") from exc
            except ImageError as exc:
                raise ImageError(exc.reason, f"{shown}: {exc}") from exc
        raise AssertionError("the last attempt has raised")

    def _back_off_s(self, attempt: int) -> float:
        """Between half of and all of a time that doubles, so that many do not come back at once."""
        most = min(self._limits.back_off_s * 2 ** (attempt - 1), _MAX_BACK_OFF_S)
        return random.uniform(most / 2, most)  # a pace, no secret

    async def _followed(self, url: str) -> bytes:
        """The bytes at the end of at most MAX_REDIRECTS."""
        left_s = self._limits.timeout_s
        for _ in range(MAX_REDIRECTS + 1):
            host = self._hosts[origin(url)]
            if host.is_dead:
                raise ImageError("unreachable", "its host has not answered for a while; try again later")
            async with host.turn(), self._places:
                begun = time.monotonic()
                found = await self._answer(url, host, left_s)
                left_s -= time.monotonic() - begun
            if isinstance(found, bytes):
                return found
            url = found
        raise ImageError("unreachable", f"more than {MAX_REDIRECTS} redirects; open it in a browser")

    async def _answer(self, url: str, host: Host, left_s: float) -> bytes | str:
        """The body, or the URL that the host sends on to."""
        try:
            async with asyncio.timeout(left_s):
                return await self._asked(url, host)
        except TimeoutError as exc:
            host.was_silent()
            raise ImageError(
                "unreachable", f"not there after {self._limits.timeout_s:g} s; allow more with --timeout"
            ) from exc
        except self._malformed as exc:
            raise ImageError("unreachable", f"no URL that can be asked for ({exc}); mend it") from exc
        except self._failures as exc:
            host.was_silent()
            raise _PassingFailure(" ".join(str(exc).split())[:200] or type(exc).__name__) from exc

    async def _asked(self, url: str, host: Host) -> bytes | str:
        async with self._client.stream("GET", without_credentials(url), auth=credentials(url)) as response:
            host.answered()
            status = response.status_code
            if status in _GOOD:
                return await self._body(response, max_bytes=self._limits.max_bytes)
            if status in _REDIRECTS and "location" in response.headers:
                return _next_url(url, response.headers["location"])
            if status not in _PASSING:
                raise ImageError("unreachable", f"its host answers {status}; {images.REASONS['unreachable']}")
            wait_s = _retry_after_s(response.headers.get("retry-after", ""))
            if wait_s is not None:
                host.rest(min(wait_s, _MAX_RETRY_AFTER_S))
            raise _PassingFailure(f"its host answers {status}", wait_s=wait_s)


def _next_url(url: str, location: str) -> str:
    """Where a redirect leads; a password goes along only below the same host. Raises ImageError."""
    try:
        following = urljoin(url, location)
        wrong = fault(following)
    except ValueError as exc:
        following, wrong = location, str(exc)
    if wrong:
        shown = without_credentials(following)[:200]
        raise ImageError("unreachable", f"its host sends on to {shown}: {wrong}; open it in a browser")
    return following


def _retry_after_s(text: str) -> float | None:
    """Seconds from now, of a number or a date; None for neither."""
    text = text.strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _unreachable(shown: str, detail: str) -> ImageError:
    return ImageError("unreachable", f"{shown}: {detail}; {images.REASONS['unreachable']}")


def _times(n: int) -> str:
    return "1 attempt" if n == 1 else f"{n} attempts"
