from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from conftest import CLI, ROOT
from filelock import FileLock
from tiny_models import make_clip

import clipsearch
from clipsearch import images
from clipsearch.cli.demo import data_folder
from clipsearch.errors import CollectionLocked, ModelMismatch, SettingsError, SourceError
from clipsearch.settings import Settings
from clipsearch.store import exists, list_collections, open_store
from clipsearch.types import Point
from indexer.report import RunReport
from indexer.run import RunOptions, run
from indexer.sources import SourceOptions, open_source
from indexer.target import Target

MANY = 6000  # pictures: a run of several seconds
Index = Callable[..., RunReport]
Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def index(settings: Settings) -> Index:
    def go(location: Path, *, source: SourceOptions | None = None, **options: object) -> RunReport:
        return run(open_source(location, source or SourceOptions()), settings, RunOptions(**options))  # type: ignore[arg-type]

    return go


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(40):
        name = f"deep/{i:02}.jpg" if i % 2 else f"{i:02}.jpg"
        images.save_jpeg(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8), folder / name)
    return folder


def stored(settings: Settings) -> dict[str, tuple[np.ndarray, dict[str, object]]]:
    with open_store("t", settings) as store:
        return {
            str(p.payload["_key"]): (np.asarray(p.vectors["image"]), dict(p.payload))
            for batch in store.scroll(with_vectors=True)
            for p in batch
        }


def test_every_picture_gets_its_own_models_vector(index: Index, pictures: Path, settings: Settings) -> None:
    report = index(pictures, batch_size=7)
    assert (report.found, report.encoded, report.failed, report.exit_code) == (40, 40, 0, 0)
    found = stored(settings)
    with clipsearch.Encoder.open(settings.model, cache=settings.cache) as encoder:
        for key in ("00.jpg", "deep/39.jpg"):
            expected = encoder.encode_images([pictures / key])[0]
            assert found[key][0] @ expected > 0.9999
    assert found["00.jpg"][1]["_width"] == 60
    assert found["00.jpg"][1]["_path"] == str(pictures / "00.jpg")


def test_a_second_run_encodes_nothing(index: Index, pictures: Path) -> None:
    index(pictures)
    again = index(pictures)
    assert (again.encoded, again.reused, again.unchanged, again.exit_code) == (0, 0, 40, 0)


def test_a_renamed_a_copied_and_a_touched_picture_are_not_encoded_again(
    index: Index, pictures: Path, settings: Settings
) -> None:
    index(pictures)
    before = stored(settings)
    (pictures / "00.jpg").rename(pictures / "renamed.jpg")
    shutil.copy(pictures / "02.jpg", pictures / "copy.jpg")
    os.utime(pictures / "04.jpg")
    report = index(pictures)
    assert (report.encoded, report.reused, report.gone, report.removed) == (0, 3, 1, 0)
    after = stored(settings)
    assert np.array_equal(after["renamed.jpg"][0], before["00.jpg"][0])
    assert np.array_equal(after["copy.jpg"][0], before["02.jpg"][0])
    assert "00.jpg" in after
    synced = index(pictures, sync=True)
    assert (synced.encoded, synced.removed) == (0, 1)
    assert "00.jpg" not in stored(settings)


def test_a_changed_picture_gets_a_new_vector_and_its_old_copy_keeps_the_old(
    index: Index, pictures: Path, settings: Settings
) -> None:
    shutil.copy(pictures / "00.jpg", pictures / "zz-copy.jpg")
    first = index(pictures)
    assert (first.encoded, first.reused) == (40, 1)
    before = stored(settings)
    shutil.move(pictures / "zz-copy.jpg", pictures / "zzz-moved.jpg")
    images.save_jpeg(np.full((40, 60, 3), 250, np.uint8), pictures / "00.jpg")
    index(pictures, batch_size=1)
    after = stored(settings)
    # copied, or encoded again if 00.jpg's turn came first: the same picture's vector either way
    assert after["zzz-moved.jpg"][0] @ before["00.jpg"][0] > 0.9999
    assert after["00.jpg"][0] @ before["00.jpg"][0] < 0.9999


