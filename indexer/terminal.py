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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from indexer.report import RunReport

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
def interrupts() -> Iterator[Callable[[], bool]]:
    """Ctrl-C once: finish the batch in hand. Twice: stop at once. Yields whether to stop."""
    asked = False

    def on_signal(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        click.echo("\nfinishing the batch in hand; Ctrl-C again to stop at once", err=True)

    try:
        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever runs us handles signals
        before = {}
    try:
        yield lambda: asked
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
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("", total=None, pace="")
        started = time.monotonic()

        def update(report: RunReport) -> None:
            pace = report.encoded / max(time.monotonic() - started, 0.1)
            progress.update(
                task,
                description=report.stage,
                total=report.found or None,
                completed=report.done,
                pace=f"{pace:,.0f} images/s" if report.encoded else "",
            )

        yield update


def _lines() -> Callable[[RunReport], None]:
    started = last = time.monotonic()

    def update(report: RunReport) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY_S:
            return
        last = now
        if not report.done:
            click.echo(f"{report.stage} …", err=True)
            return
        pace = report.encoded / (now - started)
        click.echo(f"{report.done:,} of {report.found:,}, {pace:,.0f} images/s", err=True)

    return update
