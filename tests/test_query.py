"""Words, pictures, records and weights, and what a command line makes of them."""

from __future__ import annotations

import re

import pytest
from query_fields import FIELDS

import clipsearch.query
from clipsearch.query import from_arguments, parse
from clipsearch.types import Term


def terms(text: str) -> list[tuple[str, str, float]]:
    return [(t.kind, t.value, t.weight) for t in parse(text, fields=FIELDS).terms]


def quoted(text: str) -> list[tuple[str, float, bool]]:
    return [(t.value, t.weight, t.quoted) for t in parse(text, fields=FIELDS).terms]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("brass hex bolt", [("text", "brass hex bolt", 1.0)]),
        ("brass hex bolt -washer", [("text", "brass hex bolt", 1.0), ("text", "washer", -1.0)]),
        ("bolt -washer brass", [("text", "bolt brass", 1.0), ("text", "washer", -1.0)]),
        ('bolt -"hex head"', [("text", "bolt", 1.0), ("text", "hex head", -1.0)]),
        ("bolt + ./a.jpg", [("text", "bolt", 1.0), ("image", "./a.jpg", 1.0)]),
        ("dog + cat", [("text", "dog", 1.0), ("text", "cat", 1.0)]),
        ("dog +cat", [("text", "dog", 1.0), ("text", "cat", 1.0)]),
        ("dog + holes:4 cat", [("text", "dog", 1.0), ("text", "cat", 1.0)]),
        ('2:"golden retriever" dog', [("text", "golden retriever", 2.0), ("text", "dog", 1.0)]),
        ("-0.5:rust bolt", [("text", "rust", -0.5), ("text", "bolt", 1.0)]),
        ("HX-M8x40-A2", [("text", "HX-M8x40-A2", 1.0)]),
        ('1/2" pipe', [("text", '1/2" pipe', 1.0)]),
        ("re:zero", [("text", "re:zero", 1.0)]),
        ("真鍮 六角ボルト -ワッシャー", [("text", "真鍮 六角ボルト", 1.0), ("text", "ワッシャー", -1.0)]),
        ("", []),
        ("+ bolt +", [("text", "bolt", 1.0)]),
        ('bolt ""', [("text", "bolt", 1.0)]),
    ],
)
def test_words_become_terms(text: str, expected: list[tuple[str, str, float]]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apple - fruit", [("text", "apple", 1.0), ("text", "fruit", -1.0)]),
        ("dog - red car + cat", [("text", "dog", 1.0), ("text", "red car", -1.0), ("text", "cat", 1.0)]),
        ('- "2:x"', [("text", "2:x", -1.0)]),
        ("./car.jpg - 2:snow", [("image", "./car.jpg", 1.0), ("text", "snow", -2.0)]),
        ("bolt - ./a.jpg", [("text", "bolt", 1.0), ("image", "./a.jpg", -1.0)]),
    ],
)  # fmt: skip
def test_signs_that_stand_alone_are_read_as_rclip_reads_them(
    text: str, expected: list[tuple[str, str, float]]
) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "16:9 photo",
            "2:1",
            "12:30",
            "2024:summer",
            "a : b",
            "5 * 3",
            "re:zero",
            "AC/DC",
            "/ and //",
            "id",
        ),
        *("nuts or bolts", "black and white photo", "not only", "do not enter"),
        *("bolt (M8)", "((x))", "smile :)", "photo (16:9)"),
    ],
)
def test_what_only_looks_like_syntax_stays_words(text: str) -> None:
    assert terms(text) == [("text", text, 1.0)]


@pytest.mark.parametrize(
    ("text", "value", "weight"),
    [
        ("./a.jpg", "./a.jpg", 1.0),
        ("../x.png", "../x.png", 1.0),
        ("/abs", "/abs", 1.0),
        ("~/x", "~/x", 1.0),
        (r"C:\x\y.jpg", r"C:\x\y.jpg", 1.0),
        ("-0.5:./photo.jpg", "./photo.jpg", -0.5),
        ("https://example.org/a?b=c:d", "https://example.org/a?b=c:d", 1.0),
        ("2:HTTP://example.org/a", "HTTP://example.org/a", 2.0),
        ('"./my photo.JPG"', "./my photo.JPG", 1.0),
        (r'2:"C:\my photos\x.png"', r"C:\my photos\x.png", 2.0),
        ("「./私の 写真.heic」", "./私の 写真.heic", 1.0),
    ],
)
def test_a_path_or_an_address_is_a_picture(text: str, value: str, weight: float) -> None:
    assert terms(f"bolt {text}") == [("text", "bolt", 1.0), ("image", value, weight)]


