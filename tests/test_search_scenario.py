"""One set of queries, the same answers on the embedded engine and on the server's side of the code.

Qdrant's own server takes part where QDRANT_URL is set; otherwise qdrant-client's in-memory mode does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clipsearch
from clipsearch.search import Searcher
from clipsearch.settings import Settings
from clipsearch.store import server

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
    pytest.mark.filterwarnings("ignore:Local mode"),
]
NAME = "clipsearch-test-search"
QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("hex nut", {}),
    ("brass hex bolt -washer", {}),
    ("六角ナット 真鍮", {}),
    ("bracket -holes", {"top": 30}),
    ('"hex nut" material:brass,nylon price<3', {}),
    ("HX-M12x25-MS", {}),
    ("HX-M1", {"top": 15}),
    ("part_no:HX-M1* and not material:steel", {}),
    ("id:HX-M12x25-MS + 0.5:nut", {}),
    ("washer", {"group_by": "part_no", "top": 15}),
    ("washer", {"diversity": 0.5, "unique": True}),
    ("washer", {"sort": "-price", "top": 25}),
    ("a dog on the beach", {}),
    ("gear", {"offset": 320, "top": 20}),
    ("gear", {"min_confidence": 0.6, "top": 50}),
    ("", {"like": ["HX-M12x25-MS"]}),
    ("nut", {"like": ["HX-M12x25-MS"], "unlike": ["HN-M4-CU"]}),
    ("", {"filter": "holes:2..4", "sort": "price"}),
]


@pytest.fixture(scope="module")
def both(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Searcher, Searcher]]:
    folder = tmp_path_factory.mktemp("both")
    settings = Settings.load(data=demo_data, cache=demo_data.parent / "cache", collection="demo")
    there = Settings.load(data=folder, url=os.environ.get("QDRANT_URL", "http://memory"))
    client: dict[str, Any] = {}
    if "QDRANT_URL" not in os.environ:
        from qdrant_client import QdrantClient

        client = {"client": QdrantClient(":memory:")}
    elif server.exists(NAME, there):
        server.delete_collection(NAME, there)
    with clipsearch.open("demo", settings=settings) as embedded:
        store = server.create(NAME, embedded.store.spec, there, **client)
        for points in embedded.store.scroll(with_vectors=True, batch_size=500):
            store.upsert(points)
        other = Searcher(store, embedded.encoder)
        other._calibration = embedded.calibration
        yield embedded, other
        store.close()


@pytest.mark.parametrize(("text", "options"), QUESTIONS)
def test_the_engines_agree(both: tuple[Searcher, Searcher], text: str, options: dict[str, Any]) -> None:
    ours, theirs = (searcher.search(text, **options) for searcher in both)
    assert [hit.id for hit in theirs] == [hit.id for hit in ours]
    assert [hit.score for hit in theirs] == pytest.approx([hit.score for hit in ours], abs=1e-4)
    assert theirs.confident_until == ours.confident_until
    for mine, other in zip(ours, theirs, strict=True):
        assert other.confidence == (
            None if mine.confidence is None else pytest.approx(mine.confidence, abs=1e-3)
        )
        assert dict(other.payload) == dict(mine.payload)
