from __future__ import annotations

import os
from pathlib import Path

import pytest

from clipsearch.errors import StoreError
from clipsearch.types import ImageFile
from indexer.ledger import Ledger, Record, metadata_hash, record_id
from indexer.report import RunReport, write_jsonl


def file(key: str, **changes: object) -> ImageFile:
    values = {"source": "s", "key": key, "path": f"/p/{key}", "n_bytes": 10, "mtime_ns": 20, **changes}
    return ImageFile(**values)  # type: ignore[arg-type]


def test_a_records_id_never_changes_between_versions_and_machines() -> None:
    assert record_id(file("a.jpg")) == "02e6a5d8-401d-5627-ae10-f4df4641bab6"
    assert record_id(file("a.jpg", source="other")) != record_id(file("a.jpg"))


def test_what_is_written_is_known_again_after_reopening(tmp_path: Path) -> None:
    records = [Record(str(i), file(f"{i}.jpg", metadata={"n": i}), sha256=f"{i:064}") for i in range(1200)]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.write(records)
        ledger.write([Record("bad", file("bad.jpg"), None, "truncated", "why")])
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        known = ledger.known([r.id for r in records] + ["bad", "never"])
        assert len(known) == 1201
        assert known["7"].same_file(file("7.jpg"))
        assert not known["7"].same_file(file("7.jpg", mtime_ns=21))
        assert known["7"].metadata == metadata_hash({"n": 7})
        assert known["bad"].reason == "truncated"
        assert ledger.id_of_content(f"{5:064}") == "5"
        assert ledger.id_of_content("none") is None
        assert ledger.n_in_collection() == 1200
        assert sorted(ledger.ids_in_collection()) == sorted(r.id for r in records)
        assert len(ledger.sample()) == 64
        assert [row["key"] for row in ledger.failures()] == ["bad.jpg"]


def test_a_sources_records_are_listed_and_can_be_forgotten(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        ledger.write([Record("1", file("1")), Record("2", file("2")), Record("3", file("3", source="other"))])
    with Ledger(tmp_path / "l") as ledger:
        assert list(ledger.ids_of("s")) == ["1", "2"]
        ledger.forget(["2"])
        assert list(ledger.ids_of("s")) == ["1"]
        assert ledger.known(["2"]) == {}


def test_a_ledger_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        ledger.write([Record("1", file("1"))])
        ledger._db.execute("PRAGMA user_version = 1")
    with Ledger(tmp_path / "l") as ledger:
        assert ledger.known(["1"]) == {}
        ledger.write([Record("1", file("1"))])
        assert set(ledger.known(["1"])) == {"1"}


@pytest.mark.skipif(os.name != "posix", reason="needs file names that are no UTF-8")
def test_a_name_that_is_no_utf8_is_kept(tmp_path: Path) -> None:
    odd = file(os.fsdecode(b"\xff.jpg"))
    with Ledger(tmp_path / "l") as ledger:
        ledger.write([Record(record_id(odd), odd, None, "corrupt", f"{odd.path}: broken")])
        assert ledger.known([record_id(odd)])[record_id(odd)].same_file(odd)
        write_jsonl(tmp_path / "skipped.jsonl", ledger.failures())
    assert (
        "\\\\xff" in (tmp_path / "skipped.jsonl").read_text()
        or "udcff" in (tmp_path / "skipped.jsonl").read_text()
    )


def test_a_full_disk_is_one_clear_sentence_and_loses_nothing(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        ledger.write([Record("1", file("1"))])
        ledger._db.execute("PRAGMA max_page_count = 8")  # SQLite's own "database or disk is full"
        with pytest.raises(StoreError, match=r"disk is full.*free some space and run the same command"):
            ledger.write([Record(str(i), file("x" * 500 + str(i))) for i in range(1000)])
        assert set(ledger.known(["1", "500"])) == {"1"}


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "l").write_text("this is no database, though it is long enough to look like one" * 20)
    with pytest.raises(StoreError, match=r"not a database.*delete that file and index again"):
        Ledger(tmp_path / "l")


def test_the_summary_says_what_became_of_every_picture() -> None:
    report = RunReport(
        "c", "s", "m", encoded=9981, unchanged=40112, failed=19, seconds=252.0, skipped_file="skipped.jsonl"
    )
    assert report.summary() == (
        "indexed 9,981, unchanged 40,112, skipped 19 (see skipped.jsonl) in 4 min 12 s, 40 images/s"
    )
    assert report.exit_code == 4
    assert RunReport("c", "s", "m", encoded=1, seconds=4000).summary().endswith("in 1 h 6 min, 0 images/s")


def test_the_summary_counts_what_is_no_picture(tmp_path: Path) -> None:
    report = RunReport("c", "s", "m", encoded=1, seconds=2, not_pictures=3, stage="indexing")
    assert "passed over 3 files that are not pictures" in report.summary()
    assert "stage" not in report.record()
