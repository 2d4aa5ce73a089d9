"""Whatever people and runs do to a sidecar in whatever order: people's tags never change."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from lxml import etree

from clipsearch.tagging.journal import Journal
from clipsearch.tagging.sidecars import Sidecars, undo
from clipsearch.tagging.sidecars.lists import HIERARCHICAL, LISTS, SUBJECT, entries, leaf
from clipsearch.tagging.sidecars.packet import MAX_BYTES, Refused, parse
from clipsearch.tagging.sidecars.standing import standing
from clipsearch.tagging.vocabulary.words import folded
from clipsearch.types import Tag

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # hundreds of runs wait for no disk
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
LR = "http://ns.adobe.com/lightroom/1.0/"
DC = "http://purl.org/dc/elements/1.1/"
FIRST = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<!-- kept -->
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='Some Tool'>
  <r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
    <r:Description r:about='uuid:1' xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:u='urn:unknown:'
        u:attribute='a &lt; b'>
      <u:struct r:parseType='Resource'><u:one>1</u:one><!-- and this --></u:struct>
      {subject}
    </r:Description>
  </r:RDF>
</x:xmpmeta>
<?xpacket end='w'?>"""
FORMS = (
    "",
    "<dc:subject/>",
    "<dc:subject>bare</dc:subject>",
    "<dc:subject><r:Bag/></dc:subject>",
    "<dc:subject><r:Seq><r:li>old</r:li><!-- why --><r:li>a|b</r:li></r:Seq></dc:subject>",
    "<dc:subject><r:Alt><r:li xml:lang='x-default'>alt</r:li></r:Alt></dc:subject>",
    "<dc:subject>\r\n <r:Bag>\r\n  <r:li>crlf</r:li>\r\n </r:Bag>\r\n</dc:subject>",
)
NAMES = st.sampled_from(
    [
        "brass",
        "Brass",
        "BRASS ",
        "六角ボルト",
        "ﾎﾞﾙﾄ",
        "a|b",
        "a/b",
        "x & <y>",
        "'q\"",
        "e\u0301",
        "é",
        "👩‍🔧",
        "old",
        "ﬁx",
        "a｜b",
        "a／b",
        "c\\d",
    ]
) | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
PATHS = st.lists(st.sampled_from(["material", "部品", "a/b", "c|d"]), max_size=2)
TAGS = st.lists(st.tuples(NAMES, st.floats(0, 1, width=32), PATHS), max_size=5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), TAGS),
        st.tuples(st.just("add"), NAMES),
        st.tuples(st.just("path"), NAMES),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("undo"), st.integers(0, 9)),
    ),
    min_size=1,
    max_size=9,
)


class Person:
    """Edits dc:subject as an editor would that writes the whole file anew."""

    def __init__(self, sidecar: Path) -> None:
        self.sidecar = sidecar
        self.paths: Counter[str] = Counter()
        self.tags = Counter(entries(parse(sidecar.read_bytes()), SUBJECT)) if sidecar.exists() else Counter()

    def add(self, name: str) -> None:
        name = name.strip()
        if not self.sidecar.exists() or not name or name in entries(self._packet(), SUBJECT):
            return
        tree = etree.fromstring(self.sidecar.read_bytes())
        box = tree.find(f".//{{{DC}}}subject/*")
        if box is None:
            found = tree.find(f".//{{{DC}}}subject")
            if found is not None:
                found.getparent().remove(found)
            description = tree.find(f"{{{RDF}}}RDF/{{{RDF}}}Description")
            if description is None:
                description = etree.SubElement(tree.find(f"{{{RDF}}}RDF"), f"{{{RDF}}}Description")
            node = etree.SubElement(description, f"{{{DC}}}subject")
            box = etree.SubElement(node, f"{{{RDF}}}Bag")
            if found is not None and found.text:
                etree.SubElement(box, f"{{{RDF}}}li").text = found.text
        etree.SubElement(box, f"{{{RDF}}}li").text = name
        if name not in standing(self._packet()).noted.own.get(SUBJECT, ()):
            self.tags[name] += 1  # else it was ours, taken out and put back before a run saw that
        self._save(tree)

    def file_under(self, name: str) -> None:
        """Give the picture a tag in a hierarchy, and dc:subject nothing."""
        path = f"mine|{name.strip()}"
        if not self.sidecar.exists() or not name.strip() or path in entries(self._packet(), HIERARCHICAL):
            return
        tree = etree.fromstring(self.sidecar.read_bytes())
        box = tree.find(f".//{{{LR}}}hierarchicalSubject/*")
        if box is None:
            description = etree.SubElement(tree.find(f"{{{RDF}}}RDF"), f"{{{RDF}}}Description")
            box = etree.SubElement(
                etree.SubElement(description, f"{{{LR}}}hierarchicalSubject"), f"{{{RDF}}}Bag"
            )
        etree.SubElement(box, f"{{{RDF}}}li").text = path
        self.paths[path] += 1
        self._save(tree)

    def remove(self, at: int) -> str | None:
        if not self.sidecar.exists():
            return None
        tree = etree.fromstring(self.sidecar.read_bytes())
        items = tree.findall(f".//{{{DC}}}subject/*/{{{RDF}}}li")
        if not items:
            return None
        item = items[at % len(items)]
        name = str(item.text).strip()
        item.getparent().remove(item)
        self.tags = +(self.tags - Counter([name]))
        self._save(tree)
        return name

    def _packet(self):
        return parse(self.sidecar.read_bytes())

    def _save(self, tree) -> None:
        self.sidecar.write_bytes(etree.tostring(tree.getroottree(), encoding="utf-8"))


