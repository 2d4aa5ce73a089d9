"""Records' words: tokens, wording, vectors, and the collections that keep them, on the real engine."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from clipsearch import images, lexical
from clipsearch import store as stores
from clipsearch.lexical import (
    document_vector,
    matched,
    phrase_tokens,
    query_vector,
    record_words,
    text_of,
    tokens,
    words_of,
)
from clipsearch.settings import Settings
from clipsearch.shards import find
from clipsearch.store import Store, server
from clipsearch.store.collection import Collection
from clipsearch.types import CollectionSpec, FieldKind, Fingerprint, Payload, Phrase, Point, SparseVector
from indexer.options import RunOptions
from indexer.report import RunReport
from indexer.run import run
from indexer.shards.export import ExportOptions, export
from indexer.shards.load import LoadReport, load
from indexer.sources import SourceOptions, open_source
from indexer.words import RENEWING, renew

KINDS: dict[str, FieldKind] = {
    "part_no": "keyword",
    "name": "keyword",
    "note": "text",
    "tags": "keyword",
    "price": "float",
    "made": "datetime",
}
SPEC = CollectionSpec(Fingerprint("random", "", "", "", "", 4), KINDS)
PARTS: list[dict[str, Any]] = [
    {"part_no": "HX-M8x40-A2", "name": "Hex bolt, stainless", "note": "六角ボルト ステンレス M8×40"},
    {"part_no": "HX-M8x45-A2", "name": "Hex bolt, stainless", "note": "六角ボルト ステンレス M8×45"},
    {"part_no": "SH-M8x40-ZN", "name": "Socket head cap screw", "note": "鋼製六角穴付きボルト DIN 912"},
    {"part_no": "TE-15-BZ", "name": "Pipe tees, bronze", "note": '青銅製チーズ 1/2"'},
    {"part_no": "WS-M8-ST", "name": "Washer", "note": "平ワッシャー 鋼 Ø8"},
]


# --- tokens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spellings",
    [
        ["M8×40", "m8x40", "M8 X 40", "Ｍ８＊４０", "M8  x  40", "Ｍ８ｘ４０"],
        ['1/2"', "1/2″", "１／２”", "½″"],
        ['1 1/2"', "1½″"],
        ["Ø8", "ø8", "φ8", "Φ8", "⌀8"],
        ["8㎜ ボルト", "8mm ボルト", "８ｍｍ　ﾎﾞﾙﾄ"],
        ["レデューサー", "ﾚﾃﾞｭｰｻｰ", "レデュ－サ－", "レデュ—サ—"],
        ["STRASSE", "Straße"],
    ],
)
def test_spellings_of_one_thing_have_one_wording(spellings: list[str]) -> None:
    assert phrase_tokens(spellings[0])
    for spelling in spellings:
        assert phrase_tokens(spelling) == phrase_tokens(spellings[0]), spelling
        assert tokens(spelling) == tokens(spellings[0]), spelling


@pytest.mark.parametrize(
    ("one", "other"),
    [("M8", "M80"), ("M8x40", "M8x4"), ("1/2", "12"), ("1.25", "125"), ('1/2"', "1/2"), ("六角", "角六")],
)
def test_wording_tells_sizes_apart(one: str, other: str) -> None:
    assert phrase_tokens(one) != phrase_tokens(other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HX-M8x40-A2", {"hxm8x40a2", "hxm8x40", "m8x40a2", "hx", "m8x40", "m8", "40", "a2"}),
        ("DIN 912", {"din", "912", "din912"}),
        ("ISO4762", {"iso4762", "iso", "4762"}),
        ("8 mm", {"8", "mm", "8mm"}),
        ("8mm", {"8mm", "8", "mm"}),
        ("3/4-16 UNF", {"3/416", "3/4", "16", "unf"}),
        ("and/or", {"andor", "and", "or"}),
        ("M8六角ボルト", {"m8", "六角", "角ボ", "ボル", "ルト", "ボルト", "六", "角"}),
        ("鋼", {"鋼"}),
        ("L字金具", {"l", "l字", "字金", "金具", "字", "金", "具"}),
        ("M8", {"m8"}),
        ("", set()),
        (" -/.・、 ", set()),
    ],
)
def test_a_text_is_cut_into_whole_words_and_their_parts(text: str, expected: set[str]) -> None:
    assert set(tokens(text)) == expected


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("bolts", "bolt"),
        ("bushes", "bush"),
        ("boxes", "box"),
        ("bodies", "body"),
        ("valves", "valve"),
    ],
)
def test_plurals_find_the_singular(plural: str, one: str) -> None:
    assert tokens(plural.upper()) == tokens(one)


def test_words_that_only_look_like_plurals_stay() -> None:
    assert tokens("brass stainless radius gas") == ["brass", "stainless", "radius", "gas"]
    assert phrase_tokens("hex bolts") != phrase_tokens("hex bolt"), "a quoted plural is meant as it stands"


def test_a_long_vowel_at_the_end_may_be_missing() -> None:
    assert "レデューサ" in set(tokens("鋼製レデューサー")) & set(tokens("レデューサ"))


def test_wording_holds_no_separator_and_no_space() -> None:
    texts = ["a | b", 'x "y" 1/2"', "\ud800 \U000f0000 é　ー", "a\tb\nc"]
    assert all(token not in ("", "|") and not token.isspace() for t in texts for token in phrase_tokens(t))


# --- records ---------------------------------------------------------------------------------------


def test_a_records_words_are_its_fields_of_words_and_its_key() -> None:
    payload: Payload = {
        "_key": "bolts/M8 鋼/IMG_0123.JPG",
        "_path": "/home/somebody/bolts/M8 鋼/IMG_0123.JPG",
        "_source": "/home/somebody",
        "_sha256": "ab" * 32,
        "name": "Hex bolt",
        "tags": ["zinc", "M8", 12],
        "price": 4.5,
        "made": "2026-01-31",
        "undeclared": "磁石",
        "nothing": None,
    }
    assert record_words(payload, KINDS) == [
        "bolts", "M8 鋼", "IMG_0123", "Hex bolt", "zinc", "M8", "12", "磁石",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "group", "expected"),
    [
        ("HX-M8x40-A2", None, ["HX-M8x40-A2"]),
        ("HX-1#image_2", "HX-1", ["HX-1"]),
        ('pipe 1/2"', None, ['pipe 1/2"']),
        ("https://example.org/shop/%E9%8B%BC/bolt.png?w=5", None, ["shop", "鋼", "bolt"]),
        ("b.tar/0001.webp", None, ["b.tar", "0001"]),
    ],
)
def test_a_key_gives_its_words(key: str, group: str | None, expected: list[str]) -> None:
    assert record_words({"_key": key, "_group": group}, {}) == expected


@pytest.mark.parametrize(
    "value",
    ["https://example.org/hex/bolt", "0123456789abcdef" * 2, str(uuid.UUID(int=7)), "pictures/hex bolt.jpeg"],
)
def test_addresses_hashes_and_pictures_names_are_no_words(value: str) -> None:
    text, vector = words_of({"name": value, "note": "washer"}, KINDS)
    assert text == "washer"
    assert len(vector.indices) == 1


def test_no_phrase_goes_from_one_field_into_the_next() -> None:
    assert text_of({"name": "hex", "note": "bolt M8"}, KINDS) == "hex | bolt m 8"


def test_a_very_long_text_is_cut() -> None:
    found = record_words({"name": "bolt", "note": "x " * 50_000, "more": "nut"}, KINDS)
    assert sum(map(len, found)) == 20_000
    assert found[0] == "bolt"


# --- vectors ---------------------------------------------------------------------------------------


def test_tokens_have_the_same_indices_in_every_process() -> None:
    code = "from clipsearch.lexical import query_vector; print(query_vector(['bolt', '鋼']).indices)"
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
        )
        assert done.stdout.strip() == str(query_vector(["bolt", "鋼"]).indices)


def test_a_word_counts_more_when_repeated_and_less_in_a_long_record() -> None:
    def weight(*texts: str) -> float:
        vector = document_vector([tokens(text) for text in texts])
        return vector.values[list(vector.indices).index(query_vector(["bolt"]).indices[0])]

    assert weight("bolt") < weight("bolt bolt") < weight("bolt bolt bolt") < 2.2
    assert weight("bolt " + " ".join(f"w{i}" for i in range(99))) < weight("bolt")


def test_vectors_are_as_the_engines_want_them() -> None:
    for vector in (words_of(PARTS[0], KINDS)[1], query_vector(tokens("HX-M8x40-A2 bolt bolt"))):
        assert list(vector.indices) == sorted(set(vector.indices))
        assert len(vector.indices) == len(vector.values)
        assert 0 <= min(vector.indices) <= max(vector.indices) < 2**32
    assert query_vector([]) == document_vector([]) == SparseVector([], [])
    lists = [tokens(text) for text in record_words(PARTS[0], KINDS)]
    assert document_vector(lists) == words_of(PARTS[0], KINDS)[1]


@pytest.mark.parametrize(
    ("query", "share"),
    [
        ("hex bolts", 1.0),
        ("the bolt", 1.0),
        ("hx-m8x40-a2", 1.0),
        ("M8 x 40 六角ボルト", 1.0),
        ("ステンレス", 1.0),
        ("hex washer", 0.5),
        ("歯車", 0.0),
        ("", 0.0),
        ("the", 0.0),
    ],
)
def test_the_share_of_a_querys_words_that_a_record_holds(query: str, share: float) -> None:
    assert matched(query, PARTS[0], KINDS) == pytest.approx(share)


def test_a_word_held_in_part_counts_in_part() -> None:
    assert 0 < matched("HX-M8x50-A2", PARTS[0], KINDS) < 1
    assert 0.3 < matched("六角穴付きボルト", PARTS[0], KINDS) < 1


# --- in a collection -------------------------------------------------------------------------------


def identity(i: int) -> str:
    return str(uuid.UUID(int=i + 1))


def parts() -> list[Point]:
    vectors = np.eye(8, 4, dtype=np.float32) + 0.1
    return [
        Point(identity(i), {"image": vectors[i]}, {"_key": part["part_no"], **part})
        for i, part in enumerate(PARTS)
    ]


@pytest.fixture(params=["embedded", "in-memory client"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    settings = Settings(data=tmp_path, cache=tmp_path, collection="t")
    if request.param == "embedded":
        made: Store = stores.create("t", SPEC, settings)
    else:
        from qdrant_client import QdrantClient

        made = server.create("t", SPEC, settings, client=QdrantClient(":memory:"))
    with made:
        made.upsert(parts())
        yield made


def found(store: Store, text: str) -> list[str]:
    hits = store.search_sparse(query_vector(tokens(text)), limit=10)
    return [str(hit.payload["part_no"]) for hit in hits]


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("HX-M8x40-A2", "HX-M8x40-A2"),
        ("hxm8x45a2", "HX-M8x45-A2"),
        ("M8×45", "HX-M8x45-A2"),
        ("m8x40-zn", "SH-M8x40-ZN"),
        ("DIN912", "SH-M8x40-ZN"),
        ("socket head", "SH-M8x40-ZN"),
        ("1/2″ tee", "TE-15-BZ"),
        ("φ8", "WS-M8-ST"),
        ("washers", "WS-M8-ST"),
        ("六角穴付ボルト", "SH-M8x40-ZN"),
        ("ﾜｯｼｬｰ", "WS-M8-ST"),
        ("青銅", "TE-15-BZ"),
    ],
)
def test_the_part_is_found_by_what_people_type(filled: Store, text: str, first: str) -> None:
    assert found(filled, text)[0] == first


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_a_single_kanji_and_a_part_of_a_word_find_what_holds_them(filled: Store) -> None:
    assert set(found(filled, "鋼")) == {"SH-M8x40-ZN", "WS-M8-ST"}
    assert set(found(filled, "六角ボルト")) >= {"HX-M8x40-A2", "HX-M8x45-A2", "SH-M8x40-ZN"}
    assert found(filled, "歯車") == []


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_changed_columns_change_the_words(filled: Store) -> None:
    filled.set_payload([identity(0), str(uuid.uuid4())], {"note": "Wing nut", "price": 5.0})
    assert found(filled, "wing nuts") == ["HX-M8x40-A2"]
    assert found(filled, "ステンレス") == ["HX-M8x45-A2"]
    assert found(filled, "HX-M8x40-A2")[0] == "HX-M8x40-A2", "the other fields' words stay"
    filled.set_payload([identity(0)], {"note": None})
    assert found(filled, "wing") == []
    (point,) = filled.retrieve([identity(0)], with_vectors=True)
    left = {name: value for name, value in PARTS[0].items() if name != "note"}
    assert point.payload == {**left, "_key": "HX-M8x40-A2", "price": 5.0}
    np.testing.assert_allclose(np.asarray(point.vectors["image"]), _unit(parts()[0]), atol=1e-6)


def _unit(point: Point) -> np.ndarray[Any, Any]:
    vector = np.asarray(point.vectors["image"])
    return vector / np.linalg.norm(vector)


def test_a_vector_that_comes_with_a_point_is_made_anew_and_words_do_not_show(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, cache=tmp_path, collection="t")
    with stores.create("t", SPEC, settings) as made:
        (point, *_) = parts()
        foreign = {**point.vectors, "lexical": query_vector(["foreign"])}
        made.upsert([Point(point.id, foreign, {**point.payload, "_text": "foreign"})])
        assert found(made, "foreign") == []
        assert found(made, "hex bolt") == ["HX-M8x40-A2"]
        (again,) = made.retrieve([point.id])
        assert again.payload == point.payload
        made.upsert([Point(point.id, point.vectors, {"price": 1.0})])
        (wordless,) = made.retrieve([point.id], with_vectors=True)
        assert set(wordless.vectors) == {"image"}


# --- collections of another version ----------------------------------------------------------------


def as_an_earlier_version_left_it(settings: Settings) -> None:
    """The collection's points without words, and its spec as it was before there were any."""
    with stores.open_store(settings.collection, settings) as opened:
        assert isinstance(opened, Collection)
        engine = opened._engine
        assert engine is not None
        for points in opened.scroll(with_vectors=True):
            bare = [Point(p.id, {"image": p.vectors["image"]}, p.payload) for p in points]
            engine.put(bare)
        engine.save_spec(replace(opened.spec, lexical=0))
    assert stores.read_spec(settings.collection, settings).lexical == 0


