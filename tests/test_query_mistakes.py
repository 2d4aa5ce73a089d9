"""Mistakes in a query: pointed at, shown, and never dear, whatever is typed."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from query_fields import FIELDS

from clipsearch.errors import QueryError, UnknownField
from clipsearch.query import MAX_DEPTH, MAX_QUERY_CHARS, MAX_TERMS, parse, pointed
from clipsearch.types import FieldKind


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("bolt -", 5, "'-' has nothing after it"),
        ("bolt - -washer", 5, "'-' has nothing after it"),
        ('bolt -""', 5, "'-' has nothing after it"),
        ('a "b', 2, "not closed"),
        ("a 「b", 2, "not closed"),
        ("bolt 0:rust", 5, "weight of 0"),
        ("bolt id:", 5, "has no key"),
        (" ".join(["-x"] * (MAX_TERMS + 1)), 3 * MAX_TERMS, "at most 64 terms"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, position: int, says: str) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        parse(text, fields=FIELDS)
    assert caught.value.position == position
    assert caught.value.text == text


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("bolt holes:x", 5, "holes holds integer"),
        ("bolt holes:2.5", 5, "no whole number"),
        ("bolt price:nan", 5, "no number"),
        ("bolt material>3", 5, "no order"),
        ("bolt place>3", 5, "no order"),
        ("bolt stocked:perhaps", 5, "holds bool"),
        ("bolt price:..", 5, "needs a bound"),
        ("bolt price:5..2", 5, "nothing lies between"),
        ("bolt added:2024-13", 5, "no date"),
        ("bolt added:9999", 5, "no date"),
        ("bolt place:tokyo", 5, "no place"),
        ("bolt place:139.76,35.68~5km", 5, "latitude"),
        ("bolt place:35,139~0km", 5, "distance"),
        ("bolt place:36,139..35,140", 5, "south"),
        ("bolt part_no:*", 5, "beginning of a keyword"),
        ("bolt notes:x*", 5, "beginning of a keyword"),
        ("bolt material:", 5, "no value"),
        ("bolt material: brass", 5, "no value"),
        ("bolt 2:material:brass", 5, "no weight"),
        ('bolt material:"a"b', 17, "blank or a comma"),
        ("bolt material:brass)", 19, "closes nothing"),
        ("bolt (material:brass", 5, "not closed"),
        ("(material:brass or holes:x)", 19, "holes holds integer"),
        ("(material:brass or bolt)", 16, "only filters"),
        ("(id:A or id:B)", 0, "no filter after it"),
        ("(" * 40 + "holes:4" + ")" * 40, MAX_DEPTH + 1, "nested more than 32"),
        ("not " * 40 + "holes:4", 4 * (MAX_DEPTH + 1), "nested more than 32"),
    ],
)
def test_a_mistake_in_a_filter_is_pointed_at(text: str, position: int, says: str) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        parse(text, fields=FIELDS)
    assert caught.value.position == position


@pytest.mark.parametrize("written", ["materiel=brass", "materiel:brass", "Material:brass", '"materials":x'])
def test_an_unknown_field_names_the_nearest_and_is_pointed_at(written: str) -> None:
    text = f"bolt {written}"
    with pytest.raises(UnknownField, match=r"did you mean 'material'\? Known: added") as caught:
        parse(text, fields=FIELDS)
    assert (caught.value.text, caught.value.position) == (text, 5)


def test_an_overlong_query_is_refused() -> None:
    with pytest.raises(QueryError, match="8,192"):
        parse("x" * (MAX_QUERY_CHARS + 1))


def test_a_caret_stands_under_the_mistake_in_columns_of_a_terminal() -> None:
    error = QueryError("?", text="bolt holes:x", position=5)
    assert pointed(error) == "bolt holes:x\n     ^"
    assert pointed(QueryError("?", text="真鍮 穴:x", position=3)) == "真鍮 穴:x\n     ^"
    assert pointed(QueryError("?", text="e\u0301\tb", position=3)) == "e\u0301 b\n  ^"
    assert pointed(UnknownField("?", text="x:1")) == "x:1\n^"
    assert pointed(QueryError("no text at hand")) == ""


def test_a_long_query_is_shown_around_the_mistake() -> None:
    text = "a" * 100 + "!" + "b" * 100
    shown, caret = pointed(QueryError("?", text=text, position=100)).split("\n")
    assert shown.startswith("…a") and shown.endswith("b…") and len(shown) < 80
    assert shown[caret.index("^")] == "!"


SYNTAX = st.text(alphabet='ab1 "()-+:,.<>=!*~\\/id「（：－　', max_size=60)


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=200), SYNTAX), st.sampled_from([FIELDS, None]))
@example("(-(holes:1", None)
@example('"unit price":"x"y', FIELDS)
def test_any_text_is_parsed_or_refused_with_a_position_inside_it(
    text: str, fields: dict[str, FieldKind] | None
) -> None:
    try:
        query = parse(text, fields=fields)
    except (QueryError, UnknownField) as error:
        assert 0 <= error.position <= len(text)
        shown, caret = pointed(error).split("\n") if text else ("", "^")
        width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown)
        assert caret.endswith("^") and len(caret) <= width + 2
    else:
        assert all(term.value for term in query.terms)
        assert [t.position for t in query.terms] == sorted(t.position for t in query.terms)


PIECES = [
    *(
        "(",
        "( ",
        "()",
        "not ",
        "- ",
        "-(",
        '"',
        '""',
        '\\"',
        "x ",
        "1",
        "1:",
        "1.5:",
        " ",
        "..",
        "a:",
        "a.",
        "a,",
    ),
    *("holes:1 ", "holes:1 or ", "(holes:1 ", "material:a,", "材質：真鍮、", "part_no:x* ", "materia:x "),
]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("start", ["", '"', "material:", "(", "(holes:1 "])
def test_the_longest_query_takes_no_time(start: str, piece: str) -> None:
    text = (start + piece * MAX_QUERY_CHARS)[:MAX_QUERY_CHARS]
    began = time.process_time()
    for fields in (FIELDS, None):
        try:
            parse(text, fields=fields)
        except (QueryError, UnknownField) as error:
            assert 0 <= error.position <= len(text)
    assert time.process_time() - began < 1.0
