"""Vocabularies from CSV and TSV: columns, parents by name and path, groups, and what a mistake is told."""

from __future__ import annotations

import csv
import io
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_vocabulary import complaint, ids, read

from clipsearch.tagging.vocabulary import read_vocabulary


def test_columns_are_found_in_any_order_and_letter_case(tmp_path: Path) -> None:
    text = (
        "JA,Synonyms,Tag,Broader,prompt_1,Prompt 2,name-de,notes\n"
        "歯車,cog; cogwheel|toothed wheel,gear,part,a gear on a table,a gear; a wheel with teeth,Zahnrad,x\n"
        ",,part,,,,Teil,\n"
    )
    vocabulary = read(tmp_path, text, "tags.csv")
    gear, part = vocabulary.labels
    assert (gear.id, gear.parents, gear.line, part.id, part.line) == ("part|gear", ("part",), 2, "part", 3)
    assert gear.synonyms == ("cog", "cogwheel", "toothed wheel")
    assert gear.translations == {"ja": ("歯車",), "de": ("Zahnrad",)}
    assert gear.prompts == ("a gear on a table", "a gear", "a wheel with teeth")


def test_japanese_headers_and_other_delimiters_are_known(tmp_path: Path) -> None:
    expected = ["工具", "工具|ハンマー"]
    assert ids(read(tmp_path, "タグ;親;別名\n工具;;\nハンマー;工具;金槌|鎚\n", "tags.csv")) == expected
    assert ids(read(tmp_path, "標籤\t上位語\n工具\t\nハンマー\t工具\n", "tags.tsv")) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_as_excel_saves_it_is_read(tmp_path: Path, encoding: str) -> None:
    assert ids(read(tmp_path, "name,ja\r\ndog,犬\r\ncat,猫\r\n".encode(encoding), "tags.csv")) == [
        "dog",
        "cat",
    ]


def test_a_parent_may_be_a_path_and_several(tmp_path: Path) -> None:
    text = (
        "name,parent\nanimal,\nmachine,\nseal,animal\nseal,machine\nharp seal,animal|seal\n"
        "ring,machine|seal; jewel\njewel,\n"
    )
    vocabulary = read(tmp_path, text, "tags.csv")
    assert vocabulary.labels[4].id == "animal|seal|harp seal"
    assert vocabulary.labels[5].parents == ("machine|seal", "jewel")
    assert vocabulary.paths(5) == (("machine", "seal", "ring"), ("jewel", "ring"))


def test_a_name_that_is_a_path_makes_its_levels(tmp_path: Path) -> None:
    vocabulary = read(tmp_path, "keyword,ja\nanimal|dog,犬\nanimal,動物\n", "tags.csv")
    assert ids(vocabulary) == ["animal", "animal|dog"]
    assert vocabulary.labels[0].translations == {"ja": ("動物",)}


def test_a_group_is_exclusive_and_one_named_like_a_tag_has_it_for_its_parent(tmp_path: Path) -> None:
    text = "name,group\nbrass,material\nsteel,material\nshape,\nround,shape\nflat,shape\n"
    vocabulary = read(tmp_path, text, "tags.csv")
    assert ids(vocabulary) == ["material|brass", "material|steel", "shape", "shape|round", "shape|flat"]
    assert vocabulary.groups == {"material": (0, 1), "shape": (3, 4)}
    assert vocabulary.labels[0].parents == () and vocabulary.labels[3].parents == ("shape",)
    assert vocabulary.paths(0) == (("material", "brass"),)


def test_a_group_may_have_a_member_of_its_own_name(tmp_path: Path) -> None:
    vocabulary = read(tmp_path, "name,group\ncolour,colour\nblack and white,colour\n", "tags.csv")
    assert ids(vocabulary) == ["colour|colour", "colour|black and white"]


