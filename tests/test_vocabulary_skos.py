"""Vocabularies from SKOS in its four syntaxes, written as IPTC writes its Media Topics; never a network."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_vocabulary import complaint, ids, read

from clipsearch.errors import VocabularyError
from clipsearch.tagging.vocabulary import read_vocabulary

rdflib = pytest.importorskip("rdflib", reason="needs clipsearch[skos]")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib.*")

BASE = "http://cv.iptc.org/newscodes/mediatopic/"

RDF_XML = f"""<?xml version="1.0" encoding="utf-8"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
         xmlns:skos="http://www.w3.org/2004/02/skos/core#" xmlns:dct="http://purl.org/dc/terms/">
  <skos:ConceptScheme rdf:about="{BASE}">
    <skos:prefLabel xml:lang="en-GB">Media Topics</skos:prefLabel>
    <skos:hasTopConcept rdf:resource="{BASE}01000000"/>
  </skos:ConceptScheme>
  <skos:Concept rdf:about="{BASE}01000000">
    <skos:prefLabel xml:lang="en-GB">arts and culture</skos:prefLabel>
    <skos:prefLabel xml:lang="de">Kultur</skos:prefLabel>
    <skos:definition xml:lang="en-GB">All forms of arts</skos:definition>
    <dct:modified>not a date</dct:modified>
    <skos:topConceptOf rdf:resource="{BASE}"/>
    <skos:narrower rdf:resource="{BASE}20000002"/>
  </skos:Concept>
  <skos:Concept rdf:about="{BASE}20000002">
    <skos:prefLabel xml:lang="en-GB">theatre</skos:prefLabel>
    <skos:prefLabel xml:lang="en-US">theater</skos:prefLabel>
    <skos:prefLabel xml:lang="ja">演劇</skos:prefLabel>
    <skos:altLabel xml:lang="en-GB">drama</skos:altLabel>
    <skos:altLabel xml:lang="ja">芝居</skos:altLabel>
    <skos:hiddenLabel xml:lang="en-GB">theatr</skos:hiddenLabel>
  </skos:Concept>
  <skos:Concept rdf:about="{BASE}20000003">
    <skos:prefLabel xml:lang="en-GB">puppetry</skos:prefLabel>
    <skos:broader rdf:resource="{BASE}20000002"/>
    <skos:broader rdf:resource="{BASE}01000000"/>
  </skos:Concept>
