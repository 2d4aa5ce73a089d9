"""`clipsearch encode`: the same shards on one machine or many, nothing encoded twice, failures as rows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import make_clip

from clipsearch import images, shards, store
from clipsearch.errors import ModelMismatch, SettingsError, SourceError
from clipsearch.settings import Settings
from indexer.options import RunOptions
from indexer.run import run
from indexer.shards.encode import encode
from indexer.shards.encode_report import EncodeOptions, EncodeReport, worker_of
from indexer.shards.export import ExportOptions, export
from indexer.shards.load import load
from indexer.sources import SourceOptions, open_source

Encode = Callable[..., EncodeReport]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(25):
        images.save_jpeg(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8), folder / f"{i:02}.jpg")
    return folder


@pytest.fixture
def go(settings: Settings, pictures: Path, tmp_path: Path) -> Encode:
    def encoded(
        folder: str = "shards", *, model: str | None = None, retry_failed: bool = False, **how: object
    ):
        options = EncodeOptions(
            RunOptions(model=model, batch_size=4, retry_failed=retry_failed), **{"shard_size": 10, **how}
        )
        return encode(open_source(pictures, SourceOptions()), tmp_path / folder, settings, options)

    return encoded


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_hold_what_an_index_run_would_store(
    go: Encode, settings: Settings, pictures: Path, tmp_path: Path
) -> None:
    report = go()
    assert (report.run.encoded, report.n_shards, report.n_written, report.exit_code) == (25, 3, 3, 0)
    assert [shard.n_rows for shard in shards.find(tmp_path / "shards").shards] == [10, 10, 5]
    assert not store.exists("t", settings), "encoding made a collection"
    load(tmp_path / "shards", settings)
    indexed = replace(settings, collection="indexed")
    run(open_source(pictures, SourceOptions()), indexed, RunOptions(batch_size=4))
    found = []
    for place in (settings, indexed):
        with store.open_store(place.collection, place) as opened:
            found.append({p.id: p for batch in opened.scroll(with_vectors=True) for p in batch})
    assert found[0].keys() == found[1].keys()
    for id, point in found[0].items():
        assert point.payload == found[1][id].payload
        assert np.dot(point.vectors["image"], found[1][id].vectors["image"]) > 0.99999  # type: ignore[arg-type]
    assert store.read_spec("t", settings) == store.read_spec("indexed", settings)


def test_indexing_what_was_loaded_encodes_nothing_and_reads_nothing(
    go: Encode, settings: Settings, pictures: Path, tmp_path: Path
) -> None:
    go()
    load(tmp_path / "shards", settings)
    report = run(open_source(pictures, SourceOptions()), settings, RunOptions())
    assert (report.encoded, report.reused, report.unchanged) == (0, 0, 25)
    export(tmp_path / "out", settings, ExportOptions())
    again = replace(settings, collection="again")
    load(tmp_path / "out", again)
    assert run(open_source(pictures, SourceOptions()), again, RunOptions()).unchanged == 25


def test_a_second_run_leaves_finished_shards_as_they_are(go: Encode, tmp_path: Path) -> None:
    go()
    before = files_of(tmp_path / "shards")
    report = go()
    assert (report.run.encoded, report.run.unchanged, report.n_kept, report.n_written) == (0, 25, 3, 0)
    assert files_of(tmp_path / "shards") == before


def test_workers_share_the_shards_and_make_what_one_makes(go: Encode, tmp_path: Path) -> None:
    go("alone")
    for worker in (3, 1, 2):
        report = go(worker=worker, n_workers=3)
        assert (report.n_shards, report.n_written) == (3, 1)
    one, many = (shards.find(tmp_path / name).shards for name in ("alone", "shards"))
    assert [s.header.identity for s in one] == [s.header.identity for s in many]
    for a, b in zip(one, many, strict=True):
        first, second = ([p for batch in s.batches() for p in batch.rows().points] for s in (a, b))
        assert [p.id for p in first] == [p.id for p in second]
        for p, q in zip(first, second, strict=True):
            assert np.dot(p.vectors["image"], q.vectors["image"]) > 0.99999  # type: ignore[arg-type]


def test_a_lost_or_damaged_shard_alone_is_made_again(go: Encode, tmp_path: Path) -> None:
    go()
    shards.remove(tmp_path / "shards", 1)
    (tmp_path / "shards" / "part-00002.parquet").write_bytes(b"cut")
    report = go()
    assert (report.run.encoded, report.n_kept, report.n_written) == (15, 1, 2)


def test_of_a_changed_shard_only_the_changed_pictures_are_encoded(
    go: Encode, pictures: Path, tmp_path: Path
) -> None:
    go()
    shutil.copy(pictures / "03.jpg", pictures / "13.jpg")
    report = go()
    assert (report.run.encoded, report.run.unchanged, report.n_kept, report.n_written) == (1, 24, 2, 1)
    for i in range(12, 25):
        (pictures / f"{i:02}.jpg").unlink()
    report = go()
    assert (report.run.encoded, report.n_shards, report.n_removed) == (0, 2, 1)
    assert [shard.n_rows for shard in shards.find(tmp_path / "shards").shards] == [10, 2]


def test_pictures_that_cannot_be_used_are_listed_beside_their_shard(
    go: Encode, pictures: Path, tmp_path: Path
) -> None:
    good = (pictures / "12.jpg").read_bytes()
    (pictures / "12.jpg").write_bytes(good[:300])
    report = go()
    assert (report.run.encoded, report.run.failed, report.exit_code) == (24, 1, 4)
    (line,) = (tmp_path / "shards" / "part-00001.failed.jsonl").read_text().splitlines()
    assert json.loads(line)["key"] == "12.jpg"
    assert json.loads(line)["reason"] in images.REASONS
    again = go()
    assert (again.run.encoded, again.run.failed_before, again.exit_code) == (0, 1, 4)
    retried = go(retry_failed=True)
    assert (retried.run.encoded, retried.run.unchanged, retried.run.failed) == (0, 24, 1)
    (pictures / "12.jpg").write_bytes(good)
    mended = go()
    assert (mended.run.encoded, mended.exit_code) == (1, 0)
    assert not (tmp_path / "shards" / "part-00001.failed.jsonl").exists()


def test_equal_pictures_are_encoded_once_in_a_shard(go: Encode, pictures: Path, tmp_path: Path) -> None:
    for i in range(1, 10):
        shutil.copy(pictures / "00.jpg", pictures / f"{i:02}.jpg")
    report = go()
    assert report.run.encoded + report.run.reused == 25
    assert report.run.reused >= 5  # those under way at the same moment may be encoded twice
    first = shards.find(tmp_path / "shards").shards[0]
    vectors = [p.vectors["image"] for batch in first.batches() for p in batch.rows().points]
    assert len(vectors) == 10
    assert all(np.dot(vectors[0], v) > 0.99999 for v in vectors)  # type: ignore[arg-type]


def test_shards_of_another_model_source_or_type_are_not_written_over(
    go: Encode, settings: Settings, tmp_path: Path
) -> None:
    go()
    other = make_clip(tmp_path / "other", seed=1)
    with pytest.raises(ModelMismatch, match="another folder"):
        go(model=f"local-dir:{other}")
    with pytest.raises(SourceError, match=r"float32 embeddings.*float16.*another folder"):
        go(dtype="float16")
    source = open_source(tmp_path / "pictures", SourceOptions(name="elsewhere"))
    with pytest.raises(SourceError, match="another folder"):
        encode(source, tmp_path / "shards", settings, EncodeOptions(shard_size=10))
    with pytest.raises(SourceError, match="no picture"):
        (tmp_path / "empty").mkdir()
        encode(open_source(tmp_path / "empty", SourceOptions()), tmp_path / "x", settings, EncodeOptions())


def test_float16_shards_take_half_the_space_and_load(go: Encode, settings: Settings, tmp_path: Path) -> None:
    go(dtype="float16")
    shutil.copytree(tmp_path / "shards", tmp_path / "before")
    load(tmp_path / "shards", settings)
    export(tmp_path / "out", settings, ExportOptions(dtype="float16"))
    first, second = (
        {
            p.id: np.asarray(p.vectors["image"])
            for shard in shards.find(tmp_path / name).shards
            for batch in shard.batches()
            for p in batch.rows().points
        }
        for name in ("before", "out")
    )
    assert first.keys() == second.keys()
    for id, vector in first.items():
        assert abs(np.linalg.norm(vector) - 1) < 1e-3
        np.testing.assert_allclose(vector, second[id], atol=2**-11)


def test_a_part_of_a_whole_is_read_or_refused() -> None:
    assert worker_of("3/8") == (3, 8)
    for wrong in ("0/3", "4/3", "3", "a/b", "1/0", "-1/2", ""):
        with pytest.raises(SettingsError, match="like 3/8"):
            worker_of(wrong)


def test_a_killed_run_repeats_one_shard_at_most(settings: Settings, pictures: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for i in range(25, 600):
        images.save_jpeg(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8), pictures / f"{i:03}.jpg")
    out = tmp_path / "shards"
    command = [sys.executable, "-c", "from clipsearch.cli import main; main()", "encode", str(pictures)]
    command += ["--shards", str(out), "--shard-size", "20", "--batch-size", "1", "--workers", "1"]
    environment = {
        **os.environ,
        "CLIPSEARCH_MODEL": settings.model,
        "CLIPSEARCH_CACHE": str(settings.cache),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list(out.glob("*.json"))) < 5:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the run had ended before it was killed"
    n_finished = len(shards.finished(out))
    assert 5 <= n_finished < 30
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["n_kept"], report["n_shards"]) == (n_finished, 30)
    assert report["encoded"] == 600 - 20 * n_finished
    assert "wrote" in done.stderr
    assert shards.find(out).unfinished == ()
