from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsearch.errors import QueryError, UnknownField
from clipsearch.query import MAX_QUERY_CHARS, parse, parse_filter
from clipsearch.types import And, FieldKind, Match, Not, Range, Term

FIELDS: dict[str, FieldKind] = {
    "material": "keyword",
    "price": "float",
    "holes": "integer",
    "stocked": "bool",
    "added": "datetime",
}


def terms(text: str) -> list[tuple[str, str, float]]:
    return [(t.kind, t.value, t.weight) for t in parse(text, fields=FIELDS).terms]


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
        ('2:"golden retriever" dog', [("text", "golden retriever", 2.0), ("text", "dog", 1.0)]),
        ("-0.5:rust bolt", [("text", "rust", -0.5), ("text", "bolt", 1.0)]),
        ("./a.jpg ../b.png", [("image", "./a.jpg", 1.0), ("image", "../b.png", 1.0)]),
        ("HX-M8x40-A2", [("text", "HX-M8x40-A2", 1.0)]),
        ('1/2" pipe', [("text", '1/2" pipe', 1.0)]),
        ("16:9 photo", [("text", "16:9 photo", 1.0)]),
        ("re:zero", [("text", "re:zero", 1.0)]),
        ("https://example.org/a.jpg", [("image", "https://example.org/a.jpg", 1.0)]),
        ("真鍮 六角ボルト -ワッシャー", [("text", "真鍮 六角ボルト", 1.0), ("text", "ワッシャー", -1.0)]),
        ("", []),
    ],
)
def test_words_become_terms(text: str, expected: list[tuple[str, str, float]]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("material:brass", Match("material", ("brass",))),
        ("material:brass,steel", Match("material", ("brass", "steel"))),
        ('material:"stainless steel"', Match("material", ("stainless steel",))),
        ("-material:brass", Not(Match("material", ("brass",)))),
        ("material!=brass", Not(Match("material", ("brass",)))),
        ("holes:4", Match("holes", (4,))),
        ("holes:2..4", Range("holes", gte=2, lte=4)),
        ("price:..5", Range("price", lte=5.0)),
        ("price:>=1.5", Range("price", gte=1.5)),
        ("price<3", Range("price", lt=3.0)),
        ("stocked:yes", Match("stocked", (True,))),
        ("added>=2026-01-01", Range("added", gte="2026-01-01")),
    ],
)
def test_a_field_and_a_value_become_a_filter(text: str, expected: object) -> None:
    query = parse(f"bolt {text}", fields=FIELDS)
    assert query.filter == expected
    assert query.terms == (Term("text", "bolt"),)


def test_several_filters_must_all_hold() -> None:
    query = parse("material:brass holes:4", fields=FIELDS)
    assert query.filter == And((Match("material", ("brass",)), Match("holes", (4,))))
    assert query.terms == ()


def test_only_one_plain_term_may_be_a_record_id() -> None:
    assert parse("HX-M8x40-A2", fields=FIELDS).record_id == "HX-M8x40-A2"
    assert parse("HX-M8x40-A2 holes:4", fields=FIELDS).record_id == "HX-M8x40-A2"
    assert parse("bolt -washer", fields=FIELDS).record_id is None
    assert parse("./a.jpg", fields=FIELDS).record_id is None


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("bolt -", 5, "'-' has nothing after it"),
        ('a "b', 2, "not closed"),
        ("bolt holes:x", 5, "holes holds integer"),
        ("bolt material>3", 5, "no order"),
        ("bolt stocked:perhaps", 5, "holds bool"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, position: int, says: str) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        parse(text, fields=FIELDS)
    assert caught.value.position == position


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(UnknownField, match="did you mean 'material'"):
        parse_filter("materiel=brass", fields=FIELDS)


@pytest.mark.parametrize("text", ["", "brass", "=brass", "material=", "material", "3>2"])
def test_a_malformed_filter_says_how_one_is_written(text: str) -> None:
    with pytest.raises(QueryError, match="field=value"):
        parse_filter(text, fields=FIELDS)


def test_a_filter_option_reads_like_a_typed_one() -> None:
    assert parse_filter(" price <= 5 ", fields=FIELDS) == Range("price", lte=5.0)
    assert parse_filter("material!=brass", fields=FIELDS) == Not(Match("material", ("brass",)))
    assert parse_filter("holes:2..4", fields=FIELDS) == Range("holes", gte=2, lte=4)


def test_an_overlong_query_is_refused() -> None:
    with pytest.raises(QueryError, match="8,192"):
        parse("x" * (MAX_QUERY_CHARS + 1))


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused_with_a_position_inside_it(text: str) -> None:
    try:
        query = parse(text, fields=FIELDS)
    except QueryError as error:
        assert 0 <= error.position <= len(text)
    except UnknownField:
        pass
    else:
        assert all(term.value for term in query.terms)
        assert [t.position for t in query.terms] == sorted(t.position for t in query.terms)
