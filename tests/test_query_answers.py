"""Typed filters let through the records they say, in the real embedded engine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clipsearch.query import parse
from clipsearch.settings import Settings
from clipsearch.store import Store, embedded
from clipsearch.types import CollectionSpec, FieldKind, Fingerprint, Payload, Point

FIELDS: dict[str, FieldKind] = {
    "part_no": "keyword",
    "material": "keyword",
    "holes": "integer",
    "added": "datetime",
    "place": "geo",
    "id": "keyword",
}
RECORDS: dict[str, Payload] = {
    "a": {"part_no": "HX-M8x40", "material": "brass", "holes": 2, "added": "2024-01-31T23:59:59"},
    "b": {"part_no": "HX-M10x40", "material": "stainless steel", "holes": 4, "added": "2024-02-29T12:00:00"},
    "c": {"part_no": "PF-8", "material": "brass", "holes": 6, "added": "2024-12-31T23:59:59"},
    "d": {"part_no": "hx-m8", "material": "真鍮", "added": "2025-01-01", "place": "35.68,139.76"},
    "e": {"part_no": "HX*", "material": "steel, grey", "holes": 8, "place": "34.69,135.50", "id": "7"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    spec = CollectionSpec(Fingerprint("starter", "", "0" * 64, "{}", "1" * 64, 4), FIELDS)
    folder: Path = tmp_path_factory.mktemp("parts")
    with embedded.create("parts", spec, Settings(data=folder, cache=folder)) as made:
        made.upsert(
            [
                Point(str(uuid.uuid4()), {"image": np.eye(4, dtype=np.float32)[0]}, {"_key": key, **payload})
                for key, payload in RECORDS.items()
            ]
        )
        yield made


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("material:brass", "ac"),
        ('material:"stainless steel",真鍮', "bd"),
        ('material:"steel, grey"', "e"),
        ("part_no:HX-*", "ab"),
        ('part_no:"HX*"', "e"),
        ("holes:4..", "bce"),
        ("not holes>=4", "ad"),
        ("material:brass or part_no:HX-*", "abc"),
        ("(material:brass or part_no:HX-*) holes!=2", "bc"),
        ("-(material:brass or holes:4)", "de"),
        ("added:2024", "abc"),
        ("added:2024-02", "b"),
        ("added:2024-02..2024", "bc"),
        ("added>2024-01", "bcd"),
        ("added<=2024-02", "ab"),
        ("added<2024-12-31", "ab"),
        ("added:2024-02-29,2025", "bd"),
        ("place:35.68,139.76~5km", "d"),
        ("place:35.7,139.8~600km", "de"),
        ("place:34,135..35,136", "e"),
        ("id=7", "e"),
        ("板 ｈｏｌｅｓ：４", "b"),
    ],
)
def test_a_typed_filter_lets_through_what_it_says(store: Store, text: str, keys: str) -> None:
    query = parse(text, fields=store.spec.fields)
    found = [str(point.payload["_key"]) for batch in store.scroll(filter=query.filter) for point in batch]
    assert sorted(found) == list(keys)