def unknown(sidecar: Path) -> list[str]:
    """All that is neither dc:subject nor ours, as canonical XML."""
    tree = etree.fromstring(sidecar.read_bytes())
    found = [etree.tostring(node, method="c14n", exclusive=True) for node in tree.iter("{urn:unknown:}*")]
    found += [node.text for node in tree.getroottree().xpath("//comment()")]
    return [
        *found,
        *(value for node in tree.iter() for key, value in node.attrib.items() if "unknown" in key),
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(form=st.sampled_from(FORMS), starts=st.booleans(), steps=STEPS)
def test_people_and_runs_in_any_order(form: str, starts: bool, steps: list) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        picture, sidecar = Path(folder) / "x.jpg", Path(folder) / "x.jpg.xmp"
        picture.write_bytes(b"")
        if starts:
            sidecar.write_bytes(FIRST.format(subject=form).encode())
        before = unknown(sidecar) if starts else []
        person, rejected, journals = Person(sidecar), set(), []
        for kind, what in steps:
            event(kind)
            if kind == "run":
                journals.append(run(picture, sidecar, what))
            elif kind == "add":
                person.add(what)
                rejected -= {folded(name) for name in standing_of(sidecar).ours[SUBJECT]}
            elif kind == "path":
                person.file_under(what)
            elif kind == "remove":
                own = standing_of(sidecar).ours[SUBJECT]
                name = person.remove(what)
                rejected |= {folded(name)} if name in own and name not in person.tags else set()
            elif journals:
                states = list(undo(journals[what % len(journals)]))
                content = content_of(sidecar)
                list(undo(journals[what % len(journals)]))
                assert content_of(sidecar) == content, f"undone twice: {states}"
            now = standing_of(sidecar)
            assert not person.tags - Counter(now.human[SUBJECT])
            more = Counter(now.human[SUBJECT]) - person.tags
            assert {folded(name) for name in more} <= {
                folded(leaf(path, HIERARCHICAL)) for path in person.paths
            }
            assert not person.paths - Counter(now.human[HIERARCHICAL])
            there = {folded(name) for name in now.ours[SUBJECT]}
            if kind == "run":
                assert not there & (rejected | {folded(name) for name in person.tags})
            if starts:
                assert unknown(sidecar) == before


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(form=st.sampled_from(FORMS), runs=st.lists(TAGS, min_size=1, max_size=4), encoding=st.integers(0, 3))
def test_runs_undone_last_first_give_every_byte_back(form: str, runs: list, encoding: int) -> None:
    codec, mark = [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
    ][encoding]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        picture, sidecar = Path(folder) / "x.jpg", Path(folder) / "x.jpg.xmp"
        picture.write_bytes(b"")
        sidecar.write_bytes(mark + FIRST.format(subject=form).encode(codec))
        contents = [sidecar.read_bytes()]
        journals = []
        for tags in runs:
            journals.append(run(picture, sidecar, tags))
            contents.append(sidecar.read_bytes())
            assert contents[-1].startswith(mark)
        for journal in reversed(journals):
            contents.pop()
            list(undo(journal))
            assert sidecar.read_bytes() == contents[-1]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda raw: b"<r>" + raw + b"</r>"))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    assert len(raw) < MAX_BYTES
    try:
        packet = parse(raw)
    except Refused as refused:
        assert str(refused)
    else:
        assert packet.encoded() == raw


# --- parts ---------------------------------------------------------------------------------------


def run(picture: Path, sidecar: Path, some: list) -> Journal:
    """One run, and its second time, which must change nothing."""
    tags = [Tag(name, float(sure), paths=((*path, name),)) for name, sure, path in some]
    journal = Journal.create(picture.parent / "collection", {})
    done = list(Sidecars(journal, model="m").write(Sidecars(journal, model="m").plan([(picture, tags)])))
    assert [change.refused for change in done] == [None]
    again = Journal.create(picture.parent / "collection", {})
    (second,) = Sidecars(again, model="m").plan([(picture, tags)])
    assert not second.is_needed, second.diff
    now = standing_of(sidecar)
    assert set(now.noted.tags) == set(now.ours[SUBJECT])
    for name in LISTS[1:]:
        assert set(now.ours[name]) <= {*now.noted.own.get(name, ())}
    return journal


def standing_of(sidecar: Path):
    return standing(parse(sidecar.read_bytes()) if sidecar.exists() else None)


def content_of(sidecar: Path) -> bytes | None:
    return sidecar.read_bytes() if sidecar.exists() else None
