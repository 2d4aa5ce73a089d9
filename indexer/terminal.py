"""What `clipsearch index` does to the terminal: progress, Ctrl-C, and the silence of the image libraries.

Knows a run's report and nothing of how it comes about.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from indexer.report import RunReport, duration
from indexer.words import RENEWING

_EVERY_S = 5.0  # between lines where there is no terminal


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep what libtiff and the like write to the process's stderr off the user's terminal.

    One damaged TIFF makes hundreds of lines; every failure has its row in skipped.jsonl instead. Our own
    messages go on to the real stderr.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    try:
        ours = os.dup(2)
    except OSError:  # closed, as under some services
        yield
        return
    before = sys.stderr
    before.flush()
    with (
        Path(os.devnull).open("w") as nowhere,
        os.fdopen(ours, "w", buffering=1, encoding="utf-8", errors="replace") as err,
    ):
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = err
        try:
            yield
        finally:
            os.dup2(err.fileno(), 2)
            sys.stderr = before


@contextmanager
def interrupts(*, asked: Callable[[], bool] | None = None) -> Iterator[Callable[[], bool]]:
    """Ctrl-C once: finish the batch in hand. Twice: stop at once. Yields whether to stop.

    asked: who answers that already, from an outer `interrupts`; then this one does nothing.
    """
    if asked is not None:
        yield asked
        return
    stopping = False

    def on_signal(signum: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            raise KeyboardInterrupt
        stopping = True
        click.echo("\nfinishing the batch in hand; Ctrl-C again to stop at once", err=True)

    try:
        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever runs us handles signals
        before = {}
    try:
        yield lambda: stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[RunReport], None]]:
    """A bar on a terminal, a line every few seconds elsewhere, on stderr."""
    if quiet:
        yield lambda report: None
    elif sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[[RunReport], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[busy]}", style="dim"),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("", total=None, pace="", busy="")
        pace, busy = _Pace(), _Busy()

        def update(report: RunReport) -> None:
            pace.see(report)
            progress.update(
                task,
                description=report.stage,
                total=report.found or None,
                completed=report.done,
                pace=pace.text(report),
                busy=busy.text(report),
            )

        yield update


def _lines() -> Callable[[RunReport], None]:
    last = time.monotonic()
    pace, busy = _Pace(), _Busy()

    def update(report: RunReport) -> None:
        nonlocal last
        pace.see(report)
        now = time.monotonic()
        if now - last < _EVERY_S:
            return
        last = now
        if not report.done:
            click.echo(f"{report.stage} …", err=True)
            return
        what = f"{RENEWING}: " if report.stage == RENEWING else ""
        done = f"{what}{report.done:,} of {report.found:,}"
        parts = [done, pace.text(report), pace.left(report), busy.text(report)]
        click.echo(", ".join(filter(None, parts)), err=True)

    return update


class _Pace:
    """Pictures a second since the first was encoded, and the time that the rest will take at that pace."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._done = 0  # by then

    def see(self, report: RunReport) -> None:
        """Look at every report: the clock begins with the first picture, not with opening the model."""
        if not report.encoded:
            self._started, self._done = time.monotonic(), report.done

    def text(self, report: RunReport) -> str:
        """Empty until there is one."""
        return f"{self._rate(report.encoded):,.0f} images/s" if report.encoded else ""

    def left(self, report: RunReport) -> str:
        """Empty until it is known."""
        rate = self._rate(report.done - self._done)
        return f"{duration((report.found - report.done) / rate)} left" if report.encoded and rate else ""

    def _rate(self, n: int) -> float:
        return n / max(time.monotonic() - self._started, 0.1)


class _Busy:
    """What was busy in the last seconds: decode 94 % | gpu 31 % | store 12 %."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, dict[str, float]]] = deque()

    def text(self, report: RunReport) -> str:
        """Empty until there is something to tell."""
        if report.meter is None or not report.encoded:
            return ""
        now = report.meter.snapshot()
        while len(self._marks) > 1 and now[0] - self._marks[1][0] > _EVERY_S:
            self._marks.popleft()
        if not self._marks or now[0] - self._marks[-1][0] > _EVERY_S / 10:
            self._marks.append(now)
        shares = report.meter.shares_since(self._marks[0])
        label = "gpu" if report.on_gpu else "encode"
        return " | ".join(
            f"{label if name == 'encode' else name} {share * 100:.0f} %" for name, share in shares.items()
        )
