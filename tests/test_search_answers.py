"""The query layer over the demo catalogue: channels, feedback, negation, groups, pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import clipsearch
from clipsearch.errors import QueryError, UnknownField
from clipsearch.search import Question, Searcher
from clipsearch.search.channels import HEAD
from clipsearch.types import Page, SearchOptions


@pytest.fixture
def parts(demo_copy: Path) -> Iterator[Searcher]:
    with clipsearch.open("demo") as searcher:
        yield searcher


def keys(page: Page) -> list[str]:
    return [hit.key for hit in page]


def test_each_hit_says_which_channels_found_it_and_their_parts_make_the_score(parts: Searcher) -> None:
    page = parts.search("brass hex bolt", top=10)
    assert {"image", "words"} <= set(page.hits[0].why)
    for hit in page:
        assert hit.score == pytest.approx(sum(hit.why.values()))
        assert hit.cosine is not None and -1 <= hit.cosine <= 1


def test_with_pictures_alone_the_score_is_the_cosine(parts: Searcher) -> None:
    photo = parts.search("washer", top=1).hits[0].path
    for hit in parts.search(image=photo, top=5):
        assert hit.score == pytest.approx(hit.cosine, abs=1e-5)


def test_words_of_the_record_find_what_no_picture_shows(parts: Searcher) -> None:
    record = parts.search("hex bolt", top=1).hits[0]
    found = parts.search(f"{record.payload['name']} {record.payload['size']}", top=2)
    assert {hit.payload["size"] for hit in found} == {record.payload["size"]}


@pytest.mark.parametrize("change", [str, str.lower, str.upper])
def test_a_part_number_comes_first_in_whatever_case(parts: Searcher, change) -> None:
    page = parts.search(change("HX-M12x25-MS"), top=3)
    assert [hit.payload["part_no"] for hit in page.hits[:2]] == ["HX-M12x25-MS"] * 2
    assert "exact key" in page.hits[0].why and page.hits[0].confidence == 1.0


def test_the_beginning_of_a_part_number_brings_those_that_begin_so(parts: Searcher) -> None:
    page = parts.search("HX-M1", top=10)
    assert all(hit.key.startswith("HX-M1") for hit in page)
    assert all("key" in hit.why for hit in page)


def test_quoted_words_must_stand_in_the_record(parts: Searcher) -> None:
    page = parts.search('"hex nut"', top=50)
    assert page.hits and all("hex nut" in str(hit.payload["name"]).lower() for hit in page)
    without = parts.search('nut -"hex nut"', top=50)
    assert without.hits and not any("hex nut" in str(hit.payload["name"]).lower() for hit in without)


def test_japanese_quotes_must_stand_in_the_record_too(parts: Searcher) -> None:
    page = parts.search("「六角ナット」", top=20)
    assert page.hits and all("六角ナット" in str(hit.payload["name_ja"]) for hit in page)


def test_a_record_can_be_the_example_and_is_not_its_own_answer(parts: Searcher) -> None:
    page = parts.search("id:HX-M12x25-MS", top=10)
    assert "HX-M12x25-MS" not in {hit.payload["part_no"] for hit in page}
    assert np.mean([hit.payload["family"] == "fasteners" for hit in page]) >= 0.9


def test_feedback_moves_the_hits(parts: Searcher) -> None:
    brass = [h.key for h in parts.search("hex bolt material:brass", top=2)]
    steel = [h.key for h in parts.search("hex bolt material:steel", top=2)]
    liked = parts.search(like=brass, unlike=steel, top=10)
    assert not set(brass + steel) & set(keys(liked))
    other = parts.search(like=steel, unlike=brass, top=10)
    share = lambda page: np.mean([hit.payload["material"] == "brass" for hit in page])  # noqa: E731
    assert share(liked) > share(other)
    assert parts.search("nut", like=brass, unlike=steel, top=10).hits


def test_an_example_that_is_not_there_is_named(parts: Searcher) -> None:
    with pytest.raises(QueryError, match="NO-SUCH-PART"):
        parts.search("bolt", like=["NO-SUCH-PART"])
    with pytest.raises(QueryError, match="NO-SUCH-PART"):
        parts.search("id:NO-SUCH-PART")
    with pytest.raises(QueryError, match="minus"):
        parts.search("-bolt")


@pytest.mark.parametrize("options", [{}, {"group_by": "_group"}, {"unique": True}, {"diversity": 0.5}])
def test_pages_put_together_are_the_long_page(parts: Searcher, options: dict[str, object]) -> None:
    long = parts.search("steel bolt -washer", top=60, **options)  # type: ignore[arg-type]
    short = [parts.search("steel bolt -washer", top=20, offset=n, **options) for n in (0, 20, 40)]  # type: ignore[arg-type]
    assert [key for page in short for key in keys(page)] == keys(long)
    assert {page.confident_until for page in short} == {long.confident_until}


def test_deep_pages_bring_every_record_once(parts: Searcher) -> None:
    total = parts.store.count()
    found: list[str] = []
    for offset in range(0, total + 100, 100):
        page = parts.search("brass gear", top=100, offset=offset)
        found += [hit.id for hit in page]
        assert page.has_more == (len(found) < total)
    assert len(found) == len(set(found)) == total > HEAD


def test_a_group_is_one_row_and_names_the_others(parts: Searcher) -> None:
    page = parts.search("flat washer", group_by="part_no", top=10)
    names = [hit.payload["part_no"] for hit in page]
    assert len(names) == len(set(names)) == 10
    assert any(hit.others for hit in page)
    for hit in page:
        assert all(other.startswith(str(hit.payload["part_no"])) for other in hit.others)
    with pytest.raises(UnknownField, match="part_no"):
        parts.search("washer", group_by="part_nr")


def test_diversity_shows_more_kinds(parts: Searcher) -> None:
    plain = {hit.payload["name"] for hit in parts.search("washer", top=10)}
    varied = {hit.payload["name"] for hit in parts.search("washer", top=10, diversity=0.6)}
    assert len(varied) > len(plain)


def test_the_confident_hits_can_be_sorted_by_a_field(parts: Searcher) -> None:
    page = parts.search("washer", top=20, sort="-price")
    until = page.confident_until or 0
    prices = [float(str(hit.payload["price"])) for hit in page.hits[: min(until, 20)]]
    assert until > 3 and prices == sorted(prices, reverse=True)


def test_what_is_not_there_gives_nothing_certain(parts: Searcher) -> None:
    assert parts.search("a dog on the beach").confident_until == 0
    assert len(parts.search("a dog on the beach", min_confidence=0.5)) == 0
    assert (parts.search("hex nut").confident_until or 0) > 5
    sure = parts.search("hex nut", min_confidence=0.9, top=100)
    assert sure.hits and all((hit.confidence or 0) >= 0.9 for hit in sure)


def test_a_filter_alone_compares_nothing(parts: Searcher) -> None:
    page = parts.search(filter="material=brass", sort="price", top=5)
    assert page.confident_until is None and all(hit.confidence is None for hit in page)
    prices = [hit.payload["price"] for hit in page]
    assert prices == sorted(prices)


def test_many_questions_get_the_answers_of_each_alone(parts: Searcher) -> None:
    photo = parts.search("washer", top=1).hits[0].path
    questions = [
        Question("hex nut"),
        Question("bolt -brass"),
        Question(image=photo),
        Question("gear", filter="material=steel"),
        Question("HX-M12x25-MS"),
        Question(filter="holes=4"),
    ]
    together = parts.search_many(questions, SearchOptions(top=5))
    alone = [parts.search(q.text, image=q.image, filter=q.filter, top=5) for q in questions]
    assert [keys(page) for page in together] == [keys(page) for page in alone]


def test_a_query_value_can_be_asked_again(parts: Searcher) -> None:
    page = parts.search("brass nut price<1", top=5)
    assert page.query is not None
    assert keys(parts.search(replace(page.query), top=5)) == keys(page)
