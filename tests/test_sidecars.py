"""Tags merged into XMP packets: every form is read, nothing else changes, people's tags stay theirs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from clipsearch.tagging.sidecars.lists import DIGIKAM, HIERARCHICAL, SUBJECT, entries
from clipsearch.tagging.sidecars.merging import Merged, merged, taken_back
from clipsearch.tagging.sidecars.packet import Refused, parse
from clipsearch.tagging.sidecars.standing import standing
from clipsearch.types import Tag

BRASS = Tag("brass", 0.9, paths=(("material", "brass"),))
BOLT = Tag("六角ボルト", 0.8)
HEAD = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/">'
)
QUALIFIED = "<rdf:Description><rdf:value>mine</rdf:value><rdf:type>q</rdf:type></rdf:Description>"
TAIL = "</rdf:RDF></x:xmpmeta>"


def xmp(inner: str, *, attributes: str = "") -> bytes:
    return f'{HEAD}<rdf:Description rdf:about=""{attributes}>{inner}</rdf:Description>{TAIL}'.encode()


def bag(*names: str, kind: str = "Bag") -> str:
    items = "".join(f"<rdf:li>{name}</rdf:li>" for name in names)
    return f"<dc:subject><rdf:{kind}>{items}</rdf:{kind}></dc:subject>"


def merge(base: bytes | None, *tags: Tag, run: str = "20260101-000000-0001", model: str = "m") -> Merged:
    return merged(base, tags, model=model, run=run)


def subjects(raw: bytes | None) -> list[str]:
    assert raw is not None
    return entries(parse(raw), SUBJECT)


@pytest.mark.parametrize(
    "base",
    [
        xmp(bag("mine")),
        xmp(bag("mine", kind="Seq")),
        xmp(bag("mine", kind="Alt")),
        xmp("<dc:subject>mine</dc:subject>"),
        xmp("", attributes=' dc:subject="mine"'),
        xmp("", attributes=" dc:subject='mine'"),
        xmp(bag(QUALIFIED)),
        xmp(bag("mi<!-- a -->ne", "<![CDATA[]]>") + "<x:one>/></x:one><x:one a='/>'></x:one>"),
        xmp("<x:one/></rdf:Description><rdf:Description>" + bag("mine")),
        xmp("<dc:subject><rdf:Bag><!-- why --><rdf:li><![CDATA[mine]]></rdf:li></rdf:Bag></dc:subject>"),
        xmp(bag("mine")).replace(b"rdf:", b"r:").replace(b"xmlns:rdf", b"xmlns:r"),
        xmp(bag("mine")).replace(b"dc:", b"purl:").replace(b"xmlns:dc", b"xmlns:purl"),
        b"\xef\xbb\xbf" + xmp(bag("mine")),
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + xmp(bag("mine")),
        b"\xff\xfe" + xmp(bag("mine")).decode().encode("utf-16-le"),
        xmp(bag("mine")).decode().encode("utf-16-be"),
        xmp(bag("mine")).replace(b'<x:xmpmeta xmlns:x="adobe:ns:meta/">', b"").replace(b"</x:xmpmeta>", b""),
    ],
)
def test_peoples_tags_are_read_and_kept_in_every_form(base: bytes) -> None:
    assert subjects(base) == ["mine"]
    after = merge(base, BRASS, Tag("MINE", 0.99)).after
    assert after is not None
    assert subjects(after) == ["mine", "brass"]
    assert standing(parse(after)).human[SUBJECT] == ["mine"]
    again = merge(after, BRASS, Tag("MINE", 0.99), run="20260102-000000-0001")
    assert again.after is after
    gone = merge(after).after
    assert subjects(gone) == ["mine"]
    assert "clipsearch" not in parse(gone or b"").data.decode()


@pytest.mark.parametrize("tail", ["", "<rdf:Description rdf:about=''/>", "<!-- end -->"])
@pytest.mark.parametrize("empty", ["<rdf:Bag/>", "<rdf:Bag></rdf:Bag>", "", " "])
def test_an_empty_list_is_filled(empty: str, tail: str) -> None:
    base = xmp(f"<dc:subject>{empty}</dc:subject>").replace(b"</rdf:RDF>", tail.encode() + b"</rdf:RDF>")
    assert subjects(merge(base, BRASS, BOLT).after) == ["brass", "六角ボルト"]


def test_an_rdf_without_anything_is_filled() -> None:
    base = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>'
    assert subjects(merge(base, BOLT).after) == ["六角ボルト"]
    base = b'<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></RDF>'
    assert subjects(merge(base, BOLT).after) == ["六角ボルト"]


def test_our_description_is_about_what_the_others_are_about() -> None:
    base = xmp(bag("mine")).replace(b'rdf:about=""', b'rdf:about="uuid:&quot;1&amp;"')
    after = merge(base, BRASS).after or b""
    assert after.count(b'rdf:about="uuid:&quot;1&amp;"') == 3


def test_what_stood_there_stays_byte_for_byte() -> None:
    base = (Path(__file__).parent / "test_sidecars_readers.py").read_text(encoding="utf-8")
    base = base.partition('LIGHTROOM = """')[2].partition('"""')[0].replace("\n", "\r\n").encode()
    after = merge(base, BRASS, BOLT).after or b""
    rest = iter(after)
    assert all(byte in rest for byte in base), "every old byte is there, in order"
    assert b"\n" not in after.replace(b"\r\n", b"")
    assert merge(after).after == base


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no element found"),
        (b"\0" * 100, "not well-formed|no element"),
        (b"<x", "not well-formed|unclosed"),
        (xmp(bag("mine"))[:-5], "unclosed|no element"),
        (b"<html><body/></html>", "no rdf:RDF"),
        (xmp(bag("mine")).replace(b"xmlns:dc=", b"xmlns:cd="), "unbound prefix"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + xmp(bag("&b;")), "document type"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + xmp(bag("mine")), "document type"),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + xmp(bag("&e;")), "document type"),
        (xmp(bag("&undefined;")), "undefined entity"),
        (xmp("<dc:subject><rdf:Bag>" + "<a>" * 200 + "</a>" * 200 + "</rdf:Bag></dc:subject>"), "deeper"),
        (xmp(bag("caf\u00e9")).decode().encode("latin-1"), "no UTF-8"),
        (b"<?xml version='1.0' encoding='Shift_JIS'?>" + xmp(bag("mine")), "Shift_JIS"),
        (b"\xff\xfe\0\0" + xmp(bag("mine")).decode().encode("utf-32-le"), "UTF-32"),
        (b"\xff\xfe<\0x", "truncated"),
        (xmp(bag("mine")) + b"x" * (16 << 20), "more than"),
        (xmp("<dc:subject><rdf:Bag><b>mine</b></rdf:Bag></dc:subject>"), "something else"),
        (xmp("<dc:subject><dc:other/></dc:subject>"), "form"),
        (xmp('<dc:subject xml:lang="en">mine</dc:subject>'), "qualifiers"),
    ],
)
def test_what_cannot_be_read_safely_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        merge(raw, BRASS)


def test_a_tag_that_was_there_does_not_become_ours() -> None:
    base = xmp(bag("Brass"))
    assert merge(base, BRASS).after is base
    after = merge(base, BRASS, BOLT).after or b""
    assert subjects(after) == ["Brass", "六角ボルト"]
    assert standing(parse(after)).ours[SUBJECT] == ["六角ボルト"]


@pytest.mark.parametrize("path", ["<rdf:li>metal|BRASS</rdf:li>", "<rdf:li>brass</rdf:li>"])
def test_a_tag_that_people_have_in_a_hierarchy_only_is_theirs(path: str) -> None:
    base = xmp(f"<lr:hierarchicalSubject><rdf:Bag>{path}</rdf:Bag></lr:hierarchicalSubject>")
    assert merge(base, BRASS).after is base


def test_a_tag_of_ours_that_was_taken_out_is_never_given_again() -> None:
    after = merge(xmp(bag("mine")), BRASS, BOLT).after or b""
    edited = after.replace(b"<rdf:li>brass</rdf:li>", b"", 1)
    for run in range(2, 5):
        edited = merge(edited, BRASS, BOLT, run=f"20260101-000000-000{run}").after or b""
        assert subjects(edited) == ["mine", "六角ボルト"]
        assert b"material|brass" not in edited, "its path goes too"
    assert standing(parse(edited)).rejected == ("brass",)
    edited = merge(edited).after or b""
    assert subjects(merge(edited, BRASS).after) == ["mine"]


def test_a_tag_of_ours_that_people_put_into_a_hierarchy_becomes_theirs() -> None:
    after = merge(xmp(bag("mine")), BOLT).after or b""
    list_ = (
        "<lr:hierarchicalSubject><rdf:Bag><rdf:li>部品|六角ボルト</rdf:li></rdf:Bag></lr:hierarchicalSubject>"
    )
    edited = after.replace(b"<dc:subject>", list_.encode() + b"<dc:subject>", 1)
    for tags in ((BOLT,), (), (BOLT,)):
        edited = merge(edited, *tags).after or b""
        assert subjects(edited) == ["mine", "六角ボルト"]
    assert standing(parse(edited)).ours[SUBJECT] == []


def test_only_ours_go_that_are_no_longer_given() -> None:
    after = merge(xmp(bag("mine")), BRASS, BOLT)
    assert (after.added, after.removed) == (("brass", "六角ボルト"), ())
    later = merge(after.after, BOLT, run="20260102-000000-0001")
    assert (later.added, later.removed) == ((), ("brass",))
    assert subjects(later.after) == ["mine", "六角ボルト"]
    noted = standing(parse(later.after or b"")).noted
    assert noted.tags["六角ボルト"].run == "20260101-000000-0001", "the run that gave it first"


def test_a_confidence_that_differs_in_the_last_rounding_is_the_same() -> None:
    after = merge(None, Tag("brass", 0.9123499)).after
    assert merge(after, Tag("brass", 0.9123501)).after is after
    assert merge(after, Tag("brass", 0.9126)).after != after
    assert merge(after, Tag("brass", 0.9123499), model="other").after != after


def test_the_lists_have_the_forms_of_their_programs() -> None:
    tags = (BRASS, Tag("a|b/c", 0.5, paths=(("x/y", "a|b/c"),)))
    packet = parse(merge(None, *tags).after or b"")
    assert entries(packet, SUBJECT) == ["brass", "a|b/c"]
    assert entries(packet, HIERARCHICAL) == ["material|brass", "x/y|a/b/c"]
    assert entries(packet, DIGIKAM) == ["material/brass", "x\\y/a\\b\\c"]
    text = packet.data.decode()
    assert "<digiKam:TagsList><rdf:Seq>" in "".join(line.strip() for line in text.splitlines())


def test_flat_tags_begin_no_hierarchy() -> None:
    packet = parse(merge(xmp(bag("mine")), BOLT).after or b"")
    assert entries(packet, HIERARCHICAL) == entries(packet, DIGIKAM) == []


def test_tags_that_xml_cannot_hold_are_left_off_and_named() -> None:
    bad = [Tag(name, 0.5) for name in ("", " ", "a\0b", "bell\a", "\ud800", "\ufffe")]
    found = merge(None, *bad, Tag("nan", float("nan")), Tag(" spaced \n out ", 0.5))
    assert len(found.notes) == 7
    assert subjects(found.after) == ["spaced   out"]
    assert subjects(merge(None, Tag("六角\u3000ボルト", 0.5)).after) == ["六角\u3000ボルト"]
    assert merge(None, *bad).after is None


def test_tags_that_differ_in_letter_case_are_given_once() -> None:
    assert subjects(merge(None, Tag("bolt", 0.5), Tag("Bolt", 0.7), Tag("ＢＯＬＴ", 0.6)).after) == ["Bolt"]


def test_no_tags_make_no_packet() -> None:
    assert merge(None).after is None
    base = xmp(bag("mine"))
    assert merge(base).after is base


def test_what_a_run_replaced_comes_back_where_people_edited_since() -> None:
    first = merge(xmp(bag("mine")), BRASS, BOLT, run="20260101-000000-0001").after or b""
    second = merge(first, BOLT, Tag("nut", 0.5), run="20260102-000000-0001")
    edited = (second.after or b"").replace(
        b"<rdf:li>mine</rdf:li>", b"<rdf:li>mine</rdf:li><rdf:li>more</rdf:li>"
    )
    back = taken_back(edited, first, second.ours, "20260102-000000-0001")
    now = standing(parse(back))
    assert (now.human[SUBJECT], sorted(now.ours[SUBJECT])) == (["mine", "more"], ["brass", "六角ボルト"])
    assert now.noted.run == "20260101-000000-0001"
    assert taken_back(back, first, second.ours, "20260102-000000-0001") == back


def test_a_very_long_list_is_merged_and_taken_apart_in_time() -> None:
    names = [f"tag {n}" for n in range(20_000)]
    started = time.process_time()
    after = merge(xmp(bag(*names)), *(Tag(f"ours {n}", 0.5) for n in range(5_000)))
    assert subjects(merge(after.after).after) == names
    assert time.process_time() - started < 10
