"""Payloads' edits, checked and brought to what engines store: which fields get which values, which go.

Knows no engine and no point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from clipsearch.store.payload import gone, storable, stored_name
from clipsearch.store.points import checked_id
from clipsearch.types import FieldKind, Payload


class Edit(NamedTuple):
    """What is done to one point's payload, under stored names."""

    values: Mapping[str, Any]
    removed: frozenset[str]


def edit(payload: Payload, kinds: Mapping[str, FieldKind]) -> Edit:
    """The edit that merges the payload; a value of None removes its field. Raises StoreError."""
    return Edit(storable(payload, kinds), frozenset(map(stored_name, gone(payload))))


def edits(changes: Iterable[tuple[str, Payload]], kinds: Mapping[str, FieldKind]) -> dict[str, Edit]:
    """Each point's edit by its id, all of them checked; of two changes to one point the later one wins.

    Raises StoreError for a bad id or value.
    """
    told: dict[str, Payload] = {}
    for given, payload in changes:
        id = checked_id(given)
        told[id] = {**told[id], **payload} if id in told else payload
    return {id: edit(payload, kinds) for id, payload in told.items()}
