"""What labels say of a run's tags: each tag's precision, recall and F1, with intervals.

By probabilities of curves that have not seen the picture; only the thresholds have seen all labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clipsearch.evaluation.resampling import Interval
    from clipsearch.evaluation.tagging import TagReport
    from clipsearch.tagging.scoring import Examples
    from clipsearch.tagging.tagger import Tagger
    from clipsearch.tagging.vocabulary import Vocabulary

_CELLS = 100_000_000  # pictures x labels x resamples: a second or two
_RESAMPLES = (50, 500)


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures by a label's id, and of all labels together; each with _low and _high, None where none says."""

    n_pictures: int
    labels: Mapping[str, Mapping[str, Any]]
    overall: Mapping[str, Any]

    def sentence(self) -> str:
        """What all labels together are worth."""
        rates = ", ".join(
            f"{name} {_shown(self.overall, key)}"
            for name, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
        )
        error = _shown(self.overall, "ece")
        return f"by {self.n_pictures:,} labelled pictures: {rates}; calibration error {error}"


def measure(tagger: Tagger, examples: Examples) -> Measured | None:
    """The figures; None where the fit has no probabilities of labelled pictures."""
    from clipsearch.evaluation.tagging import report

    outside, vocabulary = tagger.fit.cross_fitted, tagger.vocabulary
    if outside is None or not len(examples):
        return None
    values = _with_broader(outside, vocabulary)
    given = _with_broader(tagger.fit.scorer.given(outside), vocabulary)
    told = np.flatnonzero((examples.truth == 1).any(axis=0) | (given & (examples.truth == 0)).any(axis=0))
    fewest, most = _RESAMPLES
    found = report(
        values[:, told],
        given[:, told],
        examples.truth[:, told],
        [vocabulary.labels[place].id for place in told],
        records=examples.records,
        n_resamples=int(np.clip(_CELLS // max(1, len(values) * len(told)), fewest, most)),
    )
    return Measured(len(values), {one.name: _label(one) for one in found.labels}, _overall(found))


def _with_broader(table: Any, vocabulary: Vocabulary) -> Any:
    """(N, C): a broader label has the highest of those below it."""
    found = table.copy()
    for place in range(len(vocabulary)):
        for broader in vocabulary.ancestors(place):
            np.maximum(found[:, broader], table[:, place], out=found[:, broader])
    return found


def _label(one: Any) -> dict[str, Any]:
    return {"support": one.support, "given": one.n_given} | _figures(
        (("precision", one.precision), ("recall", one.recall), ("f1", one.f1), ("ece", one.error))
    )


def _overall(found: TagReport) -> dict[str, Any]:
    micro = found.micro
    return {"pictures": found.n_pictures, "records": found.n_records} | _figures(
        (
            ("precision", micro.precision),
            ("recall", micro.recall),
            ("f1", micro.f1),
            ("ece", found.error),
            ("map", found.mean_average_precision),
        )
    )


def _figures(named: Sequence[tuple[str, Interval]]) -> dict[str, float | None]:
    return {
        f"{name}{end}": None if value != value else round(value, 4)
        for name, interval in named
        for end, value in (("", interval.mean), ("_low", interval.low), ("_high", interval.high))
    }


def _shown(figures: Mapping[str, Any], name: str) -> str:
    value, low, high = (figures[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "–"
    return f"{value:.2f}" if low is None else f"{value:.2f} ({low:.2f}–{high:.2f})"