</rdf:RDF>
"""

TURTLE = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix ex: <http://example.org/> .
"""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to reach another machine fails the test."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture(params=["rdf", "xml", "skos", "ttl", "nt", "jsonld", "skos-turtle", "skos-json"])
def media_topics(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same four concepts in every syntax, under every suffix."""
    graph = rdflib.Graph().parse(data=RDF_XML, format="xml")
    syntax = {"ttl": "turtle", "nt": "ntriples", "jsonld": "json-ld", "skos-turtle": "turtle"}
    syntax |= {"skos-json": "json-ld"}
    written = graph.serialize(format=syntax.get(request.param, "xml"))
    path = tmp_path / f"topics.{request.param.partition('-')[0]}"
    path.write_text(RDF_XML if request.param == "rdf" else written, encoding="utf-8")
    return path


def test_media_topics_are_read_alike_from_every_syntax(media_topics: Path) -> None:
    vocabulary = read_vocabulary(media_topics)
    assert ids(vocabulary) == [BASE + "01000000", BASE + "20000002", BASE + "20000003"]
    arts, theatre, puppetry = vocabulary.labels
    assert (arts.name, arts.parents, arts.translations) == ("arts and culture", (), {"de": ("Kultur",)})
    assert (theatre.name, theatre.parents, theatre.synonyms) == ("theatre", (arts.id,), ("drama",))
    assert theatre.translations == {"en-US": ("theater",), "ja": ("演劇", "芝居")}
    assert set(puppetry.parents) == {arts.id, theatre.id}
    assert set(vocabulary.paths(2)) == {
        ("arts and culture", "puppetry"), ("arts and culture", "theatre", "puppetry"),
    }  # fmt: skip


def test_json_ld_written_by_hand_with_its_own_context_is_read(tmp_path: Path) -> None:
    content = """{
    "@context": {"skos": "http://www.w3.org/2004/02/skos/core#", "@base": "http://example.org/",
                 "name": {"@id": "skos:prefLabel", "@container": "@language"},
                 "broader": {"@id": "skos:broader", "@type": "@id"}},
    "@id": "topics",
    "@graph": [
        {"@id": "animal", "name": {"en-GB": "animal", "ja": "動物"}},
        {"@id": "dog", "name": {"en-GB": "dog"}, "broader": "animal"}
    ]}"""
    vocabulary = read(tmp_path, content, "t.jsonld")
    assert [label.name for label in vocabulary.labels] == ["animal", "dog"]
    assert vocabulary.labels[1].parents == ("http://example.org/animal",)
    assert [label.line for label in vocabulary.labels] == [7, 8]


def test_a_concept_has_the_line_where_it_is_described(tmp_path: Path) -> None:
    assert [label.line for label in read(tmp_path, RDF_XML, "t.rdf").labels] == [8, 16, 24]


def test_reading_writes_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = RDF_XML.replace(
        "<dct:modified>", '<dct:modified rdf:datatype="http://www.w3.org/2001/XMLSchema#date">'
    )
    read(tmp_path, text, "t.rdf")
    assert capfd.readouterr() == ("", "")


def test_without_english_the_language_of_most_concepts_names_them(tmp_path: Path) -> None:
    text = TURTLE + (
        'ex:a a skos:Concept ; skos:prefLabel "犬"@ja, "Hund"@de .\n'
        'ex:b a skos:Concept ; skos:prefLabel "猫"@ja .\n'
        'ex:c a skos:Concept ; skos:prefLabel "Vogel"@de ; skos:altLabel "鳥"@ja .\n'
        'ex:d a skos:Concept ; skos:prefLabel "魚"@ja .\n'
    )
    vocabulary = read(tmp_path, text, "t.ttl")
    assert [label.name for label in vocabulary.labels] == ["犬", "猫", "Vogel", "魚"]
    assert vocabulary.labels[0].translations == {"de": ("Hund",)}
    assert vocabulary.labels[2].translations == {"ja": ("鳥",)}


def test_labels_without_a_language_are_names_too(tmp_path: Path) -> None:
    text = TURTLE + 'ex:a skos:prefLabel "dog" ; skos:altLabel "hound" .\n'
    vocabulary = read(tmp_path, text, "t.ttl")
    assert (vocabulary.labels[0].name, vocabulary.labels[0].synonyms) == ("dog", ("hound",))


def test_retired_concepts_are_left_out(tmp_path: Path) -> None:
    text = TURTLE + (
        "@prefix owl: <http://www.w3.org/2002/07/owl#> .\n"
        'ex:a a skos:Concept ; skos:prefLabel "dog"@en ; owl:deprecated false .\n'
        'ex:b a skos:Concept ; skos:prefLabel "dog"@en ; owl:deprecated true .\n'
    )
    assert ids(read(tmp_path, text, "t.ttl")) == ["http://example.org/a"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_xml_may_be_in_the_encoding_that_it_says(tmp_path: Path, encoding: str) -> None:
    said = encoding.removesuffix("-sig")
    text = RDF_XML.replace('encoding="utf-8"', f'encoding="{said}"').replace("演劇", "x").replace("芝居", "y")
    data = text.replace("Kultur", "Künste").encode(encoding)
    assert read(tmp_path, data, "t.rdf").labels[0].translations == {"de": ("Künste",)}


def test_namespaces_as_entities_are_read(tmp_path: Path) -> None:
    text = RDF_XML.replace("<rdf:RDF", f'<!DOCTYPE rdf:RDF [ <!ENTITY m "{BASE}"> ]>\n<rdf:RDF', 1)
    assert len(read(tmp_path, text.replace(f'"{BASE}2', '"&m;2'), "t.rdf")) == 3


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('ex:a a skos:Concept ; skos:altLabel "x"@en .', 3, "has no skos:prefLabel"),
        ('[] a skos:Concept ; skos:prefLabel "x"@en .', 0, "the concept 'x' has no URI"),
        (
            'ex:a skos:prefLabel "x" ; skos:broader ex:b .',
            3,
            "broader concept http://example.org/b, which is not",
        ),
        ('ex:a skos:prefLabel "x" .\nex:b skos:prefLabel "x" .', 4, "was there before, in line 3"),
        ('ex:a skos:prefLabel "a|b" .', 3, "holds '|'"),
        ('ex:a skos:prefLabel " " .', 3, "is empty"),
        (
            'ex:a skos:prefLabel "a" ; skos:broader ex:b .\nex:b skos:prefLabel "b" ; skos:broader ex:a .',
            3,
            "'a' lies under itself: a → b → a",
        ),
        ("ex:a ex:b ex:c .", 0, "no SKOS vocabulary"),
        ("ex:a skos:prefLabel .", 3, "no readable Turtle"),
        ("no turtle at all", 3, "no readable Turtle"),
    ],
)
def test_a_mistake_in_turtle_is_told_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    error = complaint(tmp_path, TURTLE + text + "\n", "t.ttl")
    assert says in str(error)
    assert error.line == line


@pytest.mark.parametrize(
    ("name", "content", "line", "says"),
    [
        ("t.rdf", RDF_XML.replace("</rdf:RDF>", ""), 30, "is no XML"),
        ("t.xml", "<?xml version='1.0'?>\n<keywords><k>dog</k></keywords>", 2, "begins with <keywords>"),
        ("t.nt", "<http://a> <http://b> .\n", 0, "no readable N-Triples"),
        ("t.jsonld", '{"a": 1,\n', 2, "is no JSON"),
        ("t.jsonld", '{"a": 1}', 0, "no SKOS vocabulary"),
        ("t.jsonld", "[" * 100_000, 0, "nested too deeply"),
        ("t.rdf", "dog\ncat\n", 1, "is no XML"),
        ("t.rdf", '<?xml version="1.0" encoding="klingon"?><a/>', 1, "no encoding"),
    ],
)
def test_a_file_in_another_syntax_is_told(
    tmp_path: Path, name: str, content: str, line: int, says: str
) -> None:
    error = complaint(tmp_path, content, name)
    assert says in str(error)
    assert error.line == line


# --- nothing is fetched, nothing explodes ----------------------------------------------------------


@pytest.mark.parametrize(
    "context",
    [
        '"https://example.org/context.jsonld"',
        '[{"skos": "http://www.w3.org/2004/02/skos/core#"}, "https://example.org/c"]',
        '{"@version": 1.1, "@import": "https://example.org/c"}',
        '{"x": {"@id": "http://x.org/x", "@context": "https://example.org/c"}}',
        '"secret.jsonld"',
        '"file:///etc/passwd"',
    ],
)
def test_a_context_from_elsewhere_is_refused(tmp_path: Path, context: str) -> None:
    (tmp_path / "secret.jsonld").write_text("{}")
    content = f'{{\n"@context": {context},\n"@id": "http://x.org/a", "x": "y"}}'
    error = complaint(tmp_path, content, "t.jsonld")
    assert "clipsearch fetches nothing" in str(error) and error.line == 2


@pytest.mark.parametrize(
    ("doctype", "says"),
    [
        ('<!DOCTYPE a SYSTEM "https://example.org/a.dtd">', "outside DTD (https://example.org/a.dtd)"),
        ('<!DOCTYPE a [<!ENTITY m SYSTEM "SECRET">]>', "outside entity 'm'"),
        ('<!DOCTYPE a [<!ENTITY % m SYSTEM "SECRET"> %m;]>', "outside entity 'm'"),
        ('<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;">]>', "made of others"),
        (f'<!DOCTYPE a [<!ENTITY m "{"x" * 301}">]>', "is long"),
    ],
)
def test_outside_entities_and_bombs_are_refused(tmp_path: Path, doctype: str, says: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    content = RDF_XML.replace("<rdf:RDF", doctype.replace("SECRET", secret.as_uri()) + "\n<rdf:RDF", 1)
    error = complaint(tmp_path, content.replace(">drama<", ">&m;<"), "t.rdf")
    assert says in str(error) and "the secret" not in str(error) and error.line == 2


def test_one_short_entity_many_times_is_refused(tmp_path: Path) -> None:
    doctype = f'<!DOCTYPE a [<!ENTITY m "{"x" * 300}">]>\n<rdf:RDF'
    content = RDF_XML.replace("<rdf:RDF", doctype, 1).replace(">drama<", f">{'&m;' * 250_000}<")
    assert "grows beyond 64 MB" in str(complaint(tmp_path, content, "t.rdf"))


def test_without_rdflib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdflib", None)
    assert 'pip install "clipsearch[skos]"' in str(complaint(tmp_path, RDF_XML, "t.rdf"))


_PIECES = st.lists(
    st.sampled_from(
        ["ex:a ", "ex:b ", "a ", "skos:Concept ", "skos:prefLabel ", "skos:broader ", '"x"@en ', '"犬"@ja ',
         '"y" ', "; ", ", ", ".\n", "[] ", "<", "<u> ", "@base <http://x/> .\n", '"""', "\\u12 "]
    ),
    max_size=14,
)  # fmt: skip


@given(_PIECES)
def test_any_turtle_is_a_vocabulary_or_a_complaint(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.ttl"
    path.write_text(TURTLE + "".join(pieces), encoding="utf-8")
    try:
        assert len(read_vocabulary(path)) > 0
    except VocabularyError as exc:
        assert str(path) in str(exc)
