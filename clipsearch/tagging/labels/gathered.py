"""Labels from every place that tells, put together. Knows which counts where two disagree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clipsearch.store import Store
from clipsearch.tagging.labels.fields import labels_from_field
from clipsearch.tagging.labels.reading import read_labels
from clipsearch.tagging.labels.said import Labels, Rules
from clipsearch.tagging.vocabulary import Vocabulary


def gathered(
    store: Store,
    vocabulary: Vocabulary,
    answers: Labels,
    *,
    table: Path | None = None,
    fields: Sequence[str] = (),
) -> Labels:
    """A table's labels count before kept answers, these before the collection's fields, the last field first.

    Raises TableError, TaggingError, UnknownField.
    """
    rules, found = Rules(vocabulary), Labels()
    for field in fields:
        found = labels_from_field(store, field, vocabulary).over(found, rules)
    found = answers.over(found, rules)
    return found if table is None else read_labels(table, vocabulary).over(found, rules)