def has_words(settings: Settings) -> bool:
    with stores.open_store(settings.collection, settings) as opened:
        return all("lexical" in p.vectors for points in opened.scroll(with_vectors=True) for p in points)


def test_a_pass_that_was_stopped_is_done_again_and_a_finished_one_is_not(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, cache=tmp_path, collection="t")
    stores.create("t", SPEC, settings).close()
    with stores.open_store("t", settings) as opened:
        assert opened.spec.lexical == lexical.VERSION
        opened.upsert(parts())
    as_an_earlier_version_left_it(settings)
    with stores.open_store("t", settings) as opened:
        assert found(opened, "hex bolt") == []
        assert renew(opened, should_stop=lambda: True) == 0
        assert opened.spec.lexical == 0
    told: list[tuple[int, int]] = []
    with stores.open_store("t", settings) as opened:
        assert renew(opened, on_progress=lambda done, all: told.append((done, all))) == len(PARTS)
        assert told == [(len(PARTS), len(PARTS))]
        assert found(opened, "hex bolt")[:1] == ["HX-M8x40-A2"]
        assert len(opened.search(np.ones(4, np.float32), limit=9, filter=Phrase(("m", "8", "x", "40")))) == 2
        assert renew(opened) == 0
    assert stores.read_spec("t", settings).lexical == lexical.VERSION


