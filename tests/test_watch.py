"""A watched folder: what changes is indexed, what does not is left alone, and Ctrl-C ends it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import CLI, ROOT
from pictures import photo

from clipsearch import images
from clipsearch.errors import CollectionLocked, SourceError
from clipsearch.settings import Settings
from clipsearch.store import open_store
from indexer.report import RunReport
from indexer.watch import watch, watched_folders


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


class Watched:
    """watch() in a thread, with a count of its runs in the place of real ones."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.runs, self.problems, self.stopping = 0, [], False  # type: ignore[var-annotated]
        self.raising: Exception | None = None
        self._thread = threading.Thread(
            target=watch,
            args=([str(folder)], settings, self._run),
            kwargs={
                "on_run": lambda report: None,
                "on_problem": self.problems.append,
                "should_stop": lambda: self.stopping,
            },
        )
        self._thread.start()

    def _run(self) -> RunReport:
        self.runs += 1
        if self.raising is not None:
            error, self.raising = self.raising, None
            raise error
        return RunReport("c", "s")

    def stop(self) -> None:
        self.stopping = True
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data=tmp_path / "data", cache=tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    return made


def test_a_burst_of_changes_is_one_run(folder: Path, settings: Settings) -> None:
    watched = Watched(folder, settings)
    try:
        until(lambda: watched.runs == 1)
        for i in range(30):
            (folder / f"{i}.jpg").write_bytes(b"x")
        until(lambda: watched.runs == 2)
        time.sleep(2.5)
        assert watched.runs == 2  # nothing has changed since
    finally:
        watched.stop()


def test_what_we_write_ourselves_is_no_change(folder: Path, tmp_path: Path) -> None:
    data = folder / "data"  # the collections lie below what is watched
    data.mkdir()
    watched = Watched(folder, Settings.load(data=data, cache=tmp_path / "cache"))
    try:
        until(lambda: watched.runs == 1)
        (data / "ledger.sqlite").write_bytes(b"x")
        time.sleep(3)
        assert watched.runs == 1
    finally:
        watched.stop()


def test_an_empty_folder_is_told_and_watched_all_the_same(folder: Path, settings: Settings) -> None:
    watched = Watched(folder, settings)
    try:
        until(lambda: watched.runs == 1)
        watched.raising = SourceError("there is no picture")
        (folder / "a.txt").write_bytes(b"x")
        until(lambda: watched.problems == ["there is no picture"])
        (folder / "b.txt").write_bytes(b"x")
        until(lambda: watched.runs == 3)
    finally:
        watched.stop()


def test_a_collection_in_use_is_tried_again_without_a_change(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.watch._LOCKED_S", 0.1)
    watched = Watched(folder, settings)
    try:
        until(lambda: watched.runs == 1)
        watched.raising = CollectionLocked("in use")
        (folder / "a.txt").write_bytes(b"x")
        until(lambda: watched.runs == 3)
        assert watched.problems == ["in use; trying again"]
    finally:
        watched.stop()


def test_a_file_and_a_pattern_are_watched_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "list.csv").write_text("image\n")
    assert watched_folders([str(tmp_path / "a" / "*" / "x*.jpg")]) == [tmp_path / "a"]
    assert watched_folders([str(tmp_path / "list.csv"), str(tmp_path / "a")]) == [tmp_path]


@pytest.mark.parametrize("location", ["-", "s3://bucket/prefix", "https://example.com/a.jpg"])
def test_what_cannot_be_watched_is_said(location: str) -> None:
    with pytest.raises(SourceError, match="cannot be watched"):
        watched_folders([location])


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_the_command_indexes_new_pictures_until_ctrl_c(folder: Path, tmp_path: Path) -> None:
    images.save_jpeg(photo(60, 40), folder / "a.jpg")
    data, log = tmp_path / "data", tmp_path / "log"
    command = ["index", str(folder), "-m", "starter", "--sync", "--watch", "--data", str(data)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_START": ""}
    with log.open("w") as out:
        process = subprocess.Popen([*CLI, *command], stderr=out, stdout=out, env=environment)
    try:
        until(lambda: "indexed 1" in log.read_text())
        images.save_jpeg(photo(60, 40, seed=1), tmp_path / "b.jpg")
        shutil.move(tmp_path / "b.jpg", folder / "b.jpg")
        until(lambda: "indexed 1, unchanged 1" in log.read_text())
        (folder / "a.jpg").unlink()
        until(lambda: "removed 1" in log.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
    with open_store("main", Settings.load(data=data)) as store:
        assert [p.payload["_key"] for batch in store.scroll() for p in batch] == ["b.jpg"]
