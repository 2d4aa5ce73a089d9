"""Collections to shards and back: exact, without a model, restartable, and a way out of damage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clipsearch import shards, store
from clipsearch.errors import (
    ModelMismatch,
    QueryError,
    SourceError,
    StoreError,
    TableError,
    UnknownField,
)
from clipsearch.settings import Settings
from clipsearch.shards import DType, Header, Rows
from clipsearch.store.spec import to_json
from clipsearch.types import CollectionSpec, FieldKind, Fingerprint, Point
from indexer.ledger import LEDGER, Ledger
from indexer.shards.export import ExportOptions, export
from indexer.shards.load import LoadReport, load

Run = Callable[..., subprocess.CompletedProcess[str]]
DIM = 128
FIELDS: dict[str, FieldKind] = {"material": "keyword", "price": "float", "ok": "bool", "caption": "text"}
MADE = Fingerprint("starter", "", "0" * 64, "{}", "1" * 64, DIM)
SPEC = CollectionSpec(MADE, FIELDS, "部品")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache", collection="t")


def points(n: int, *, seed: int = 0) -> list[Point]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, DIM)).astype(np.float32)  # of any length: the engine makes them unit ones
    return [
        Point(
            str(uuid.UUID(int=i)),
            {"image": vectors[i]},
            {
                "_key": f"{i}.jpg",
                "_path": f"/pictures/{i}.jpg",
                "_source": "/pictures",
                "_sha256": f"{i:064x}",
                "_width": 40,
                "_height": 30,
                "material": ["brass", "steel"] if i % 5 == 0 else "brass" if i % 2 else "steel",
                "price": i / 7,
                "ok": i % 2 == 0,
                "caption": f"ボルト {i}",
                **({"undeclared": ["a", 1, True]} if i % 4 == 0 else {}),
            },
        )
        for i in range(n)
    ]


def filled(settings: Settings, n: int = 300) -> None:
    with store.create(settings.collection, SPEC, settings) as made:
        made.upsert(points(n))


def contents(settings: Settings) -> dict[str, tuple[bytes, Any, dict[str, Any]]]:
    """Every point by id: its vector's bits, its words, its payload."""
    with store.open_store(settings.collection, settings) as opened:
        return {
            p.id: (np.asarray(p.vectors["image"]).tobytes(), p.vectors.get("lexical"), dict(p.payload))
            for batch in opened.scroll(with_vectors=True)
            for p in batch
        }


def test_a_collection_exported_and_loaded_is_the_same_to_the_bit(settings: Settings, tmp_path: Path) -> None:
    filled(settings)
    report = export(tmp_path / "out", settings, ExportOptions(shard_size=130))
    assert (report.found, report.exported, report.n_files, report.exit_code) == (300, 300, 3, 0)
    again = replace(settings, collection="again")
    loaded = load(tmp_path / "out", again)
    assert (loaded.found, loaded.loaded, loaded.n_shards, loaded.exit_code) == (300, 300, 3, 0)
    assert contents(again) == contents(settings)
    assert store.read_spec("again", again) == SPEC
    export(tmp_path / "twice", again, ExportOptions(shard_size=130))
    for number in range(3):
        first, second = (
            pq.read_table(tmp_path / name / f"part-0000{number}.parquet") for name in ("out", "twice")
        )
        assert first.equals(second)


def test_float16_comes_back_as_the_same_float16(settings: Settings, tmp_path: Path) -> None:
    filled(settings, 2000)
    options = ExportOptions(dtype="float16")
    export(tmp_path / "out", settings, options)
    again = replace(settings, collection="again")
    load(tmp_path / "out", again)
    export(tmp_path / "twice", again, options)
    first, second = (pq.read_table(tmp_path / name / "part-00000.parquet") for name in ("out", "twice"))
    assert first.column("embedding").type.value_type == "halffloat"
    assert first.equals(second)


def test_loading_twice_is_loading_once_and_other_records_stay(settings: Settings, tmp_path: Path) -> None:
    filled(settings, 50)
    export(tmp_path / "out", settings, ExportOptions())
    before = contents(settings)
    extra = Point(str(uuid.uuid4()), {"image": np.ones(DIM, np.float32)}, {"material": "x"})
    with store.open_store("t", settings) as opened:
        opened.upsert([extra])
        opened.set_payload([str(uuid.UUID(int=3))], {"material": "changed", "new": 1})
    for _ in range(2):
        load(tmp_path / "out", settings)
        after = contents(settings)
        del after[extra.id]
        assert after == before