def test_a_whole_path_is_meant_before_a_path_that_ends_so(tmp_path: Path) -> None:
    text = "name,parent\ntop,\nseal,top\nseal,\nflipper,seal\n"
    assert ids(read(tmp_path, text, "tags.csv"))[3] == "seal|flipper"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 0, "header"),
        ("name\n", 0, "has no tags"),
        ("bolt\nnut\n", 1, "names no column that is known; call the tags' column name"),
        ("parent,ja\na,b\n", 1, "no column holds the tags' names"),
        ("name,synonym list,tag\n", 1, "did you mean 'synonym"),
        ("name,tag\na,b\n", 1, "both hold the name"),
        ("name,jp\ndog,犬\n", 1, "the language is 'ja'"),
        ("name,no\ndog,1\n", 1, "name_no"),
        ("name,price\ndog,1\n", 1, "name it note"),
        ("name,parent\ndog,animal\n", 2, "the parent of 'dog', 'animal', is not in the vocabulary"),
        ("name,parent\nanimals,\ndog,animal\n", 3, "Did you mean 'animals' (line 2)?"),
        ("name,parent\ndog,Animal\nanimal,\n", 2, "Did you mean 'animal' (line 3)?"),
        (
            "name,parent\na,\nb,\nseal,a\nseal,b\nx,seal\n",
            6,
            "may be 'a|seal' (line 4) or 'b|seal' (line 5); write its whole path",
        ),
        ("name,parent\na,\nb,a|x\n", 3, "'a|x', is not in the vocabulary"),
        ("name,parent\na,c\nb,a\nc,b\nd,a\n", 2, "'a' lies under itself: a → c → b → a"),
        ("name,parent\na,a\n", 2, "a → a"),
        ("name,parent\na,\nb,a\nb,a\n", 4, "'b' was there before under 'a', in line 3"),
        ("name,parent\na|b,c\nc,\n", 2, "is a path, and the row has a parent"),
        ("name,parent\n,a\n", 2, "a tag's name is empty"),
        ("name,parent\ndog,animal,pet\n", 2, "cells for"),
        ('name\n"dog\ncat\n', 3, "quotation marks"),
        ('name,synonyms\nnut,"hex nut, wing nut"\n', 2, "put ';' between"),
        ("name,group\nbrass,yes\n", 2, "write the group's name"),
        ("name,group\nbrass,material|x\n", 2, "the group, 'material|x', is not in the vocabulary"),
        ("name,group\na,g\na,g\n", 3, "'a' was there before under 'g', in line 2"),
        ("name,parent,group\nmaterial,,\nmetal,,\nbrass,metal,material\n", 4, "directly under"),
        ("name,parent,group\nsteel,,m\nstainless,steel,m\n", 3, "at most"),
        (f"name,prompts\nnut,{'long ' * 201}\n", 2, "1000 at most"),
        ("name\nanimal > dog\n", 2, "animal|dog"),
        ('name\n"hex\nnut"\n', 2, "a line break"),
        ("name,ja\ndog,犬\u200b\n", 2, "ZERO WIDTH SPACE"),
        (
            "name,parent\n" + "".join(f"t{i},t{i - 1}\n" if i else "t0,\n" for i in range(150)),
            102,
            "101 levels",
        ),
    ],
)
def test_a_mistake_in_a_table_is_told_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    error = complaint(tmp_path, text, "tags.csv")
    assert says in str(error)
    assert error.line == line


def test_one_word_with_a_comma_is_written_with_a_semicolon_behind_it(tmp_path: Path) -> None:
    vocabulary = read(tmp_path, 'name,synonyms\nnut,"nut, hex;"\n', "tags.csv")
    assert vocabulary.labels[0].synonyms == ("nut, hex",)


def test_a_ladder_of_diamonds_is_refused_not_unfolded(tmp_path: Path) -> None:
    rows = ["name,parent", "0a,", "0b,"]
    rows += [f"{n}{side},{n - 1}a;{n - 1}b" for n in range(1, 60) for side in "ab"]
    error = complaint(tmp_path, "\n".join(rows), "tags.csv")
    assert "512 ways, 256 at most" in str(error) and error.line == 20


def test_references_that_name_each_other_end(tmp_path: Path) -> None:
    rows = [f"x,{'|'.join(['x'] * n)}" for n in range(1, 30)]
    assert complaint(tmp_path, "name,parent\n" + "\n".join(rows), "tags.csv")
    assert "5000 levels, 100 at most" in str(
        complaint(tmp_path, f"name,parent\na,{'|'.join(['a'] * 5000)}", "tags.csv")
    )


def test_one_name_under_thousands_of_parents_is_found_at_once(tmp_path: Path) -> None:
    rows = [f"r{i},\nother,r{i}\nleaf,r{i}|other\ntwig,other\n" for i in range(2_000)]
    rows = [row.replace("twig", f"twig{i}") for i, row in enumerate(rows)]
    start = time.perf_counter()
    vocabulary = read(tmp_path, "name,parent\nother,\n" + "".join(rows), "tags.csv")
    assert time.perf_counter() - start < 8  # 0.4 s on two idle cores; minutes where each looks at each
    assert vocabulary.labels[3].id == "r0|other|leaf" and vocabulary.labels[4].id == "other|twig0"


def test_a_circle_of_very_many_is_told_shortly(tmp_path: Path) -> None:
    rows = [f"t{i},t{(i + 1) % 20_000}" for i in range(20_000)]
    error = complaint(tmp_path, "name,parent\n" + "\n".join(rows), "tags.csv")
    assert "t0 → t1 → t2 → t3 → t4 → t5 → … → t19997" in str(error) and error.line == 2


def test_twenty_thousand_rows_are_read_at_once(tmp_path: Path) -> None:
    rows = [f"g{i},,\n" + "".join(f"t{i}-{j},g{i},語{j}\n" for j in range(99)) for i in range(200)]
    path = tmp_path / "tags.csv"
    path.write_text("name,parent,ja\n" + "".join(rows), encoding="utf-8")
    start = time.perf_counter()
    assert len(read_vocabulary(path)) == 20_000
    assert time.perf_counter() - start < 5  # 0.5 s on two idle cores


_WORDS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)


@given(
    st.lists(
        st.tuples(_WORDS, st.lists(_WORDS, max_size=3)), min_size=1, max_size=8, unique_by=lambda r: r[0]
    )
)
def test_any_names_and_synonyms_written_as_csv_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, list[str]]]
) -> None:
    rows = [(unicodedata.normalize("NFC", name), words) for name, words in rows]
    out = io.StringIO()
    csv.writer(out).writerows([("name", "synonyms"), *((name, ";".join(words)) for name, words in rows)])
    path = tmp_path_factory.mktemp("csv") / "tags.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    labels = read_vocabulary(path).labels
    assert [label.name for label in labels] == [name for name, _ in rows]
    for label, (name, words) in zip(labels, rows, strict=True):
        nfc = [unicodedata.normalize("NFC", word) for word in words]
        assert label.words == tuple(dict.fromkeys((name, *nfc)))
