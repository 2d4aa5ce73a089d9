"""How fast one host is asked: so many requests at once, so long between two, and a rest when it asks for it.

For one event loop. Sends nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_GIVEN_UP = 10  # attempts in a row without an answer after which a host counts as dead
_DEAD_S = 60.0  # until it is tried again
_MAX_HOSTS = 10_000  # remembered


class Host:
    """One scheme, host and port."""

    def __init__(self, *, at_once: int, delay_s: float) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._delay_s = delay_s
        self._next = 0.0  # when the next request may begin
        self._silent, self._dead_until = 0, 0.0

    @property
    def is_dead(self) -> bool:
        """Whether it has not answered for so long that asking again now would only take time."""
        return time.monotonic() < self._dead_until

    def answered(self) -> None:
        self._silent, self._dead_until = 0, 0.0

    def was_silent(self) -> None:
        """An attempt ended without an answer."""
        self._silent += 1
        if self._silent >= _GIVEN_UP:
            self._dead_until = time.monotonic() + _DEAD_S

    def rest(self, seconds: float) -> None:
        """Begin nothing for so long."""
        self._next = max(self._next, time.monotonic() + seconds)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place and for the host's time; the place is held inside."""
        async with self._places:
            while (wait := self._next - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            self._next = time.monotonic() + self._delay_s
            yield


class Hosts:
    """Every host that was met, up to a number; those met first are forgotten first."""

    def __init__(self, *, at_once: int, delay_s: float) -> None:
        self._at_once, self._delay_s = at_once, delay_s
        self._hosts: dict[str, Host] = {}

    def __getitem__(self, origin: str) -> Host:
        host = self._hosts.get(origin)
        if host is None:
            host = self._hosts[origin] = Host(at_once=self._at_once, delay_s=self._delay_s)
            if len(self._hosts) > _MAX_HOSTS:
                del self._hosts[next(iter(self._hosts))]
        return host
