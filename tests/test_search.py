from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import clipsearch
from clipsearch.cli.demo import data_folder, examples
from clipsearch.errors import CollectionNotFound, ModelMismatch, QueryError, SourceError, UnknownField
from clipsearch.models import require_same_model
from clipsearch.search import Searcher, combine
from clipsearch.types import Fingerprint, Match


@pytest.fixture
def parts(demo_copy: Path) -> Iterator[Searcher]:
    with clipsearch.open("demo") as searcher:
        yield searcher


def share(page: clipsearch.Page, field: str, value: str) -> float:
    return float(np.mean([hit.payload[field] == value for hit in page]))


def test_words_find_the_part(parts: Searcher) -> None:
    page = parts.search("compression spring", top=10)
    assert share(page, "shape", "compression spring") >= 0.7
    assert [hit.score for hit in page] == sorted((hit.score for hit in page), reverse=True)
    assert page.has_more


def test_japanese_words_find_what_english_words_find(parts: Searcher) -> None:
    english = parts.search("hex nut", top=10)
    japanese = parts.search("六角ナット", top=10)
    assert share(english, "shape", "hex nut") >= 0.6
    assert share(japanese, "shape", "hex nut") >= 0.6


def test_a_photo_finds_its_own_record_first(parts: Searcher) -> None:
    photo = Path(parts.search("washer", top=1).hits[0].path)
    page = parts.search(image=photo, top=3)
    assert page.hits[0].path == str(photo)
    assert page.hits[0].score > 0.999
    assert parts.search(str(photo)).hits[0].path == str(photo)


def test_a_minus_word_drives_what_it_names_down(parts: Searcher) -> None:
    plain = parts.search("metal part", top=50)
    without = parts.search("metal part -gear -brass", top=50)
    gears = sum("gear" in str(hit.payload["shape"]) for hit in plain)
    assert sum("gear" in str(hit.payload["shape"]) for hit in without) <= gears
    assert share(without, "material", "brass") <= share(plain, "material", "brass")


def test_a_part_number_typed_exactly_comes_first_with_all_its_views(parts: Searcher) -> None:
    number = next(example.words for example in examples() if example.shows == "A part number")
    page = parts.search(number, top=10)
    assert [hit.payload["part_no"] for hit in page][:2] == [number, number]
    assert page.hits[0].why["exact key"] == 1.0
    assert "exact key" not in page.hits[2].why
    assert len({hit.id for hit in page}) == 10


def test_a_filter_lets_through_only_what_holds(parts: Searcher) -> None:
    page = parts.search("gear", filter=["material=brass", "teeth>=20"], top=20)
    assert page.hits
    assert all(hit.payload["material"] == "brass" and int(hit.payload["teeth"]) >= 20 for hit in page)
    typed = parts.search("gear material:brass teeth:>=20", top=20)
    assert [hit.id for hit in typed] == [hit.id for hit in page]
    assert [h.id for h in parts.search("gear", filter=Match("material", ("brass",)))][:1]


def test_a_filter_alone_lists_what_it_lets_through(parts: Searcher) -> None:
    page = parts.search(filter="material=brass", top=5)
    assert len(page) == 5
    assert page.has_more
    assert [hit.key for hit in page] == sorted(hit.key for hit in page)


def test_pages_continue_where_the_last_one_ended(parts: Searcher) -> None:
    whole = [hit.id for hit in parts.search("brass bolt", top=30)]
    paged = [hit.id for offset in (0, 10, 20) for hit in parts.search("brass bolt", top=10, offset=offset)]
    assert paged == whole
    assert not parts.search("brass bolt", top=10, offset=5000).hits


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        ({"text": ""}, QueryError, "nothing to search for"),
        ({"text": "-gear"}, QueryError, "every term is a minus term"),
        ({"text": "gear", "top": 0}, QueryError, "top must be"),
        ({"text": "gear", "offset": -1}, QueryError, "offset must be"),
        ({"text": "gear", "filter": "colour=red"}, UnknownField, "no field 'colour'"),
        ({"text": "./nowhere.jpg"}, SourceError, "no picture at ./nowhere.jpg"),
    ],
)
def test_a_wrong_search_says_why(
    parts: Searcher, ask: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        parts.search(**ask)  # type: ignore[arg-type]


def test_an_unknown_collection_names_those_there_are(demo_copy: Path) -> None:
    with pytest.raises(CollectionNotFound, match="demo"):
        clipsearch.open("holiday")


def test_a_collection_of_another_model_is_refused_with_both_named() -> None:
    made = Fingerprint("openai/clip-vit-base-patch32", "3d74acf9", "a" * 64, "{}", "b" * 64, 512)
    require_same_model("holiday", made, replace(made, model="the-same-by-another-name", precision="bf16"))
    other = replace(made, model="google/siglip2-base-patch32-256", weights_sha256="c" * 64, dim=768)
    with pytest.raises(ModelMismatch, match=r"openai/clip-vit-base-patch32.*512.*google/siglip2.*768"):
        require_same_model("holiday", made, other)


unit = arrays(np.float32, 16, elements=st.floats(-1, 1, width=32)).filter(lambda v: np.linalg.norm(v) > 0.1)


@given(unit, unit)
def test_terms_are_summed_by_weight_to_a_unit_vector(first: np.ndarray, second: np.ndarray) -> None:
    p, n = first / np.linalg.norm(first), second / np.linalg.norm(second)
    assume(np.linalg.norm(3 * p + n) > 0.1)
    result = combine([(p, 3.0), (n, 1.0)])
    assert np.isclose(np.linalg.norm(result), 1.0, atol=1e-4)
    assert result @ p >= result @ n - 1e-4


def test_every_picture_of_the_bundled_catalogue_is_in_the_collection(parts: Searcher) -> None:
    pictures = len(list((data_folder() / "images").glob("*.jpg")))
    assert parts.store.count() == pictures
