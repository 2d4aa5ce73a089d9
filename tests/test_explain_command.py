"""`clipsearch explain`: a file or a record, what it prints, what it draws and what it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from web_server import serving

from clipsearch.cli import cli

DEMO = Path(__file__).resolve().parents[1] / "clipsearch" / "demo" / "data"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["explain", *arguments])


def test_a_file_is_explained_with_a_model_and_without_a_collection(tmp_path: Path) -> None:
    picture, out = str(DEMO / "images" / "SH-M6x12-AB_1.jpg"), tmp_path / "why.png"
    done = run(picture, "blue", "--model", "starter", "--device", "cpu", "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["text"] == "blue" and len(record["map"]) == 8 and record["out"] == str(out)
    assert record["check"]["is_better_than_random"] is True
    assert out.stat().st_size > 10_000
    assert f"wrote {out}" in done.stderr


def test_a_picture_at_an_address_is_fetched() -> None:
    with serving() as site:
        site.pages["/bolt.jpg"] = (DEMO / "images" / "SH-M6x12-AB_1.jpg").read_bytes()
        done = run(f"{site.url}/bolt.jpg", "blue", "--model", "starter", "--device", "cpu", "--no-check")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("blue\t")


def test_words_that_say_no_more_than_any_others_are_told_so() -> None:
    picture = str(DEMO / "images" / "SH-M6x12-AB_1.jpg")
    done = run(picture, "blue", "--model", "starter", "--device", "cpu", "--no-check")
    assert done.stdout.startswith("blue\t-")
    assert "no nearer to these words than to any others" in done.stderr


def test_a_map_that_chance_reaches_is_said_and_not_drawn_but_by_force(tmp_path: Path, tiny: Path) -> None:
    from PIL import Image

    Image.new("RGB", (40, 40), (90, 90, 90)).save(tmp_path / "grey.png")
    out = tmp_path / "why.png"
    model = ("--model", f"local-dir:{tiny}", "--device", "cpu", "--out", str(out))
    done = run(str(tmp_path / "grey.png"), "cat", *model)
    assert done.exit_code == 0, done.output
    assert "no better than a random one" in done.stderr and "did not write" in done.stderr
    assert not out.exists()
    assert run(str(tmp_path / "grey.png"), "cat", *model, "--force").exit_code == 0
    assert out.exists()


def test_a_records_picture_is_explained_with_the_collections_model(
    run_cli: Callable[..., Any], demo_copy: Path
) -> None:
    done = run_cli("explain", "WN-M10-AB", "blue", "wing", "nut", "-c", "demo", "--no-check")
    assert done.returncode == 0, done.stderr
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["blue", "wing", "nut"]
    missing = run_cli("explain", "NO-SUCH", "nut", "-c", "demo")
    assert missing.returncode == 1
    assert "neither a picture's file nor a record's key" in missing.stderr


def test_words_in_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from clipsearch.cli.explain import _print_table
    from clipsearch.explain import WordShare

    _print_table((WordShare("[/red]", 0, 6, 0.2), WordShare("nut", 7, 10, -0.1)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["[/red]", "+0.200"]
    assert lines[1].count("█") == 2 * lines[2].count("█") > 0


@pytest.mark.parametrize("where", [("-c", "parts"), ("--url", "http://localhost:6333")])
def test_a_model_and_a_collection_exclude_each_other(where: tuple[str, str]) -> None:
    done = run("photo.jpg", "nut", "--model", "starter", *where)
    assert done.exit_code == 2
    assert "a collection has its own model" in done.stderr


def test_a_file_that_is_not_there_is_said_in_one_sentence(run_cli: Callable[..., Any]) -> None:
    done = run_cli("explain", "photo.jpg", "nut", "--model", "starter")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: there is no picture at photo.jpg")
    assert len(done.stderr.splitlines()) == 1
