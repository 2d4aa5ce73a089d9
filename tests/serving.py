"""The real `clipsearch serve` in a process of its own, for tests. Starts and stops it; asks nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from conftest import CLI, ROOT


@dataclass
class Running:
    """A server that listens. said: its lines on stderr, growing."""

    process: subprocess.Popen[str]
    url: str
    port: int
    said: list[str] = field(default_factory=list)

    def stop(self, how: signal.Signals = signal.SIGTERM, *, timeout_s: float = 30) -> int:
        """Send the signal; the exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout_s)


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[Running]:
    """A server on a free port, from its line "listening on …" until the end of the block."""
    process = subprocess.Popen(
        [*CLI, "serve", "--port", "0", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line.rstrip())
            if line.startswith("listening on "):
                break
        else:
            raise AssertionError("it did not start:\n" + "\n".join(said))
        threading.Thread(
            target=lambda: said.extend(line.rstrip() for line in process.stderr or ()), daemon=True
        ).start()
        url = said[-1].split(" ")[2].rstrip(";")
        yield Running(process, url, int(url.rpartition(":")[2]), said)
    finally:
        process.kill()
        process.wait()
