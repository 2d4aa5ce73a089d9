"""Queries written out as text, which reads as the same query."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_fields import FIELDS

from clipsearch.errors import QueryError
from clipsearch.query import parse, unparse
from clipsearch.types import (
    And,
    Filter,
    Ids,
    Match,
    Near,
    Not,
    Or,
    Prefix,
    Query,
    Range,
    Term,
)


def bare(query: Query) -> Query:
    return replace(query, text="", terms=tuple(replace(term, position=0) for term in query.terms))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  brass   bolt -washer ", "brass bolt -washer"),
        ("dog +cat", "dog + cat"),
        ("a - red car", 'a -1:"red car"'),
        ('x "cap screw" material=brass', 'x "cap screw" material:brass'),
        ("2:word id:7 2:id:8", "2:word id:7 2:id:8"),
        ('"./my photo.jpg" https://x.org/a', '"./my photo.jpg" https://x.org/a'),
        ("bolt (M8) photo 16:9", "bolt (M8) photo 16:9"),
        ("re:zero", '1:"re:zero"'),
        ("not material:brass or (holes>=4 price:..5)", "-material:brass or (holes>=4 price<=5)"),
        ("(material:brass or holes:4) stocked:1", "(material:brass or holes:4) stocked:yes"),
        ("added:2024", "added:2024-01-01..2024-12-31"),
        ("place:35.68,139.76~5km", "place:35.68,139.76~5000"),
        ("id=5 id:5 材質：「真鍮 黄」、鉄", 'id:5 id=5 材質:"真鍮 黄",鉄'),
        ('"unit price":2..4', '"unit price":2..4'),
    ],
)
def test_a_query_is_written_in_its_canonical_spelling(text: str, expected: str) -> None:
    assert unparse(parse(text, fields=FIELDS)) == expected


FRAGMENTS = [
    *(
        "bolt",
        "not",
        "or",
        "and",
        "+",
        "-",
        "-washer",
        "(M8)",
        "(not",
        "(not(",
        '1/2"',
        "16:9",
        "re:zero",
        "price",
    ),
    *(
        '"cap screw"',
        '-"a \\" b"',
        "2:word",
        '0.5:"x, y"',
        '1:"(a"',
        "-2:4x4",
        "「真鍮」",
        "座金",
        "＝",
        "A.B",
    ),
    *("./a.jpg", "-../b.png", '"~/my photo.jpg"', r"2:C:\x.png", "https://a.org/?q=1"),
    *("id:A-1", '-3:id:"B 2"', "id=5", "id>=3", '"unit price">5', "材質：真鍮", "notes:x"),
    *(
        "material:brass,steel",
        'material:"a b"',
        "-material:x",
        "part_no:HX*",
        'part_no:"H X"*,A',
        "holes:2..4",
    ),
    *("price<=1e-7", "price:0.1", "stocked:no"),
    *("added:2024", "added>2024-06-01T10:00+09:00", "added:2023,2024-06"),
    *("place:35.1,139.00001~1.5mi", "place:-1,-2..3,4"),
    *("(holes:1 or price<2)", "not (holes:1 material:x)", "-(stocked:yes or (holes:2 price:3))"),
    "and not holes:9",
]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=8), st.sampled_from([" ", "　", "  "]))
def test_what_is_written_out_reads_as_the_same_query(fragments: list[str], blank: str) -> None:
    try:
        query = parse(blank.join(fragments), fields=FIELDS)
    except QueryError:
        return
    assert bare(parse(unparse(query), fields=FIELDS)) == bare(query)


def nested(filters: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    def several(kind: type[And] | type[Or]) -> st.SearchStrategy[Any]:
        others = filters.filter(lambda part: not isinstance(part, kind))
        return st.lists(others, min_size=2, max_size=3).map(lambda parts: kind(tuple(parts)))

    denied: st.SearchStrategy[Filter] = filters.filter(lambda part: not isinstance(part, Not)).map(Not)
    return st.one_of(several(And), several(Or), denied)


def words() -> st.SearchStrategy[str]:
    return st.text(min_size=1, max_size=12)


def one_of_each() -> Iterable[st.SearchStrategy[Filter]]:
    numbers = st.floats(-1e20, 1e20)
    yield st.lists(words(), min_size=1, max_size=3).map(lambda values: Match("material", tuple(values)))
    yield st.integers().map(lambda value: Match("holes", (value,)))
    yield words().map(lambda value: Prefix("part_no", value))
    yield st.tuples(numbers, numbers).map(lambda two: Range("unit price", gte=min(two), lte=max(two)))
    yield numbers.map(lambda value: Range("price", gt=value))
    yield st.dates().filter(lambda day: day.year < 9999).map(lambda day: Range("added", lt=day.isoformat()))
    yield st.builds(Near, st.just("place"), st.floats(-90, 90), st.floats(-180, 180), st.floats(1e-3, 2e7))


KEYS = words().filter(str.strip)
EXACT = words().map(str.strip).filter(bool)
TERMS = st.one_of(
    EXACT.map(lambda value: Term("text", value, quoted=True)),
    st.tuples(EXACT, st.sampled_from([1.0, 2.0, -1.0, 0.25, -3.5])).map(lambda two: Term("text", *two)),
    KEYS.map(lambda key: Term("id", key)),
)


@settings(max_examples=500)
@given(st.lists(TERMS, max_size=4), st.recursive(st.one_of(*one_of_each()), nested, max_leaves=6))
def test_any_query_made_in_python_can_be_written_out(terms: list[Term], filter: Filter) -> None:
    query = Query(tuple(terms), filter)
    read = bare(parse(unparse(query), fields=FIELDS))
    assert (read.terms, read.filter) == (query.terms, query.filter)


def test_what_has_no_spelling_is_refused() -> None:
    for filter in (Ids(("x",)), And(()), Match("a", ()), Range("a")):
        with pytest.raises(QueryError, match="cannot be written"):
            unparse(Query((), filter))
    assert unparse(Query((Term("image", "photo.jpg"),))) == "./photo.jpg"
    with pytest.raises(QueryError, match="without blanks"):
        unparse(Query((Term("image", "./a b"),)))
