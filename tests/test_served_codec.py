"""What travels between a collection's owner and others comes out as it went in."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipsearch import errors, types
from clipsearch.errors import ClipSearchError, ImageError, QueryError, StoreError, UnknownField
from clipsearch.store.protocol import Store
from clipsearch.store.served.codec import KNOWN, Block, Codec, codec, from_json, to_json
from clipsearch.store.served.methods import NAMES, error_in, error_out, method
from clipsearch.store.served.rows import POINTS
from clipsearch.types import (
    And,
    CollectionInfo,
    CollectionSpec,
    Filter,
    Fingerprint,
    Hit,
    Ids,
    ImageFile,
    Match,
    Near,
    Not,
    Or,
    Page,
    Payload,
    Phrase,
    Point,
    Prefix,
    Query,
    Range,
    SearchOptions,
    SparseVector,
    Tag,
    Term,
    Within,
)


def through(way: Codec, value: Any) -> Any:
    """The value after its way through bytes."""
    block = Block()
    document = to_json(way.encode(value, block))
    return way.decode(from_json(document), memoryview(bytearray(b"".join(block.parts))))


texts = st.text(st.characters(exclude_categories=[]), max_size=8)  # lone surrogates too
numbers = st.floats(allow_nan=False, width=32)
scalars = st.one_of(texts, st.integers(), st.floats(allow_nan=False), st.booleans())
payloads = st.dictionaries(texts, st.one_of(scalars, st.none(), st.lists(scalars, max_size=3)), max_size=4)
bounds = st.one_of(st.none(), numbers, texts)
leaves = st.one_of(
    st.builds(Match, texts, st.lists(scalars, max_size=3).map(tuple)),
    st.builds(Range, texts, bounds, bounds, bounds, bounds),
    st.builds(Prefix, texts, texts),
    st.builds(Phrase, st.lists(texts, max_size=3).map(tuple)),
    st.builds(Near, texts, numbers, numbers, numbers),
    st.builds(Within, texts, numbers, numbers, numbers, numbers),
    st.builds(Ids, st.lists(texts, max_size=3).map(tuple)),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
terms = st.builds(
    Term, st.sampled_from(["text", "image", "id"]), texts, numbers, st.integers(0, 99), st.booleans()
)
queries = st.builds(
    Query, st.lists(terms, max_size=3).map(tuple), st.none() | filters, texts, st.none() | texts
)
hits = st.builds(
    Hit,
    texts,
    numbers,
    payloads,
    st.dictionaries(texts, numbers, max_size=2),
    st.none() | numbers,
    st.none() | numbers,
    st.lists(texts, max_size=2).map(tuple),
)
pages = st.builds(
    Page,
    st.lists(hits, max_size=3).map(tuple),
    st.integers(0, 9),
    st.integers(0, 9),
    st.booleans(),
    st.none() | st.integers(0, 9),
    st.none() | queries,
)
options = st.builds(
    SearchOptions,
    top=st.integers(0, 9),
    like=st.lists(texts, max_size=2).map(tuple),
    group_by=st.none() | texts,
    diversity=numbers,
    min_confidence=st.none() | numbers,
    exact=st.booleans(),
)
sparse = st.lists(st.tuples(st.integers(-(2**62), 2**62), numbers), max_size=4).map(
    lambda pairs: SparseVector([i for i, _ in pairs], [v for _, v in pairs])
)


@given(filters)
def test_filters_come_out_equal(value: Filter) -> None:
    assert through(codec(Filter), value) == value


@given(st.one_of(queries, pages, options, hits, filters))
def test_searches_and_pages_come_out_equal_and_of_their_class(value: Any) -> None:
    told = {"asked": value, "all": [value, (value,)], "nothing": None}
    assert through(codec(Any), told) == told
    assert through(codec(type(value)), value) == value


anything = st.recursive(
    st.one_of(scalars, st.none(), st.binary(max_size=20), queries),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(texts, inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(texts, anything, max_size=3))
def test_what_handlers_are_told_comes_out_equal_with_its_types(value: dict[str, Any]) -> None:
    found = through(codec(Any), value)
    assert found == value
    assert repr(found) == repr(value)


@settings(max_examples=50)
@given(st.data(), st.integers(0, 5), st.integers(1, 4), st.sampled_from(["all", "none", "some", "odd"]))
def test_points_come_out_equal_in_columns_and_one_by_one(
    data: st.DataObject, n: int, dim: int, dense: str
) -> None:
    points: list[Point] = []
    for i in range(n):
        vectors: dict[str, Any] = {}
        if dense == "all" or (dense == "some" and i % 2) or dense == "odd":
            vectors["image"] = np.full(dim + (i if dense == "odd" else 0), i, np.float32)
        if data.draw(st.booleans()):
            vectors["lexical"] = data.draw(sparse)
        points.append(Point(f"id-{i}", vectors, data.draw(payloads)))
    found = through(POINTS, points)
    assert [(p.id, p.payload) for p in found] == [(p.id, p.payload) for p in points]
    for one, other in zip(found, points, strict=True):
        assert one.vectors.keys() == other.vectors.keys()
        assert one.vectors.get("lexical") == other.vectors.get("lexical")
        if "image" in one.vectors:
            assert one.vectors["image"].dtype == np.float32
            np.testing.assert_array_equal(one.vectors["image"], other.vectors["image"])
            one.vectors["image"][0] = 7  # belongs to who gets it


def test_specs_infos_files_and_tags_come_out_equal() -> None:
    made = Fingerprint("m", "r", "0" * 64, "{}", "1" * 64, 512)
    spec = CollectionSpec(made, {"部品": "keyword", "place": "geo"}, "題")
    info = CollectionInfo("parts", spec, 3, "/data/parts", 2)
    file = ImageFile("s", "k", "/p.jpg", 3, 4, {"name": "歯車"})
    for value in (made, spec, info, file, Tag("gear", 0.5)):
        assert through(codec(type(value)), value) == value
        assert through(codec(Any), {"v": value})["v"] == value
    reads = ImageFile("s", "k", "a.zip/p.jpg", 3, 4, read=lambda: b"")
    with pytest.raises(StoreError, match="function"):
        through(codec(ImageFile), reads)


def test_every_value_of_the_library_and_every_method_of_a_store_can_travel() -> None:
    assert {c for c in vars(types).values() if isinstance(c, type) and is_dataclass(c)} == set(KNOWN.values())
    for cls in KNOWN.values():
        hints = get_type_hints(cls)
        for field in fields(cls):
            codec(hints[field.name])
    public = {n for n, v in vars(Store).items() if not n.startswith("_")} - {"close", "name"}
    assert public == NAMES
    for name in NAMES:
        method(name)


def test_values_that_a_payload_takes_beside_json_arrive_as_the_store_would_keep_them() -> None:
    payload = {
        "day": date(2026, 1, 5),
        "made": datetime(2026, 1, 5, 12, tzinfo=UTC),
        "n": np.int64(3),
        "price": np.float32(0.5),
        "ok": np.bool_(True),
        "set": {"a"},
        "row": np.arange(3),
        "pair": ("a", 1),
        "nan": float("nan"),
        "never": np.datetime64("NaT"),
    }
    found = through(codec(Payload), payload)
    assert found.pop("nan") != 0
    assert found == {
        "day": "2026-01-05",
        "made": "2026-01-05T12:00:00+00:00",
        "n": 3,
        "price": 0.5,
        "ok": True,
        "set": ["a"],
        "row": [0, 1, 2],
        "pair": ["a", 1],
        "never": None,
    }
    with pytest.raises(StoreError, match="type object cannot be stored"):
        through(codec(Payload), {"x": object()})


def test_an_unsendable_sparse_vector_is_refused_as_the_store_would() -> None:
    for indices, values in (([1, 2], [1.0]), ([2**80], [1.0])):
        with pytest.raises(StoreError, match="lexical vector of point a needs"):
            through(POINTS, [Point("a", {"lexical": SparseVector(indices, values)}, {})])


@pytest.mark.parametrize(
    "document",
    [
        ["array", "<f4", [2], 8],
        ["array", "<f4", [10**12], 0],
        ["array", "<f4", [-1], 0],
        ["array", "O", [1], 0],
        ["bytes", 99, 0],
        ["bytes", 4, -4],
        ["ImageFile"],
        ["os.system", "ls"],
        ["list", ["Match"]],
        [],
        [3],
        [["array"]],
    ],
)
def test_what_is_no_value_is_an_error_and_nothing_else(document: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        codec(Any).decode(json.loads(json.dumps(document)), memoryview(bytearray(8)))


def test_errors_come_out_of_the_same_class_with_their_fields() -> None:
    error = error_in(json.loads(to_json(error_out(QueryError("no ')'", text="(a", position=2)))))
    assert type(error) is QueryError
    assert (str(error), error.text, error.position) == ("no ')'", "(a", 2)
    picture = error_in(error_out(ImageError("truncated", "it ends early")))
    assert isinstance(picture, ImageError)
    assert (str(picture), picture.reason) == ("it ends early", "truncated")
    assert type(error_in(error_out(UnknownField("no field 'x'")))) is UnknownField
    broken = error_in(error_out(RuntimeError("boom")))
    assert type(broken) is StoreError
    assert "RuntimeError: boom" in str(broken)
    assert type(error_in(["SystemExit", "no", {}])) is StoreError
    for cls in vars(errors).values():
        if isinstance(cls, type) and issubclass(cls, ClipSearchError):
            assert type(error_in([cls.__name__, "m", {}])) is cls