def test_indexing_again_gives_older_records_their_words(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "hex bolts").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    images.save_jpeg(pixels, tmp_path / "pictures" / "hex bolts" / "M8x40.jpg")

    def go(**more: Any) -> RunReport:
        return run(open_source(tmp_path / "pictures", SourceOptions()), settings, RunOptions(), **more)

    assert go().encoded == 1
    as_an_earlier_version_left_it(settings)
    stages: list[tuple[str, int, int]] = []
    report = go(on_progress=lambda r: stages.append((r.stage, r.done, r.found)))
    assert (report.encoded, report.unchanged) == (0, 1)
    assert (RENEWING, 1, 1) in stages
    assert "wrote the words of 1 records anew" in report.notes[-1]
    assert has_words(settings)
    assert go().notes == []


def test_loading_gives_older_records_their_words_and_shards_carry_none(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", cache=tmp_path, collection="t")
    with stores.create("t", SPEC, settings) as made:
        made.upsert(parts())
    export(tmp_path / "out", settings, ExportOptions())
    (shard,) = find(tmp_path / "out").shards
    points = [point for batch in shard.batches() for point in batch.rows().points]
    assert all(set(point.vectors) == {"image"} and "_text" not in point.payload for point in points)
    with stores.open_store("t", settings) as opened:
        opened.upsert([Point(identity(77), {"image": np.ones(4, np.float32)}, {"name": "gear wheel"})])
    as_an_earlier_version_left_it(settings)
    seen: list[LoadReport] = []
    report = load(tmp_path / "out", settings, on_progress=seen.append)
    assert (report.loaded, report.renewed) == (len(PARTS), len(PARTS) + 1)
    assert seen[-1].stage == RENEWING
    assert "wrote the words of 6 records anew" in report.summary()
    with stores.open_store("t", settings) as opened:
        assert len(opened.search_sparse(query_vector(["gear"]), limit=5)) == 1
    assert load(tmp_path / "out", settings).renewed == 0


def test_a_graph_is_built_again_after_every_point_was_written_anew(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, cache=tmp_path, collection="t")
    with stores.create("t", SPEC, settings) as made:
        made.upsert(parts())
        assert isinstance(made, Collection)
        made._engine.graph_above = 2  # type: ignore[union-attr]
        made.optimize()
        assert made.info().n_indexed == len(PARTS)
    as_an_earlier_version_left_it(settings)
    with stores.open_store("t", settings) as opened:
        renew(opened)
        assert opened.info().n_indexed == 0
        opened._engine.graph_above = 2  # type: ignore[attr-defined]
        opened.optimize()
        assert opened.info().n_indexed == len(PARTS)
