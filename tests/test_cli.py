from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from clipsearch.cli.demo import data_folder

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_demo_answers_every_kind_of_search_and_says_what_is_next(demo_data: Path) -> None:
    out = (demo_data.parent / "demo.out").read_text(encoding="utf-8")
    for shown in ("Words", "in Japanese", "A photo", "minus words", "A part number", "a filter"):
        assert shown in out
    assert "exact" in out
    assert "clipsearch index ~/Pictures" in out
    sheet = demo_data.parent / "demo-sheet.png"
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_results_are_pipeable(run_cli: Run, demo_copy: Path) -> None:
    done = run_cli("search", "brass hex bolt", "-c", "demo", "--top", "3")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert all(Path(row[-1]).is_file() for row in rows)
    paths = run_cli("search", "brass hex bolt", "-c", "demo", "-t", "3", "--paths")
    assert paths.stdout.splitlines() == [row[-1] for row in rows]
    zero = run_cli("search", "brass hex bolt", "-c", "demo", "-t", "3", "--paths", "-0")
    assert zero.stdout.split("\0")[:-1] == paths.stdout.splitlines()


def test_json_tells_the_whole_answer(run_cli: Run, demo_copy: Path) -> None:
    done = run_cli("search", "gear", "-c", "demo", "--filter", "material=brass", "--json")
    answer = json.loads(done.stdout)
    assert (answer["collection"], answer["model"], answer["limit"]) == ("demo", "starter", 10)
    assert answer["hits"][0]["rank"] == 1
    assert all(hit["payload"]["material"] == "brass" for hit in answer["hits"])
    lines = run_cli(
        "search", "gear", "-c", "demo", "--filter", "material=brass", "--jsonl"
    ).stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [hit["id"] for hit in answer["hits"]]


def test_a_sheet_shows_the_hits(run_cli: Run, demo_copy: Path, tmp_path: Path) -> None:
    done = run_cli("search", "gear", "-c", "demo", "--sheet", "out.png")
    assert done.returncode == 0
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert "wrote out.png" in done.stderr


def test_collections_are_listed_described_and_deleted(run_cli: Run, demo_copy: Path) -> None:
    assert run_cli("collection", "list").stdout.split() == ["demo"]
    info = run_cli("collection", "info", "demo").stdout
    assert "starter" in info
    assert "material (keyword)" in info
    assert json.loads(run_cli("collection", "info", "demo", "--json").stdout)["n_points"] > 1000
    refused = run_cli("collection", "delete", "demo")
    assert refused.returncode != 0
    assert run_cli("collection", "delete", "demo", "--yes").returncode == 0
    assert run_cli("collection", "list").stdout == ""
    assert (data_folder() / "parts.csv").is_file()


def test_models_are_listed_with_the_default_marked(run_cli: Run) -> None:
    out = run_cli("models").stdout
    assert "google/siglip2-base-patch32-256 *" in out
    assert "starter" in out
    listed = json.loads(run_cli("models", "--json").stdout)
    assert listed["default"] == "google/siglip2-base-patch32-256"
    assert run_cli("models", "verify", "starter").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["search", "dog", "-c", "holiday"], 1, "holiday"),
        (["search", "dog", "-c", "../etc"], 1, "cannot be used"),
        (["search", "-c", "demo"], 1, "nothing to search for"),
        (["search", "gear", "-c", "demo", "--filter", "colour=red"], 1, "no field 'colour'"),
        (["search", "gear", "-c", "demo", "--filter", "teeth=many"], 1, "holds integer"),
        (["search", "-c", "demo", "--image", "nowhere.jpg"], 1, "no picture at nowhere.jpg"),
        (["search", "gear", "-c", "demo", "--json", "--paths"], 2, "exclude each other"),
        (["search", "gear", "-c", "demo", "-0"], 2, "--paths"),
        (["search", "gear", "-c", "demo", "--top", "many"], 2, "not a valid integer"),
        (["search", "gear", "-c", "demo", "--url", "http://127.0.0.1:9"], 1, "127.0.0.1:9"),
        (["search", "gear", "-c", "demo", "--device", "abacus"], 1, "abacus"),
        (["index", "nowhere", "--model", "starter"], 1, "nowhere"),
        (["index", ".", "--model", "no-such-model"], 1, "no-such-model"),
        (["models", "pull", "no-such-model"], 1, "no-such-model"),
        (["collection", "info", "holiday"], 1, "holiday"),
        (["serch"], 2, "No such command"),
    ],
)
def test_wrong_input_gives_one_clear_sentence(
    run_cli: Run, demo_copy: Path, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(next((data_folder() / "images").glob("*.jpg")).read_bytes())
    done = run_cli(*arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert run_cli("collection", "list").stdout.split() == ["demo"], "something half-made was left"


def test_a_query_picture_that_is_no_picture_is_named(run_cli: Run, demo_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a picture")
    done = run_cli("search", "-c", "demo", "--image", "notes.jpg")
    assert done.returncode == 1
    assert "notes.jpg" in done.stderr


def test_a_foreign_indexer_package_gets_a_clear_message(run_cli: Run, tmp_path: Path) -> None:
    (tmp_path / "indexer.py").write_text("x = 1\n")
    done = run_cli("index", ".", PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[1]}")
    assert done.returncode == 1
    assert "hides ours" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_stops_reading_is_no_error(run_cli: Run, demo_copy: Path, tmp_path: Path) -> None:
    import os
    import sys

    root = Path(__file__).parents[1]
    command = (
        f"{sys.executable} -c 'from clipsearch.cli import main; main()' search gear -c demo -t 2000 --jsonl"
    )
    done = subprocess.run(
        f"set -o pipefail; {command} | head -n 1",
        shell=True,
        executable="/bin/bash",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_a_settings_file_names_the_collection(run_cli: Run, demo_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "clipsearch.toml").write_text('collection = "demo"\n')
    done = run_cli("search", "washer", "--top", "1")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
