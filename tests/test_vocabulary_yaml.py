"""Vocabularies from YAML: nesting, words, groups, templates, and what a mistake is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_vocabulary import complaint, ids, read

from clipsearch.errors import VocabularyError
from clipsearch.tagging.vocabulary import read_vocabulary
from clipsearch.tagging.vocabulary.source import Origin
from clipsearch.tagging.vocabulary.yaml_file import read_yaml

EXAMPLE = """\
prompts: [part, "a technical drawing of a {}"]
none: ["an empty table"]
tags:
  - fastener:
      - bolt
      - nut: {synonyms: [hex nut], ja: [ナット], prompts: ["a small metal ring with a thread inside"]}
  - machine part
  - name: gear
    parent: machine part
    synonyms: [cog, cogwheel]
    ja: 歯車
exclusive:
  material: [brass, steel, {name: copper, ja: 銅}]
finish: [polished, matt]
"""


def test_the_whole_syntax_is_read(tmp_path: Path) -> None:
    vocabulary = read(tmp_path, EXAMPLE, "tags.yaml")
    assert ids(vocabulary) == [
        "fastener", "fastener|bolt", "fastener|nut", "machine part", "machine part|gear",
        "material|brass", "material|steel", "material|copper", "finish|polished", "finish|matt",
    ]  # fmt: skip
    nut, gear, copper = vocabulary.labels[2], vocabulary.labels[4], vocabulary.labels[7]
    assert (nut.synonyms, nut.translations, nut.line) == (("hex nut",), {"ja": ("ナット",)}, 6)
    assert nut.prompts == ("a small metal ring with a thread inside",)
    assert (gear.synonyms, gear.translations, gear.line) == (("cog", "cogwheel"), {"ja": ("歯車",)}, 8)
    assert (copper.group, copper.translations) == ("material", {"ja": ("銅",)})
    assert vocabulary.groups == {"material": (5, 6, 7), "finish": (8, 9)}
    assert vocabulary.templates == ("part", "a technical drawing of a {}")
    assert vocabulary.neutral == ("an empty table",)


def test_words_stay_as_they_are_written(tmp_path: Path) -> None:
    vocabulary = read(tmp_path, "- no\n- 1.0\n- 007\n- null\n- 2024-01-02\n- 0x1F\n- yes: [on]\n", "tags.yml")
    assert ids(vocabulary) == ["no", "1.0", "007", "null", "2024-01-02", "0x1F", "yes", "yes|on"]


def test_tags_may_be_keys_and_narrower_ones_a_list(tmp_path: Path) -> None:
    text = (
        "tags:\n  animal:\n    - dog\n  plant:\n  rock: {narrower: [granite: {de: Granit}], pt_br: rocha}\n"
    )
    vocabulary = read(tmp_path, text, "tags.yaml")
    assert ids(vocabulary) == ["animal", "animal|dog", "plant", "rock", "rock|granite"]
    assert vocabulary.labels[3].translations == {"pt-BR": ("rocha",)}
    assert vocabulary.labels[4].translations == {"de": ("Granit",)}


def test_a_group_named_like_a_tag_has_it_for_its_parent_and_takes_up_its_children(tmp_path: Path) -> None:
    text = "tags:\n- part:\n  - finish:\n    - matt: {ja: 艶消し}\nexclusive:\n  finish: [matt, polished]\n"
    vocabulary = read(tmp_path, text, "tags.yaml")
    assert ids(vocabulary) == ["part", "part|finish", "part|finish|matt", "part|finish|polished"]
    assert vocabulary.groups == {"part|finish": (2, 3)}
    assert vocabulary.labels[3].parents == ("part|finish",)


def test_a_group_may_be_named_like_a_member_of_another_written_later(tmp_path: Path) -> None:
    vocabulary = read(tmp_path, "steel: [stainless, carbon]\nmaterial: [brass, steel]\n", "tags.yaml")
    assert set(vocabulary.groups) == {"material", "material|steel"}
    assert vocabulary.labels[-1].id == "material|steel|carbon"


def test_groups_may_be_a_list(tmp_path: Path) -> None:
    text = "exclusive:\n- material: [brass, steel]\n- finish: [matt]\n"
    assert read(tmp_path, text, "tags.yaml").groups == {"material": (0, 1), "finish": (2,)}


def test_a_tag_may_name_its_group_and_several_parents(tmp_path: Path) -> None:
    text = "- seal: {parent: [animal, zoo]}\n- zoo\n- animal\n- {name: brass, group: material}\n"
    vocabulary = read(tmp_path, text, "tags.yaml")
    assert vocabulary.labels[0].parents == ("animal", "zoo")
    assert vocabulary.labels[3].group == "material"


def test_a_tag_twice_under_different_parents_is_two(tmp_path: Path) -> None:
    text = "- a\n- b\n- {name: seal, parent: a}\n- {name: seal, parent: b}\n"
    assert ids(read(tmp_path, text, "tags.yaml"))[2:] == ["a|seal", "b|seal"]


def test_aliases_are_read_where_they_are_few(tmp_path: Path) -> None:
    text = "- nut: &words {synonyms: [x]}\n- bolt: *words\n"
    assert [label.synonyms for label in read(tmp_path, text, "tags.yaml").labels] == [("x",), ("x",)]


def test_a_bomb_of_aliases_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["- a0: &a0 [x, y]"] + [f"- a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    start = time.perf_counter()
    assert "aliases" in str(complaint(tmp_path, "\n".join(lines), "tags.yaml"))
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "text", ["[" * 900 + "]" * 900, "[" * 100_000, "- " * 5_000, "{a: " * 500 + "}" * 500]
)
def test_endless_nesting_is_refused(tmp_path: Path, text: str) -> None:
    assert "nest" in str(complaint(tmp_path, text, "tags.yaml"))


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 0, "has no tags"),
        ("# only this\n", 0, "has no tags"),
        ("tags:\n", 0, "has no tags"),
        ("bolt\n", 1, "put '- ' before each tag"),
        ("bolt\nnut\n", 1, "each tag needs its own '- '"),
        ("tags:\n - bolt\n  - nut\n", 2, "'bolt - nut' is written over several lines"),
        ("- bolt\n-\n", 2, "an empty item"),
        ("- bolt\n- - nut\n", 2, "a list in a list"),
        ("- bolt\n\t- nut\n", 2, "spaces, not tabs"),
        ("- a: b: c\n", 1, "one ':' too many"),
        ("- bolt\n---\n- nut\n", 2, "second document"),
        ("- gear #3\n", 1, "put the name in quotation marks"),
        ("- !bolt\n", 1, "begins with '!'"),
        ("- *bolt\n", 1, "in quotation marks"),
        ("- &a [*a]\n", 1, "'*a' is YAML for"),
        ("- size: M6\n", 1, "write a list of the tags below it, [M6]"),
        ("- bolt:\n  ja: ボルト\n", 2, "indent it deeper than 'bolt'"),
        ("- de: [x]\n", 1, "{name: de}"),
        ("- bolt: {synonim: [x]}\n", 1, "did you mean 'synonym'?"),
        ("- bolt: {jp: x}\n", 1, "the language is 'ja'"),
        ("- bolt: {id: 7}\n", 1, "name_id"),
        ("- bolt:\n    nut:\n", 2, "Those are a list: '- nut'"),
        ("- bolt: {synonyms: 'hex, wing'}\n", 1, "write a list"),
        ("- bolt: {ja: {x: y}}\n", 1, "needs a list of words"),
        ("- bolt: {prompts: ['']}\n", 1, "a prompt of 'bolt' is empty"),
        ("- bolt: {parent: part}\n", 1, "the parent of 'bolt', 'part', is not in the vocabulary"),
        ("- bolt: {exclusive: true}\n", 1, "write the group's name"),
        ("- bolt: {ja: [a], ja: [b]}\n", 1, "'ja' was there before, in line 1"),
        ("tags: [a]\ntags: [b]\n", 2, "'tags' was there before, in line 1"),
        ("- a\n- b\n- a\n", 3, "'a' was there before, in line 1"),
        ("- a|b\n", 1, "holds '|'"),
        ("- 'a\n", 2, "no YAML"),
        ("tags: a\n", 1, "write a list: [a]"),
        ("tag: [a]\n", 1, "did you mean 'tags'?"),
        ("exclusve: [a]\n", 1, "did you mean 'exclusive'?"),
        ("colour: red\n", 1, "'colour: [a, b]'"),
        ("exclusive: [a, b]\n", 1, "needs each group's name"),
        ("exclusive: {m: a}\n", 1, "needs a list of its tags"),
        ("m: [a]\nexclusive: {m: [b]}\n", 2, "'m' was there before as a group, in line 1"),
        ("tags: [m: [a]]\nexclusive: {m: [a, a]}\n", 2, "'a' was there before"),
        ("steel: [material]\nmaterial: [steel]\n", 1, "lies under itself"),
        ("prompts: a photo of\ntags: [a]\n", 1, "neither a template"),
        ("prompts: [x]\nnone: {a: b}\ntags: [a]\n", 2, "needs a list of words"),
        ("? [a]\n: b\n", 1, "where a key should be"),
        ("- a\n- <<: x\n", 2, "merges"),
        ('- a\n- "b\\tc"\n', 2, "a tab"),
    ],
)
def test_a_mistake_in_yaml_is_told_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    error = complaint(tmp_path, text, "tags.yaml")
    assert says in str(error)
    assert error.line == line


def test_twenty_thousand_tags_are_read_at_once(tmp_path: Path) -> None:
    rows = [f"- g{i}:\n" + "".join(f"  - t{i}-{j}: {{ja: 語{j}}}\n" for j in range(99)) for i in range(200)]
    path = tmp_path / "tags.yaml"
    path.write_text("".join(rows), encoding="utf-8")
    start = time.perf_counter()
    assert len(read_vocabulary(path)) == 20_000
    assert time.perf_counter() - start < 8  # 1 s on two idle cores


_LINES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["- ", "", "? ", "- - "]),
        st.sampled_from(
            ["a", "b:", "tags:", "name: c", "ja: 犬", "exclusive:", "group: g", "parent: a", "[a, b]",
             "{a: [c]}", "&x a", "*x", "synonyms: [q]", "prompts: [p]", "none: n", "g: [d, a]", "|", "'",
             "a #1"]
        ),
    ),
    max_size=8,
)  # fmt: skip


@given(_LINES)
def test_any_lines_are_a_vocabulary_or_a_complaint(lines: list[tuple[int, str, str]]) -> None:
    text = "\n".join("  " * depth + mark + words for depth, mark, words in lines)
    try:
        vocabulary = read_yaml(text, Origin("t.yaml"))
    except VocabularyError as exc:
        assert str(exc).startswith("t.yaml")
    else:
        assert len(set(ids(vocabulary))) == len(vocabulary) > 0
        assert all(vocabulary.paths(place) for place in range(len(vocabulary)))
