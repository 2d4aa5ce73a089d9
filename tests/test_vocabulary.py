"""Vocabularies from Python and from plain text: what is read, and what a mistake is told."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsearch.errors import TaggingError, VocabularyError
from clipsearch.tagging.vocabulary import SUFFIXES, Vocabulary, read_vocabulary, vocabulary_of
from clipsearch.tagging.vocabulary.model import MAX_PATHS, Label
from clipsearch.tagging.vocabulary.source import Origin
from clipsearch.tagging.vocabulary.text import read_text


def read(folder: Path, content: str | bytes, name: str = "tags.txt") -> Vocabulary:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_vocabulary(path)


def ids(vocabulary: Vocabulary) -> list[str]:
    return [label.id for label in vocabulary.labels]


def complaint(folder: Path, content: str | bytes, name: str = "tags.txt") -> VocabularyError:
    with pytest.raises(VocabularyError) as caught:
        read(folder, content, name)
    assert str(folder / name) in str(caught.value)
    if caught.value.line:
        assert f"line {caught.value.line}: " in str(caught.value)
    return caught.value


# --- plain names -----------------------------------------------------------------------------------


def test_plain_names_from_python_are_labels_in_order() -> None:
    vocabulary = vocabulary_of(["dog", " cat ", "animal|bird"])
    assert ids(vocabulary) == ["dog", "cat", "animal", "animal|bird"]
    assert vocabulary.labels[3].parents == ("animal",)
    assert [label.line for label in vocabulary.labels] == [1, 2, 3, 3]


def test_wrong_names_from_python_say_which() -> None:
    with pytest.raises(VocabularyError, match="name 3: 'dog' was there before, in name 1") as caught:
        vocabulary_of(["dog", "cat", "dog"])
    assert caught.value.line == 3 and isinstance(caught.value, TaggingError)
    with pytest.raises(VocabularyError, match="a list of names, not one text"):
        vocabulary_of("dog")
    with pytest.raises(VocabularyError, match="name 2: None is no text"):
        vocabulary_of(["dog", None])  # type: ignore[list-item]
    with pytest.raises(VocabularyError, match="has no tags"):
        vocabulary_of([])


# --- plain text ------------------------------------------------------------------------------------


def test_a_line_is_a_tag_and_comments_and_empty_lines_are_not(tmp_path: Path) -> None:
    vocabulary = read(
        tmp_path, "# parts\nbolt\n\n  # indented\nnut  # the common one\nscrew #8\n\\#8 washer\n"
    )
    assert ids(vocabulary) == ["bolt", "nut", "screw #8", "#8 washer"]
    assert [label.line for label in vocabulary.labels] == [2, 5, 6, 7]
    assert vocabulary.source == str(tmp_path / "tags.txt")


@pytest.mark.parametrize("step", ["\t", "  ", "\u3000"])
def test_indentation_is_hierarchy(tmp_path: Path, step: str) -> None:
    text = f"animal\n{step}dog\n{step}{step}poodle\n{step}cat\nplant\n"
    assert ids(read(tmp_path, text)) == ["animal", "animal|dog", "animal|dog|poodle", "animal|cat", "plant"]


def test_a_path_makes_its_levels_once(tmp_path: Path) -> None:
    vocabulary = read(tmp_path, "animal|dog|poodle\nanimal | dog | terrier\nanimal\n\tcat|siamese\n")
    assert ids(vocabulary) == [
        "animal", "animal|dog", "animal|dog|poodle", "animal|dog|terrier", "animal|cat", "animal|cat|siamese",
    ]  # fmt: skip
    assert vocabulary.labels[0].line == 3  # where it is written itself


def test_a_keyword_list_of_lightroom_is_read_with_its_synonyms_and_headings(tmp_path: Path) -> None:
    text = "[WHO]\n\tfamily\n\t\t{kin}\n\t\t{relatives}\n\t\tAnna\n"
    text += "[WHERE]\n\tJapan\n\t\t[BY REGION]\n\t\t\tKyoto\n"
    vocabulary = read(tmp_path, text)
    assert [label.name for label in vocabulary.labels] == ["family", "Anna", "Japan", "Kyoto"]
    assert vocabulary.labels[0].synonyms == ("kin", "relatives")
    assert vocabulary.paths(1) == (("WHO", "family", "Anna"),)
    assert vocabulary.labels[3].parents == ("WHERE|Japan",)  # the nearest that is a tag
    assert vocabulary.paths(3) == (("WHERE", "Japan", "BY REGION", "Kyoto"),)
    assert vocabulary.labels[3].id == "WHERE|Japan|BY REGION|Kyoto"


def test_the_same_name_under_two_parents_is_two_tags(tmp_path: Path) -> None:
    assert ids(read(tmp_path, "animal\n\tseal\nmachine\n\tseal\n"))[1::2] == ["animal|seal", "machine|seal"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_line_ending_and_mark_is_read(tmp_path: Path, ending: str, encoding: str) -> None:
    text = ending.join(["動物", "\t犬", "# 注", "\t猫", ""])
    vocabulary = read(tmp_path, text.encode(encoding))
    assert ids(vocabulary) == ["動物", "動物|犬", "動物|猫"]
    assert vocabulary.labels[2].line == 4


def test_a_file_without_a_suffix_is_plain_text(tmp_path: Path) -> None:
    assert ids(read(tmp_path, "bolt\n", "TAGS")) == ["bolt"]


def test_names_are_nfc_and_their_spaces_single_but_for_full_width_ones(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "ガラス瓶")
    vocabulary = read(
        tmp_path, f"{decomposed}\n\u3000\nステンレス\u3000ボルト\u3000\nhex\u00a0 nut\n", "t.txt"
    )
    assert ids(vocabulary) == ["ガラス瓶", "ステンレス\u3000ボルト", "hex nut"]
    assert "was there before" in str(complaint(tmp_path, f"{decomposed}\nガラス瓶\n"))


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 0, "has no tags"),
        ("# only this\n[GROUP]\n", 0, "has no tags"),
        ("dog\ncat\ndog\n", 3, "'dog' was there before, in line 1"),
        ("a\n\tdog\n\tdog\n", 3, "'dog' was there before under 'a', in line 2"),
        ("animal|dog\nanimal\n\tdog\n", 3, "was there before under 'animal', in line 1"),
        ("[A]\n\tdog\n[A]\n\tdog\n", 4, "before under [A], in line 2"),
        ("  dog\n", 1, "the first tag is indented"),
        ("a\n    b\n  c\n", 3, "indented by 2 spaces, unlike the lines above (nothing or 4 spaces)"),
        ("a\n\tb\n        c\n", 3, "use tabs alone or spaces alone"),
        ("animal||dog\n", 1, "a tag's name is empty"),
        ("animal|\n", 1, "a tag's name is empty"),
        ("{kin}\n", 1, "lies under no tag"),
        ("family\n{kin}\n", 2, "indent it deeper than its tag"),
        ("family\n\t{}\n", 2, "a synonym of 'family' is empty"),
        ("dog {hound}\n", 1, "on a line of its own"),
        ("- dog\n", 1, "bullet"),
        ("・犬\n", 1, "bullet"),
        ('"dog",\n', 1, "quotation marks"),
        ("dog,\n", 1, "comma"),
        ("animal:\n  dog\n", 1, ".yaml"),
        ("animal > dog\n", 1, "animal|dog"),
        ("動物｜犬\n", 1, "half width"),
        ("＃注\n犬\n", 1, "half width"),
        ("｛犬｝\n", 1, "half width"),
        ("name,parent\ndog,animal\n", 1, ".csv"),
        ("dog, cat, bird\n", 1, "many tags on one line"),
        ("犬、猫、鳥\n", 1, "many tags on one line"),
        ("dog\tanimal\n", 1, ".tsv"),
        ("dog\ncat\u200b\n", 2, "U+200B (ZERO WIDTH SPACE)"),
        ("dog\nc\x07at\n", 2, "control character U+0007"),
        ("dog\ncaf\ufffd\n", 2, "U+FFFD"),
        ("dog\n" + "x" * 201 + "\n", 2, "has 201 letters, 200 at most"),
        ("|".join("abcdefghij" * 11), 1, "levels deep"),
    ],
)
def test_a_mistake_in_a_text_file_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    error = complaint(tmp_path, text)
    assert error.line == line
    assert says in str(error)


def test_deep_indentation_is_refused_before_it_is_slow(tmp_path: Path) -> None:
    error = complaint(tmp_path, "".join(" " * depth + f"t{depth}\n" for depth in range(2_000)))
    assert "more than 100 levels deep" in str(error) and error.line == 101


# --- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp932", "euc-jp", "cp1252"])
def test_a_file_that_is_not_utf8_says_the_line_and_how_to_convert_it(tmp_path: Path, encoding: str) -> None:
    words = "Käfer\nÖl – é\n" if encoding == "cp1252" else "ポメラニアン\n黒い猫\n"
    for name in ("tags.txt", "tags.yaml", "tags.csv"):
        error = complaint(tmp_path, b"name\n" + words.encode(encoding), name)
        assert error.line == 2
        assert f"iconv -f {encoding} -t utf-8" in str(error)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"PK\x03\x04....", "zip file"), (b"{\\rtf1", "rich text"), (b"%PDF-1.7", "PDF"), (b"a\0b\0", "U+0000")],
)
def test_a_file_that_is_no_text_says_what_it_is(tmp_path: Path, content: bytes, says: str) -> None:
    for name in ("tags.txt", "tags.csv", "tags.yaml", "tags.ttl"):
        assert says in str(complaint(tmp_path, content, name))


def test_missing_files_folders_and_other_suffixes_are_told(tmp_path: Path) -> None:
    for name, says in (("none.txt", "cannot be read"), ("tags.xlsx", "CSV UTF-8"), ("tags.foo", ".yaml")):
        with pytest.raises(VocabularyError, match=says):
            read_vocabulary(tmp_path / name)
    with pytest.raises(VocabularyError, match="is a folder"):
        read_vocabulary(tmp_path)


def test_a_file_larger_than_any_vocabulary_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipsearch.tagging.vocabulary.source.MAX_BYTES", 100)
    for suffix in SUFFIXES:
        assert "larger than" in str(complaint(tmp_path, b"a" * 101, f"tags{suffix}"))


def test_more_labels_than_the_limit_are_refused_at_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipsearch.tagging.vocabulary.draft.MAX_LABELS", 3)
    error = complaint(tmp_path, "a\nb\nc\nd\n")
    assert error.line == 4 and "more than 3 tags" in str(error)


def test_reading_plain_text_loads_nothing_heavy() -> None:
    code = (
        "import sys; from clipsearch.tagging.vocabulary import vocabulary_of; vocabulary_of(['a']);"
        "print([m for m in ('torch', 'yaml', 'rdflib', 'pyarrow') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# --- the model -------------------------------------------------------------------------------------


def test_paths_are_bounded_where_diamonds_make_them_exponential() -> None:
    labels = [Label("top", "top")]
    for rung in range(60):
        above = tuple(label.id for label in labels[-2:] if label.id.startswith(f"{rung - 1}-")) or ("top",)
        labels += [Label(f"{rung}-{side}", f"{rung}-{side}", parents=above) for side in "ab"]
    vocabulary = Vocabulary(tuple(labels))
    assert len(vocabulary.paths(len(labels) - 1)) == MAX_PATHS
    assert len(vocabulary.ancestors(len(labels) - 1)) == 119


# --- properties ------------------------------------------------------------------------------------

_LETTERS = st.characters(categories=("L", "N", "S", "P"), exclude_characters="|｜{}[]｛｝［］\"'“”#＃>›→»\\")
_NAMES = (
    st.text(_LETTERS, min_size=1, max_size=12)
    .map(lambda name: unicodedata.normalize("NFC", name))
    .filter(lambda name: name[0].isalnum() and name[-1].isalnum())
)


@given(st.lists(_NAMES, min_size=1, unique=True, max_size=30))
def test_any_list_of_names_written_as_text_reads_back(names: list[str]) -> None:
    if len(names) > 1:  # one line with commas is taken for many tags
        assert ids(read_text("\n".join(names), Origin("t"))) == names
    assert ids(vocabulary_of(names)) == names


@given(st.lists(st.lists(_NAMES, min_size=1, max_size=5), min_size=2, max_size=20, unique_by=tuple))
def test_any_paths_written_as_text_are_the_labels_paths(paths: list[list[str]]) -> None:
    vocabulary = read_text("\n".join("|".join(path) for path in paths), Origin("t"))
    given_paths = {tuple(path[:n]) for path in paths for n in range(1, len(path) + 1)}
    assert {vocabulary.paths(place)[0] for place in range(len(vocabulary))} == given_paths
    assert all(label.id == "|".join(vocabulary.paths(i)[0]) for i, label in enumerate(vocabulary.labels))


@given(st.text(alphabet=st.sampled_from(list("ab \t\n\r|{}[]#\\\u3000犬,:-;\"'")), max_size=60))
def test_any_text_is_a_vocabulary_or_a_complaint(text: str) -> None:
    try:
        vocabulary = read_text(text, Origin("t"))
    except VocabularyError as exc:
        assert str(exc).startswith("t")
    else:
        assert len(vocabulary) == len(set(ids(vocabulary)))
        assert all(parent in vocabulary.places for label in vocabulary.labels for parent in label.parents)
