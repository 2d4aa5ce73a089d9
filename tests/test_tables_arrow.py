"""Parquet and Arrow tables: small columns at once, columns of bytes when they are asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from clipsearch.errors import TableError
from clipsearch.tables import Table, infer_kinds, read_table

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
N = 25


def pictures() -> pa.Table:
    cells = [{"bytes": bytes([i]) * 10, "path": f"{i}.jpg"} for i in range(N)]
    cells[3] = {"bytes": None, "path": "3.jpg"}
    return pa.table(
        {
            "key": [f"k{i}" for i in range(N)],
            "image": pa.array(cells, PICTURE),
            "raw": pa.array([bytes([i]) for i in range(N)], pa.large_binary()),
            "holes": pa.array(range(N), pa.int32()),
        }
    )


def as_parquet(table: pa.Table, path: Path) -> Path:
    pq.write_table(table, path.with_suffix(".parquet"), row_group_size=10)
    return path.with_suffix(".parquet")


def as_feather(table: pa.Table, path: Path) -> Path:
    pyarrow.feather.write_feather(table, path.with_suffix(".feather"), chunksize=10)
    return path.with_suffix(".feather")


def as_file(table: pa.Table, path: Path) -> Path:
    with pa.ipc.new_file(path.with_suffix(".ipc"), table.schema) as writer:
        writer.write_table(table, max_chunksize=10)
    return path.with_suffix(".ipc")


def as_stream(table: pa.Table, path: Path) -> Path:
    with pa.ipc.new_stream(path.with_suffix(".arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=10)
    return path.with_suffix(".arrow")


def as_packed_stream(table: pa.Table, path: Path) -> Path:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(path.with_suffix(".arrow"), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=10)
    return path.with_suffix(".arrow")


Write = Callable[[pa.Table, Path], Path]
every_format = pytest.mark.parametrize(
    "write", [as_parquet, as_feather, as_file, as_stream, as_packed_stream]
)


@every_format
def test_rows_have_the_small_columns_and_bytes_are_had_one_by_one(write: Write, tmp_path: Path) -> None:
    table = read_table(write(pictures(), tmp_path / "t"))
    assert table.columns == ("key", "image", "raw", "holes")
    assert len(table.rows) == N
    assert table.rows[4].line == 5
    assert table.rows[4].values == {"key": "k4", "image": "4.jpg", "holes": 4}
    assert list(table.rows)[4] == table.rows[4]
    assert [row.values for row in table.only(["key"])][:2] == [{"key": "k0"}, {"key": "k1"}]
    assert infer_kinds(table, table.columns) == {"key": "keyword", "image": "keyword", "holes": "integer"}
    assert set(table.blobs) == {"image", "raw"}
    order = [0, 24, 11, 10, 9, 4, 12, 3, 0]
    expected = [None if i == 3 else bytes([i]) * 10 for i in order]
    assert [table.blobs["image"].read(i) for i in order] == expected
    assert [table.blobs["raw"].read(i) for i in order] == [bytes([i]) for i in order]


@every_format
def test_a_table_of_bytes_alone_is_one_too(write: Write, tmp_path: Path) -> None:
    table = read_table(write(pictures().select(["raw"]), tmp_path / "t"))
    assert (table.columns, len(table.rows), len(list(table.rows))) == (("raw",), N, N)
    assert table.blobs["raw"].read(24) == b"\x18"
    empty = read_table(write(pictures().slice(0, 0), tmp_path / "empty"))
    assert len(empty.rows) == 0


@every_format
def test_many_threads_read_the_right_bytes(write: Write, tmp_path: Path) -> None:
    cells = [str(i).encode() * 500 for i in range(3000)]
    table = read_table(write(pa.table({"image": pa.array(cells, pa.binary())}), tmp_path / "t"))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(table.blobs["image"].read, range(3000))) == cells


def test_bytes_are_not_read_with_the_table_and_few_are_held(tmp_path: Path) -> None:
    one = os.urandom(200_000)
    path = tmp_path / "big.parquet"
    with pq.ParquetWriter(path, pa.schema({"image": pa.binary(), "n": pa.int64()})) as writer:
        for i in range(3):
            writer.write_table(pa.table({"image": [one] * 300, "n": range(i * 300, i * 300 + 300)}))
    before = pa.total_allocated_bytes()
    table = read_table(path)
    assert pa.total_allocated_bytes() - before < 1_000_000
    for i in range(900):
        assert table.blobs["image"].read(i) == one
        assert pa.total_allocated_bytes() - before < 400 << 20


def test_a_row_group_without_bytes_is_known_without_reading(tmp_path: Path) -> None:
    cells = [{"bytes": b"x" if i >= 10 else None, "path": f"{i}.jpg"} for i in range(20)]
    table = read_table(as_parquet(pa.table({"image": pa.array(cells, PICTURE)}), tmp_path / "t"))
    assert [table.blobs["image"].may_have(i) for i in (0, 9, 10, 19)] == [False, False, True, True]


def test_a_file_that_was_changed_meanwhile_is_not_mixed_with_what_it_was(tmp_path: Path) -> None:
    path = as_parquet(pictures(), tmp_path / "t")
    table = read_table(path)
    as_parquet(pictures().slice(5), tmp_path / "t")
    with pytest.raises(TableError, match="changed meanwhile"):
        table.blobs["raw"].read(0)
    path.unlink()
    with pytest.raises(TableError, match="cannot be read"):
        table.blobs["raw"].read(0)


@every_format
def test_row_numbers_of_pandas_are_left_out(write: Write, tmp_path: Path) -> None:
    table = read_table(write(pa.table({"a": [1], "__index_level_0__": [0]}), tmp_path / "t"))
    assert table.columns == ("a",)
    assert table.left_out == ("__index_level_0__",)
    assert table.rows[0].values == {"a": 1}
    with pytest.raises(TableError, match="begins with '_'"):
        read_table(write(pa.table({"_key": [1]}), tmp_path / "u"))


@every_format
def test_times_to_the_nanosecond_lists_and_empty_columns_are_read(write: Write, tmp_path: Path) -> None:
    day = datetime(2026, 1, 31, 10, 0, 0, 5)
    made = pa.table(
        {
            "when": pa.array([day, None], pa.timestamp("ns")),
            "tags": [["a", "b"], None],
            "none": pa.array([None, None], pa.float32()),
            "nan": [float("nan"), None],
            "share": [0.5, float("nan")],
            "big": pa.array([2**63, 1], pa.uint64()),
            "many": pa.array([[b"x"], []], pa.list_(pa.binary())),
        }
    )
    table = read_table(write(made, tmp_path / "t"))
    assert table.rows[0].values["when"] == day
    assert infer_kinds(table, table.columns) == {
        "when": "datetime",
        "tags": "keyword",
        "share": "float",
        "big": "keyword",
    }
    assert table.left_out == ("many",)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_what_is_no_such_file_says_so(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"t{suffix}").write_bytes(b"nonsense" * 10)
    with pytest.raises(TableError, match="no readable"):
        read_table(tmp_path / f"t{suffix}")
    (tmp_path / f"t{suffix}").write_bytes(b"")
    with pytest.raises(TableError, match="no readable"):
        read_table(tmp_path / f"t{suffix}")
    with pytest.raises(TableError, match=r"cannot be read|no readable"):
        read_table(tmp_path / f"nowhere{suffix}")


def test_a_json_list_is_a_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "parts.json"
    path.write_text(json.dumps([{"a": 1, "__index_level_0__": 0}, {"b": [2, 3]}], indent=1))
    table: Table = read_table(path)
    assert (table.columns, table.left_out) == (("a", "b"), ("__index_level_0__",))
    assert [(row.line, row.values) for row in table.rows] == [(1, {"a": 1}), (2, {"b": [2, 3]})]
    for text, says in (
        ('{"a": 1}', "is no list"),
        ('{"a": 1}\n{"a": 2}', r"one object a line is \.jsonl"),
        ("[1]", "number 1 of its list is no JSON object"),
        ("nonsense", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
    ):
        path.write_text(text)
        with pytest.raises(TableError, match=says):
            read_table(path)


def test_the_row_numbers_of_a_csv_by_pandas_are_left_out_and_other_nameless_columns_are_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    for name in ("", "Unnamed: 0"):
        path.write_text(f"{name},a\n0,x\n1,y\n")
        table = read_table(path)
        assert (table.columns, table.left_out) == (("a",), ("Unnamed: 0",))
        assert [row.values for row in table.rows] == [{"a": "x"}, {"a": "y"}]
    path.write_text(",a\n7,x\n9,y\n")
    with pytest.raises(TableError, match="column 1 has no name"):
        read_table(path)
