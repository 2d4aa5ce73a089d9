"""`clipsearch tag` and its subcommands, on pictures of the demo catalogue and with its own model."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import CLI

from clipsearch.cli import main
from clipsearch.settings import Settings
from clipsearch.store import open_store
from clipsearch.store.embedded.folder import copy_sparse
from indexer.options import RunOptions
from indexer.run import run as run_index
from indexer.sources import SourceOptions, open_source

DATA = Path(__file__).resolve().parents[1] / "clipsearch" / "demo" / "data"
N = 117  # pictures: every fifth part
WORDS = """
material: [brass, steel, zinc, nylon]
tags: [hex bolt, spur gear, wing nut, compression spring, 歯車, a cat]
"""


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.err.splitlines()[-1]

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


Tag = Callable[..., Done]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the collection `parts`."""
    folder = tmp_path_factory.mktemp("tagged")
    with (DATA / "parts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[::5]
    rows = [{**row, "image": str(DATA / row["image"])} for row in rows]
    with (folder / "parts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file, ["part_no", "image", "name", "material", "holes"], extrasaction="ignore"
        )
        writer.writeheader()
        writer.writerows(rows)
    settings = Settings.load(
        data=folder / "data", cache=folder / "cache", model="starter", collection="parts"
    )
    source = open_source(folder / "parts.csv", SourceOptions(id_column="part_no", allow_outside=True))
    assert run_index(source, settings, RunOptions()).encoded == N
    return folder


@pytest.fixture
def data(indexed: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it of one's own; the settings point at it, and the working folder is empty."""
    copy_sparse(indexed / "data", folder / "data")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("CLIPSEARCH_DATA", str(folder / "data"))
    monkeypatch.setenv("CLIPSEARCH_CACHE", str(indexed / "cache"))
    monkeypatch.setenv("CLIPSEARCH_COLLECTION", "parts")
    (work / "words.yaml").write_text(WORDS, encoding="utf-8")
    return folder / "data"


@pytest.fixture
def tag(data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tag:
    def go(*arguments: object, command: str = "tag") -> Done:
        monkeypatch.setattr(sys, "argv", ["clipsearch", command, *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        said = capfd.readouterr()
        return Done(int(left.value.code or 0), said.out, said.err)

    return go


@pytest.fixture
def payloads(data: Path) -> Callable[[], dict[str, dict[str, Any]]]:
    def read() -> dict[str, dict[str, Any]]:
        with closing(open_store("parts", Settings.load())) as store:
            return {p.id: dict(p.payload) for batch in store.scroll() for p in batch}

    return read


Payloads = Callable[[], dict[str, dict[str, Any]]]


# --- what is printed -----------------------------------------------------------------------------


def test_without_an_option_tags_are_counted_and_nothing_is_written(
    tag: Tag, payloads: Payloads, data: Path
) -> None:
    before = payloads()
    done = tag("words.yaml")
    assert done.code == 0
    counts = {row[0]: int(row[1]) for row in done.rows}
    assert set(counts) >= {"material|brass", "hex bolt", "歯車", "a cat"}
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert counts["material|brass"] > 0 == counts["a cat"]
    assert f"of {N} pictures" in done.last
    assert "nothing was written: add --write" in done.last
    assert payloads() == before
    assert not (data / "collections" / "parts" / "tagging").exists()


def test_json_and_the_report_tell_all_of_it(tag: Tag) -> None:
    done = tag("words.yaml", "--json", "--report", "report.json", "--threshold", "0.3")
    told = json.loads(done.out)
    assert json.loads(Path("report.json").read_text(encoding="utf-8"))["tags"] == told["tags"]
    assert (told["collection"], told["model"], told["pictures"], told["run"]) == ("parts", "starter", N, None)
    assert told["tagged"] + told["untagged"] == N
    assert {tag["hierarchy"] for tag in told["tags"]} >= {"material|zinc", "歯車"}


def test_jsonl_prints_every_picture_and_a_filter_and_a_limit_choose(tag: Tag) -> None:
    lines = [json.loads(line) for line in tag("words.yaml", "--jsonl").out.splitlines()]
    assert len(lines) == N == len({line["id"] for line in lines})
    assert all(tag["confidence"] >= 0.5 for line in lines for tag in line["tags"])
    few = tag("words.yaml", "--jsonl", "--limit", "7").out.splitlines()
    assert [json.loads(line)["id"] for line in few] == [line["id"] for line in lines[:7]]
    brass = tag("words.yaml", "--json", "--filter", "material=brass")
    assert 0 < json.loads(brass.out)["pictures"] < N


def test_prompts_are_explained_without_a_collection(tag: Tag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPSEARCH_COLLECTION", "nowhere")
    done = tag("words.yaml", "--explain-prompts", "--prompts", "part", "--template", "a macro photo of {}")
    prompts = {(row[0], row[1]) for row in done.rows}
    assert ("a cat", "a macro photo of a cat") in prompts
    assert any(name == "歯車" and "部品" in prompt for name, prompt in prompts)
    assert "(none of these)" in {name for name, _ in prompts}


# --- files ---------------------------------------------------------------------------------------


def test_tags_go_into_files_that_others_read(tag: Tag) -> None:
    for name in ("tags.jsonl", "tags.csv", "tags.parquet"):
        assert f"wrote {name}" in tag("words.yaml", "--out", name).last
    lines = [json.loads(line) for line in Path("tags.jsonl").read_text(encoding="utf-8").splitlines()]
    by_key = {line["key"]: [tag["tag"] for tag in line["tags"]] for line in lines}
    table = pq.read_table("tags.parquet").to_pydict()
    assert dict(zip(table["key"], table["tags"], strict=True)) == by_key
    with Path("tags.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(map(len, by_key.values()))


# --- into the collection -------------------------------------------------------------------------


def test_written_tags_are_filtered_by_at_once_and_taken_back_whole(tag: Tag, payloads: Payloads) -> None:
    before = payloads()
    done = tag("words.yaml", "--write", "--threshold", "0.3")
    run = done.last.rpartition("clipsearch tag undo ")[2].split()[0]
    n = sum("tags" in payload for payload in payloads().values())
    assert n > 20
    assert f"{n} records of collection 'parts' changed by run {run}" in done.last
    found = tag("-f", "tags=brass", "-t", "3", "--json", command="search")
    assert all("brass" in hit["payload"]["tags"] for hit in json.loads(found.out)["hits"])
    assert json.loads(found.out)["hits"]
    assert tag("runs").rows == [[run, "done", f"{n} records", "words.yaml"]]

    again = tag("words.yaml", "--write", "--threshold", "0.3")
    assert again.last.endswith("collection 'parts' had these tags already")
    assert len(tag("runs").rows) == 1, "a run that changed nothing is none"

    assert f"{n} records of collection 'parts' are as before" in tag("undo", run).out
    assert payloads() == before
    assert "had nothing to take back" in tag("undo", run).out
    assert tag("runs").rows[0][1] == "undone"
    assert "no run that could be taken back" in tag("undo", "last").err
    assert "no collection 'nowhere'" in tag("runs", "-c", "nowhere").err
    assert "there is no run 'x'" in tag("undo", "x").err


def test_a_dry_run_prints_what_would_change_and_changes_nothing(tag: Tag, payloads: Payloads) -> None:
    tag("words.yaml", "--write")
    before = payloads()
    Path("other.txt").write_text("brass\n", encoding="utf-8")
    done = tag("other.txt", "--write", "--dry-run", "--threshold", "0.2")
    assert all(word[0] in "+-" for row in done.rows for word in row[1:])
    assert any("+brass" in row for row in done.rows)
    assert "would change" in done.last
    assert payloads() == before


def test_a_field_that_cannot_hold_tags_is_told(tag: Tag, payloads: Payloads) -> None:
    done = tag("words.yaml", "--write", "--field", "holes")
    assert (done.code, done.out) == (1, "")
    assert "'holes' of collection 'parts' holds integer values" in done.err
    assert tag("words.yaml", "--write", "--field", "machine").code == 0
    some = next(payload for payload in payloads().values() if "machine" in payload)
    assert some["_tags:machine"] == some["machine"]
    assert "tags" not in some
    tag("undo", "last")
    assert not any("machine" in payload for payload in payloads().values())


def test_a_run_that_was_stopped_is_told_of_and_taken_back(tag: Tag, payloads: Payloads) -> None:
    before = payloads()
    command = [*CLI, "tag", "words.yaml", "--write", "--jsonl", "--threshold", "0"]
    stopped = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert stopped.stdout is not None
    assert stopped.stderr is not None
    stopped.stdout.close()  # as `| head -1` does
    told = stopped.stderr.read()
    stopped.stderr.close()
    stopped.wait()
    assert "stopped; what run" in told
    ((run, state, _, _),) = tag("runs").rows
    assert state == "stopped"
    assert payloads() != before
    tag("undo", run)
    assert payloads() == before


# --- beside the pictures -------------------------------------------------------------------------


@pytest.fixture
def photos(tag: Tag) -> list[Path]:
    """Pictures of one's own beside which something may be written, in a collection."""
    folder = Path("photos")
    folder.mkdir()
    for name in ("HX-M6x10-AR", "WN-M6-BZ", "SG-Z20-32-NW"):
        shutil.copy(DATA / "images" / f"{name}_1.jpg", folder / f"{name}.jpg")
    assert tag(folder, "-c", "photos", "--model", "starter", command="index").code == 0
    return sorted(folder.iterdir())


def test_sidecars_are_written_once_and_taken_back(tag: Tag, photos: list[Path]) -> None:
    command = ("words.yaml", "-c", "photos", "--sidecars", "--threshold", "0.2")
    planned = tag(*command, "--dry-run")
    assert "would write 3 sidecars" in planned.last
    assert "+    <rdf:li>" in planned.out
    assert sorted(Path("photos").iterdir()) == photos

    Path("photos/WN-M6-BZ.jpg.xmp").write_text("no XMP", encoding="utf-8")
    done = tag(*command)
    assert done.code == 4
    assert "wrote 2 sidecars; 1 refused" in done.last
    assert "refused " in done.err
    written = {path: path.read_bytes() for path in Path("photos").iterdir()}
    assert b"dc:subject" in written[Path("photos/SG-Z20-32-NW.jpg.xmp")]
    assert "no sidecar needed a change" in tag(*command).last
    assert {path: path.read_bytes() for path in Path("photos").iterdir()} == written

    undone = tag("undo", "last", "-c", "photos")
    assert "2 sidecars as before" in undone.out
    assert [path.name for path in Path("photos").glob("*.xmp")] == ["WN-M6-BZ.jpg.xmp"]


def test_loose_pictures_get_sidecars_too(tag: Tag, photos: list[Path]) -> None:
    done = tag("words.yaml", *photos, "--sidecars", "--sidecar-name", "x.xmp", "--threshold", "0.05")
    assert "wrote 3 sidecars" in done.last
    assert len(list(Path("photos").glob("*.xmp"))) == 3
    assert not list(Path("photos").glob("*.jpg.xmp"))


def test_pictures_in_archives_get_no_sidecar_and_are_counted(tag: Tag, photos: list[Path]) -> None:
    shutil.make_archive("packed", "zip", "photos")
    assert tag("packed.zip", "-c", "packed", "--model", "starter", command="index").code == 0
    done = tag("words.yaml", "-c", "packed", "--sidecars", "--threshold", "0.2")
    assert done.code == 0
    assert "3 are in archives or on the web and got none" in done.last
    assert not tag("runs", "-c", "packed").rows


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")
def test_tags_are_embedded_and_taken_back(tag: Tag, photos: list[Path]) -> None:
    assert "wrote into 3 pictures" in tag("words.yaml", "-c", "photos", "--embed", "--threshold", "0.2").last
    assert all(b"dc:subject" in path.read_bytes() for path in photos)
    assert "3 pictures as before" in tag("undo", "last", "-c", "photos").out
    assert all(b"dc:subject" not in path.read_bytes() for path in photos)


# --- labels --------------------------------------------------------------------------------------


def test_labels_fit_the_confidences_and_precision_needs_them(tag: Tag) -> None:
    plain = json.loads(tag("words.yaml", "--json").out)
    fitted = json.loads(tag("words.yaml", "--json", "--labels-from", "material").out)
    assert (plain["fit"]["kind"], fitted["fit"]["kind"]) == ("background", "labels")
    (brass,) = (tag["measured"] for tag in fitted["tags"] if tag["tag"] == "brass")
    assert brass["precision_low"] <= brass["precision"] <= brass["precision_high"]
    assert 0 < brass["support"] < N
    assert fitted["measured"]["pictures"] == N
    assert plain["measured"] is None
    table = tag("words.yaml", "--labels-from", "material")
    assert {len(row) for row in table.rows} == {4, 7}, "precision, recall and F1 where labels tell them"
    assert "labelled pictures: precision 0." in table.err
    done = tag("words.yaml", "--precision", "0.9")
    assert done.code == 1
    assert "--precision 0.9 cannot be promised without labels" in done.err
    kept = tag("words.yaml", "--json", "--precision", "0.9", "--labels-from", "material")
    assert "tags cannot keep precision 0.9 and stay off: steel (" in kept.err
    assert json.loads(kept.out)["fit"]["left_off"]


def test_labels_of_other_pictures_are_told(tag: Tag) -> None:
    Path("known.csv").write_text("key,tags\nnowhere.jpg,brass\n", encoding="utf-8")
    done = tag("words.yaml", "--labels", "known.csv")
    assert "1 of 1 labelled keys are not in collection 'parts': nowhere.jpg" in done.err
    assert "none of the labels is about a picture" in done.last


# --- loose pictures ------------------------------------------------------------------------------


def test_loose_pictures_are_tagged_and_a_bad_one_does_not_stop_the_others(
    tag: Tag, payloads: Payloads
) -> None:
    before = payloads()
    pictures = sorted((DATA / "images").glob("*MS_1.jpg"))[:3]
    Path("bad.jpg").write_bytes(b"no picture")
    done = tag("words.yaml", *pictures, "bad.jpg")
    assert done.code == 4
    assert [row[0] for row in done.rows] == [str(path) for path in pictures]
    words = [word for row in done.rows for word in row[1:] if word]
    assert words and all(word.rpartition(" ")[2].startswith("0.") for word in words)
    assert "skipped bad.jpg" in done.err.replace(f"{Path.cwd()}/", "")
    assert "3 pictures" in done.last and "1 unusable" in done.last
    (one,) = json.loads(tag("words.yaml", pictures[0], "--json").out)["records"]
    assert one["path"] == str(pictures[0])
    assert payloads() == before
    assert tag("words.yaml", pictures[0], "--write").code == 2


# --- the command itself --------------------------------------------------------------------------


def test_a_first_word_that_is_no_subcommand_is_a_vocabulary(tag: Tag) -> None:
    Path("undo").write_text("brass\nsteel\n", encoding="utf-8")
    assert "of 2 tags" in tag("./undo").last
    assert "Take back what a run" in tag("undo", "--help").out
    assert "Usage: clipsearch tag undo" in tag("undo", "--help").out
    missing = tag("nowhere.txt")
    assert missing.code == 1
    assert "nowhere.txt" in missing.last


def test_the_help_is_a_manual_with_sections_and_subcommands(tag: Tag) -> None:
    out = tag("--help").out
    for shown in ("[OPTIONS] VOCAB [PICTURES]...", "Where the tags go:", "How sure:", "Commands:", "lint"):
        assert shown in out
    assert tag().code == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--json", "--jsonl"), "exclude each other"),
        (("--dry-run",), "--dry-run goes with"),
        (("--template", "a photo"), "has no {} for the tag"),
        (("--labels-from", "tags"), "holds the tags that this command writes"),
        (("--precision", "1"), "--precision"),
        (("--report", "nowhere/report.json"), "there is no folder nowhere"),
        (("--dry-run", "--write", "--json"), "leave --json and --jsonl out"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    tag: Tag, arguments: tuple[str, ...], told: str
) -> None:
    done = tag("words.yaml", *arguments)
    assert done.code == 2
    assert told in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--out", "tags.xlsx"), "end its name in one of .jsonl"),
        (("--filter", "nofield=1"), "nofield"),
        (("--filter", "material=gold"), "nothing to tag"),
        (("--prompts", "nosuch"), "nosuch"),
        (("-c", "nowhere"), "no collection 'nowhere'"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    tag: Tag, data: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = tag("words.yaml", "--write", *arguments)
    assert done.code == 1
    assert told in done.err
    assert done.err.startswith("Error: ")
    assert not (data / "collections" / "parts" / "tagging").exists()
    assert [path.name for path in Path.cwd().iterdir()] == ["words.yaml"]
