"""True and false as the embedded engine can match them: 1 and 0 (see edge.field_index)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipsearch.store.payload import stored_name
from clipsearch.types import FieldKind


def bool_keys(fields: Mapping[str, FieldKind]) -> set[str]:
    """The stored names of the fields that hold booleans."""
    return {stored_name(name) for name, kind in fields.items() if kind == "bool"}


def bool_in(value: Any) -> Any:
    """1 or 0 for a boolean, also in a list; anything else as it is."""
    if isinstance(value, list):
        return [bool_in(v) for v in value]
    return int(value) if isinstance(value, bool) else value


def bool_out(value: Any) -> Any:
    """What bool_in was given."""
    if isinstance(value, list):
        return [bool_out(v) for v in value]
    return bool(value) if value in (0, 1) and isinstance(value, int) else value
