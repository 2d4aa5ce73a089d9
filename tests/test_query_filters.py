"""Filters in a query, alone and joined."""

from __future__ import annotations

import pytest
from query_fields import FIELDS

from clipsearch.errors import QueryError, UnknownField
from clipsearch.query import all_of, parse, parse_filter
from clipsearch.types import (
    And,
    FieldKind,
    Filter,
    Match,
    Near,
    Not,
    Or,
    Prefix,
    Range,
    Term,
    Within,
)

BRASS, STEEL = Match("material", ("brass",)), Match("material", ("steel",))
FOUR, PLAIN = Match("holes", (4,)), Match("part_no", ("plain",))


def filter_of(text: str, fields: dict[str, FieldKind] | None = FIELDS) -> Filter | None:
    return parse(text, fields=fields).filter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("material:brass", BRASS),
        ("material=brass", BRASS),
        ("material:brass,steel", Match("material", ("brass", "steel"))),
        ('material:"stainless steel"', Match("material", ("stainless steel",))),
        ('material:"stainless steel",brass,"a,b"', Match("material", ("stainless steel", "brass", "a,b"))),
        ('material:1/2",brass', Match("material", ('1/2"', "brass"))),
        ("-material:brass", Not(BRASS)),
        ("material!=brass", Not(BRASS)),
        ("-material!=brass", BRASS),
        ("holes:4", FOUR),
        ("holes:4.0", FOUR),
        ("holes:2..4", Range("holes", gte=2, lte=4)),
        ("holes!=2..4", Not(Range("holes", gte=2, lte=4))),
        ("holes:3..", Range("holes", gte=3)),
        ("price:..5", Range("price", lte=5.0)),
        ("price:>=1.5", Range("price", gte=1.5)),
        ("price<3", Range("price", lt=3.0)),
        ("price < 3", Range("price", lt=3.0)),
        ("price:-1..-.5", Range("price", gte=-1, lte=-0.5)),
        ("stocked:yes", Match("stocked", (True,))),
        ("part_no:HX-M8*", Prefix("part_no", "HX-M8")),
        ('part_no:"HX M8"*', Prefix("part_no", "HX M8")),
        ('part_no:"HX-M8*"', Match("part_no", ("HX-M8*",))),
        ("part_no:A,HX*,B", Or((Match("part_no", ("A", "B")), Prefix("part_no", "HX")))),
        ("part_no:1..2", Match("part_no", ("1..2",))),
        ("part_no:M8(coarse)", Match("part_no", ("M8(coarse)",))),
        ('"unit price":<5', Range("unit price", lt=5)),
        ("id=5", Match("id", (5,))),
        ("材質：真鍮、鉄", Match("材質", ("真鍮", "鉄"))),
        ("材質：「真鍮 黄」，鉄", Match("材質", ("真鍮 黄", "鉄"))),
        ("－holes：４", Not(FOUR)),
        ("price＜＝５．５", Range("price", lte=5.5)),
    ],
)
def test_a_field_and_a_value_become_a_filter(text: str, expected: Filter) -> None:
    query = parse(f"bolt {text}", fields=FIELDS)
    assert query.filter == expected
    assert query.terms == (Term("text", "bolt"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("added:2024-06-01", Match("added", ("2024-06-01",))),
        ("added:2024", Range("added", gte="2024-01-01", lte="2024-12-31")),
        ("added:2024-02", Range("added", gte="2024-02-01", lte="2024-02-29")),
        ("added:2024-06-01..2024-07", Range("added", gte="2024-06-01", lte="2024-07-31")),
        ("added:2024..", Range("added", gte="2024-01-01")),
        ("added:..2024", Range("added", lte="2024-12-31")),
        ("added>=2026-01-01", Range("added", gte="2026-01-01")),
        ("added:>=2024-06", Range("added", gte="2024-06-01")),
        ("added>2024-06", Range("added", gt="2024-06-30")),
        ("added<2024-06", Range("added", lt="2024-06-01")),
        ("added<=2024", Range("added", lte="2024-12-31")),
        ("added:2024/6/1", Match("added", ("2024-06-01",))),
        ("added:２０２４－０６", Range("added", gte="2024-06-01", lte="2024-06-30")),
        ('added>="2024-06-01 12:30"', Range("added", gte="2024-06-01T12:30:00")),
        (
            "added:2023,2024-06-01",
            Or((Match("added", ("2024-06-01",)), Range("added", gte="2023-01-01", lte="2023-12-31"))),
        ),
    ],
)
def test_a_month_or_a_year_stands_for_its_whole_span(text: str, expected: Filter) -> None:
    assert filter_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("place:35.68,139.76~5km", Near("place", 35.68, 139.76, 5000.0)),
        ("place:35.68,139.76~500", Near("place", 35.68, 139.76, 500.0)),
        ("place:-35.68,-139.76~1mi", Near("place", -35.68, -139.76, 1609.344)),
        ('place:"35.68, 139.76 ~ 5 km"', Near("place", 35.68, 139.76, 5000.0)),
        ("place：３５．６８，１３９．７６～５ｋｍ", Near("place", 35.68, 139.76, 5000.0)),
        ("place:35.0,139.0..36.0,140.0", Within("place", 35.0, 139.0, 36.0, 140.0)),
        ("-place:10,170..20,-170", Not(Within("place", 10.0, 170.0, 20.0, -170.0))),
    ],
)
def test_a_place_is_a_circle_or_a_box(text: str, expected: Filter) -> None:
    assert filter_of(text) == expected
    assert '"' in text or filter_of(text, None) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("material:brass holes:4", And((BRASS, FOUR))),
        ("material:brass and holes:4", And((BRASS, FOUR))),
        ("material:brass or material:steel", Or((BRASS, STEEL))),
        ("material:brass OR material:steel", Or((BRASS, STEEL))),
        ("material:brass or material:steel holes:4", Or((BRASS, And((STEEL, FOUR))))),
        ("(material:brass or material:steel) holes:4", And((Or((BRASS, STEEL)), FOUR))),
        ("(material:brass or part_no:plain) and not holes:4", And((Or((BRASS, PLAIN)), Not(FOUR)))),
        ("not (material:brass or holes:4)", Not(Or((BRASS, FOUR)))),
        ("-(material:brass or holes:4)", Not(Or((BRASS, FOUR)))),
        ("not material:brass or holes:4", Or((Not(BRASS), FOUR))),
        ("not not material:brass", BRASS),
        ("- material:brass", Not(BRASS)),
        ("((material:brass))", BRASS),
        ("( ( material:brass ) )", BRASS),
        ("（material：brass　ＯＲ　holes：４）", Or((BRASS, FOUR))),
        ("(material:brass and (part_no:plain holes:4))", And((BRASS, PLAIN, FOUR))),
        ("(part_no:M8(a) or holes:4)", Or((Match("part_no", ("M8(a)",)), FOUR))),
    ],
)
def test_filters_are_joined_by_and_or_not_and_parentheses(text: str, expected: Filter) -> None:
    assert filter_of(text) == expected
    assert parse(text, fields=FIELDS).terms == ()
    assert parse_filter(text, fields=FIELDS) == expected


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("nuts or bolts material:brass", "nuts or bolts", BRASS),
        ("nuts or material:brass", "nuts or", BRASS),
        ("material:brass or nuts", "or nuts", BRASS),
        ("black and white not holes:4", "black and white", Not(FOUR)),
        ("not holes:4 not bolts", "not bolts", Not(FOUR)),
        ("bolt (M8) (material:brass)", "bolt (M8)", BRASS),
        ("bolt material:brass steel holes:4", "bolt steel", And((BRASS, FOUR))),
    ],
)
def test_and_or_not_between_words_are_words(text: str, words: str, expected: Filter) -> None:
    query = parse(text, fields=FIELDS)
    assert [term.value for term in query.terms] == [words]
    assert query.filter == expected


