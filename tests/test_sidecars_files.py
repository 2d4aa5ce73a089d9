"""Sidecars as files: whose they are, how they are written, what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipsearch.errors import TaggingError
from clipsearch.tagging.journal import Journal
from clipsearch.tagging.sidecars import Change, Sidecars, read_tags, undo
from clipsearch.tagging.sidecars.places import Style
from clipsearch.types import Tag

TAGS = (Tag("brass", 0.9, paths=(("material", "brass"),)), Tag("六角ボルト", 0.8))
HUMAN = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:u="urn:u:" u:known="no">'
    "<dc:subject><rdf:Bag><rdf:li>mine</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).write_text(HUMAN if name.lower().endswith(".xmp") else "", encoding="utf-8")
    return path


def journal(path: Path) -> Journal:
    return Journal.create(path / "collection", {})


def write(
    path: Path, *names: str, tags=TAGS, style: Style = "x.jpg.xmp", into: Journal | None = None
) -> list[Change]:
    sidecars = Sidecars(into or journal(path), model="m", style=style)
    return list(sidecars.write(sidecars.plan([(path / name, tags) for name in names])))


def states(run: Journal) -> list[str]:
    return [one.state for one in undo(run)]


def xmps(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir() if one.is_file() and one.suffix != ".jpg")


# --- names ---------------------------------------------------------------------------------------


def test_x_jpg_xmp_is_written_from_what_x_xmp_says(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.xmp")
    before = (tmp_path / "x.xmp").read_bytes()
    (change,) = write(tmp_path, "x.jpg")
    assert change.sidecar == tmp_path / "x.jpg.xmp"
    assert b'u:known="no"' in (tmp_path / "x.jpg.xmp").read_bytes()
    assert (tmp_path / "x.xmp").read_bytes() == before
    assert read_tags(tmp_path / "x.jpg").names == ("mine", "brass", "六角ボルト")


def test_both_sidecars_are_read_and_people_are_heard_in_either(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.xmp", "x.jpg.xmp")
    (tmp_path / "x.xmp").write_text(HUMAN.replace("mine", "Brass"), encoding="utf-8")
    (change,) = write(tmp_path, "x.jpg")
    assert change.added == ("六角ボルト",)
    assert set(read_tags(tmp_path / "x.jpg").names) == {"mine", "六角ボルト", "Brass"}


@pytest.mark.parametrize("other", ["x.cr2", "X.JPG", "x.mp4", "x.png"])
def test_an_x_xmp_of_two_pictures_is_neither_read_nor_written(tmp_path: Path, other: str) -> None:
    folder(tmp_path, "x.jpg", other, "x.xmp")
    (change,) = write(tmp_path, "x.jpg", style="x.xmp")
    assert other in str(change.refused)
    (change,) = write(tmp_path, "x.jpg")
    assert (change.refused, change.sidecar.name) == (None, "x.jpg.xmp")
    assert read_tags(tmp_path / "x.jpg").names == ("brass", "六角ボルト")
    assert (tmp_path / "x.xmp").read_text(encoding="utf-8") == HUMAN


def test_the_sidecar_of_x_jpg_is_not_that_of_x_jpg_png(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.jpg.png", "x.jpg.xmp")
    assert "mine" not in [*read_tags(tmp_path / "x.jpg.png").names]
    (change,) = write(tmp_path, "x.jpg.png", style="x.xmp")
    assert "x.jpg" in str(change.refused)


def test_the_other_style_writes_x_xmp(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.txt", "y.jpg")
    assert [one.sidecar.name for one in write(tmp_path, "x.jpg", "y.jpg", style="x.xmp")] == [
        "x.xmp",
        "y.xmp",
    ]
    assert read_tags(tmp_path / "x.jpg").ours == ("brass", "六角ボルト")


def test_a_sidecar_that_ends_in_capitals_is_the_one_that_is_written(tmp_path: Path) -> None:
    folder(tmp_path, "X.JPG", "X.JPG.XMP")
    (change,) = write(tmp_path, "X.JPG")
    assert change.refused is None
    assert xmps(tmp_path) == ["X.JPG", "X.JPG.XMP"]
    assert read_tags(tmp_path / "X.JPG").names == ("mine", "brass", "六角ボルト")


def test_a_picture_without_a_suffix_shares_no_name(tmp_path: Path) -> None:
    folder(tmp_path, "x", "x.jpg", "y")
    first, second = write(tmp_path, "x", "y")
    assert "x.jpg" in str(first.refused)
    assert (second.refused, second.sidecar.name) == (None, "y.xmp")


@pytest.mark.parametrize(
    "name", ["-rm.jpg", "two\nlines.jpg", "写真 %d.jpg", ".hidden.jpg", "a.b.c.jpg", "'\".jpg"]
)
def test_odd_names_are_only_names(tmp_path: Path, name: str) -> None:
    folder(tmp_path, name)
    run = journal(tmp_path)
    (change,) = write(tmp_path, name, into=run)
    assert change.refused is None
    assert (tmp_path / f"{name}.xmp").is_file()
    assert "\n" not in change.diff.splitlines()[1]
    assert states(run) == ["restored"]


def test_a_name_that_is_no_utf8_is_written_and_taken_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    folder(tmp_path, name)
    run = journal(tmp_path)
    assert [one.refused for one in write(tmp_path, name, into=run)] == [None]
    assert states(Journal.open(tmp_path / "collection", run.run)) == ["restored"]
    assert xmps(tmp_path) == []


def test_two_records_of_one_picture_are_given_together(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg")
    sidecars = Sidecars(journal(tmp_path), model="m")
    twice = [(tmp_path / "x.jpg", TAGS[:1]), (str(tmp_path / "collection" / ".." / "x.jpg"), TAGS[1:])]
    assert [one.added for one in sidecars.write(sidecars.plan(twice))] == [("brass", "六角ボルト")]


# --- writing -------------------------------------------------------------------------------------


def test_a_second_run_touches_nothing(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "y.jpg", "y.jpg.xmp")
    write(tmp_path, "x.jpg", "y.jpg")
    facts = {name: ((tmp_path / name).read_bytes(), (tmp_path / name).stat()) for name in xmps(tmp_path)}
    run = journal(tmp_path)
    assert [one.is_needed for one in write(tmp_path, "x.jpg", "y.jpg", into=run)] == [False, False]
    assert {name: ((tmp_path / name).read_bytes(), (tmp_path / name).stat()) for name in facts} == facts
    assert list(run.noted("sidecar")) == []


def test_a_dry_run_shows_the_difference_and_writes_nothing(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "y.jpg", "y.jpg.xmp")
    sidecars = Sidecars(None, model="m")
    new, old = sidecars.plan([(tmp_path / "x.jpg", TAGS), (tmp_path / "y.jpg", TAGS)])
    assert new.diff.startswith("--- /dev/null\n+++ ")
    assert "+    <rdf:li>brass</rdf:li>" in new.diff
    assert [line for line in old.diff.splitlines() if line.startswith("-")][1:] == [f"-{HUMAN}"]
    assert xmps(tmp_path) == ["y.jpg.xmp"]
    with pytest.raises(TaggingError, match="journal"):
        sidecars.write([new])


def test_a_sidecar_keeps_its_mode_and_owner(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.jpg.xmp")
    (tmp_path / "x.jpg.xmp").chmod(0o640)
    if os.geteuid() == 0:
        os.chown(tmp_path / "x.jpg.xmp", 1234, 5678)
    before = (tmp_path / "x.jpg.xmp").stat()
    os.utime(tmp_path / "x.jpg.xmp", (0, 0))
    write(tmp_path, "x.jpg")
    after = (tmp_path / "x.jpg.xmp").stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_mtime > 0, "programs that look at times see that it changed"


def test_what_cannot_be_written_is_refused_and_the_run_goes_on(tmp_path: Path) -> None:
    long = "x" * 250 + ".jpg"
    folder(tmp_path, "ok.jpg", "broken.jpg", "link.jpg", "other.jpg", "folder.jpg", "other.xmp", long)
    (tmp_path / "broken.jpg.xmp").write_text(HUMAN[:-3], encoding="utf-8")
    (tmp_path / "target").write_text(HUMAN, encoding="utf-8")
    (tmp_path / "link.jpg.xmp").symlink_to(tmp_path / "target")
    (tmp_path / "folder.jpg.xmp").mkdir()
    (tmp_path / "other.xmp").write_bytes(b"<!DOCTYPE x>")
    (tmp_path / "pictures.jpg").mkdir()
    before = {name: (tmp_path / name).read_bytes() for name in ("broken.jpg.xmp", "target", "other.xmp")}
    names = [
        "broken.jpg",
        "link.jpg",
        "other.jpg",
        "folder.jpg",
        "gone.jpg",
        "pictures.jpg",
        "nul\0.jpg",
        long,
    ]
    run = journal(tmp_path)
    *refused, ok = write(tmp_path, *names, "ok.jpg", into=run)
    reasons = [str(one.refused) for one in refused]
    expected = [
        "well-formed",
        "link",
        "document type",
        "no file",
        "no such",
        "no such",
        "no such",
        "cannot be",
    ]
    assert all(want in said for want, said in zip(expected, reasons, strict=True)), reasons
    assert ok.refused is None
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert (tmp_path / "link.jpg.xmp").is_symlink()
    assert states(run) == ["restored"]


def test_a_write_protected_sidecar_is_left(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.jpg.xmp")
    (tmp_path / "x.jpg.xmp").chmod(0o444)
    assert "write-protected" in str(write(tmp_path, "x.jpg")[0].refused)
    assert (tmp_path / "x.jpg.xmp").read_text(encoding="utf-8") == HUMAN


def test_a_sidecar_that_changes_between_plan_and_write_is_left(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.jpg.xmp", "y.jpg")
    run = journal(tmp_path)
    sidecars = Sidecars(run, model="m")
    changes = list(sidecars.plan([(tmp_path / "x.jpg", TAGS), (tmp_path / "y.jpg", TAGS)]))
    for name in ("x.jpg.xmp", "y.jpg.xmp"):
        (tmp_path / name).write_text(HUMAN.replace("mine", "newer"), encoding="utf-8")
    assert all("meantime" in str(one.refused) for one in sidecars.write(changes))
    assert (tmp_path / "x.jpg.xmp").read_text(encoding="utf-8") == HUMAN.replace("mine", "newer")
    assert states(run) == ["untouched", "untouched"]


def test_a_full_disk_leaves_the_old_sidecar(tmp_path: Path) -> None:
    """The limit on a file's size fails as a full disk does: in the middle of writing."""
    resource = pytest.importorskip("resource", reason="needs limits on a file's size")
    folder(tmp_path, "x.jpg", "x.jpg.xmp")
    long = HUMAN.replace("no", "n" * 9000)
    (tmp_path / "x.jpg.xmp").write_text(long, encoding="utf-8")
    run = journal(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        (change,) = write(tmp_path, "x.jpg", into=run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written" in str(change.refused)
    assert (tmp_path / "x.jpg.xmp").read_text(encoding="utf-8") == long
    assert xmps(tmp_path) == ["x.jpg.xmp"]
    assert states(run) == ["untouched"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.jpg.xmp")
    code = (
        "import os, sys; from pathlib import Path; from clipsearch.tagging.sidecars.files import put, why\n"
        "os.chdir(sys.argv[1]); os.seteuid(65534)\n"
        "path = Path('x.jpg.xmp')\n"
        "try: put(path, b'new', path.read_bytes())\n"
        "except OSError as error: print(why(error))"
    )
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert "it cannot be written: Permission denied" in done.stdout, done.stderr
    assert xmps(tmp_path) == ["x.jpg.xmp"]


def test_a_journal_that_cannot_be_written_stops_the_run_before_anything_changes(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg")
    run = journal(tmp_path)
    (run.folder / "sidecar.jsonl").mkdir()
    with pytest.raises(TaggingError, match="journal"):
        write(tmp_path, "x.jpg", into=run)
    assert xmps(tmp_path) == []


def test_a_picture_without_sidecars_has_no_tags(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg")
    found = read_tags(tmp_path / "x.jpg")
    assert (found.names, found.paths, found.ours, found.rejected) == ((), (), (), ())


def test_a_sidecar_says_whose_its_tags_are(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg", "x.jpg.xmp")
    write(tmp_path, "x.jpg")
    sidecar = tmp_path / "x.jpg.xmp"
    edited = sidecar.read_text(encoding="utf-8").replace("<rdf:li>六角ボルト</rdf:li>", "", 1)
    sidecar.write_text(edited, encoding="utf-8")
    found = read_tags(tmp_path / "x.jpg")
    assert (found.names, found.ours, found.rejected) == (("mine", "brass"), ("brass",), ("六角ボルト",))
    assert found.paths == (("material", "brass"),)


def test_a_broken_sidecar_cannot_be_read(tmp_path: Path) -> None:
    folder(tmp_path, "x.jpg")
    (tmp_path / "x.jpg.xmp").write_bytes(b"<")
    with pytest.raises(TaggingError, match=r"well-formed|unclosed"):
        read_tags(tmp_path / "x.jpg")