def test_several_photos_of_one_item_are_several_terms() -> None:
    assert terms("./a.jpg ../b.png") == [("image", "./a.jpg", 1.0), ("image", "../b.png", 1.0)]


@pytest.mark.parametrize(
    ("text", "key", "weight"),
    [
        ("id:PART-123", "PART-123", 1.0),
        ('id:"PART 123"', "PART 123", 1.0),
        ("2:id:PART-123", "PART-123", 2.0),
        ("-id:PART-9", "PART-9", -1.0),
        ("id：部品/1.jpg", "部品/1.jpg", 1.0),
        ("ID:>=3,4", ">=3,4", 1.0),
    ],
)
def test_a_record_is_an_example(text: str, key: str, weight: float) -> None:
    for fields in (FIELDS, None, {**FIELDS, "id": "keyword"}):
        query = parse(text, fields=fields)
        assert [(t.kind, t.value, t.weight) for t in query.terms] == [("id", key, weight)]
        assert query.filter is None
        assert query.record_id is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"cap screw"', [("cap screw", 1.0, True)]),
        ('brass "cap screw" bolt', [("brass bolt", 1.0, False), ("cap screw", 1.0, True)]),
        ('bolt -"cap screw"', [("bolt", 1.0, False), ("cap screw", -1.0, True)]),
        ('2:"cap screw"', [("cap screw", 2.0, False)]),
        ('1:"cap screw"', [("cap screw", 1.0, False)]),
        ('bolt 1/2" "5/8"', [('bolt 1/2"', 1.0, False), ("5/8", 1.0, True)]),
        (r'"say \"hi\""', [('say "hi"', 1.0, True)]),
        ("“cap screw”", [("cap screw", 1.0, True)]),
        ("「六角穴付き」ボルト", [("六角穴付き", 1.0, True), ("ボルト", 1.0, False)]),
    ],
)
def test_quoted_words_are_exact_unless_they_are_weighted(
    text: str, expected: list[tuple[str, float, bool]]
) -> None:
    assert quoted(text) == expected


def test_only_one_plain_term_may_be_a_record_id() -> None:
    assert parse("HX-M8x40-A2", fields=FIELDS).record_id == "HX-M8x40-A2"
    assert parse("HX-M8x40-A2 holes:4", fields=FIELDS).record_id == "HX-M8x40-A2"
    assert parse('"HX M8" (holes:4 or holes:5)', fields=FIELDS).record_id == "HX M8"
    assert parse("bolt -washer", fields=FIELDS).record_id is None
    assert parse('bolt "cap screw"', fields=FIELDS).record_id is None
    assert parse("2:bolt", fields=FIELDS).record_id is None
    assert parse("./a.jpg", fields=FIELDS).record_id is None


def test_positions_and_text_are_those_of_what_was_typed() -> None:
    text = "　ボルト　－ワッシャー　２：「座金 丸」　＋　id：Ａ-1"
    query = parse(text, fields=FIELDS)
    assert query.text == text
    assert query.terms == (
        Term("text", "ボルト", position=1),
        Term("text", "ワッシャー", -1.0, position=5),
        Term("text", "座金 丸", 2.0, position=12),
        Term("id", "Ａ-1", position=21),
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["brass", "hex bolt"], "brass hex bolt"),
        (["./new york city.jpg", "+", "night"], '"./new york city.jpg" + night'),
        (["./new york city.jpg"], '"./new york city.jpg"'),
        (["./a.jpg and ./b.jpg"], "./a.jpg and ./b.jpg"),
        (["in red + ./a.jpg"], "in red + ./a.jpg"),
        (["2:golden retriever", "+", "./swimming pool.jpg"], '2:"golden retriever" + "./swimming pool.jpg"'),
        (["./racing car.jpg", "-", "2:sports car"], '"./racing car.jpg" - 2:"sports car"'),
        (['2:"golden retriever" dog', "+", "cat"], '2:"golden retriever" dog + cat'),
        (["2:golden retriever"], "2:golden retriever"),
    ],
)
def test_a_command_line_gets_the_quotes_back_that_the_shell_took(arguments: list[str], expected: str) -> None:
    assert from_arguments(arguments) == expected


def test_the_examples_of_the_reference_are_read() -> None:
    lines = [
        line.strip() for line in (clipsearch.query.__doc__ or "").splitlines() if line.startswith("    ")
    ]
    examples = [re.split(r"\s{3,}", line)[0] for line in lines]
    assert len(examples) == 14
    for number, example in enumerate(examples):
        query = parse(example)
        assert bool(query.terms) == (number < 6), example
        assert bool(query.filter) == (number >= 6), example
