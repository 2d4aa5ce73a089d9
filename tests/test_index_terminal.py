from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clipsearch import images
from indexer import terminal
from indexer.report import RunReport


def test_ctrl_c_asks_once_and_stops_at_once_the_second_time(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with terminal.interrupts() as stopped:
        assert not stopped()
        signal.raise_signal(signal.SIGINT)
        assert stopped()
        assert "Ctrl-C again to stop at once" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_without_a_terminal_a_line_comes_every_few_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    report = RunReport("c", "s", found=2000, stage="finding pictures")
    with terminal.progress(quiet=False) as update:
        update(report)
        now = 106.0
        update(report)
        report.encoded, report.unchanged = 500, 700
        now = 110.0
        update(report)
        now = 111.5
        update(report)
    assert capsys.readouterr().err.splitlines() == [
        "finding pictures …",
        "1,200 of 2,000, 91 images/s, 3.7 s left",
    ]
    with terminal.progress(quiet=True) as update:
        now = 200.0
        update(report)
    assert capsys.readouterr().err == ""


def test_what_the_image_libraries_write_is_not_shown_and_what_we_write_is(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with terminal.quiet_libraries():
        os.write(2, b"TIFFReadDirectory: Warning, Unknown field.\n")
        print("ours", file=sys.stderr)
    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "ours\nafter\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_on_a_terminal_there_is_a_bar(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(20):
        images.save_jpeg(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8), tmp_path / f"{i}.jpg")
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", "from clipsearch.cli import main; main()", "index", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [*command, "--model", "starter", "-c", "t"], env=env, stderr=theirs, stdout=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # Linux says EIO where the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0, shown.decode()
    text = shown.decode()
    assert "20/20" in text
    assert "indexed 20 in " in text
    assert "the starter model has only ever seen" in text
