"""One scenario suite for every store: embedded, qdrant-client in memory, and a server where there is one."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipsearch import store as stores
from clipsearch.errors import CollectionNotFound, QueryError, SettingsError, StoreError, UnknownField
from clipsearch.settings import Settings
from clipsearch.store import Store, embedded, server
from clipsearch.types import (
    And,
    CollectionSpec,
    FieldKind,
    Filter,
    Fingerprint,
    Match,
    Not,
    Or,
    Point,
    Range,
    SparseVector,
)

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
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


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A temporary folder, in memory where there is room: the engine syncs often, and disks are slow at it."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < 2 << 30:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="clipsearch-test-") as path:
        yield Path(path)


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
        "部品名": "歯車" if i % 6 == 0 else "ボルト",
        'Ø in. (1/2") a.b': f"d{i % 2}",
    }


def lexical(i: int) -> SparseVector:
    return SparseVector([i % 5, 100 + i], [1.0, 2.0])


def points(n: int) -> list[Point]:
    rows = vectors(n)
    return [Point(identity(i), {"image": rows[i], "lexical": lexical(i)}, payload(i)) for i in range(n)]


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
        assert dict(zip(sparse.indices, sparse.values, strict=True)) == {i % 5: 1.0, 100 + i: 2.0}
    assert filled.retrieve([identity(1)])[0].vectors == {}


def test_upserting_again_replaces_and_deleting_removes(filled: Store) -> None:
    fresh = vectors(1, seed=5)[0]
    filled.upsert([Point(identity(4), {"image": fresh}, {"material": "gold"})])
    again = filled.retrieve([identity(4)], with_vectors=True)[0]
    assert again.payload == {"material": "gold"}
    assert set(again.vectors) == {"image"}
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
        ({"vectors": {"image": np.ones(DIM, np.float32), "lexical": SparseVector([-1], [1.0])}}, "lexical"),
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
    query = SparseVector([107, 2], [1.0, 1.0])  # 107: point 7 alone; 2: a fifth of the points
    hits = filled.search_sparse(query, limit=20)
    assert hits[0].id == identity(7)
    assert {h.id for h in hits[1:]} == {identity(i) for i in range(60) if i % 5 == 2 and i != 7}
    assert hits[0].score > 2 * hits[1].score
    assert hits[0].why == {"lexical": hits[0].score}
    assert hits[0].payload == payload(7)
    zinc = filled.search_sparse(SparseVector([2], [1.0]), limit=20, filter=Match("material", ("zinc",)))
    assert {h.id for h in zinc} == {identity(i) for i in range(60) if i % 5 == 2 and i % 3 == 2}
    assert filled.search_sparse(SparseVector([], []), limit=5) == []
    assert filled.search_sparse(SparseVector([9999], [1.0]), limit=5) == []


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
    (And(()), lambda p: True),
    (Or(()), lambda p: False),
    (Not(Or(())), lambda p: True),
]


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
    with pytest.raises(StoreError, match="kind 'geo'"):
        filled.add_fields({"where": "geo"})  # type: ignore[dict-item]


def test_optimising_and_flushing_a_small_collection_change_nothing(filled: Store) -> None:
    before = [hit.id for hit in filled.search(vectors(1)[0], limit=60)]
    filled.flush()
    filled.optimize()
    assert [hit.id for hit in filled.search(vectors(1)[0], limit=60)] == before
    assert filled.info().n_points == 60
