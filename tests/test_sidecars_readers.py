"""What we write, exiv2 and ExifTool read; what they write, we leave as it is."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from clipsearch.tagging.journal import Journal
from clipsearch.tagging.sidecars import Sidecars, read_tags, undo
from clipsearch.types import Tag

needs_exiv2 = pytest.mark.skipif(not shutil.which("exiv2"), reason="needs the program exiv2")
needs_exiftool = pytest.mark.skipif(not shutil.which("exiftool"), reason="needs the program exiftool")
TAGS = (
    Tag("六角ボルト", 0.91234, paths=(("部品", "ねじ", "六角ボルト"), ("fasteners", "六角ボルト"))),
    Tag("brass & <steel>", 0.7, paths=(("brass & <steel>",),)),
    Tag("a|b/c", 0.6, paths=(("signs", "a|b/c"),)),
    Tag("👩‍🔧 \"quoted\" 'name'", 0.5),
)
NAMES = [tag.name for tag in TAGS]
OURS = (
    "XMP-clipsearch:",
    "XMP-dc:Subject",
    "XMP-lr:",
    "XMP-digiKam:TagsList",
    "System:",
    "ExifTool:",
    "SourceFile",
)
LIGHTROOM = """<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
    xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
    xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" xmlns:exif="http://ns.adobe.com/exif/1.0/"
   xmp:Rating="5" xmp:MetadataDate="2024-05-01T10:00:00+09:00" crs:Version="15.0" crs:Exposure2012="+0.35"
   crs:HasSettings="True" exif:GPSLatitude="35,41.2N"
   exif:GPSLongitude="139,45.1E" xmpMM:DocumentID="xmp.did:1">
   <xmpMM:History><rdf:Seq>
     <rdf:li stEvt:action="saved" stEvt:when="2024-05-01T10:00:00+09:00" stEvt:changed="/metadata"/>
   </rdf:Seq></xmpMM:History>
   <crs:ToneCurve><rdf:Seq><rdf:li>0, 0</rdf:li><rdf:li>255, 255</rdf:li></rdf:Seq></crs:ToneCurve>
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">工場 &amp; more</rdf:li></rdf:Alt></dc:title>
   <dc:subject><rdf:Bag><rdf:li>workshop</rdf:li><rdf:li>Anna</rdf:li></rdf:Bag></dc:subject>
   <lr:hierarchicalSubject><rdf:Bag><rdf:li>people|Anna</rdf:li></rdf:Bag></lr:hierarchicalSubject>
   <mwg-rs:Regions rdf:parseType="Resource">
    <mwg-rs:AppliedToDimensions rdf:parseType="Resource">
     <stArea:unit>pixel</stArea:unit></mwg-rs:AppliedToDimensions>
    <mwg-rs:RegionList><rdf:Bag><rdf:li><rdf:Description mwg-rs:Name="Anna" mwg-rs:Type="Face">
      <mwg-rs:Area stArea:x="0.5" stArea:y="0.4" stArea:w="0.1" stArea:h="0.2" stArea:unit="normalized"/>
     </rdf:Description></rdf:li></rdf:Bag></mwg-rs:RegionList>
   </mwg-rs:Regions>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def exiftool(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["exiftool", *map(str, arguments)], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def properties(path: Path, *without: str) -> dict[str, object]:
    found = json.loads(exiftool("-j", "-G1", "-struct", path))[0]
    return {key: value for key, value in found.items() if not key.startswith(without)}


def exiv2_lines(path: Path) -> list[str]:
    done = subprocess.run(["exiv2", "-PXkyct", path], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def tag(picture: Path, tags=TAGS) -> Journal:
    journal = Journal.create(picture.parent / "collection", {})
    sidecars = Sidecars(journal, model="tiny clip 1a2b")
    assert [change.refused for change in sidecars.write(sidecars.plan([(picture, tags)]))] == [None]
    return journal


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "x.jpg"
    Image.new("RGB", (16, 16), "red").save(path)
    return path


@pytest.fixture(params=["none", "lightroom", "exiftool", "exiv2", "digikam"])
def sidecar(request: pytest.FixtureRequest, picture: Path) -> Path:
    """x.jpg.xmp as the program makes it."""
    path = picture.with_name("x.jpg.xmp")
    if request.param in ("lightroom", "digikam"):
        path.write_text(LIGHTROOM, encoding="utf-8")
    if request.param == "exiftool":
        if not shutil.which("exiftool"):
            pytest.skip("needs the program exiftool")
        made = picture.with_name("made.xmp")
        facts = (
            "-XMP-dc:Subject=people's",
            "-XMP-dc:Subject=東京",
            "-XMP:Rating=3",
            "-XMP:GPSLatitude=35.68",
        )
        region = "-RegionInfo={RegionList=[{Area={X=0.5,Y=0.5,W=0.1,H=0.1},Name=Anna,Type=Face}]}"
        exiftool(*facts, region, "-XMP-lr:HierarchicalSubject=place|東京", made)
        made.rename(path)
    if request.param in ("exiv2", "digikam"):
        if not shutil.which("exiv2"):
            pytest.skip("needs the program exiv2")
        if request.param == "exiv2":
            path.write_text(LIGHTROOM, encoding="utf-8")
        commands = ["set Xmp.dc.subject XmpBag 東京", "set Xmp.xmp.Label XmpText red"]
        if request.param == "digikam":
            commands += ["set Xmp.digiKam.TagsList XmpSeq place/東京", "set Xmp.digiKam.PickLabel XmpText 2"]
        subprocess.run(["exiv2", *(part for one in commands for part in ("-M", one)), path], check=True)
    return path


@needs_exiftool
def test_exiftool_reads_what_we_write(sidecar: Path, picture: Path) -> None:
    before = properties(sidecar) if sidecar.exists() else {}
    tag(picture)
    after = properties(sidecar)
    human = as_list(before.get("XMP-dc:Subject"))
    assert as_list(after["XMP-dc:Subject"]) == [*human, *NAMES]
    paths = as_list(after["XMP-lr:HierarchicalSubject"])
    assert {"部品|ねじ|六角ボルト", "fasteners|六角ボルト", "signs|a/b/c", "brass & <steel>"} <= set(paths)
    assert {"部品/ねじ/六角ボルト", "signs/a\\b\\c"} <= set(as_list(after["XMP-digiKam:TagsList"]))
    noted = {one["Name"]: one for one in after["XMP-clipsearch:Tags"]}
    assert list(noted) == NAMES
    assert (noted["六角ボルト"]["Confidence"], noted["六角ボルト"]["Model"]) == (0.9123, "tiny clip 1a2b")
    without = (*OURS, "File:")
    assert {k: v for k, v in after.items() if not k.startswith(without)} == {
        k: v for k, v in before.items() if not k.startswith(without)
    }


@needs_exiv2
def test_exiv2_reads_what_we_write(sidecar: Path, picture: Path) -> None:
    before = exiv2_lines(sidecar) if sidecar.exists() else []
    tag(picture)
    after = exiv2_lines(sidecar)
    lists = ("Xmp.dc.subject", "Xmp.lr.", "Xmp.digiKam.TagsList", "Xmp.clipsearch.")
    assert [one for one in after if not one.startswith(lists)] == [
        one for one in before if not one.startswith(lists)
    ]
    subject = next(one for one in after if one.startswith("Xmp.dc.subject"))
    assert all(name in subject for name in NAMES)
    assert any("XmpSeq" in one and "部品/ねじ/六角ボルト" in one for one in after)


@needs_exiftool
@needs_exiv2
@pytest.mark.parametrize("program", ["exiftool", "exiv2"])
def test_ours_stay_ours_when_another_program_writes_the_file_anew(
    sidecar: Path, picture: Path, program: str
) -> None:
    journal = tag(picture)
    human = set(read_tags(picture).names) - set(NAMES)
    if program == "exiftool":
        exiftool("-overwrite_original", "-XMP-xmp:Label=green", "-XMP-dc:Subject+=mine", sidecar)
        human |= {"mine"}
    else:
        subprocess.run(["exiv2", "-M", "set Xmp.xmp.Label XmpText green", sidecar], check=True)
    content = sidecar.read_bytes()
    again = tag(picture)
    if program == "exiv2":
        assert sidecar.read_bytes() == content, "the same tags are given: nothing to write"
    list(undo(again))  # "mine" was repeated in the lists that we began
    assert sidecar.read_bytes() == content
    assert set(read_tags(picture).ours) == set(NAMES)
    assert [one.state for one in undo(journal)] == ["partly"]
    left = read_tags(picture)
    assert (set(left.names), left.ours) == (human, ())
    assert "clipsearch" not in str(properties(sidecar).keys())
    assert properties(sidecar)["XMP-xmp:Label"] == "green"


def test_a_tag_in_a_list_that_we_begin_does_not_hide_peoples_flat_ones(picture: Path) -> None:
    """digiKam and darktable read dc:subject only where there is no list of theirs."""
    sidecar = picture.with_name("x.jpg.xmp")
    sidecar.write_text(LIGHTROOM, encoding="utf-8")
    journal = tag(picture)
    content = sidecar.read_text(encoding="utf-8")
    assert "<rdf:li>people/Anna</rdf:li>" in content
    assert "<rdf:li>workshop</rdf:li>" in content.partition("digiKam:TagsList")[2].partition("TagsList>")[0]
    sidecar.write_text(content.replace("+0.35", "+0.40"), encoding="utf-8")
    assert [one.state for one in undo(journal)] == ["partly"]
    assert sidecar.read_text(encoding="utf-8") == LIGHTROOM.replace("+0.35", "+0.40")


def as_list(value: object) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]
