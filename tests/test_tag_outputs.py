"""Tags as JSON lines, CSV and Parquet: whole files, read back by others' readers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clipsearch.errors import TaggingError
from clipsearch.tagging.outputs import FORMATS, written
from clipsearch.types import Tag, Tagged

BOLT = Tag("六角ボルト", 0.91236, "metal|bolt", (("metal", "六角ボルト"), ("fastener", "六角ボルト")))
METAL = Tag('met"al, raw', 0.5, "metal", (('met"al, raw',),), implied=True)
RECORDS = [
    Tagged("id-1", {"_key": "a/1.jpg", "_path": "/p/a/1.jpg"}, (BOLT, METAL)),
    Tagged("id-2", {"_key": "2.jpg", "_path": "/p/2.jpg"}, ()),
    Tagged("id-3", {"_key": "\udcff.jpg", "_path": "/p/\udcff.jpg"}, (Tag("x", 1.0),)),  # no UTF-8
]


def write(path: Path) -> Path:
    with written(path) as out:
        out.add(RECORDS[:2])
        out.add(RECORDS[2:])
    return path


def test_json_lines_have_every_record_and_all_of_a_tag(tmp_path: Path) -> None:
    lines = write(tmp_path / "tags.jsonl").read_text(encoding="utf-8").splitlines()
    first, second, third = map(json.loads, lines)
    assert "六角" in lines[0]
    assert first["key"] == "a/1.jpg"
    assert first["tags"][0] == {
        "tag": "六角ボルト",
        "confidence": 0.9124,
        "hierarchy": [["metal", "六角ボルト"], ["fastener", "六角ボルト"]],
        "label": "metal|bolt",
        "implied": False,
    }
    assert second["tags"] == []
    assert third["path"] == "/p/\udcff.jpg"


def test_csv_has_a_row_for_each_tag(tmp_path: Path) -> None:
    path = write(tmp_path / "tags.CSV")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["key"], row["tag"]) for row in rows] == [
        ("a/1.jpg", "六角ボルト"),
        ("a/1.jpg", 'met"al, raw'),
        ("\udcff.jpg", "x"),
    ]
    assert rows[0]["hierarchy"] == "metal|六角ボルト"
    assert (rows[0]["confidence"], rows[1]["implied"]) == ("0.9124", "true")


def test_parquet_has_lists_of_equal_length(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "tags.parquet")).to_pydict()
    assert table["key"] == ["a/1.jpg", "2.jpg", "?.jpg"]
    assert table["tags"] == [["六角ボルト", 'met"al, raw'], [], ["x"]]
    assert table["confidences"][0] == pytest.approx([0.9124, 0.5])
    assert table["implied"] == [[False, True], [], [False]]
    assert table["hierarchies"][0] == ["metal|六角ボルト", 'met"al, raw']


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_is_complete_or_as_it_was(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tags{suffix}"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), written(path) as out:
        out.add(RECORDS[:2])
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with written(path):
        pass
    assert path.read_bytes() != b"before", "no records make an empty file of its kind"


def test_an_unknown_suffix_or_folder_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with (
        pytest.raises(TaggingError, match=r"tags.xlsx: end its name in one of .jsonl"),
        written(tmp_path / "tags.xlsx"),
    ):
        pass
    with (
        pytest.raises(TaggingError, match=r"no folder .*nowhere"),
        written(tmp_path / "nowhere" / "tags.csv"),
    ):
        pass
