"""Shards as files: exact to the bit, whole or not there, and damage is noticed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clipsearch import shards
from clipsearch.errors import TableError
from clipsearch.shards import DType, Header, Rows
from clipsearch.store.spec import to_json
from clipsearch.types import CollectionSpec, FieldKind, Fingerprint, Point

DIM = 16
FIELDS: dict[str, FieldKind] = {
    "material": "keyword",
    "note": "text",
    "holes": "integer",
    "price": "float",
    "stocked": "bool",
    "made": "datetime",
    "key": "keyword",  # as one of our columns
    "部品 a.b": "keyword",
}
SPEC = CollectionSpec(Fingerprint("starter", "", "0" * 64, "{}", "1" * 64, DIM), FIELDS, "parts")
HEADER = Header(to_json(SPEC))


def rows_of(payloads: list[dict[str, Any]]) -> Rows:
    vectors = np.random.default_rng(0).normal(size=(len(payloads), DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    points = [
        Point(str(uuid.UUID(int=i)), {"image": row}, payload)
        for i, (row, payload) in enumerate(zip(vectors, payloads, strict=True))
    ]
    n = len(points)
    return Rows(points, list(range(n)), [10**18 + i for i in range(n)], [f"{i:032x}" for i in range(n)])


def there_and_back(folder: Path, rows: Rows, header: Header = HEADER) -> list[Rows]:
    shards.write(folder, 0, rows, header)
    (shard,) = shards.find(folder).shards
    shard.verify()
    return [batch.rows() for batch in shard.batches(7)]


def same(before: Rows, after: list[Rows], dtype: DType = "float32") -> None:
    points = [point for rows in after for point in rows.points]
    assert [p.id for p in points] == [p.id for p in before.points]
    assert [dict(p.payload) for p in points] == [dict(p.payload) for p in before.points]
    for a, b in zip(before.points, points, strict=True):
        stored = np.asarray(a.vectors["image"]).astype(dtype)
        assert np.array_equal(np.asarray(b.vectors["image"]), stored.astype(np.float32))
        assert set(b.vectors) == {"image"}
    for name in ("n_bytes", "mtimes_ns", "metadata_hashes"):
        assert [v for rows in after for v in getattr(rows, name)] == list(getattr(before, name))


PAYLOADS: list[dict[str, Any]] = [
    {},
    {
        "_key": "a/b.jpg",
        "_path": "/x/a/b.jpg",
        "_source": "/x",
        "_sha256": "0" * 64,
        "_width": 3,
        "_height": 4,
        "_group": "P-1",
        "material": "brass",
        "note": '六角ボルト, "quoted"\n',
        "holes": 2**63 - 1,
        "price": 0.1 + 0.2,
        "stocked": True,
        "made": "2026-01-31T10:00:00.123456+09:00",
        "key": "mine",
        "部品 a.b": "x",
    },
    {
        "holes": 1.5,
        "price": 3,
        "stocked": "maybe",
        "material": ["a", "b"],
        "other": [1, "x", True],
        "_new": 5,
    },
    {"material": [], "note": "", "holes": 0, "price": -0.0, "stocked": False},
    {"_path": "bytes that are no UTF-8: \udcff", "_key": "\udcff", "material": "\ud800"},
]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_shard_gives_back_what_it_was_given(tmp_path: Path, dtype: DType) -> None:
    before = rows_of(PAYLOADS * 5)
    same(before, there_and_back(tmp_path, before, Header(to_json(SPEC), dtype)), dtype)


def test_lists_are_lists_and_no_records_are_no_records(tmp_path: Path) -> None:
    before = rows_of(
        [{"material": ["a", "b"], "holes": [1, 2]}, {"material": "c", "holes": [3]}, {"holes": []}]
    )
    same(before, there_and_back(tmp_path, before))
    schema = pq.read_schema(tmp_path / "part-00000.parquet")
    assert schema.field("holes").type == pa.list_(pa.int64())
    (tmp_path / "none").mkdir()
    same(rows_of([]), there_and_back(tmp_path / "none", rows_of([])))


scalars = st.one_of(
    st.text(max_size=8), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.booleans()
)
values = scalars | st.lists(scalars, max_size=3)
names = st.sampled_from([*FIELDS, "_key", "_path", "_width", "_tags", "id", "rest", "embedding"])


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.dictionaries(names, values, max_size=6), max_size=9))
def test_any_payload_comes_back(tmp_path: Path, payloads: list[dict[str, Any]]) -> None:
    before = rows_of(payloads)
    after = there_and_back(tmp_path, before)
    same(before, after)
    for a, b in zip(before.points, (p for rows in after for p in rows.points), strict=True):
        kinds = {
            name: (type(v), [type(x) for x in v] if isinstance(v, list) else 0)
            for name, v in a.payload.items()
        }
        assert kinds == {
            name: (type(v), [type(x) for x in v] if isinstance(v, list) else 0)
            for name, v in b.payload.items()
        }


def test_other_tools_find_typed_columns_and_the_model(tmp_path: Path) -> None:
    there_and_back(tmp_path, rows_of(PAYLOADS), Header(to_json(SPEC), "float16"))
    table = pq.read_table(tmp_path / "part-00000.parquet")
    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert table.schema.field("embedding").type == pa.list_(pa.float16(), DIM)
    assert (types["holes"], types["price"], types["stocked"], types["path"]) == (
        "int64",
        "double",
        "bool",
        "string",
    )
    told = json.loads(table.schema.metadata[b"clipsearch"])
    assert told["spec"]["fingerprint"]["model"] == "starter"
    assert told["columns"]["key_"] == "key"
    seal = json.loads((tmp_path / "part-00000.json").read_text())
    assert seal["n_rows"] == len(PAYLOADS)


def test_an_embedding_of_another_length_or_type_is_refused(tmp_path: Path) -> None:
    shard = shards.write(tmp_path, 0, rows_of([{}]), HEADER)
    table = pq.read_table(shard.path)
    at = table.column_names.index("embedding")
    for type_ in (pa.list_(pa.float32(), DIM - 1), pa.list_(pa.float32(), DIM)):
        wrong = pa.array([None if type_.list_size == DIM else [0.5] * (DIM - 1)], type_)
        pq.write_table(table.set_column(at, "embedding", wrong), shard.path)
        with pytest.raises(TableError, match="embedding"):
            _ = [batch.rows() for batch in shard.batches()]
    pq.write_table(table.drop_columns(["id"]), shard.path)
    with pytest.raises(TableError, match=r"part-00000.parquet failed"):
        _ = [batch.rows() for batch in shard.batches()]


@pytest.mark.parametrize("what", ["cut", "flipped"])
def test_a_damaged_shard_is_named_with_a_way_out(tmp_path: Path, what: str) -> None:
    shard = shards.write(tmp_path, 0, rows_of(PAYLOADS), HEADER)
    data = bytearray(shard.path.read_bytes())
    if what == "cut":
        del data[-100:]
    else:
        data[len(data) // 2] ^= 1
    shard.path.write_bytes(data)
    with pytest.raises(TableError, match=r"part-00000.parquet is damaged.*Copy it again"):
        shard.verify()
    assert shard.is_whole() == (what == "flipped")


def test_what_is_no_parquet_or_another_shard_is_refused(tmp_path: Path) -> None:
    shard = shards.write(tmp_path, 0, rows_of([{}]), HEADER)
    other = CollectionSpec(Fingerprint("other", "", "2" * 64, "{}", "", DIM))
    swapped = shards.write(tmp_path, 1, rows_of([{}]), Header(to_json(other)))
    swapped.path.replace(shard.path)
    with pytest.raises(TableError, match=r"not the file that part-00000.json belongs to"):
        next(shard.batches())
    shard.path.write_text("x" * 100)
    with pytest.raises(TableError, match="failed"):
        next(shard.batches())
    shard.path.with_suffix(".json").write_text("{}")
    with pytest.raises(TableError, match="no shard of clipsearch's format"):
        shards.find(tmp_path)
    shard.path.with_suffix(".json").write_text("{")
    with pytest.raises(TableError, match=r"part-00000.json"):
        shards.find(tmp_path)


def test_unfinished_missing_and_stray_files_are_told_apart(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        shards.write(tmp_path, number, rows_of([{}]), HEADER)
    (tmp_path / "part-00001.json").unlink()
    (tmp_path / ".part-00007.parquet.abc.tmp").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    found = shards.find(tmp_path)
    assert [shard.number for shard in found.shards] == [0, 3]
    assert found.unfinished == ("part-00001.parquet", "part-00002.parquet")
    shards.mark_whole(tmp_path, 5)
    assert shards.find(tmp_path).unfinished[-1] == "part-00004.parquet"
    shards.remove(tmp_path, 3)
    assert [shard.number for shard in shards.find(tmp_path).shards] == [0]


def test_a_folder_without_shards_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="clipsearch encode"):
        shards.find(tmp_path)
    with pytest.raises(TableError, match="there is no folder"):
        shards.find(tmp_path / "nowhere")


def write_for_ever(folder: str) -> None:
    rows = rows_of([{"material": "x" * 50}] * 3000)
    for i in range(10_000):
        shards.write(Path(folder), i % 3, rows, HEADER)


def test_a_writer_killed_at_any_moment_leaves_whole_shards_or_none(tmp_path: Path) -> None:
    for wait_s in (0.05, 0.11, 0.17, 0.23):
        process = multiprocessing.get_context("fork").Process(target=write_for_ever, args=(str(tmp_path),))
        process.start()
        while not list(tmp_path.glob("*.json")):
            time.sleep(0.01)
        time.sleep(wait_s)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        for shard in shards.find(tmp_path).shards:
            shard.verify()
            assert sum(len(batch.rows()) for batch in shard.batches()) == 3000
