"""`clipsearch search` with a file of queries, with feedback, and what it says when nothing is certain."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from clipsearch.cli import many
from clipsearch.cli.demo import data_folder
from clipsearch.cli.judged import read_judged
from clipsearch.errors import SourceError, TableError


def test_lines_of_a_file_are_queries_and_blank_ones_are_none(tmp_path: Path) -> None:
    file = tmp_path / "wanted.txt"
    file.write_text("﻿hex nut\n\n  六角ナット  \n", encoding="utf-8")
    assert [(a.id, a.text) for a in many.read(file)] == [("1", "hex nut"), ("3", "六角ナット")]


def test_a_table_has_words_photos_and_ids(tmp_path: Path) -> None:
    file = tmp_path / "wanted.csv"
    file.write_text("id,query,photo\nA,hex nut,\nB,,a.jpg\nC,red,b.jpg\n,,\n", encoding="utf-8")
    assert [(a.id, a.text, [p.name for p in a.images]) for a in many.read(file)] == [
        ("A", "hex nut", []),
        ("B", "", ["a.jpg"]),
        ("C", "red", ["b.jpg"]),
    ]


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("a.csv", "name,price\nx,1\n", TableError, "'query'"),
        ("a.csv", "query\n\n", TableError, "no row"),
        ("a.txt", "\n \n", SourceError, "no line"),
    ],
)
def test_a_file_without_queries_says_what_it_lacks(
    tmp_path: Path, name: str, content: str, error: type[Exception], says: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(error, match=says):
        many.read(tmp_path / name)


def test_a_folder_without_pictures_is_no_queries(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no picture"):
        many.read(tmp_path)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_many_queries_are_answered_into_a_file(demo_copy: Path, run_cli, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "wanted.txt").write_text("hex nut\na dog on the beach\n", encoding="utf-8")
    out = tmp_path / f"found{suffix}"
    done = run_cli("search", "-c", "demo", "--queries", "wanted.txt", "--out", out.name, "--top", "3")
    assert done.returncode == 0, done.stderr
    assert "2 queries, 1 with a confident hit" in done.stderr
    assert not [*tmp_path.glob("*.part"), *tmp_path.glob(".*.tmp")]
    rows = _rows(out)
    assert [(r["query_id"], r["rank"]) for r in rows] == [(q, n) for q in ("1", "2") for n in (1, 2, 3)]
    assert "nut" in rows[0]["path"].lower() or rows[0]["key"].startswith(("HN", "SN"))
    assert rows[0]["confidence"] > 0.5 > rows[3]["confidence"]


def _rows(out: Path) -> list[dict]:
    if out.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(out).to_pylist()
    text = out.read_text(encoding="utf-8")
    if out.suffix == ".jsonl":
        return [
            {"query_id": record["query_id"], **hit}
            for record in map(json.loads, text.splitlines())
            for hit in record["hits"]
        ]
    return [
        {**row, "rank": int(row["rank"]), "confidence": float(row["confidence"])}
        for row in csv.DictReader(text.splitlines())
    ]


def test_a_folder_of_photos_finds_each_of_them(demo_copy: Path, run_cli, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for picture in sorted((data_folder() / "images").glob("*.jpg"))[:5]:
        shutil.copy(picture, photos)
    done = run_cli("search", "-c", "demo", "--queries", "photos", "--top", "1")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        record = json.loads(line)
        assert Path(record["hits"][0]["path"]).name == record["query_id"]


def test_nothing_certain_has_an_exit_code_of_its_own(demo_copy: Path, run_cli) -> None:
    done = run_cli("search", "-c", "demo", "a dog on the beach", "--min-confidence", "0.5")
    assert (done.returncode, done.stdout) == (3, "") and "nothing certain" in done.stderr
    assert run_cli("search", "-c", "demo", "hex nut", "--min-confidence", "0.5").returncode == 0


def test_a_mistake_in_a_query_is_pointed_at(demo_copy: Path, run_cli) -> None:
    done = run_cli("search", "-c", "demo", "bolt price<=cheap")
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and "bolt price<=cheap" in lines[-2] and "^" in lines[-1]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--out", "x.csv", "nut"),
        ("--queries", ".", "nut"),
        ("--queries", ".", "--out", "x.xls"),
        ("--diversity", "2", "nut"),
        ("--json", "--paths", "nut"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    demo_copy: Path, run_cli, wrong: tuple[str, ...]
) -> None:
    assert run_cli("search", "-c", "demo", *wrong).returncode in (1, 2)


@pytest.mark.parametrize("word", ["-holes", "-brass", "-六角"])
def test_a_minus_word_without_quotes_is_no_option(demo_copy: Path, run_cli, word: str) -> None:
    done = run_cli("search", "bracket", word, "-c", "demo")
    assert done.returncode == 2 and f'"… {word}"' in done.stderr
    assert run_cli("search", "-cdemo", "-t1", "--", "bracket", word).returncode == 0


def test_judged_pairs_calibrate_a_collection(demo_copy: Path, run_cli, tmp_path: Path) -> None:
    (tmp_path / "judged.csv").write_text("query,key,relevant\nhex nut,HN-M4-CU,yes\n", encoding="utf-8")
    done = run_cli("collection", "calibrate", "demo", "--judged", "judged.csv")
    assert done.returncode == 0 and "too few labels" in done.stdout
    done = run_cli("collection", "calibrate", "demo")
    assert done.returncode == 0 and "records' own words" in done.stdout


def test_a_verdict_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "judged.csv"
    file.write_text("query,key,relevant\nnut,A,yes\nnut,B,perhaps\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"line 3.*perhaps"):
        read_judged(file)
    file.write_text("query,key\nnut,A\n", encoding="utf-8")
    with pytest.raises(TableError, match="relevant"):
        read_judged(file)
