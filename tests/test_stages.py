"""Bounded look-ahead, in order and as things come, and the meter of what is busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer.stages import Meter, chunks, completed, ordered


def counted(taken: list[int], n: int = 1000) -> Iterator[int]:
    for i in range(n):
        taken.append(i)
        yield i


def test_results_come_in_order_however_long_each_takes() -> None:
    def slow_when_even(i: int) -> int:
        time.sleep(0.005 * (i % 2 == 0))
        return i

    with ThreadPoolExecutor(4) as pool:
        assert list(ordered(pool, slow_when_even, range(40), look_ahead=6)) == list(range(40))


def test_no_more_is_taken_than_the_look_ahead_allows() -> None:
    taken: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        results = ordered(pool, lambda i: i, counted(taken), look_ahead=5)
        for n in range(1, 20):
            next(results)
            assert len(taken) <= n + 4
        results.close()


def test_a_failure_comes_after_all_that_went_before_it() -> None:
    def fails_at_five(i: int) -> int:
        if i == 5:
            raise ValueError("five")
        return i

    seen: list[int] = []
    with ThreadPoolExecutor(3) as pool, pytest.raises(ValueError, match="five"):
        seen.extend(ordered(pool, fails_at_five, range(20), look_ahead=8))
    assert seen == [0, 1, 2, 3, 4]


def test_once_stopped_nothing_is_begun_and_what_is_under_way_still_comes() -> None:
    begun: list[int] = []
    may_end, stopped = threading.Event(), False

    def work(i: int) -> int:
        begun.append(i)
        if i == 3:
            may_end.wait(5)
        return i

    with ThreadPoolExecutor(1) as pool:
        results = ordered(pool, work, range(100), look_ahead=4, until=lambda: stopped)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        while 3 not in begun:
            time.sleep(0.001)
        stopped = True
        may_end.set()
        rest = list(results)
    assert rest[:1] == [3] and len(begun) <= 5


def test_a_slow_one_holds_up_nobody_where_order_does_not_matter() -> None:
    release = threading.Event()

    def work(i: int) -> int:
        if i == 0:
            release.wait(5)
        return i

    with ThreadPoolExecutor(3) as pool:
        results = completed(pool, work, range(30), look_ahead=6)
        first = [next(results) for _ in range(20)]
        release.set()
        assert 0 not in first
        assert sorted([*first, *results]) == list(range(30))


def test_as_they_come_is_bounded_too() -> None:
    taken: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        results = completed(pool, lambda i: i, counted(taken), look_ahead=5)
        for n in range(1, 20):
            next(results)
            assert len(taken) <= n + 5
        results.close()


def test_chunks_are_full_but_for_the_last() -> None:
    assert [len(chunk) for chunk in chunks(range(10), 4)] == [4, 4, 2]


def test_the_meter_tells_shares_of_all_threads_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("indexer.stages.time.perf_counter", lambda: now)
    meter = Meter()
    meter.stage("decode", 2)
    meter.stage("read", 0)
    before = meter.snapshot()
    for seconds in (3.0, 1.0):
        with meter.busy("decode"):
            now += seconds
    now = 104.0
    assert meter.shares() == {"decode": 0.5}  # 4 s of 2 threads x 4 s; a stage without threads is none
    assert meter.shares_since(before) == {"decode": 0.5}
    assert meter.shares_since(meter.snapshot()) == {"decode": 0.0}
    meter.reset()
    assert meter.shares_over(1.0) == {"decode": 0.0}