def test_what_was_loaded_is_in_the_ledger_with_its_files(settings: Settings, tmp_path: Path) -> None:
    made = points(3)
    folder = tmp_path / "shards"
    folder.mkdir()
    shards.write(folder, 0, Rows(made, [7, 8, 9], [1, 2, 3], ["a", "b", "c"]), Header(to_json(SPEC)))
    load(folder, settings)
    with Ledger(settings.collection_dir() / LEDGER) as ledger:
        known = ledger.known([point.id for point in made])
        assert [known[p.id].n_bytes for p in made] == [7, 8, 9]
        assert known[made[2].id].metadata == "c"
        assert known[made[2].id].sha256 == made[2].payload["_sha256"]
    export(tmp_path / "out", settings, ExportOptions())
    (shard,) = shards.find(tmp_path / "out").shards
    (rows,) = (batch.rows() for batch in shard.batches())
    assert (list(rows.n_bytes), list(rows.mtimes_ns)) == ([7, 8, 9], [1, 2, 3])
    assert list(rows.metadata_hashes) == ["a", "b", "c"]


def test_a_stopped_load_goes_on_with_the_shard_it_was_at(settings: Settings, tmp_path: Path) -> None:
    filled(settings, 400)
    export(tmp_path / "out", settings, ExportOptions(shard_size=100))
    again = replace(settings, collection="again")
    seen: list[int] = []
    first = load(
        tmp_path / "out",
        again,
        on_progress=lambda report: seen.append(report.loaded),
        should_stop=lambda: bool(seen) and seen[-1] >= 200,
    )
    assert (first.stopped, first.exit_code) == (True, 1)
    assert 200 <= first.loaded < 400
    second = load(tmp_path / "out", again)
    assert second.exit_code == 0
    assert second.loaded_before > 0
    assert second.loaded + second.loaded_before == 400
    assert contents(again) == contents(settings)
    assert load(tmp_path / "out", again).loaded == 400, "a finished load is no part of the next one"


def test_a_load_killed_on_its_way_is_made_whole_by_the_next(settings: Settings, tmp_path: Path) -> None:
    filled(settings, 5000)
    export(tmp_path / "out", settings, ExportOptions(shard_size=1000))
    again = replace(settings, collection="again")
    code = (
        "import os, sys, signal\nfrom pathlib import Path\nfrom clipsearch.settings import Settings\n"
        "from indexer.shards.load import load\n"
        "s = Settings(data=Path(sys.argv[1]), cache=Path(sys.argv[1]), collection='again')\n"
        "load(Path(sys.argv[2]), s, on_progress=lambda r: r.loaded > 2500 and os.kill(os.getpid(), 9))"
    )
    arguments = [sys.executable, "-c", code, str(settings.data), str(tmp_path / "out")]
    assert subprocess.run(arguments, check=False).returncode == -9
    assert load(tmp_path / "out", again).exit_code == 0
    assert contents(again) == contents(settings)


