"""What people said of pictures: read from tables and fields, kept, put together, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsearch import store
from clipsearch.errors import TableError, TaggingError, UnknownField
from clipsearch.settings import Settings
from clipsearch.tagging.labels import (
    Answers,
    Labels,
    Rules,
    Said,
    examples,
    labels_from_field,
    read_labels,
)
from clipsearch.tagging.vocabulary import Label, Vocabulary
from clipsearch.types import CollectionSpec, Fingerprint, Payload, Point

DIM = 4
BRASS, STEEL, STAINLESS, BOLT, HEX, RUSTY, NUT = range(7)
VOCABULARY = Vocabulary(
    (
        Label("material|brass", "brass", (), "material", ("yellow metal",), {"ja": ("真鍮",)}),
        Label("material|steel", "steel", group="material"),
        Label("material|steel|stainless", "stainless", parents=("material|steel",)),
        Label("bolt", "bolt"),
        Label("bolt|hex bolt", "hex bolt", parents=("bolt",)),
        Label("rusty", "rusty", translations={"ja": ("サビ",)}),
        Label("nut", "nut"),
    )
)  # fmt: skip
RULES = Rules(VOCABULARY)
SPEC = CollectionSpec(
    Fingerprint("random", "", "", "", "", DIM), {"material": "keyword", "words": "keyword", "n": "integer"}
)
PAYLOADS: list[Payload] = [
    {"_key": "a.jpg", "material": "brass", "words": ["bolt", "rusty"]},
    {"_key": "b.jpg", "material": "steel", "words": ["hex bolt"]},
    {"_key": "P1", "_group": "P1", "material": "nylon", "words": []},
    {"_key": "P1#2", "_group": "P1", "material": "真鍮", "words": ["nut"]},
    {"_key": "e.jpg"},
]


def test_a_line_for_each_question_says_nothing_of_other_tags(tmp_path: Path) -> None:
    table = written(tmp_path, "key,tag,correct\na.jpg,brass,yes\na.jpg,rusty,no\nb.jpg,steel,\n")
    labels = read_labels(table, VOCABULARY)
    assert labels.by_key == {"a.jpg": Said(frozenset({BRASS}), frozenset({RUSTY}))}
    assert labels.n_blank == 1
    assert (labels.n_yes, labels.n_no) == (1, 1)


@pytest.mark.parametrize(
    "word", ["Brass", " ｂｒａｓｓ ", "真鍮", "YELLOW  metal", "material|brass", "material/brass"]
)
def test_a_tag_is_any_word_for_it_however_it_is_written(tmp_path: Path, word: str) -> None:
    labels = read_labels(written(tmp_path, f"key,tag,correct\na,{word},1\n"), VOCABULARY)
    assert labels.by_key["a"].has == {BRASS}


@pytest.mark.parametrize(
    ("verdict", "correct"),
    [("yes", 1), ("はい", 1), ("○", 1), ("TRUE", 1), ("１", 1), ("No", 0), ("いいえ", 0), ("×", 0)],
)  # fmt: skip
def test_verdicts_are_read_in_both_languages_and_as_excel_writes_them(
    tmp_path: Path, verdict: str, correct: int
) -> None:
    said = read_labels(written(tmp_path, f"key,tag,correct\na,nut,{verdict}\n"), VOCABULARY).by_key["a"]
    assert (said.has if correct else said.has_not) == {NUT}


def test_the_right_tag_may_be_written_instead_or_none_of_the_group(tmp_path: Path) -> None:
    text = "key,tag,correct\na,brass,Stainless\nb,steel,none\nc,bolt,hex bolt\nd,nut,なし\n"
    said = read_labels(written(tmp_path, text), VOCABULARY).by_key
    assert said["a"] == Said(frozenset({STAINLESS}), frozenset({BRASS}))
    assert said["b"] == Said(has_not=frozenset({BRASS, STEEL}))
    assert said["c"] == Said(frozenset({HEX}))  # which is a bolt
    assert said["d"] == Said(has_not=frozenset({NUT}))


def test_a_list_of_tags_is_complete(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, 'key,tags\na,brass; hex bolt\nb,\nc,"nut, rusty"\n'), VOCABULARY)
    assert labels.by_key["a"] == Said(frozenset({BRASS, HEX}), complete=True)
    known = RULES.closed(labels.by_key["a"])
    assert {place for place, has in known.items() if has} == {BRASS, BOLT, HEX}
    assert len(known) == len(VOCABULARY)
    assert not any(RULES.closed(labels.by_key["b"]).values())
    assert labels.by_key["c"].has == {NUT, RUSTY}


def test_json_lines_may_hold_lists_and_booleans(tmp_path: Path) -> None:
    wide, long = tmp_path / "wide.jsonl", tmp_path / "long.jsonl"
    wide.write_text(json.dumps({"key": "a", "tags": ["サビ", "nut"]}), encoding="utf-8")
    long.write_text(json.dumps({"key": 7, "tag": "nut", "correct": False}), encoding="utf-8")
    assert read_labels(wide, VOCABULARY).by_key["a"].has == {RUSTY, NUT}
    assert read_labels(long, VOCABULARY).by_key["7"].has_not == {NUT}


@pytest.mark.parametrize(
    "data",
    [
        "key,tag,correct\r\n部品,真鍮,はい\r\n".encode("utf-8-sig"),
        "key;tag;correct\r\n部品;真鍮;はい\r\n".encode(),
        "key,tag,correct\r\n部品,真鍮,はい\r\n".encode("cp932"),
        "key\ttag\tcorrect\r\n部品\t真鍮\tはい\r\n".encode("utf-16"),
    ],
    ids=["utf-8 with mark", "semicolons", "cp932", "utf-16 tabs"],
)
def test_a_table_is_read_however_excel_saved_it(tmp_path: Path, data: bytes) -> None:
    table = tmp_path / "labels.csv"
    table.write_bytes(data)
    assert read_labels(table, VOCABULARY).by_key == {"部品": Said(frozenset({BRASS}))}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("key,tag,correct\na,nut,yes\na,bras,yes\n", "line 3: 'bras' is no label of the vocabulary (did"),
        ("key,tag,correct\na,nut,maybe\n", "line 2: correct is 'maybe'; write yes or no"),
        ("key,tag,correct\n,nut,yes\n", "line 2: there is no key"),
        ("key,tag,correct\na,,yes\n", "line 2: there is a verdict and no tag"),
        ("key,tag,correct\na,nut,yes\na,nut,no\n", "lines 2, 3: 'nut' is both right and wrong for 'a'"),
        ("key,tag,correct\na,brass,yes\na,steel,yes\n", "lines 2, 3: of 'a' 'brass' and 'steel' are both"),
        ("key,tag,correct\na,hex bolt,yes\na,bolt,no\n", "lines 2, 3: of 'a' 'bolt' is said to be right"),
        ("key,tags\na,brass;steel\n", "line 2: of 'a' 'brass' and 'steel' are both said to be right"),
        ("key,tags\na,nut\na,bolt\n", "lines 2, 3: 'a' is there twice"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(TaggingError) as caught:
        read_labels(written(tmp_path, text), VOCABULARY)
    assert f"labels.csv, {says}" in str(caught.value)


def test_a_table_without_the_columns_says_which_it_needs(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="labels need key, tag and correct"):
        read_labels(written(tmp_path, "file,tag\na,nut\n"), VOCABULARY)


def test_unknown_words_may_be_passed_over(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, "key,tags\na,nut;wood\nb,wood\n"), VOCABULARY, ignore_unknown=True)
    assert labels.by_key["a"].has == {NUT}
    assert labels.unknown == {"wood": 2}


def test_a_word_of_two_labels_has_to_be_an_id(tmp_path: Path) -> None:
    two = Vocabulary((Label("river|bank", "bank"), Label("money|bank", "bank")))
    with pytest.raises(TaggingError, match=r"line 2: 'bank' is a word for several labels; .*'river\|bank'"):
        read_labels(written(tmp_path, "key,tag,correct\na,bank,yes\n"), two)
    assert read_labels(written(tmp_path, "key,tag,correct\na,money|bank,yes\n"), two).by_key["a"].has == {1}


def test_a_name_counts_before_another_labels_synonym(tmp_path: Path) -> None:
    two = Vocabulary((Label("screw", "screw", synonyms=("bolt",)), Label("bolt", "bolt")))
    assert read_labels(written(tmp_path, "key,tag,correct\na,bolt,yes\n"), two).by_key["a"].has == {1}


# --- what follows -------------------------------------------------------------------------------------


def test_a_narrower_label_brings_the_broader_and_shuts_out_rivals() -> None:
    assert RULES.closed(Said(frozenset({STAINLESS}))) == {STAINLESS: True, STEEL: True, BRASS: False}
    assert RULES.closed(Said(frozenset({BRASS}))) == {BRASS: True, STEEL: False, STAINLESS: False}
    assert RULES.closed(Said(has_not=frozenset({BOLT}))) == {BOLT: False, HEX: False}


def test_the_newer_counts_where_the_older_contradicts_it_also_by_what_follows() -> None:
    older = Labels({"a": Said(frozenset({BRASS, HEX}), frozenset({RUSTY}))})
    newer = Labels({"a": Said(frozenset({STAINLESS}), frozenset({BOLT}))})
    merged = newer.over(older, RULES).by_key["a"]
    assert merged == Said(frozenset({STAINLESS}), frozenset({BOLT, RUSTY}))


places = st.frozensets(st.integers(0, len(VOCABULARY) - 1), max_size=3)


@given(st.lists(st.tuples(places, places, st.booleans()), min_size=2, max_size=4))
def test_what_is_put_together_never_contradicts_itself(parts: list[tuple[frozenset[int], ...]]) -> None:
    said = Said()
    for has, has_not, complete in parts:
        one = Said(has, has_not, bool(complete))
        try:
            known = RULES.closed(one)
        except TaggingError:
            continue
        said = RULES.over(one, said)
        assert known.items() <= RULES.closed(said).items()


# --- from a field -------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[store.Store]:
    """Five pictures, two of them of one record."""
    rows = np.eye(len(PAYLOADS), DIM, dtype=np.float32) + 0.1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with store.create("parts", SPEC, Settings(data=tmp_path / "data", cache=tmp_path)) as made:
        made.upsert([Point(f"{i:032x}", {"image": rows[i]}, p) for i, p in enumerate(PAYLOADS)])
        yield made


def test_a_field_says_which_of_a_group_and_so_which_not(parts: store.Store) -> None:
    labels = labels_from_field(parts, "material", VOCABULARY)
    assert labels.by_key["a.jpg"] == Said(frozenset({BRASS}), frozenset({STEEL}))
    assert labels.by_key["b.jpg"] == Said(frozenset({STEEL}), frozenset({BRASS}))  # stainless stays open
    assert labels.by_key["P1"] == Said(has_not=frozenset({BRASS, STEEL}))  # nylon: none of these
    assert labels.by_key["P1#2"].has == {BRASS}
    assert "e.jpg" not in labels.by_key  # says nothing
    assert labels.unknown == {"nylon": 1}


def test_a_list_field_speaks_of_all_that_it_names_anywhere(parts: store.Store) -> None:
    labels = labels_from_field(parts, "words", VOCABULARY)
    assert labels.by_key["a.jpg"] == Said(frozenset({BOLT, RUSTY}), frozenset({NUT}))  # which bolt stays open
    assert labels.by_key["b.jpg"] == Said(frozenset({HEX}), frozenset({RUSTY, NUT}))
    assert "P1" not in labels.by_key  # an empty list is no statement


def test_a_field_that_is_none_or_says_nothing_is_refused(parts: store.Store) -> None:
    with pytest.raises(UnknownField, match="no field 'colour'; its fields: material"):
        labels_from_field(parts, "colour", VOCABULARY)
    with pytest.raises(TaggingError, match="no value of the field 'material' is a label"):
        labels_from_field(parts, "material", Vocabulary((Label("dog", "dog"),)))


# --- kept answers -------------------------------------------------------------------------------------


def test_answers_are_kept_and_the_latest_counts(tmp_path: Path) -> None:
    kept = Answers(tmp_path)
    first = Labels({"a": Said(frozenset({BRASS}), frozenset({NUT}))}, why={("a", NUT): "at random"})
    assert kept.add(first, VOCABULARY, by="one.csv") == 2
    assert kept.add(first, VOCABULARY, by="one.csv") == 0  # read again: nothing new
    assert kept.add(Labels({"a": Said(frozenset({NUT, STEEL}))}), VOCABULARY, by="two.csv") == 2
    again = Answers(tmp_path)
    assert again.labels(VOCABULARY).by_key["a"] == Said(frozenset({NUT, STEEL}))  # steel: so not brass
    assert {(one.name, one.correct, one.by) for one in again} == {
        ("brass", True, "one.csv"),
        ("nut", True, "two.csv"),
        ("steel", True, "two.csv"),
    }


def test_answers_outlive_another_vocabulary(tmp_path: Path) -> None:
    kept = Answers(tmp_path)
    kept.add(Labels({"a": Said(frozenset({BRASS, NUT}))}), VOCABULARY, by="one.csv")
    other = Vocabulary((Label("metal", "metal"), Label("m|b", "Brass", parents=("metal",))))
    labels = kept.labels(other)
    assert labels.by_key == {"a": Said(frozenset({1}))}
    assert labels.unknown == {"nut": 1}


def test_a_half_written_last_answer_is_passed_over_and_replaced(tmp_path: Path) -> None:
    kept = Answers(tmp_path)
    kept.add(Labels({"a": Said(frozenset({BRASS}))}), VOCABULARY, by="one.csv")
    with kept.path.open("a", encoding="utf-8") as file:
        file.write('{"key": "b", "lab')
    assert len(kept) == 1
    kept.add(Labels({"c": Said(frozenset({NUT}))}), VOCABULARY, by="two.csv")
    assert [one.key for one in kept] == ["a", "c"]
    kept.path.write_text("rubbish\n", encoding="utf-8")
    with pytest.raises(TaggingError, match=r"answers\.jsonl, line 1 is no answer"):
        len(kept)


# --- with the collection's vectors --------------------------------------------------------------------


def test_examples_have_vectors_records_and_what_follows(parts: store.Store) -> None:
    labels = Labels({
        "a.jpg": Said(frozenset({BRASS})),
        "P1": Said(has_not=frozenset({BOLT})),
        "P1#2": Said(frozenset({NUT})),
        "gone.jpg": Said(frozenset({NUT})),
    })  # fmt: skip
    found = examples(labels, parts, VOCABULARY)
    assert found.missing == ("gone.jpg",)
    rows = {key: row for row, key in enumerate(found.keys)}
    assert set(rows) == {"a.jpg", "P1", "P1#2"}
    made = found.examples
    assert made.truth.dtype == np.int8
    assert made.truth[rows["a.jpg"]].tolist() == [1, 0, 0, -1, -1, -1, -1]
    assert made.truth[rows["P1"]].tolist() == [-1, -1, -1, 0, 0, -1, -1]
    assert made.truth[rows["P1#2"]].tolist() == [-1, -1, -1, 0, 0, -1, 1]  # its own, and its record's
    assert made.records[rows["P1"]] == made.records[rows["P1#2"]] == "P1"
    assert len(set(made.records)) == 2
    np.testing.assert_allclose(made.vectors[rows["a.jpg"]] @ made.vectors[rows["a.jpg"]], 1, rtol=1e-6)
    assert made.vectors[rows["a.jpg"]].argmax() == 0


def test_a_complete_list_knows_every_label(parts: store.Store) -> None:
    made = examples(Labels({"a.jpg": Said(frozenset({HEX}), complete=True)}), parts, VOCABULARY).examples
    assert made.truth.tolist() == [[0, 0, 0, 1, 1, 0, 0]]


def test_of_too_many_examples_the_same_are_taken(parts: store.Store) -> None:
    labels = Labels({key: Said(frozenset({NUT})) for key in ("a.jpg", "b.jpg", "P1", "e.jpg")})
    found = [examples(labels, parts, VOCABULARY, most=2) for _ in range(2)]
    assert found[0].keys == found[1].keys
    assert found[0].n_left_out == 2


def test_no_labels_are_no_examples(parts: store.Store) -> None:
    made = examples(Labels(), parts, VOCABULARY).examples
    assert made.vectors.shape == (0, DIM)
    assert made.truth.shape == (0, len(VOCABULARY))


def written(folder: Path, text: str) -> Path:
    table = folder / "labels.csv"
    table.write_text(text, encoding="utf-8")
    return table


def test_what_is_broader_than_the_rivals_alone_is_ruled_out_with_them() -> None:
    vocabulary = Vocabulary(
        (
            Label("fastener", "fastener"),
            Label("spring", "spring"),
            Label("bolt", "bolt", parents=("fastener",), group="shape"),
            Label("coil", "coil", parents=("spring",), group="shape"),
            Label("sprung bolt", "sprung bolt", parents=("fastener", "spring"), group="shape"),
        )
    )
    rules = Rules(vocabulary)
    fastener, spring, bolt, coil, both = range(5)
    known = rules.closed(Said(frozenset({bolt})))
    assert known == {fastener: True, spring: False, bolt: True, coil: False, both: False}
    assert rules.closed(Said(frozenset({both})))[spring] is True
    said = Said(frozenset({bolt, spring}))  # a person says both: it is a bolt with a spring in it
    assert rules.closed(said)[spring] is True


def test_a_broader_label_known_by_narrower_ones_alone_is_not_learned(parts: store.Store) -> None:
    only = Labels({"a.jpg": Said(frozenset({HEX})), "b.jpg": Said(frozenset({HEX}), frozenset({RUSTY}))})
    truth = examples(only, parts, VOCABULARY).examples.truth
    assert set(truth[:, HEX]) == {1} and set(truth[:, BOLT]) == {-1}
    both = Labels({**only.by_key, "e.jpg": Said(has_not=frozenset({BOLT}))})
    assert sorted(examples(both, parts, VOCABULARY).examples.truth[:, BOLT]) == [0, 1, 1]
    said = Labels({**only.by_key, "e.jpg": Said(frozenset({BOLT}))})
    assert set(examples(said, parts, VOCABULARY).examples.truth[:, BOLT]) == {1}
