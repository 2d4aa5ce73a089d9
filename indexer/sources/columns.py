"""The fields that archives' sidecars give, whose kinds are known before all of them are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipsearch import tables
from clipsearch.errors import SourceError
from clipsearch.types import FieldKind, Payload, PayloadValue

_MAX_COLUMNS = 500
_CAPTION = "caption"  # prose, however short the ones that were read


class Columns:
    """Learns kinds from a part of the rows; a later value of another kind is left out of its record.

    To read every sidecar twice would cost a second pass over all archives, and one wrong value in ten
    million must not turn a column of numbers into one of words.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, FieldKind] = {}
        self._told: set[str] = set()

    def learn(self, rows: Sequence[Mapping[str, Any]], path: Path) -> None:
        """Take the kinds from rows; the commonest columns, where there are too many."""
        common = Counter(name for row in rows for name in row).most_common(_MAX_COLUMNS)
        names = [name for name, _ in common]
        table = tables.Table(
            path, tuple(names), tuple(tables.Row(i, dict(row)) for i, row in enumerate(rows, start=1))
        )
        self.kinds = tables.infer_kinds(table, names)
        if _CAPTION in self.kinds:
            self.kinds[_CAPTION] = "text"

    def conform(self, declared: Mapping[str, FieldKind], where: str, collection: str) -> None:
        """Take on the kinds of a collection's fields. SourceError for one that cannot hold what was read."""
        for name, kind in self.kinds.items():
            wanted = declared.get(name, kind)
            if wanted == kind or wanted in ("keyword", "text") or (kind, wanted) == ("integer", "float"):
                self.kinds[name] = wanted
                continue
            raise SourceError(
                f"{where}: {name} holds {kind} values, but collection {collection!r} holds {wanted} values "
                "in that field. Index into another collection, or rename the column in the archive"
            )

    def payload(self, values: Mapping[str, Any], where: str, notes: list[str]) -> Payload:
        """The record's fields. What is left out is told once for each column."""
        found: dict[str, PayloadValue] = {}
        for name, value in values.items():
            kind = self.kinds.get(name)
            if kind is None:
                self._tell(name, f"column {name!r} of {where} is not in the first archives", notes)
            elif not tables.fits(value, kind):
                self._tell(name, f"{name} of {where} is {str(value)[:80]!r}, which is no {kind}", notes)
            elif (typed := tables.typed(value, kind)) is not None:
                found[name] = typed
        return found

    def _tell(self, name: str, what: str, notes: list[str]) -> None:
        if name not in self._told and len(self._told) < _MAX_COLUMNS:
            self._told.add(name)
            notes.append(f"{what}; it is left out, and others like it")
