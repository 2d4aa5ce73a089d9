"""Judged pairs out of a table. Fits nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clipsearch.errors import TableError

if TYPE_CHECKING:
    from clipsearch.search.calibration import Judged


def read_judged(path: Path) -> list[Judged]:
    """The verdicts of a table with the columns query, key and relevant. Raises TableError with the line."""
    from clipsearch import tables
    from clipsearch.search.calibration import Judged
    from clipsearch.tables.verdicts import NO, YES

    table = tables.read_table(path)
    missing = [name for name in ("query", "key", "relevant") if name not in table.columns]
    if missing:
        raise TableError(f"{path} has no column {missing[0]!r}; judged pairs need query, key and relevant")
    pairs: list[Judged] = []
    for row in table.rows:
        verdict = str(row.values.get("relevant") or "").strip().lower()
        if verdict not in YES | NO:
            raise TableError(f"{path}, line {row.line}: relevant is {verdict!r}; write yes or no")
        pairs.append(
            Judged(str(row.values.get("query") or ""), str(row.values.get("key") or ""), verdict in YES)
        )
    return pairs
