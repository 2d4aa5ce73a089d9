"""A run's journal: what it says survives kills, odd names and the next run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clipsearch.errors import TaggingError
from clipsearch.tagging.journal import Journal, runs


def test_runs_sort_by_time_also_within_a_second(tmp_path: Path) -> None:
    names = [Journal.create(tmp_path, {}).run for _ in range(20)]
    assert names == sorted(set(names)) == runs(tmp_path)


def test_what_is_noted_is_read_back_in_order_by_another_process(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, {"vocabulary": "部品"})
    journal.note("sidecar", [{"n": 1}, {"n": 2, "tag": "六角ボルト\u2028"}])
    journal.note("sidecar", [{"n": 3}])
    again = Journal.open(tmp_path, journal.run)
    assert [entry["n"] for entry in again.noted("sidecar")] == [1, 2, 3]
    assert again.facts["vocabulary"] == "部品"
    assert list(again.noted("payload")) == []


def test_a_line_that_a_kill_cut_is_left_out_and_spoils_no_later_one(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, {})
    journal.note("sidecar", [{"n": 1}])
    with (journal.folder / "sidecar.jsonl").open("ab") as file:
        file.write(b'{"n": 2, "before": "' + b"x" * 200_000)
    assert [entry["n"] for entry in journal.noted("sidecar")] == [1]
    journal.note("sidecar", [{"n": 3}])
    assert [entry["n"] for entry in journal.noted("sidecar")] == [1, 3]


def test_a_journal_that_is_nothing_but_a_cut_line_begins_again(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, {})
    (journal.folder / "sidecar.jsonl").write_bytes(b'{"n"')
    journal.note("sidecar", [{"n": 1}])
    assert list(journal.noted("sidecar")) == [{"n": 1}]


def test_a_name_that_is_no_utf8_is_noted(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, {})
    name = os.fsdecode(b"caf\xe9.jpg")
    journal.note("sidecar", [{"path": name}])
    assert list(journal.noted("sidecar")) == [{"path": name}]


def test_kept_content_comes_back_once_stored(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, {})
    name = journal.keep(b"\0old")
    assert journal.keep(b"\0old") == name
    assert journal.kept(name) == b"\0old"
    assert len(list((journal.folder / "kept").rglob("*.*"))) == 0, "nothing but the content is left there"


@pytest.mark.parametrize("run", ["20260101-000000-abcd", "../..", "", "x"])
def test_a_run_that_is_not_there_is_named_with_the_latest(tmp_path: Path, run: str) -> None:
    journal = Journal.create(tmp_path, {})
    with pytest.raises(TaggingError, match=journal.run):
        Journal.open(tmp_path, run)


def test_how_a_run_ended_is_kept(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, {})
    journal.close("done", n_written=3)
    facts = Journal.open(tmp_path, journal.run).facts
    assert (facts["state"], facts["n_written"], facts["run"]) == ("done", 3, journal.run)
