"""Work in threads with bounded queues between, and how busy each stage is. Knows nothing of pictures."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def _never() -> bool:
    return False


def ordered(
    pool: Executor,
    function: Callable[[_T], _R],
    items: Iterable[_T],
    *,
    look_ahead: int,
    until: Callable[[], bool] = _never,
) -> Generator[_R, None, None]:
    """function of every item, in order; at most `look_ahead` are under way or wait to be taken.

    Once `until` says so no item is begun, and what is under way still comes. Close it to end at once.
    """
    todo = iter(items)
    pending: deque[Future[_R]] = deque()
    try:
        while True:
            if until():
                todo = iter(())
                pending = deque(future for future in pending if not future.cancel())
            for item in islice(todo, look_ahead - len(pending)):
                pending.append(pool.submit(function, item))
            if not pending:
                return
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def completed(
    pool: Executor, function: Callable[[_T], _R], items: Iterable[_T], *, look_ahead: int
) -> Generator[_R, None, None]:
    """function of every item, the quick ones first: one slow answer holds up nobody else's."""
    todo = iter(items)
    pending: set[Future[_R]] = set()
    try:
        while True:
            for item in islice(todo, look_ahead - len(pending)):
                pending.add(pool.submit(function, item))
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        for future in pending:
            future.cancel()


def chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """The items, `size` at a time."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


class Meter:
    """Seconds of work by stage, of all its threads together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.started = time.perf_counter()
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}  # of the threads themselves, without what they waited for
        self.n_threads: dict[str, int] = {}

    def stage(self, name: str, n_threads: int) -> None:
        """Announce a stage and how many threads can be at it at once."""
        self.wall.setdefault(name, 0.0)
        self.n_threads[name] = n_threads

    @contextmanager
    def busy(self, stage: str) -> Iterator[None]:
        """Count the time inside as work of the stage."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            with self._lock:
                self.wall[stage] = self.wall.get(stage, 0.0) + wall
                self.cpu[stage] = self.cpu.get(stage, 0.0) + cpu

    def shares(self) -> dict[str, float]:
        """By stage, the part of its threads' time that they worked since the start, 0 to 1."""
        return self.shares_over(time.perf_counter() - self.started)

    def shares_over(self, seconds: float) -> dict[str, float]:
        """As shares(), of so many seconds."""
        _, wall = self.snapshot()
        return self._shares(wall, seconds)

    def reset(self) -> None:
        """Begin counting anew, after what should not count."""
        with self._lock:
            self.started = time.perf_counter()
            self.wall = dict.fromkeys(self.wall, 0.0)
            self.cpu.clear()

    def snapshot(self) -> tuple[float, dict[str, float]]:
        """Now, and the seconds of work until now: two of them give the shares of the time between."""
        with self._lock:
            return time.perf_counter(), dict(self.wall)

    def shares_since(self, before: tuple[float, dict[str, float]]) -> dict[str, float]:
        """As shares(), since a snapshot."""
        now, wall = self.snapshot()
        worked = {name: seconds - before[1].get(name, 0.0) for name, seconds in wall.items()}
        return self._shares(worked, now - before[0])

    def _shares(self, worked: dict[str, float], seconds: float) -> dict[str, float]:
        passed = max(seconds, 1e-9)
        return {
            name: min(1.0, worked.get(name, 0.0) / (passed * n)) for name, n in self.n_threads.items() if n
        }
