"""The threads that do the work: bounded, so that the event loop stays free and the machine is not flooded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """A pool of threads. How many calls may wait is the gate's business (Limits.in_flight)."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="serve")
        self._lock = threading.Lock()
        self._queued = 0

    @property
    def queued(self) -> int:
        """Calls that wait for a thread."""
        return self._queued

    async def run(self, work: Callable[[], T]) -> T:
        """What work returns or raises, from a thread."""
        with self._lock:
            self._queued += 1
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._begin, work)

    def _begin(self, work: Callable[[], T]) -> T:
        with self._lock:
            self._queued -= 1
        return work()

    def close(self) -> None:
        """Drop what waits; return when what runs has ended."""
        self._pool.shutdown(wait=True, cancel_futures=True)