def test_what_cannot_be_used_is_a_row_with_a_reason_and_is_not_tried_again(
    index: Index, pictures: Path, settings: Settings
) -> None:
    whole = (pictures / "00.jpg").read_bytes()
    (pictures / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (pictures / "notes.png").write_text("no picture")
    (pictures / "empty.webp").write_bytes(b"")
    report = index(pictures)
    assert (report.encoded, report.failed, report.exit_code) == (40, 3, 4)
    rows = [json.loads(line) for line in Path(str(report.skipped_file)).read_text().splitlines()]
    assert {row["key"]: row["reason"] for row in rows} == {
        "cut.jpg": "truncated",
        "notes.png": "not-an-image",
        "empty.webp": "empty",
    }
    assert all(row["key"] in row["message"] for row in rows)
    again = index(pictures)
    assert (again.failed, again.failed_before, again.unchanged) == (0, 3, 40)
    (pictures / "cut.jpg").write_bytes(whole)
    mended = index(pictures, retry_failed=True)
    assert (mended.reused, mended.failed, mended.failed_before) == (1, 2, 0)
    assert len(stored(settings)) == 41


def test_a_picture_that_went_bad_is_no_longer_found(index: Index, pictures: Path, settings: Settings) -> None:
    index(pictures)
    (pictures / "00.jpg").write_bytes(b"\xff\xd8\xff")
    assert index(pictures).failed == 1
    assert "00.jpg" not in stored(settings)


def test_a_picture_that_went_bad_leaves_its_copy_its_vector(
    index: Index, pictures: Path, settings: Settings
) -> None:
    index(pictures)
    before = stored(settings)
    shutil.copy(pictures / "00.jpg", pictures / "zz.jpg")
    (pictures / "00.jpg").write_bytes(b"\xff\xd8\xff")
    report = index(pictures)
    assert (report.encoded, report.reused, report.failed) == (0, 1, 1)
    after = stored(settings)
    assert np.array_equal(after["zz.jpg"][0], before["00.jpg"][0])
    assert "00.jpg" not in after


def test_the_same_content_met_again_batches_later_is_encoded_once(
    index: Index, pictures: Path, settings: Settings
) -> None:
    for i in range(30):
        shutil.copy(pictures / "00.jpg", pictures / f"again-{i:02}.jpg")
    report = index(pictures, batch_size=4)
    assert (report.found, report.encoded, report.reused) == (70, 40, 30)
    assert len(stored(settings)) == 70


def test_pictures_on_a_drive_that_is_away_keep_their_vectors(
    index: Index, pictures: Path, settings: Settings
) -> None:
    path = pictures.parent / "parts.csv"
    path.write_text("no,image\nA,pictures/00.jpg\nB,pictures/02.jpg\n")
    options = SourceOptions(id_column="no")
    index(path, source=options)
    pictures.rename(pictures.parent / "unmounted")
    away = index(path, source=options, sync=True)
    assert (away.failed, away.removed, away.exit_code) == (2, 0, 4)
    rows = [json.loads(line) for line in Path(str(away.skipped_file)).read_text().splitlines()]
    assert [(row["key"], row["reason"]) for row in rows] == [("A", "unreadable"), ("B", "unreadable")]
    assert set(stored(settings)) == {"A", "B"}
    (pictures.parent / "unmounted").rename(pictures)
    back = index(path, source=options)
    assert (back.encoded, back.unchanged, back.exit_code) == (0, 2, 0)


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
def test_a_pipe_with_a_pictures_name_does_not_hang_the_run(index: Index, pictures: Path) -> None:
    os.mkfifo(pictures / "pipe.jpg")
    (pictures / "zero.png").symlink_to("/dev/zero")
    report = index(pictures)
    assert (report.encoded, report.failed) == (40, 2)
    assert "not a regular file" in Path(str(report.skipped_file)).read_text()


def test_a_bad_picture_that_is_gone_is_no_longer_listed(index: Index, pictures: Path) -> None:
    (pictures / "bad.jpg").write_text("no picture")
    assert index(pictures).failed == 1
    (pictures / "bad.jpg").unlink()
    report = index(pictures)
    assert (report.failed_before, report.gone, report.exit_code) == (0, 0, 0)
    assert Path(str(report.skipped_file)).read_text() == ""


def test_indexing_one_picture_with_sync_removes_none_of_its_neighbours(
    index: Index, pictures: Path, settings: Settings
) -> None:
    index(pictures)
    report = index(pictures / "00.jpg", sync=True)
    assert (report.unchanged, report.gone, report.removed) == (1, 0, 0)
    assert "nothing was removed" in report.notes[-1]
    assert len(stored(settings)) == 40


@pytest.mark.skipif(os.name != "posix", reason="needs a path longer than the system opens")
def test_what_lies_in_a_folder_that_cannot_be_read_is_not_removed(
    index: Index, pictures: Path, settings: Settings
) -> None:
    index(pictures)
    here = os.open(pictures / "deep", os.O_RDONLY)
    for _ in range(20):  # deeper than an absolute path reaches, even for root
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (pictures / "00.jpg").unlink()
    report = index(pictures, sync=True)
    assert (report.unchanged, report.removed) == (39, 0)
    assert len(stored(settings)) == 40


def test_a_folder_that_moved_is_not_indexed_twice_unless_that_is_meant(
    index: Index, pictures: Path, settings: Settings
) -> None:
    index(pictures)
    before = stored(settings)
    moved = pictures.rename(pictures.parent / "moved")
    with pytest.raises(SourceError, match=f"--source-name {pictures}"):
        index(moved)
    assert len(stored(settings)) == 40
    kept = index(moved, source=SourceOptions(name=str(pictures)), sync=True)
    assert (kept.encoded, kept.reused, kept.gone) == (0, 40, 0)
    after = stored(settings)
    assert np.array_equal(after["00.jpg"][0], before["00.jpg"][0])
    assert after["00.jpg"][1]["_path"] == str(moved / "00.jpg")
    twice = index(moved, source=SourceOptions(name=str(moved)))
    assert (twice.encoded, twice.reused) == (0, 40)
    with open_store("t", settings) as store:
        assert store.count() == 80


def test_a_value_that_does_not_fit_its_field_is_refused_before_anything_is_written(
    index: Index, pictures: Path, settings: Settings
) -> None:
    path = pictures / "parts.csv"
    path.write_text("no,image,holes,code\nA,00.jpg,4,M8\nB,02.jpg,2,M6\n")
    options = SourceOptions(id_column="no")
    index(path, source=options)
    path.write_text("no,image,holes,code,new\nA,00.jpg,4.5,8,x\nB,02.jpg,2,6,y\n")
    with pytest.raises(SourceError, match=r"line 2: holes is '4.5', but collection 't' holds integer"):
        index(path, source=options)
    with open_store("t", settings) as store:
        assert "new" not in store.spec.fields
    path.write_text("no,image,holes,code\nA,00.jpg,4,008\nB,02.jpg,2,6\n")
    assert index(path, source=options).updated == 2
    assert stored(settings)["A"][1]["code"] == "008"


def test_an_edited_row_changes_its_fields_without_encoding(
    index: Index, pictures: Path, settings: Settings
) -> None:
    path = pictures / "parts.csv"
    path.write_text("no,image,price\nA,00.jpg,1.5\nB,02.jpg,2\n")
    options = SourceOptions(id_column="no")
    index(path, source=options)
    before = stored(settings)
    path.write_text("no,image,price,stock\nA,00.jpg,9.5,3\nB,02.jpg,2,\n")
    report = index(path, source=options)
    assert (report.encoded, report.reused) == (0, 0)
    assert report.updated >= 1
    after = stored(settings)
    assert np.array_equal(after["A"][0], before["A"][0])
    assert (after["A"][1]["price"], after["A"][1]["stock"]) == (9.5, 3)
    with open_store("t", settings) as store:
        assert store.spec.fields["stock"] == "integer"


def test_nothing_is_made_where_nothing_can_be_used(index: Index, tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    with pytest.raises(SourceError, match="no picture in"):
        index(folder)
    (folder / "a.jpg").write_text("no picture")
    with pytest.raises(SourceError, match=r"none of the 1 pictures.*not-an-image"):
        index(folder)
    assert not exists("t", settings)
    assert list_collections(settings) == []


def test_another_model_is_refused_with_both_named(
    index: Index, pictures: Path, tmp_path: Path, settings: Settings
) -> None:
    index(pictures)
    other = make_clip(tmp_path / "other", seed=1)
    with pytest.raises(ModelMismatch, match=r"tiny.*other"):
        index(pictures, model=f"local-dir:{other}")
    assert index(pictures).unchanged == 40


def test_a_run_that_is_asked_to_stop_keeps_what_is_done_and_goes_on_later(
    index: Index, pictures: Path, settings: Settings
) -> None:
    asked = iter([False] * 5 + [True] * 100)
    report = run(
        open_source(pictures, SourceOptions()),
        settings,
        RunOptions(batch_size=4),
        should_stop=lambda: next(asked),
    )
    assert report.stopped
    assert report.exit_code == 1
    assert 0 < report.encoded < 40
    assert len(stored(settings)) == report.encoded
    rest = index(pictures)
    assert rest.unchanged == report.encoded
    assert rest.encoded == 40 - report.encoded


def test_a_ledger_that_knows_more_than_the_collection_is_not_believed(
    index: Index, pictures: Path, settings: Settings
) -> None:
    index(pictures)
    with open_store("t", settings) as store:
        lost = [p.id for batch in store.scroll(with_payload=False) for p in batch][:5]
        store.delete(lost)
    report = index(pictures)
    assert (report.encoded, report.unchanged) == (5, 35)
    assert len(stored(settings)) == 40


def test_a_lost_ledger_costs_reading_but_no_encoding(
    index: Index, pictures: Path, settings: Settings
) -> None:
    index(pictures)
    for path in settings.collection_dir().glob("ledger.sqlite*"):
        path.unlink()
    (pictures / "00.jpg").unlink()
    report = index(pictures, sync=True)
    assert (report.encoded, report.reused, report.removed) == (0, 39, 1)
    assert len(stored(settings)) == 39


def test_a_collection_that_holds_as_many_other_points_is_believed(
    index: Index, pictures: Path, settings: Settings
) -> None:
    index(pictures)
    with open_store("t", settings) as store:
        points = [p for batch in store.scroll(with_vectors=True) for p in batch]
        store.delete([p.id for p in points])
        store.upsert([Point(str(uuid4()), p.vectors, {}) for p in points])
    report = index(pictures)
    assert (report.encoded, report.unchanged) == (40, 0)


def test_exact_decoding_is_for_new_collections(index: Index, pictures: Path) -> None:
    index(pictures)
    with pytest.raises(SettingsError, match="--collection t-exact"):
        index(pictures, exact=True)


def test_a_run_that_is_stopped_before_its_first_batch_makes_nothing(
    pictures: Path, settings: Settings
) -> None:
    source = open_source(pictures, SourceOptions())
    report = run(source, settings, RunOptions(), should_stop=lambda: True)
    assert (report.stopped, report.encoded, report.exit_code) == (True, 0, 1)
    assert not exists("t", settings)


def test_a_second_run_into_a_servers_collection_waits_for_the_first(settings: Settings) -> None:
    with_server = replace(settings, url="http://127.0.0.1:9")
    folder = with_server.collection_dir()
    folder.parent.mkdir(parents=True)
    with (
        FileLock(folder.parent / ".t.lock"),
        ExitStack() as stack,
        pytest.raises(CollectionLocked, match="another index run"),
    ):
        Target(with_server, stack)


def start(settings: Settings, source: Path, *arguments: str) -> subprocess.Popen[str]:
    command = "from clipsearch.cli import main; main()"
    env = {
        **os.environ,
        "CLIPSEARCH_DATA": str(settings.data),
        "CLIPSEARCH_CACHE": str(settings.cache),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            command,
            "index",
            str(source),
            "-c",
            "t",
            "--model",
            settings.model,
            *arguments,
        ],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(1)
    for i in range(MANY):
        images.save_jpeg(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8), folder / f"{i:04}.jpg")
    return folder


def n_recorded(settings: Settings) -> int:
    """How many pictures the ledger of a running index knows."""
    path = settings.collection_dir() / "ledger.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as db:
        return int(db.execute("SELECT COUNT(*) FROM records").fetchone()[0])


def test_a_run_killed_at_any_moment_loses_nothing_and_doubles_nothing(
    index: Index, many: Path, settings: Settings
) -> None:
    index(many / "0000.jpg")  # makes the collection and compiles the model
    for more, wait_s in ((1, 0.3), (0, 0.6), (300, 0.15)):
        least = n_recorded(settings) + more
        process = start(settings, many, "--batch-size", "1", "--workers", "1")
        while process.poll() is None and n_recorded(settings) < least:
            time.sleep(0.005)
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run had ended before it was killed"
    before = len(stored(settings))
    assert 1 < before < MANY
    rest = index(many)
    assert rest.found == rest.encoded + rest.reused + rest.unchanged == MANY
    assert rest.encoded == MANY - before, "what was stored was encoded again"
    found = stored(settings)
    assert sorted(found) == [f"{i:04}.jpg" for i in range(MANY)]
    with clipsearch.Encoder.open(settings.model, cache=settings.cache) as encoder:
        for i in range(0, MANY, 300):
            assert found[f"{i:04}.jpg"][0] @ encoder.encode_images([many / f"{i:04}.jpg"])[0] > 0.9999
    assert index(many).unchanged == MANY


def test_an_interrupt_ends_cleanly_and_says_how_to_go_on(
    index: Index, many: Path, settings: Settings
) -> None:
    index(many / "0000.jpg")
    process = start(settings, many, "--batch-size", "1", "--workers", "1")
    while process.poll() is None and n_recorded(settings) <= 1:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "the same command goes on from here" in err
    assert "Traceback" not in err
    assert 1 < len(stored(settings)) == n_recorded(settings) < MANY


def test_of_two_runs_at_once_the_second_names_the_first_and_spoils_nothing(
    index: Index, pictures: Path, settings: Settings
) -> None:
    index(pictures / "00.jpg")
    messages: list[str] = []

    def run_another(report: RunReport) -> None:
        if report.encoded and not messages:
            second = start(settings, pictures)
            messages.append(second.communicate(timeout=60)[1])
            assert second.returncode == 1

    source = open_source(pictures, SourceOptions())
    first = run(source, settings, RunOptions(batch_size=4), on_progress=run_another)
    assert f"in use by another process (pid {os.getpid()}" in messages[0]
    assert "Traceback" not in messages[0]
    assert (first.encoded, first.unchanged) == (39, 1)
    assert len(stored(settings)) == 40


def test_the_command_reports_in_words_in_json_and_in_a_file(
    pictures: Path, tmp_path: Path, settings: Settings
) -> None:
    (pictures / "cut.jpg").write_bytes((pictures / "00.jpg").read_bytes()[:200])
    (pictures / "notes.txt").write_text("x")
    lost = start(settings, pictures, "--report", str(tmp_path / "nowhere" / "run.json"))
    _, err = lost.communicate(timeout=60)
    assert (lost.returncode, "make it first" in err) == (1, True), err
    assert not exists("t", settings)
    done = start(settings, pictures, "--json", "--report", str(tmp_path / "run.json"))
    out, err = done.communicate(timeout=120)
    assert done.returncode == 4, err
    report = json.loads(out)
    assert report == json.loads((tmp_path / "run.json").read_text())
    assert (report["encoded"], report["failed"], report["not_pictures"], report["exit_code"]) == (40, 1, 1, 4)
    assert "indexed 40, skipped 1 (see " in err
    assert "passed over 1 files that are not pictures" in err


def test_the_progress_says_where_the_run_is(pictures: Path, settings: Settings) -> None:
    seen: list[int] = []
    run(
        open_source(pictures, SourceOptions()),
        settings,
        RunOptions(batch_size=8),
        on_progress=lambda report: seen.append(report.done),
    )
    assert seen == sorted(seen)
    assert seen[-1] == 40


def test_all_awkward_files_go_through(index: Index, shared_data: Path, settings: Settings) -> None:
    folder = shared_data / "torture"
    report = index(folder)
    rows = [json.loads(line) for line in Path(str(report.skipped_file)).read_text().splitlines()]
    seen = set(stored(settings)) | {row["key"] for row in rows}
    assert report.encoded + report.reused + report.failed == report.found == len(seen)
    assert {row["reason"] for row in rows} <= set(images.REASONS)
    manifest = list(csv.DictReader((folder / "manifest.csv").open()))
    passed_over = [r for r in manifest if r["path"] not in seen]
    assert all(Path(row["path"]).suffix.lower() not in images.SUFFIXES for row in passed_over)
    good = {row["path"] for row in manifest if row["pillow_result"] == "ok"}
    assert not {row["path"] for row in passed_over} & good
    refused = {row["key"]: row["reason"] for row in rows if row["key"] in good}
    # Pillow 13 refuses these two as well; the manifest is of an earlier one
    assert set(refused) <= {
        "pillow/apng/chunk_no_fctl.png",
        "pngsuite/contrib/testpngs/crashers/badadler.png",
    }


def test_one_photo_in_eight_orientations_has_one_vector(
    index: Index, shared_data: Path, settings: Settings
) -> None:
    index(shared_data / "torture" / "exif_orientation")
    found = stored(settings)
    for name in ("Landscape", "Portrait"):
        vectors = np.stack([found[f"{name}_{i}.jpg"][0] for i in range(1, 9)])
        assert (vectors @ vectors.T).min() > 0.999


def test_one_picture_stored_in_eight_ways_has_one_vector(tmp_path: Path, settings: Settings) -> None:
    """With the starter model: the same pixels, turned as a camera stores them, and the tag that says how."""
    from PIL import Image

    way = Image.Transpose
    stored_as = {2: way.FLIP_LEFT_RIGHT, 3: way.ROTATE_180, 4: way.FLIP_TOP_BOTTOM, 5: way.TRANSPOSE}
    stored_as |= {6: way.ROTATE_90, 7: way.TRANSVERSE, 8: way.ROTATE_270}
    part = data_folder() / "images" / "HX-M12x25-MS_1.jpg"
    upright = Image.open(part).convert("RGB").crop((0, 20, 200, 170)).resize((800, 600))
    for orientation in range(1, 9):
        turned = upright.transpose(stored_as[orientation]) if orientation > 1 else upright
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned.save(tmp_path / f"{orientation}.jpg", quality=92, exif=exif)
    run(open_source(tmp_path, SourceOptions()), settings, RunOptions(model="starter"))
    found = stored(settings)
    assert all((payload["_width"], payload["_height"]) == (800, 600) for _, payload in found.values())
    vectors = np.stack([found[f"{i}.jpg"][0] for i in range(1, 9)])
    assert (vectors @ vectors.T).min() > 0.999


def test_a_real_catalogue_is_indexed_and_answers(index: Index, shared_data: Path, settings: Settings) -> None:
    report = index(shared_data / "diy_catalogue" / "products.csv")
    assert (report.encoded + report.reused, report.failed) == (334, 0)
    with clipsearch.open(settings=settings) as searcher:
        page = searcher.search("hammer", filter="category=electrical", top=5)
        assert len(page) == 5
        assert {hit.payload["category"] for hit in page} == {"electrical"}


def test_int8_is_chosen_once_and_kept(index: Index, pictures: Path, settings: Settings) -> None:
    index(pictures, precision="int8")
    before = stored(settings)
    assert collection_precision(settings) == "int8"
    images.save_jpeg(np.full((40, 60, 3), 99, np.uint8), pictures / "new.jpg")
    report = index(pictures)  # goes on at int8 without being told
    assert (report.encoded, report.unchanged) == (1, 40)
    assert collection_precision(settings) == "int8"
    assert np.array_equal(stored(settings)["00.jpg"][0], before["00.jpg"][0])
    with pytest.raises(SettingsError, match=r"was made at int8; --precision fp32 is for another"):
        index(pictures, precision="fp32")
    with clipsearch.open("t", settings=settings) as searcher:
        hit = searcher.search(image=pictures / "00.jpg", top=1).hits[0]
        assert hit.key == "00.jpg" and hit.score > 0.95


def collection_precision(settings: Settings) -> str:
    with open_store("t", settings) as store:
        return store.spec.fingerprint.precision


def test_a_collection_of_float32_does_not_become_int8(index: Index, pictures: Path) -> None:
    index(pictures)
    with pytest.raises(SettingsError, match=r"--collection t-int8"):
        index(pictures, precision="int8")


def test_the_report_says_what_was_busy(index: Index, pictures: Path) -> None:
    record = index(pictures).record()
    assert set(record["busy"]) == {"decode", "encode", "store"}
    assert json.loads(json.dumps(record)) == record


def test_two_sources_in_one_run_keep_their_ids_and_lose_only_their_own(
    run_cli: Callable[..., subprocess.CompletedProcess[str]],
    pictures: Path,
    settings: Settings,
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    images.save_jpeg(np.full((40, 60, 3), 7, np.uint8), other / "a.jpg")
    options = ["-m", "starter", "-c", "t", "--data", str(settings.data)]
    assert run_cli("index", str(pictures), str(other), *options).returncode == 0
    (other / "a.jpg").unlink()
    images.save_jpeg(np.full((40, 60, 3), 9, np.uint8), other / "b.jpg")
    done = run_cli("index", str(other), *options, "--sync", "--json")
    counts = json.loads(done.stdout)
    assert (counts["encoded"], counts["removed"], counts["exit_code"]) == (1, 1, 0)
    assert len(stored(settings)) == 41


def test_a_list_of_paths_comes_from_standard_input(
    pictures: Path, settings: Settings, tmp_path: Path
) -> None:
    listed = "\0".join(str(pictures / name) for name in ("00.jpg", "02.jpg"))
    done = subprocess.run(
        [*CLI, "index", "-", "-m", "starter", "-c", "t", "--data", str(settings.data), "--json"],
        input=listed.encode(),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    assert json.loads(done.stdout)["encoded"] == 2, done.stderr
    assert sorted(stored(settings)) == ["00.jpg", "02.jpg"]
