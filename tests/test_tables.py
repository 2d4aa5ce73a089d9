from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipsearch.errors import TableError
from clipsearch.tables import fits, infer_kinds, read_table, typed


def write(tmp_path: Path, text: str | bytes, name: str = "parts.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_csv_is_read_whatever_its_delimiter(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path, f"part{delimiter}name\nA1{delimiter}bolt\n\nA2{delimiter}nut\n")
    table = read_table(path)
    assert table.columns == ("part", "name")
    assert [(row.line, row.values) for row in table.rows] == [
        (2, {"part": "A1", "name": "bolt"}),
        (4, {"part": "A2", "name": "nut"}),
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, b"\xef\xbb\xbfpart,name\r\nA1,bolt\r\n"))
    assert table.columns == ("part", "name")
    assert table.rows[0].values == {"part": "A1", "name": "bolt"}


def test_a_quoted_cell_may_span_lines_and_later_lines_keep_their_numbers(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'part,note\nA1,"two\nlines"\nA2,one\n'))
    assert table.rows[0].values["note"] == "two\nlines"
    assert table.rows[1].line == 4


def test_a_japanese_windows_catalogue_is_read_when_its_encoding_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "品番,名称\nA1,六角ボルト\n".encode("cp932"))
    with pytest.raises(TableError, match=r"not UTF-8: byte 0x.. in line 1.*--encoding cp932"):
        read_table(path)
    assert read_table(path, encoding="cp932").rows[0].values == {"品番": "A1", "名称": "六角ボルト"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no header line"),
        ("a,b\n1,2,3\n", "line 2: 3 cells for 2 columns"),
        ("a,a\n1,2\n", "two columns are named 'a'"),
        ("a,,c\n1,2,3\n", "column 2 has no name"),
        ("_key,b\n1,2\n", "begins with '_'"),
        ('a,b\n1,"2\n', "line"),
        ("a\0,b\n", "UTF-16"),
    ],
)
def test_a_malformed_csv_says_where_and_what(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        read_table(write(tmp_path, text))


def test_an_unknown_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no encoding 'klingon'"):
        read_table(write(tmp_path, "a\n1\n"), encoding="klingon")


def test_a_file_that_is_not_there_or_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(TableError, match="no catalogue"):
        read_table(write(tmp_path, "x", "parts.xlsx"))


def test_json_lines_and_parquet_keep_their_types(tmp_path: Path) -> None:
    rows = [{"part": "A1", "holes": 4, "tags": ["a", "b"]}, {"part": "A2", "price": 1.5}]
    lines = read_table(write(tmp_path, "\n".join(map(json.dumps, rows)), "parts.jsonl"))
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema({"part": "string", "holes": "int32"})),
                   tmp_path / "parts.parquet")  # fmt: skip
    parquet = read_table(tmp_path / "parts.parquet")
    assert infer_kinds(lines, lines.columns) == {
        "part": "keyword",
        "holes": "integer",
        "tags": "keyword",
        "price": "float",
    }
    assert typed(lines.rows[0].values["tags"], "keyword") == ["a", "b"]
    assert parquet.rows[0].values == {"part": "A1", "holes": 4}
    with pytest.raises(TableError, match="line 1 is no JSON"):
        read_table(write(tmp_path, "nonsense", "bad.jsonl"))
    with pytest.raises(TableError, match="line 1 is no JSON object"):
        read_table(write(tmp_path, "[1]", "list.jsonl"))
    with pytest.raises(TableError, match="no readable Parquet"):
        read_table(write(tmp_path, "nonsense", "bad.parquet"))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", ""], "integer"),
        (["1", "2.5"], "float"),
        (["007", "12"], "keyword"),
        (["true", "False"], "bool"),
        (["2026-01-31", "2026-02-01T10:00:00"], "datetime"),
        (["2026-13-45"], "keyword"),
        (["M8", "12"], "keyword"),
        (["x" * 81, "short"], "text"),
        (["12345678901234567890"], "keyword"),
        (["4E7", "12E5"], "keyword"),
        (["1.5e7", "1e-05", "-.5"], "float"),
        (["01.50", "2.5"], "keyword"),
        (["１２"], "keyword"),
    ],
)
def test_a_columns_kind_is_told_from_all_its_values(tmp_path: Path, cells: list[str], kind: str) -> None:
    table = read_table(write(tmp_path, "a,b\n" + "".join(f"{cell},x\n" for cell in cells)))
    assert infer_kinds(table, ["a"]) == {"a": kind}


