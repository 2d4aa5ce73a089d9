"""What a collection is made of, as JSON. Knows the format's version and the reserved payload fields.

Neither reads nor writes files: the embedded engine keeps this JSON in a file, a server in the
collection's metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from clipsearch.errors import StoreError
from clipsearch.types import CollectionSpec, FieldKind, Fingerprint, Payload

FORMAT = 1
IMAGE = "image"  # the dense vector's name
LEXICAL = "lexical"  # the sparse vector's name
TEXT = "_text"  # the field with the record's words, the one that phrases are looked for in

RESERVED: Mapping[str, FieldKind] = {
    "_key": "keyword",
    "_path": "keyword",
    "_source": "keyword",
    "_sha256": "keyword",
    "_group": "keyword",
    "_width": "integer",
    "_height": "integer",
    TEXT: "text",  # the record's words as tokens (clipsearch.lexical), a space between them
}
"""Payload fields that are ours; every other field is one of the user's columns."""


TAGS = "tags"
"""The field that tags are kept in where no other is named."""


def beside(mark: str, field: str) -> str:
    """The field of ours that says `mark` of another: `_tags` of the field `tags`, `_tags:FIELD` of others."""
    return mark if field == TAGS else f"{mark}:{field}"


def marked(payload: Payload, *marks: str) -> list[str]:
    """The fields of which one of these is said beside them."""
    names = (name.partition(":") for name in payload)
    return list(dict.fromkeys(field or TAGS for mark, _, field in names if mark in marks))


def all_fields(spec: CollectionSpec) -> dict[str, FieldKind]:
    """Every field that can be filtered on: the user's, then the reserved ones."""
    return {**spec.fields, **RESERVED}


def check_fields(declared: Mapping[str, FieldKind]) -> None:
    """Raise StoreError for an empty name or an unknown kind."""
    kinds = get_args(FieldKind)
    for name, kind in declared.items():
        if not name.strip():
            raise StoreError("a payload field has an empty name; give that column a heading")
        if kind not in kinds:
            raise StoreError(f"field {name!r} has the kind {kind!r}; known kinds: {', '.join(kinds)}")


def check_kinds(declared: Mapping[str, FieldKind], kinds: Mapping[str, FieldKind], collection: str) -> None:
    """Raise StoreError for a field that the collection has, with another kind."""
    for name, kind in declared.items():
        if kinds.get(name, kind) != kind:
            raise StoreError(
                f"field {name!r} of collection {collection!r} holds {kinds[name]} values and cannot "
                f"hold {kind} ones; rename it, or index into a new collection"
            )


def to_json(spec: CollectionSpec) -> dict[str, Any]:
    """The spec as plain JSON values, with the format's version."""
    return {
        "format": FORMAT,
        "title": spec.title,
        "fingerprint": asdict(spec.fingerprint),
        "fields": dict(spec.fields),
        "hnsw_ef": spec.hnsw_ef,
        "lexical": spec.lexical,
    }


def from_json(data: Any, *, where: str) -> CollectionSpec:
    """The spec that to_json wrote. `where` names its place in the errors.

    Raises StoreError for another version or anything that is not such a spec.
    """
    if not isinstance(data, dict) or "format" not in data:
        raise StoreError(f"{where} does not describe a clipsearch collection; index again into a new one")
    if data["format"] != FORMAT:
        raise StoreError(
            f"{where} has the format {data['format']!r}, this clipsearch reads {FORMAT}: another version "
            "made it. Use that version, or index again into a new collection"
        )
    try:
        known = {f.name for f in fields(Fingerprint)}
        made = {k: v for k, v in dict(data["fingerprint"]).items() if k in known}
        title, ef = str(data.get("title", "")), int(data.get("hnsw_ef", 0))
        words = int(data.get("lexical", 0))
        spec = CollectionSpec(Fingerprint(**made), dict(data["fields"]), title, ef, words)
        if not isinstance(spec.fingerprint.dim, int) or spec.fingerprint.dim < 1:
            raise ValueError(f"dim is {spec.fingerprint.dim!r}")
        check_fields(spec.fields)
    except (KeyError, TypeError, ValueError) as exc:
        raise StoreError(
            f"{where} is damaged ({type(exc).__name__}: {exc}); delete the collection and index again"
        ) from exc
    return spec
