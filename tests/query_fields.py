"""The fields of the collection that the query language is tested with."""

from __future__ import annotations

from clipsearch.types import FieldKind

FIELDS: dict[str, FieldKind] = {
    "material": "keyword",
    "part_no": "keyword",
    "price": "float",
    "holes": "integer",
    "stocked": "bool",
    "added": "datetime",
    "notes": "text",
    "place": "geo",
    "unit price": "float",
    "id": "integer",
    "材質": "keyword",
}