def test_loading_needs_no_model_and_loads_none(settings: Settings, tmp_path: Path) -> None:
    filled(settings, 10)
    export(tmp_path / "out", settings, ExportOptions())
    code = (
        "import sys\nfrom clipsearch.cli import cli\n"
        "try: cli.main(sys.argv[1:], standalone_mode=False)\n"
        "finally: print([m for m in ('torch', 'transformers', 'onnxruntime', 'PIL') if m in sys.modules])"
    )
    environment = {**os.environ, "CLIPSEARCH_DATA": str(tmp_path / "elsewhere")}
    done = subprocess.run(
        [sys.executable, "-c", code, "load", str(tmp_path / "out"), "-c", "x"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert "loaded 10 of 1 shards into x" in done.stderr


def written(folder: Path, number: int, spec: CollectionSpec, *, n: int = 2) -> None:
    folder.mkdir(exist_ok=True)
    some = points(n, seed=number)
    shards.write(folder, number, Rows(some, [1] * n, [1] * n, [""] * n), Header(to_json(spec)))


@pytest.mark.parametrize(
    "other",
    [{"weights_sha256": "2" * 64}, {"decode": "exact"}, {"precision": "int8"}, {"preprocessing": "x"}],
)
def test_shards_of_two_models_are_refused_and_both_files_named(
    settings: Settings, tmp_path: Path, other: dict[str, str]
) -> None:
    written(tmp_path / "s", 0, SPEC)
    written(tmp_path / "s", 1, replace(SPEC, fingerprint=replace(MADE, **other)))
    with pytest.raises(ModelMismatch, match=r"part-00000.parquet .*part-00001.parquet .*cannot be compared"):
        load(tmp_path / "s", settings)
    assert not store.exists("t", settings)


def test_shards_encoded_on_a_cpu_and_on_a_gpu_go_together(settings: Settings, tmp_path: Path) -> None:
    written(tmp_path / "s", 0, SPEC)
    written(tmp_path / "s", 1, replace(SPEC, fingerprint=replace(MADE, precision="bf16", revision="abc")))
    assert load(tmp_path / "s", settings).loaded == 4


def test_shards_of_another_model_than_the_collections_are_refused(settings: Settings, tmp_path: Path) -> None:
    filled(settings, 5)
    written(tmp_path / "s", 0, replace(SPEC, fingerprint=replace(MADE, weights_sha256="2" * 64)))
    with pytest.raises(ModelMismatch, match="collection 't'"):
        load(tmp_path / "s", settings)
    written(tmp_path / "s", 0, replace(SPEC, fingerprint=replace(MADE, precision="int8")))
    with pytest.raises(ModelMismatch, match="--collection t-2"):
        load(tmp_path / "s", settings)


def test_fields_are_added_and_one_of_another_kind_is_refused(settings: Settings, tmp_path: Path) -> None:
    filled(settings, 5)
    written(tmp_path / "s", 0, CollectionSpec(MADE, {"size": "integer"}))
    load(tmp_path / "s", settings)
    assert store.read_spec("t", settings).fields == {**FIELDS, "size": "integer"}
    written(tmp_path / "s", 1, CollectionSpec(MADE, {"size": "keyword"}))
    with pytest.raises(SourceError, match=r"field 'size' .*part-00000.parquet.*part-00001.parquet"):
        load(tmp_path / "s", settings)
    shards.remove(tmp_path / "s", 0)
    with pytest.raises(StoreError, match="'size'"):
        load(tmp_path / "s", settings)


def test_unfinished_shards_are_told_and_the_others_loaded(settings: Settings, tmp_path: Path) -> None:
    for number in range(3):
        written(tmp_path / "s", number, SPEC)
    (tmp_path / "s" / "part-00001.json").unlink()
    report = load(tmp_path / "s", settings)
    assert (report.n_shards, report.unfinished, report.exit_code) == (2, ["part-00001.parquet"], 4)
    for seal in (tmp_path / "s").glob("*.json"):
        seal.unlink()
    with pytest.raises(TableError, match="none of the 3 shards"):
        load(tmp_path / "s", settings)


def test_a_damaged_shard_stops_the_load_and_what_was_before_it_stays(
    settings: Settings, tmp_path: Path
) -> None:
    for number in range(2):
        written(tmp_path / "s", number, SPEC)
    path = tmp_path / "s" / "part-00001.parquet"
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    with pytest.raises(TableError, match=r"part-00001.parquet is damaged"):
        load(tmp_path / "s", settings)
    assert len(contents(settings)) == 2


def test_a_filter_exports_what_it_lets_through(settings: Settings, tmp_path: Path) -> None:
    filled(settings)
    report = export(tmp_path / "out", settings, ExportOptions(filters=["material=brass", "price<10"]))
    (shard,) = shards.find(tmp_path / "out").shards
    found = [point.payload for batch in shard.batches() for point in batch.rows().points]
    assert len(found) == report.exported > 0
    assert all("brass" in payload["material"] and payload["price"] < 10 for payload in found)  # type: ignore[operator]
    assert export(tmp_path / "none", settings, ExportOptions(filters=["material=wood"])).exported == 0
    assert load(tmp_path / "none", replace(settings, collection="none")).loaded == 0
    with pytest.raises(UnknownField, match="colour"):
        export(tmp_path / "x", settings, ExportOptions(filters=["colour=red"]))
    with pytest.raises(QueryError):
        export(tmp_path / "x", settings, ExportOptions(filters=["price<"]))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_clip_retrievals_layout_is_row_by_row_alike(settings: Settings, tmp_path: Path, dtype: DType) -> None:
    filled(settings)
    before = contents(settings)
    options = ExportOptions(format="clip-retrieval", dtype=dtype, shard_size=120)
    assert export(tmp_path / "out", settings, options).n_files == 3
    embeddings = sorted((tmp_path / "out" / "img_emb").iterdir())
    tables = sorted((tmp_path / "out" / "metadata").iterdir())
    assert [path.suffix for path in (*embeddings, *tables)] == [".npy"] * 3 + [".parquet"] * 3
    matrix = np.concatenate([np.load(path, allow_pickle=False) for path in embeddings])
    rows = [row for path in tables for row in pq.read_table(path).to_pylist()]
    assert (matrix.dtype, matrix.shape, len(rows)) == (np.dtype(dtype), (300, DIM), 300)
    for vector, row in zip(matrix, rows, strict=True):
        bits, _, payload = before[row["id"]]
        assert np.array_equal(vector, np.frombuffer(bits, np.float32).astype(dtype))
        assert (row["image_path"], row["caption"]) == (payload["_path"], payload["caption"])


def test_a_folder_with_something_in_it_is_not_written_into(settings: Settings, tmp_path: Path) -> None:
    filled(settings, 5)
    out = tmp_path / "out"
    export(out, settings, ExportOptions())
    with pytest.raises(TableError, match="--replace"):
        export(out, settings, ExportOptions())
    export(out, settings, ExportOptions(shard_size=2, replace=True))
    assert len(shards.find(out).shards) == 3
    (out / "mine.txt").write_text("x")
    with pytest.raises(TableError, match=r"mine.txt"):
        export(out, settings, ExportOptions(replace=True))
    with pytest.raises(TableError, match="is a file"):
        export(out / "mine.txt", settings, ExportOptions())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


def test_a_stopped_export_leaves_nothing_and_what_was_there(settings: Settings, tmp_path: Path) -> None:
    filled(settings, 50)
    export(tmp_path / "out", settings, ExportOptions())
    calls: list[int] = []
    stopped = export(
        tmp_path / "out",
        settings,
        ExportOptions(shard_size=10, replace=True),
        should_stop=lambda: len(calls) > 1 or bool(calls.append(1)),  # type: ignore[func-returns-value]
    )
    assert (stopped.stopped, stopped.exit_code) == (True, 1)
    assert [shard.n_rows for shard in shards.find(tmp_path / "out").shards] == [50]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


def test_a_damaged_collection_says_the_way_out_and_it_works(
    run_cli: Run, demo_copy: Path, tmp_path: Path
) -> None:
    ask = ("search", "brass hex bolt", "-c", "demo", "--json")
    before = _without_confidence(run_cli(*ask).stdout)
    assert run_cli("export", "backup", "-c", "demo").returncode == 0
    for file in (demo_copy / "collections" / "demo").glob("gen-*/**/*"):
        if file.is_file():
            file.write_bytes(b"\xff" * min(4096, max(1, file.stat().st_size)))
    broken = run_cli(*ask)
    assert broken.returncode == 1
    assert "damaged" in broken.stderr
    assert "clipsearch load DIR -c demo" in broken.stderr
    assert "Traceback" not in broken.stderr
    assert run_cli("collection", "delete", "demo", "--yes").returncode == 0
    loaded = run_cli("load", "backup", "-c", "demo", "--json")
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout)["loaded"] == 1164
    assert _without_confidence(run_cli(*ask).stdout) == before


def _without_confidence(page: str) -> list[dict[str, object]]:
    """The hits; how sure they are is calibrated where a model is at hand, which a load does without."""
    return [{k: v for k, v in hit.items() if k != "confidence"} for hit in json.loads(page)["hits"]]


def test_the_load_reports_in_words_and_in_json() -> None:
    report = LoadReport("parts", "/s", found=10, loaded=6, loaded_before=4, n_shards=2, seconds=2.0)
    assert report.summary() == "loaded 6 of 2 shards, loaded before 4 into parts in 2.0 s, 3 records/s"
    assert report.record()["points_per_s"] == 3.0
