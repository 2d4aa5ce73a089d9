"""What came of a run, tag by tag: counted while the records go by. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clipsearch.types import Tagged

if TYPE_CHECKING:
    from clipsearch.tagging.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class TagCount:
    """One tag's outcome. share: of all pictures; confidence: the mean where it was given."""

    name: str
    label: str  # its id in the vocabulary
    hierarchy: str
    n_pictures: int
    share: float
    confidence: float | None


class Tally:
    """Counts pictures and tags."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._counts = np.zeros(len(vocabulary), np.int64)
        self._sums = np.zeros(len(vocabulary))
        self.n_pictures = self.n_tagged = 0

    def add(self, records: Sequence[Tagged]) -> None:
        """Count a batch."""
        self.n_pictures += len(records)
        self.n_tagged += sum(bool(record.tags) for record in records)
        places = self._vocabulary.places
        given = [(places[tag.id], tag.confidence) for record in records for tag in record.tags]
        if given:
            at = np.array([place for place, _ in given])
            self._counts += np.bincount(at, minlength=len(self._counts))
            self._sums += np.bincount(at, [sure for _, sure in given], minlength=len(self._counts))

    @property
    def n_used(self) -> int:
        """Tags that any picture was given."""
        return int((self._counts > 0).sum())

    def tags(self) -> list[TagCount]:
        """Every tag, the most frequent first."""
        order = np.argsort(-self._counts, kind="stable").tolist()
        return [self._tag(place) for place in order]

    def _tag(self, place: int) -> TagCount:
        label, n = self._vocabulary.labels[place], int(self._counts[place])
        return TagCount(
            label.name,
            label.id,
            "|".join(self._vocabulary.paths(place)[0]),
            n,
            n / max(1, self.n_pictures),
            float(self._sums[place]) / n if n else None,
        )

    def as_dict(self) -> dict[str, Any]:
        """The counts as --json prints them."""
        return {
            "pictures": self.n_pictures,
            "tagged": self.n_tagged,
            "untagged": self.n_pictures - self.n_tagged,
            "tags_used": self.n_used,
            "tags": [
                {
                    "tag": tag.name,
                    "label": tag.label,
                    "hierarchy": tag.hierarchy,
                    "pictures": tag.n_pictures,
                    "share": round(tag.share, 6),
                    "confidence": None if tag.confidence is None else round(tag.confidence, 4),
                }
                for tag in self.tags()
            ],
        }
