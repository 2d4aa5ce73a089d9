"""The names of fields: which one was meant. Knows no syntax."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown_field(name: str, fields: Iterable[str]) -> str:
    """The message for a field the collection does not have, with the nearest name."""
    known = sorted(f for f in fields if not f.startswith("_"))
    folded = {field.casefold(): field for field in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    hint = f"; did you mean {folded[near[0]]!r}? Known:" if near else "; known:"
    return f"there is no field {name!r} in this collection{hint} {', '.join(known) or 'none'}"


def is_a_slip(name: str, fields: Iterable[str]) -> bool:
    """Whether name is a field's name but for its case or a letter or two: materiel, Price."""
    name = name.casefold()
    alike = [f for f in map(str.casefold, fields) if f[:1] == name[:1] and abs(len(f) - len(name)) <= 2]
    return bool(difflib.get_close_matches(name, alike, n=1, cutoff=0.8))