def test_a_column_without_values_has_no_kind(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a,b\n,x\n ,x\n"))
    assert infer_kinds(table, ["a"]) == {}
    assert typed(" ", "keyword") is None
    assert typed(float("nan"), "float") is None
    assert typed("TRUE", "bool") is True


def test_only_line_ends_end_a_line(tmp_path: Path) -> None:
    odd = "a\u2028b\x85c\x0cd"
    table = read_table(write(tmp_path, f"part,note\nA1,{odd}\nA2,x\n"))
    assert [(row.line, row.values["note"]) for row in table.rows] == [(2, odd), (3, "x")]
    line = json.dumps({"part": "A1", "note": odd}, ensure_ascii=False)
    assert read_table(write(tmp_path, f"{line}\n{line}\n", "p.jsonl")).rows[1].values["note"] == odd


def test_a_delimiter_inside_quotation_marks_is_none(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, '"Size, mm, outer";part\n4;A1\n'))
    assert table.columns == ("Size, mm, outer", "part")


def test_a_spreadsheets_unicode_text_and_empty_columns_at_the_right_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "品番\t名称\t\t\r\nA1\tボルト\t\t\r\n".encode("utf-16"), "parts.tsv")
    assert read_table(path).rows[0].values == {"品番": "A1", "名称": "ボルト"}
    marked = write(tmp_path, b"\xef\xbb\xbfpart\nA1\n")
    assert read_table(marked, encoding="utf-8").columns == ("part",)


def test_a_list_column_is_split_and_others_are_not(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "tags,holes\na; b;,1;2\nc|d,3\n,4\n"))
    assert infer_kinds(table, ["tags", "holes"]) == {"tags": "keyword", "holes": "keyword"}
    assert infer_kinds(table, ["holes"], lists=["holes"]) == {"holes": "integer"}
    assert [typed(row.values["tags"], "keyword", split=True) for row in table.rows] == [
        ["a", "b"],
        ["c", "d"],
        None,
    ]
    assert typed("1;2", "integer", split=True) == [1, 2]
    assert typed("a;b", "keyword") == "a;b"


def test_a_time_is_spelled_as_the_engines_know_it() -> None:
    assert typed("2026-01-31 10:00", "datetime") == "2026-01-31T10:00:00"
    assert typed("2026-01-31", "datetime") == "2026-01-31"


@pytest.mark.parametrize(
    ("value", "kind", "good"),
    [
        ("7", "keyword", True),
        ("7", "float", True),
        ("7.5", "integer", False),
        ("", "integer", True),
        ("M8", "float", False),
        ("2026-01-31", "datetime", True),
        (["x", 1], "integer", False),
    ],
)
def test_what_fits_a_kind(value: object, kind: str, good: bool) -> None:
    assert fits(value, kind) is good  # type: ignore[arg-type]


def test_whole_numbers_beyond_64_bits_bytes_and_objects_do_not_stop_a_run(tmp_path: Path) -> None:
    line = json.dumps({"n": 2**70, "o": {"a": "ä"}, "b": True})
    table = read_table(write(tmp_path, line, "p.jsonl"))
    assert infer_kinds(table, table.columns) == {"n": "keyword", "o": "keyword", "b": "bool"}
    assert typed(table.rows[0].values["n"], "keyword") == str(2**70)
    assert typed(table.rows[0].values["o"], "keyword") == '{"a": "ä"}'
    assert typed(True, "keyword") == "true"
    assert typed(b"\x89PNG", "keyword") is None
