"""A token bucket per client: so many requests a second, and a burst. Knows no HTTP."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

_MAX_CLIENTS = 10_000  # about 2 MB; the ones not seen for longest are forgotten, and then have a full bucket


class Buckets:
    """For use in one thread (the event loop's)."""

    def __init__(
        self, rate: float | None, *, burst_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """rate: requests a second; None: no bound. burst_s: what a full bucket lasts for."""
        self._rate, self._clock = rate, clock
        self._size = max(1.0, (rate or 0.0) * burst_s)
        self._filled: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # client: (tokens, when)

    def wait_s(self, client: Hashable) -> float:
        """0, having taken one token, or how long it is until there is one."""
        if self._rate is None:
            return 0.0
        now = self._clock()
        tokens, then = self._filled.pop(client, (self._size, now))
        tokens = min(self._size, tokens + (now - then) * self._rate)
        allowed = tokens >= 1.0
        self._filled[client] = (tokens - 1.0 if allowed else tokens, now)
        if len(self._filled) > _MAX_CLIENTS:
            self._filled.popitem(last=False)
        return 0.0 if allowed else (1.0 - tokens) / self._rate


def network_of(address: str) -> str:
    """What counts as one client: the IPv4 address, or the /64 network that an IPv6 subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
