"""The scenario suite of every store (test_store), on a collection that goes through another's socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_store import *  # noqa: F403
from test_store import SPEC, Place

from clipsearch.settings import Settings
from clipsearch.store import Store, embedded
from clipsearch.store.served import Listener, ServedStore
from clipsearch.types import CollectionSpec


class Owner:
    """An owner of collections: makes them, serves them, and opens them as another process would."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._owned: dict[str, Store] = {}

    def create(self, name: str, spec: CollectionSpec, settings: Settings) -> Store:
        self._owned[name] = embedded.create(name, spec, settings)
        self._listener.add(name, self._owned[name])
        return self.open_store(name, settings)

    def open_store(self, name: str, settings: Settings) -> Store:
        opened = embedded.open_store(name, settings)
        assert isinstance(opened, ServedStore)
        return opened

    def delete_collection(self, name: str, settings: Settings) -> None:
        if name in self._owned:
            self._listener.remove(name)
            self._owned.pop(name).close()
        embedded.delete_collection(name, settings)

    def close(self) -> None:
        for owned in self._owned.values():
            owned.close()

    def __getattr__(self, function: str) -> object:
        return getattr(embedded, function)


@pytest.fixture
def place(folder: Path) -> Iterator[Place]:
    with Listener() as listener:
        owner = Owner(listener)
        yield Place(Settings(data=folder / "data", cache=folder / "cache"), "parts", owner, {})
    owner.close()


def test_what_these_scenarios_open_is_served(place: Place) -> None:
    with place.create(SPEC) as made:
        assert isinstance(made, ServedStore)