def test_without_fields_values_are_read_by_their_looks() -> None:
    assert filter_of("a:x,y", None) == Match("a", ("x", "y"))
    assert filter_of("a:2..4", None) == Range("a", gte=2, lte=4)
    assert filter_of("a:x..y", None) == Match("a", ("x..y",))
    assert filter_of("a>=2024-06-01", None) == Range("a", gte="2024-06-01")
    assert filter_of("note: hello", None) is None


def test_filters_given_in_python_come_before_the_typed_ones() -> None:
    assert parse("holes:4", fields=FIELDS, filters=[BRASS]).filter == And((BRASS, FOUR))
    assert parse("bolt", fields=FIELDS, filters=[BRASS]).filter == BRASS
    assert all_of([]) is None


# --- a filter alone ----------------------------------------------------------------------------


def test_an_unknown_field_in_an_option_names_the_nearest() -> None:
    with pytest.raises(UnknownField, match="did you mean 'material'"):
        parse_filter("materiel=brass", fields=FIELDS)
    with pytest.raises(UnknownField, match="no field 'colour'"):
        parse_filter("colour:red", fields=FIELDS)


@pytest.mark.parametrize(
    "text", ["", "brass", "=brass", "material=", "material", "3>2", "bolt material=brass"]
)
def test_a_malformed_filter_says_how_one_is_written(text: str) -> None:
    with pytest.raises(QueryError, match="field=value"):
        parse_filter(text, fields=FIELDS)


def test_a_filter_option_reads_like_a_typed_one() -> None:
    assert parse_filter(" price <= 5 ", fields=FIELDS) == Range("price", lte=5.0)
    assert parse_filter("material!=brass", fields=FIELDS) == Not(BRASS)
    assert parse_filter("!material=brass", fields=FIELDS) == Not(BRASS)
    assert parse_filter("holes:2..4", fields=FIELDS) == Range("holes", gte=2, lte=4)
    assert parse_filter("material=brass or holes=4", fields=FIELDS) == Or((BRASS, FOUR))


def test_a_value_of_an_option_may_have_blanks() -> None:
    assert parse_filter("material=stainless steel", fields=FIELDS) == Match("material", ("stainless steel",))
    assert parse_filter("material = stainless steel, brass", fields=FIELDS) == Match(
        "material", ("stainless steel", "brass")
    )
