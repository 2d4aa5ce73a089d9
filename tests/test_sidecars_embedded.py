"""Tags in pictures themselves, by the real ExifTool, and out of them again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from test_sidecars_readers import LIGHTROOM, NAMES, OURS, TAGS, as_list, exiftool, needs_exiftool, properties

from clipsearch.errors import TaggingError
from clipsearch.tagging.journal import Journal
from clipsearch.tagging.sidecars import Embedded, undo_embedded


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    pytest.importorskip("exiftool", reason="needs PyExifTool")
    return Journal.create(tmp_path / "collection", {})


@pytest.fixture
def embedded(journal: Journal) -> Iterator[Embedded]:
    with Embedded(journal, model="m") as one:
        yield one


@needs_exiftool
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("starts", [True, False])
def test_tags_are_embedded_and_taken_out_again(
    tmp_path: Path, embedded: Embedded, journal: Journal, suffix: str, starts: bool
) -> None:
    picture = tmp_path / f"写真 100%{suffix}"
    Image.new("RGB", (16, 16), "red").save(picture)
    if starts:
        scratch = tmp_path / "l.xmp"
        scratch.write_text(LIGHTROOM, encoding="utf-8")
        exiftool("-overwrite_original", "-tagsfromfile", scratch, "-all:all", picture)
    picture.chmod(0o640)
    pixels, before = (
        Image.open(picture).tobytes(),
        properties(picture, *OURS, "File:", "XMP-x:", "IFD0:StripOffsets"),
    )
    packet, times = exiftool("-b", "-xmp", picture), picture.stat().st_mtime_ns
    (change,) = embedded.write(embedded.plan([(picture, TAGS)]))
    if "Can't write RIFF" in str(change.refused):
        pytest.skip("needs an ExifTool that writes WebP")
    assert (change.refused, change.added) == (None, tuple(NAMES))
    found = properties(picture)
    assert set(as_list(found["XMP-dc:Subject"])) == {*NAMES, *(("Anna", "workshop") if starts else ())}
    assert [one["Name"] for one in found["XMP-clipsearch:Tags"]] == NAMES
    after = properties(picture, *OURS, "File:", "XMP-x:", "IFD0:StripOffsets")
    assert {key: after.get(key) for key in before} == before
    assert Image.open(picture).tobytes() == pixels
    assert (picture.stat().st_mtime_ns, picture.stat().st_mode & 0o777) == (times, 0o640)
    (second,) = embedded.plan([(picture, TAGS)])
    assert (second.is_needed, second.refused) == (False, None)
    assert [one.state for one in undo_embedded(journal)] == ["restored"]
    assert exiftool("-b", "-xmp", picture) == packet
    assert [one.state for one in undo_embedded(journal)] == ["untouched"]
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


@needs_exiftool
@pytest.mark.parametrize(
    "name", ["-delete_original!.jpg", "two\nlines $x @y.jpg", "%d%f.jpg", " #x .jpg", "x"]
)
def test_a_pictures_odd_name_is_only_a_name(tmp_path: Path, embedded: Embedded, name: str) -> None:
    picture = tmp_path / "-folder\n$" / name
    picture.parent.mkdir()
    Image.new("RGB", (16, 16), "red").save(picture, format="JPEG")
    (change,) = embedded.write(embedded.plan([(picture, TAGS[:1])]))
    assert change.refused is None
    assert [path.name for path in picture.parent.iterdir()] == [name]
    assert "六角ボルト".encode() in picture.read_bytes()


@needs_exiftool
def test_pictures_that_cannot_be_tagged_inside_are_refused_and_stay(
    tmp_path: Path, embedded: Embedded
) -> None:
    for name in ("good.jpg", "iptc.jpg"):
        Image.new("RGB", (16, 16), "red").save(tmp_path / name)
    exiftool("-overwrite_original", "-IPTC:Keywords=mine", tmp_path / "iptc.jpg")
    Image.new("RGB", (16, 16), "red").save(tmp_path / "plain.bmp")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "good.jpg")
    Image.new("RGB", (16, 16), "red").save(tmp_path / "protected.jpg")
    (tmp_path / "protected.jpg").chmod(0o444)
    names = ["iptc.jpg", "plain.bmp", "broken.jpg", "link.jpg", "protected.jpg", "gone.jpg"]
    before = {name: (tmp_path / name).read_bytes() for name in names[:5]}
    pictures = [(tmp_path / name, TAGS) for name in names]
    done = list(embedded.write(embedded.plan(pictures)))
    assert all(change.refused for change in done), done
    assert "mine" in str(done[0].refused)
    assert {name: (tmp_path / name).read_bytes() for name in names[:5]} == before
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


@needs_exiftool
def test_people_who_edit_an_embedded_packet_keep_their_edits(
    tmp_path: Path, embedded: Embedded, journal: Journal
) -> None:
    picture = tmp_path / "x.jpg"
    Image.new("RGB", (16, 16), "red").save(picture)
    list(embedded.write(embedded.plan([(picture, TAGS)])))
    exiftool("-overwrite_original", "-XMP-dc:Subject+=mine", "-XMP-dc:Subject-=brass & <steel>", picture)
    (change,) = embedded.write(embedded.plan([(picture, TAGS)]))
    assert change.refused is None
    assert set(as_list(properties(picture)["XMP-dc:Subject"])) == {"mine", *NAMES} - {"brass & <steel>"}
    assert {one.state for one in undo_embedded(journal)} <= {"restored", "partly", "untouched"}
    assert as_list(properties(picture)["XMP-dc:Subject"]) == ["mine"]


def test_without_exiftool_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TaggingError, match=r"libimage-exiftool-perl|clipsearch\[exiftool\]"):
        Embedded(None, model="m").__enter__()
