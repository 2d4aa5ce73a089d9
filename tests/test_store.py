"""One scenario suite for every store: embedded, qdrant-client in memory, and a server where there is one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipsearch import lexical
from clipsearch import store as stores
from clipsearch.errors import CollectionNotFound, QueryError, SettingsError, StoreError, UnknownField
from clipsearch.settings import Settings
from clipsearch.store import Store, all_fields, embedded, server
from clipsearch.types import (
    And,
    CollectionSpec,
    FieldKind,
    Filter,
    Fingerprint,
    Hit,
    Ids,
    Match,
    Near,
    Not,
    Or,
    Phrase,
    Point,
    Prefix,
    Range,
    SparseVector,
    Within,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
DIM = 16
FINGERPRINT = Fingerprint("starter", "", "0" * 64, "{}", "1" * 64, DIM)
FIELDS: dict[str, FieldKind] = {
    "material": "keyword",
    "finishes": "keyword",
    "holes": "integer",
    "price": "float",
    "stocked": "bool",
    '1/2" ok': "bool",
    "made": "datetime",
    "note": "text",
    "部品名": "keyword",
    "倉庫": "geo",
    'Ø in. (1/2") a.b': "keyword",
}
SPEC = CollectionSpec(FINGERPRINT, FIELDS, title="部品")


@dataclass
class Place:
    """Where collections are kept, and how."""

    settings: Settings
    name: str
    module: Any
    client: dict[str, Any]

    def create(self, spec: CollectionSpec = SPEC, name: str | None = None) -> Store:
        made: Store = self.module.create(name or self.name, spec, self.settings, **self.client)
        return made

    def open(self, name: str | None = None) -> Store:
        opened: Store = self.module.open_store(name or self.name, self.settings, **self.client)
        return opened

    def __getattr__(self, function: str) -> Any:
        return lambda *args: getattr(self.module, function)(*args, self.settings, **self.client)


@pytest.fixture(params=["embedded", "memory", "server"])
def place(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    url = os.environ.get("QDRANT_URL")
    settings = Settings(data=folder / "data", cache=folder / "cache")
    if request.param == "embedded":
        yield Place(settings, "parts", embedded, {})
    elif request.param == "memory":
        from qdrant_client import QdrantClient

        settings = replace(settings, url="http://127.0.0.1:6333")
        yield Place(settings, "parts", server, {"client": QdrantClient(":memory:")})
    else:
        if not url:
            pytest.skip("needs a Qdrant server: set QDRANT_URL")
        settings = replace(settings, url=url, api_key=os.environ.get("QDRANT_API_KEY"))
        made = Place(settings, f"test-{uuid.uuid4().hex[:12]}", server, {})
        yield made
        for name in made.list_collections():
            if name.startswith(made.name):
                made.delete_collection(name)


def identity(i: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"part-{i}"))


def vectors(n: int, seed: int = 0) -> Any:
    rows = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def payload(i: int) -> dict[str, Any]:
    return {
        "_key": f"HX-{i}",
        "_path": f"/parts/ねじ {i}.jpg",
        "material": ["brass", "steel", "zinc"][i % 3],
        "finishes": ["plain", "black"] if i % 4 == 0 else ["plain"],
        "holes": i % 5,
        "price": i / 10,
        "stocked": i % 2 == 0,
        '1/2" ok': i % 3 == 0,
        "made": f"2026-01-{i % 28 + 1:02d}T12:00:00Z",
        "note": "六角ボルト、真鍮の歯車" if i == 7 else f"hex bolt number {i}",
        "倉庫": f"{35 + i / 10:g},{139 + i:g}" if i <= 40 else f"35,{139 + i - 360:g}",
        "wording": f"HX-{i}, hex bolt M{i % 4} x 40 真鍮の歯車",
        "部品名": "歯車" if i % 6 == 0 else "ボルト",
        'Ø in. (1/2") a.b': f"d{i % 2}",
    }


def points(n: int) -> list[Point]:
    rows = vectors(n)
    return [Point(identity(i), {"image": rows[i]}, payload(i)) for i in range(n)]


@pytest.fixture
def filled(place: Place) -> Iterator[Store]:
    with place.create() as made:
        made.upsert(points(60))
        yield made


# --- life ----------------------------------------------------------------------------------------


def test_a_new_collection_is_found_again_with_everything_it_is_made_of(place: Place) -> None:
    assert not place.exists(place.name)
    place.create().close()
    assert place.exists(place.name)
    assert place.name in place.list_collections()
    assert place.read_spec(place.name) == SPEC
    with place.open() as again:
        assert again.spec == SPEC
        info = again.info()
        assert (info.name, info.n_points, info.spec) == (place.name, 0, SPEC)


def test_points_are_there_after_closing_and_opening_again(place: Place) -> None:
    with place.create() as made:
        made.upsert(points(30))
    with place.open() as again:
        assert again.count() == 30
        assert again.retrieve([identity(3)])[0].payload == payload(3)


def test_a_name_that_is_taken_is_refused_and_the_collection_unharmed(place: Place, filled: Store) -> None:
    with pytest.raises(StoreError, match=r"already exists|already open"):
        place.create()
    assert filled.count() == 60


def test_an_unknown_collection_is_refused_with_the_names_there_are(place: Place, filled: Store) -> None:
    with pytest.raises(CollectionNotFound, match=f"there are: .*{place.name}"):
        place.open(place.name + "-x")
    with pytest.raises(CollectionNotFound):
        place.read_spec(place.name + "-x")
    with pytest.raises(CollectionNotFound):
        place.delete_collection(place.name + "-x")


def test_a_deleted_collection_is_gone_with_the_ledger_beside_it(place: Place) -> None:
    name = place.name + "-2"
    place.create(name=name).close()
    ledger = place.settings.collection_dir(name) / "ledger.sqlite"
    ledger.parent.mkdir(parents=True, exist_ok=True)
    ledger.write_text("x")
    place.delete_collection(name)
    assert not ledger.exists()
    assert not place.exists(name)
    assert name not in place.list_collections()


def test_a_closed_collection_says_so(place: Place) -> None:
    made = place.create()
    made.close()
    made.close()
    with pytest.raises(StoreError, match="was closed"):
        made.count()


def test_the_address_decides_where_a_collection_is(folder: Path) -> None:
    settings = Settings(data=folder, cache=folder)
    with stores.create("main", SPEC, settings) as made:
        assert made.info().location == str(folder / "collections" / "main")
    assert stores.list_collections(settings) == ["main"]
    assert stores.exists("main", settings)
    assert stores.read_spec("main", settings) == SPEC
    stores.delete_collection("main", settings)
    with pytest.raises(CollectionNotFound, match="none yet"):
        stores.open_store("main", settings)
    with pytest.raises(SettingsError, match=r"\.\./x"):
        stores.open_store("../x", settings)


# --- points --------------------------------------------------------------------------------------


def test_what_is_stored_comes_back_equal(filled: Store) -> None:
    wanted = [identity(9), identity(2), str(uuid.uuid4()), identity(9), identity(5)]
    found = filled.retrieve(wanted, with_vectors=True)
    assert [p.id for p in found] == [identity(9), identity(2), identity(5)]
    for point, i in zip(found, (9, 2, 5), strict=True):
        assert point.payload == payload(i)
        np.testing.assert_allclose(np.asarray(point.vectors["image"]), vectors(60)[i], atol=1e-6)
        sparse = point.vectors["lexical"]
        assert isinstance(sparse, SparseVector)
        text, words = lexical.words_of(payload(i), all_fields(SPEC))
        assert sparse.indices == words.indices
        np.testing.assert_allclose(sparse.values, words.values, rtol=1e-6)
        assert f"hx {i} hex bolt m {i % 4} x 40" in text
    assert filled.retrieve([identity(1)])[0].vectors == {}


def test_upserting_again_replaces_and_deleting_removes(filled: Store) -> None:
    fresh = vectors(1, seed=5)[0]
    filled.upsert([Point(identity(4), {"image": fresh}, {"material": "gold"})])
    again = filled.retrieve([identity(4)], with_vectors=True)[0]
    assert again.payload == {"material": "gold"}
    words = again.vectors["lexical"]
    assert isinstance(words, SparseVector)
    assert words.indices == lexical.query_vector(["gold"]).indices  # nothing is left of the other words
    assert filled.count() == 60
    filled.delete([identity(4), identity(5), str(uuid.uuid4())])
    filled.delete([])
    assert filled.count() == 58
    assert filled.retrieve([identity(4)]) == []


def test_unusual_payload_values_are_kept_or_left_out(filled: Store) -> None:
    odd: dict[str, Any] = {
        "material": 12,  # a keyword
        "price": 3,  # a float
        "holes": 4.0,  # an integer
        "nothing": None,
        "not a number": float("nan"),
        "endless": float("inf"),
        "when": datetime(2026, 2, 3, 4, 5),
        "list": ["a", None, "b", np.int64(3)],
        "emoji": "🔩 ねじ\n\x00",
        '100% \\ "q" %22': "x",
        "_path": "/photos/caf\udce9 \udcff.jpg",  # a file name that is not UTF-8
        "big": 2**63 - 1,
        "empty": [],
    }
    filled.upsert([Point(identity(70), {"image": vectors(1)[0]}, odd)])
    found = filled.retrieve([identity(70)])[0].payload
    gone = ("nothing", "not a number", "endless")
    expected = {k: v for k, v in odd.items() if k not in gone}
    expected |= {"material": "12", "list": ["a", "b", 3], "when": "2026-02-03T04:05:00"}
    assert found == expected
    assert isinstance(found["price"], float)
    assert isinstance(found["holes"], int)
    assert filled.count(Match("_path", (odd["_path"],))) == 1
    assert filled.count(Match("material", (12,))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "nine"}, "'nine' is not a UUID"),
        ({"vectors": {"image": np.ones(DIM + 1, np.float32)}}, r"shape \(17,\).*\(16,\)"),
        ({"vectors": {"image": np.zeros(DIM, np.float32)}}, "all zeros"),
        ({"vectors": {"image": np.full(DIM, np.nan, np.float32)}}, "NaN"),
        ({"vectors": {"lexical": SparseVector([1], [1.0])}}, "'image' is needed"),
        ({"vectors": {"image": np.ones(DIM, np.float32), "x": np.ones(DIM, np.float32)}}, "'x'"),
        ({"payload": {"n": 2**63}}, "64 bits"),
        ({"payload": {"n": {"a": 1}}}, "dict"),
    ],
)
def test_a_point_that_cannot_be_stored_is_refused_and_none_of_its_batch_is(
    filled: Store, change: dict[str, Any], message: str
) -> None:
    good = points(61)[60]
    with pytest.raises(StoreError, match=message):
        filled.upsert([good, replace(good, id=change.get("id", identity(61)), **_without_id(change))])
    assert filled.count() == 60


def _without_id(change: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in change.items() if k != "id"}


def test_payload_is_merged_and_removed_and_missing_points_are_passed_over(filled: Store) -> None:
    ids = [identity(1), identity(2), str(uuid.uuid4())]
    filled.set_payload(
        ids, {"tags": ["赤", "blue"], "stocked": True, "price": None, 'Ø in. (1/2") a.b': None}
    )
    for i in (1, 2):
        expected = payload(i) | {"tags": ["赤", "blue"], "stocked": True}
        del expected["price"], expected['Ø in. (1/2") a.b']
        assert filled.retrieve([identity(i)])[0].payload == expected
    assert filled.retrieve([identity(3)])[0].payload == payload(3)
    assert filled.count() == 60


def test_many_points_get_payloads_of_their_own(filled: Store) -> None:
    missing = str(uuid.uuid4())
    before = {i: filled.retrieve([identity(i)], with_vectors=True)[0] for i in range(60)}
    changes: list[tuple[str, Any]] = [
        (identity(i), {"finishes": [f"赤 {i}"], "price": None}) for i in range(50)
    ]
    filled.set_payloads([*changes, (missing, {"finishes": ["blue"]}), (identity(0), {"stocked": False})])
    for i in range(60):
        found = filled.retrieve([identity(i)], with_vectors=True)[0]
        expected = dict(before[i].payload)
        if i < 50:
            expected["finishes"] = [f"赤 {i}"]
            del expected["price"]
        assert found.payload == (expected | {"stocked": False} if i == 0 else expected)
        image, was = (np.asarray(p.vectors["image"]) for p in (found, before[i]))
        np.testing.assert_allclose(image, was, atol=1e-6)
    assert filled.count() == 60
    assert filled.count(Match("finishes", ("赤 7",))) == 1
    assert filled.count(Phrase(tuple(lexical.phrase_tokens("赤 7")))) == 1, "the record's words follow"
    assert filled.count(Range("price", gte=0)) == 10
    filled.set_payloads([])


def test_of_payloads_that_cannot_be_stored_none_is(filled: Store) -> None:
    with pytest.raises(StoreError, match="64 bits"):
        filled.set_payloads([(identity(1), {"holes": 9}), (identity(2), {"n": 2**63})])
    with pytest.raises(StoreError, match="no-uuid"):
        filled.set_payloads([(identity(1), {"holes": 9}), ("no-uuid", {"holes": 9})])
    assert filled.count(Match("holes", (9,))) == 0


def test_scrolling_gives_every_point_once_in_batches(filled: Store) -> None:
    batches = list(filled.scroll(batch_size=17, with_vectors=True))
    assert [len(b) for b in batches] == [17, 17, 17, 9]
    found = {p.id: p for batch in batches for p in batch}
    assert set(found) == {identity(i) for i in range(60)}
    for i in (0, 31, 59):
        np.testing.assert_allclose(np.asarray(found[identity(i)].vectors["image"]), vectors(60)[i], atol=1e-6)
        assert found[identity(i)].payload == payload(i)
    bare = [p for b in filled.scroll(filter=Match("material", ("zinc",)), with_payload=False) for p in b]
    assert {p.id for p in bare} == {identity(i) for i in range(60) if i % 3 == 2}
    assert all(p.payload == {} and p.vectors == {} for p in bare)


# --- search --------------------------------------------------------------------------------------


def test_hits_are_those_of_an_exact_scan_in_order_with_their_cosine(filled: Store) -> None:
    rows, queries = vectors(60), vectors(5, seed=3)
    found = filled.search_batch(queries, limit=10)
    for query, hits in zip(queries, found, strict=True):
        cosines = rows @ query
        best = np.argsort(-cosines)[:10]
        assert [h.id for h in hits] == [identity(int(i)) for i in best]
        np.testing.assert_allclose([h.score for h in hits], cosines[best], atol=1e-4)
        assert hits[0].payload == payload(int(best[0]))
        assert hits[0].why == {"image": hits[0].score}
        assert hits[0].key == f"HX-{best[0]}"
        alone = filled.search(query * 7, limit=10, exact=True)
        assert [h.id for h in alone] == [h.id for h in hits]


def test_pages_neither_overlap_nor_skip_even_among_equal_scores(filled: Store) -> None:
    twin = vectors(1, seed=8)[0]
    filled.upsert([Point(identity(i), {"image": twin}, {"_key": str(i)}) for i in range(100, 140)])
    whole = filled.search(twin, limit=100)
    assert len(whole) == 100
    assert [h.id for h in whole[:40]] == sorted(identity(i) for i in range(100, 140))
    paged = [hit for offset in range(0, 110, 7) for hit in filled.search(twin, limit=7, offset=offset)]
    assert [hit.id for hit in paged] == [hit.id for hit in whole]
    assert [hit.payload for hit in paged] == [hit.payload for hit in whole]
    assert filled.search(twin, limit=5, offset=500) == []
    assert filled.search(twin, limit=0) == []
    assert filled.search_batch(np.zeros((0, DIM), np.float32), limit=3) == []


def test_a_query_of_the_wrong_size_or_without_direction_is_refused(filled: Store) -> None:
    with pytest.raises(StoreError, match=r"\(17,\).*16 dimensions.*starter"):
        filled.search(np.ones(DIM + 1, np.float32), limit=3)
    with pytest.raises(StoreError, match="zeros"):
        filled.search(np.zeros(DIM, np.float32), limit=3)
    with pytest.raises(StoreError, match="negative"):
        filled.search(np.ones(DIM, np.float32), limit=3, offset=-1)


def test_sparse_search_weighs_rare_terms_more_and_takes_filters(filled: Store) -> None:
    query = lexical.query_vector(["hx7", "m2"])  # hx7: point 7 alone; m2: a quarter of the points
    hits = filled.search_sparse(query, limit=20)
    assert hits[0].id == identity(7)
    assert {h.id for h in hits[1:]} == {identity(i) for i in range(60) if i % 4 == 2}
    assert hits[0].score > 2 * hits[1].score
    assert hits[0].why == {"lexical": hits[0].score}
    assert hits[0].payload == payload(7)
    zinc = filled.search_sparse(lexical.query_vector(["m2"]), limit=20, filter=Match("material", ("zinc",)))
    assert {h.id for h in zinc} == {identity(i) for i in range(60) if i % 4 == 2 and i % 3 == 2}
    assert filled.search_sparse(SparseVector([], []), limit=5) == []
    assert filled.search_sparse(SparseVector([9999], [1.0]), limit=5) == []


def test_hits_come_without_payloads_where_none_are_wanted(filled: Store) -> None:
    query = vectors(1, seed=3)[0]
    for offset in (0, 5):
        bare = filled.search(query, limit=5, offset=offset, with_payload=False)
        full = filled.search(query, limit=5, offset=offset)
        assert [(h.id, h.score, h.why) for h in bare] == [(h.id, h.score, h.why) for h in full]
        assert all(h.payload == {} for h in bare)
        assert all(h.payload for h in full)
    assert filled.search_batch(query[None], limit=1, with_payload=False)[0][0].payload == {}
    assert filled.search_sparse(lexical.query_vector(["hx7"]), limit=1, with_payload=False)[0].payload == {}
    assert filled.recommend(query[None], query[:0], limit=1, with_payload=False)[0].payload == {}


def test_likes_alone_rank_by_the_nearest_like_and_unlikes_push_away(filled: Store) -> None:
    rows, none = vectors(60), np.zeros((0, DIM), np.float32)
    likes, unlikes = rows[[3, 11]], rows[[20]]
    found = filled.recommend(likes * 3, none, limit=60)
    best = np.argsort(-(rows @ likes.T).max(axis=1), kind="stable")
    assert {h.id for h in found[:2]} == {identity(3), identity(11)}
    assert [h.id for h in found[2:]] == [identity(int(i)) for i in best[2:]]
    assert found[0].payload == payload(_number_of(found[0]))
    assert found[0].why == {"examples": found[0].score}
    away = filled.recommend(likes, unlikes, limit=60)
    nearer = rows @ likes.T
    apart = (rows @ unlikes.T).max(axis=1) >= nearer.max(axis=1)  # a negative example is the nearest
    assert all((h.score < 0) == bool(apart[_number_of(h)]) for h in away)
    assert away[-1].id == identity(20)
    assert filled.recommend(none, unlikes, limit=60)[-1].id == identity(20)
    steel = filled.recommend(likes, unlikes, limit=60, filter=STEEL)
    assert [h.id for h in steel] == [h.id for h in away if _number_of(h) % 3 == 1]


def test_a_target_with_likes_and_unlikes_is_a_discovery(filled: Store) -> None:
    rows = vectors(60)
    likes, unlikes, target = rows[[3, 11]], rows[[20, 31]], vectors(1, seed=9)[0]
    found = filled.recommend(likes, unlikes, target=target, limit=60)
    near, far, aim = rows @ likes.T, rows @ unlikes.T, rows @ target
    rank = sum(np.sign(near[:, i] - far[:, j]) for i in (0, 1) for j in (0, 1))
    sigmoid = 0.5 * (aim / (1 + np.abs(aim)) + 1)
    expected = sorted(range(60), key=lambda i: -(rank[i] + sigmoid[i]))
    assert [h.id for h in found] == [identity(i) for i in expected]
    np.testing.assert_allclose([h.score for h in found], (rank + sigmoid)[expected], atol=1e-4)
    paged = [
        h
        for at in range(0, 60, 7)
        for h in filled.recommend(likes, unlikes, target=target, limit=7, offset=at)
    ]
    assert [h.id for h in paged] == [h.id for h in found]
    assert [h.payload for h in paged] == [h.payload for h in found]
    many = filled.recommend(np.repeat(likes, 20, 0), np.repeat(unlikes, 20, 0), target=target, limit=5)
    assert len(many) == 5
    assert max(h.score for h in many) <= 65


def test_a_target_with_likes_only_is_one_more_like(filled: Store) -> None:
    rows, none = vectors(60), np.zeros((0, DIM), np.float32)
    with_target = filled.recommend(rows[[3]], none, target=rows[11], limit=10)
    assert with_target == filled.recommend(rows[[3, 11]], none, limit=10)
    with pytest.raises(StoreError, match="at least one example"):
        filled.recommend(none, none, limit=3)
    with pytest.raises(StoreError, match=r"\(17,\).*16 dimensions"):
        filled.recommend(np.ones((1, DIM + 1), np.float32), none, limit=3)
    with pytest.raises(StoreError, match="zeros"):
        filled.recommend(rows[:1], np.zeros((1, DIM), np.float32), limit=3)


def _number_of(hit: Hit) -> int:
    return int(hit.key.removeprefix("HX-"))


# --- filters -------------------------------------------------------------------------------------

STEEL, BLACK = Match("material", ("steel",)), Match("finishes", ("black",))
FILTERS: list[tuple[Filter, Callable[[dict[str, Any]], bool]]] = [
    (Match("material", ("brass",)), lambda p: p["material"] == "brass"),
    (Match("material", ("brass", "zinc", "no such")), lambda p: p["material"] in ("brass", "zinc")),
    (Match("material", ()), lambda p: False),
    (BLACK, lambda p: "black" in p["finishes"]),
    (Match("finishes", ("black", "plain")), lambda p: True),
    (Match("holes", (3,)), lambda p: p["holes"] == 3),
    (Match("holes", ("3", 4.0)), lambda p: p["holes"] in (3, 4)),
    (Match("price", (0.3,)), lambda p: p["price"] == 0.3),
    (Match("price", (0.3, "1.2")), lambda p: p["price"] in (0.3, 1.2)),
    (Match("stocked", (True,)), lambda p: p["stocked"]),
    (Match("stocked", ("false",)), lambda p: not p["stocked"]),
    (Match("stocked", (True, False)), lambda p: True),
    (Match('1/2" ok', (True,)), lambda p: p["material"] == "brass"),
    (Match("made", ("2026-01-05",)), lambda p: p["made"].startswith("2026-01-05")),
    (Match("made", ("2026-01-05T12:00:00Z",)), lambda p: p["made"].startswith("2026-01-05")),
    (Match("made", ("2026-01-05T13:00:00+00:00",)), lambda p: False),
    (Match("note", ("bolt",)), lambda p: "bolt" in p["note"]),
    (Match("note", ("真鍮",)), lambda p: "真鍮" in p["note"]),
    (Match("部品名", ("歯車",)), lambda p: p["部品名"] == "歯車"),
    (Match('Ø in. (1/2") a.b', ("d1",)), lambda p: p['Ø in. (1/2") a.b'] == "d1"),
    (Match("_key", ("HX-12",)), lambda p: p["_key"] == "HX-12"),
    (Range("holes", gte=2, lt=4), lambda p: 2 <= p["holes"] < 4),
    (Range("price", gt=1, lte=2.5), lambda p: 1 < p["price"] <= 2.5),
    (Range("made", gte="2026-01-10", lte="2026-01-12"), lambda p: "-10" <= p["made"][7:10] <= "-12"),
    (Range("made", gt="2026-01-20"), lambda p: p["made"][:10] > "2026-01-20"),
    (Range("made", lt="2026-01-03T12:00:00Z"), lambda p: p["made"] < "2026-01-03T12:00:00Z"),
    (And((STEEL, Range("holes", gte=3))), lambda p: p["material"] == "steel" and p["holes"] >= 3),
    (Or((STEEL, Match("holes", (0,)))), lambda p: p["material"] == "steel" or p["holes"] == 0),
    (Not(STEEL), lambda p: p["material"] != "steel"),
    (Not(Or((STEEL, Range("price", gt=3)))), lambda p: p["material"] != "steel" and p["price"] <= 3),
    (And((Not(BLACK), Or((STEEL, BLACK)))), lambda p: len(p["finishes"]) == 1 and p["material"] == "steel"),
    (Prefix("_key", "HX-1"), lambda p: p["_key"].startswith("HX-1")),
    (Prefix("_key", "hx"), lambda p: False),
    (Prefix("部品名", "歯"), lambda p: p["部品名"] == "歯車"),
    (Prefix("finishes", "bl"), lambda p: "black" in p["finishes"]),
    (Prefix('Ø in. (1/2") a.b', "d1"), lambda p: p['Ø in. (1/2") a.b'] == "d1"),
    (Phrase(("bolt", "m", "2")), lambda p: " bolt M2 " in p["wording"]),
    (Phrase(("m", "2", "bolt")), lambda p: False),
    (Phrase(("hx", "12")), lambda p: p["_key"] == "HX-12"),
    (Phrase(("40", "真", "鍮", "の")), lambda p: True),
    (Phrase(("鍮", "歯")), lambda p: False),
    (Phrase(()), lambda p: False),
    (Near("倉庫", 35, 139, 95_000), lambda p: p["倉庫"] in ("35,139", "35.1,140")),
    (Near("倉庫", 35, -180, 30_000), lambda p: p["倉庫"] == "35,-180"),
    (Within("倉庫", 35.15, 100, 35.55, 150), lambda p: "35.2" <= p["倉庫"][:4] <= "35.5"),
    (Within("倉庫", 34, 178.5, 60, -178.5), lambda p: _east(p) > 178 or _east(p) < -178),
    (Ids((identity(3), identity(5), str(uuid.UUID(int=9)))), lambda p: p["_key"] in ("HX-3", "HX-5")),
    (Ids((identity(3).upper(),)), lambda p: p["_key"] == "HX-3"),
    (Ids(()), lambda p: False),
    (And((Not(Prefix("_key", "HX-1")), Phrase(("m", "1")))), lambda p: _rest(p)),
    (And(()), lambda p: True),
    (Or(()), lambda p: False),
    (Not(Or(())), lambda p: True),
]


def _east(p: dict[str, Any]) -> float:
    return float(p["倉庫"].split(",")[1])


def _rest(p: dict[str, Any]) -> bool:
    return not p["_key"].startswith("HX-1") and " M1 " in p["wording"]


def test_every_kind_of_filter_chooses_what_plain_python_would(filled: Store) -> None:
    query = vectors(1, seed=4)[0]
    for filter, meets in FILTERS:
        expected = {identity(i) for i in range(60) if meets(payload(i))}
        assert {h.id for h in filled.search(query, limit=100, filter=filter)} == expected, filter
        assert filled.count(filter) == len(expected), filter


@pytest.mark.parametrize(
    ("filter", "error", "message"),
    [
        (Match("Materail", ("x",)), UnknownField, r"'Materail'.*mean 'material'.*price"),
        (Not(And((Match("qqq", ("x",)),))), UnknownField, r"'qqq'.*Its fields: .*material"),
        (Match("holes", ("many",)), QueryError, "'holes' holds numbers, and 'many'"),
        (Match("holes", (1.5,)), QueryError, "whole numbers, and 1.5"),
        (Match("holes", (2**70,)), QueryError, "whole numbers"),
        (Match("stocked", ("perhaps",)), QueryError, "true or false, and 'perhaps'"),
        (Match("made", ("yesterday",)), QueryError, "dates, and 'yesterday'"),
        (Range("price", gt="cheap"), QueryError, "numbers, and 'cheap'"),
        (Range("price", gt=float("nan")), QueryError, "numbers"),
        (Range("material", gt=1), QueryError, "keyword values, which have no range"),
        (Range("倉庫", gt=1), QueryError, "geo values, which have no range"),
        (Match("倉庫", ("35,139",)), QueryError, "'倉庫' holds places"),
        (Prefix("holes", "1"), QueryError, "'holes' holds integer values, which have no beginning"),
        (Near("material", 35, 139, 5), QueryError, "'material' holds keyword values and no places"),
        (Near("倉庫", 95, 139, 5), QueryError, "95,139 is no place"),
        (Near("倉庫", 35, 139, -5), QueryError, "radius of -5 m"),
        (Near("倉庫", 35, 139, float("nan")), QueryError, "radius of nan m"),
        (Within("倉庫", 36, 139, 35, 140), QueryError, "upside down"),
        (Within("nowhere", 36, 139, 35, 140), UnknownField, "'nowhere'"),
        (Ids(("HX-1",)), StoreError, "'HX-1' is not a UUID"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_explained(
    filled: Store, filter: Filter, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        filled.search(vectors(1)[0], limit=3, filter=filter)


def test_facets_count_values_most_frequent_first(filled: Store) -> None:
    assert filled.facet("finishes") == [("plain", 60), ("black", 15)]
    assert filled.facet("material") == [("brass", 20), ("steel", 20), ("zinc", 20)]
    assert filled.facet("holes", limit=2) == [(0, 12), (1, 12)]
    assert filled.facet("部品名") == [("ボルト", 50), ("歯車", 10)]
    assert filled.facet("stocked", filter=Range("holes", gte=3)) == [(False, 12), (True, 12)]
    assert all(isinstance(value, bool) for value, _ in filled.facet("stocked"))
    with pytest.raises(UnknownField, match="'material'"):
        filled.facet("materials")
    with pytest.raises(StoreError, match="'price' holds float"):
        filled.facet("price")


def test_later_fields_find_points_that_were_there_before(place: Place, filled: Store) -> None:
    filled.set_payload(
        [identity(i) for i in range(10)], {"colour": "red", "checked": True, "flags": [True, False]}
    )
    filled.set_payload([identity(i) for i in range(10, 15)], {"checked": False})
    with pytest.raises(UnknownField):
        filled.count(Match("colour", ("red",)))
    filled.add_fields({"colour": "keyword", "checked": "bool", "flags": "bool", "material": "keyword"})
    filled.add_fields({})
    assert filled.count(Match("colour", ("red",))) == 10
    assert filled.count(Match("checked", (True,))) == 10
    assert filled.count(Match("checked", (False,))) == 5
    assert filled.count(Match("flags", (False,))) == 10
    assert filled.retrieve([identity(1)])[0].payload["checked"] is True
    assert filled.retrieve([identity(1)])[0].payload["flags"] == [True, False]
    assert filled.spec.fields == FIELDS | {"colour": "keyword", "checked": "bool", "flags": "bool"}
    assert place.read_spec(place.name) == filled.spec
    with pytest.raises(StoreError, match=r"'material'.*keyword.*float"):
        filled.add_fields({"material": "float"})
    with pytest.raises(StoreError, match="kind 'colour'"):
        filled.add_fields({"where": "colour"})  # type: ignore[dict-item]


def test_places_are_kept_as_they_were_written(filled: Store) -> None:
    written = {"35.68,139.76": "35.68,139.76", " -0.00001, 180 ": "-0.00001,180", "35.680,-7.0": "35.68,-7"}
    for i, (given, comes_back) in enumerate(written.items(), start=80):
        filled.upsert([Point(identity(i), {"image": vectors(1)[0]}, {"倉庫": given})])
        assert filled.retrieve([identity(i)])[0].payload["倉庫"] == comes_back
    filled.set_payload([identity(1)], {"倉庫": ["10,20", "30,40"]})
    assert filled.retrieve([identity(1)])[0].payload["倉庫"] == ["10,20", "30,40"]
    for corner in (9, 29):
        box = Within("倉庫", corner, corner + 10, corner + 2, corner + 12)
        assert [p.id for batch in filled.scroll(filter=box) for p in batch] == [identity(1)]
    filled.upsert([Point(identity(80), {"image": vectors(1)[0]}, {"倉庫": " "})])
    assert "倉庫" not in filled.retrieve([identity(80)])[0].payload


@pytest.mark.parametrize("bad", ["Tokyo", "35.68", "95,10", "10,181", "1,2,3", "nan,1", 35.68, True])
def test_what_is_no_place_is_refused_with_its_field_and_value(filled: Store, bad: Any) -> None:
    with pytest.raises(StoreError, match=f"'倉庫' holds places, and {bad!r} is none"):
        filled.upsert([Point(identity(80), {"image": vectors(1)[0]}, {"倉庫": bad})])
    with pytest.raises(StoreError, match="'倉庫'"):
        filled.set_payload([identity(1)], {"倉庫": bad})
    assert filled.count() == 60


def test_places_that_were_text_are_found_once_they_are_declared(filled: Store) -> None:
    filled.set_payload([identity(i) for i in range(10)], {"found": "35.68,139.76"})
    filled.set_payload([identity(10)], {"found": "10,20"})
    filled.add_fields({"found": "geo"})
    assert filled.count(Near("found", 35.68, 139.76, 10)) == 10
    assert filled.retrieve([identity(10)])[0].payload["found"] == "10,20"


def test_the_number_of_candidates_is_kept_with_the_collection(place: Place, filled: Store) -> None:
    assert filled.spec.hnsw_ef == 0
    filled.set_hnsw_ef(256)
    assert filled.spec.hnsw_ef == place.read_spec(place.name).hnsw_ef == 256
    assert filled.spec.fields == FIELDS
    query = vectors(2, seed=3)
    assert filled.search_batch(query, limit=3) == filled.search_batch(query, limit=3, ef=16)
    filled.set_hnsw_ef(0)
    assert place.read_spec(place.name) == SPEC
    with pytest.raises(StoreError, match="-1 must not be negative"):
        filled.set_hnsw_ef(-1)


def test_optimising_and_flushing_a_small_collection_change_nothing(filled: Store) -> None:
    before = [hit.id for hit in filled.search(vectors(1)[0], limit=60)]
    filled.flush()
    filled.optimize()
    assert [hit.id for hit in filled.search(vectors(1)[0], limit=60)] == before
    assert filled.info().n_points == 60
