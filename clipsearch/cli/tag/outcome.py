"""What came of a run, as one document and as sentences. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clipsearch.cli.output import counted
from clipsearch.cli.tag.asked import Asked
from clipsearch.cli.tag.measured import Measured
from clipsearch.cli.tag.tally import Tally
from clipsearch.cli.tag.writing import Places

if TYPE_CHECKING:
    from clipsearch.store import Store
    from clipsearch.tagging.tagger import Tagger

SOME_FAILED = 4  # the exit code, as `clipsearch index` leaves
_NAMED = 8  # tags that are listed in one sentence
_EXPLAINED = 3  # tags whose reasons are told


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run. n_bad: pictures that could not be used."""

    asked: Asked
    store: Store
    tagger: Tagger
    tally: Tally
    places: Places
    took_s: float
    n_bad: int = 0
    measured: Measured | None = None  # what labels say of it

    @property
    def has_written(self) -> bool:
        """Whether there is something to take back."""
        return self.places.run is not None and any(self.places.changes().values())

    def document(self) -> dict[str, Any]:
        """Everything, as --json and --report have it."""
        counts = self.tally.as_dict()
        for tag in counts["tags"]:
            tag.update({"measured": self.measured.labels.get(tag["label"])} if self.measured else {})
        return {
            "collection": self.store.name,
            "model": self.store.spec.fingerprint.model,
            "vocabulary": str(self.asked.vocabulary),
            "run": self.places.run if self.has_written else None,
            "dry_run": self.asked.dry_run,
            **counts,
            "measured": None if self.measured is None else dict(self.measured.overall),
            "unusable": self.n_bad,
            **self.places.counts(),
            "fit": self.tagger.fit.as_dict(),
            "notes": self.notes(),
            "seconds": round(self.took_s, 2),
        }

    def notes(self) -> list[str]:
        """What there is to know beyond the counts, a sentence each."""
        fit, labels = self.tagger.fit, self.tagger.vocabulary.labels
        told = [] if self.measured is None else [self.measured.sentence()]
        if fit.left_off:
            most_labels_first = sorted(fit.left_off, key=lambda one: -one.n_records)
            reasons = [f"{labels[one.place].name} ({one.reason})" for one in most_labels_first]
            told.append(
                f"{counted(len(reasons), 'tag')} cannot keep precision {fit.precision:g} and stay off: "
                f"{_listed(reasons, _EXPLAINED, '; ')}"
            )
        told += _listed(self.places.notes(), _EXPLAINED, "\n").split("\n") if self.places.notes() else []
        if self.asked.pictures:
            return told
        left_off = {labels[one.place].id for one in fit.left_off}
        unused = [t.name for t in self.tally.tags() if not t.n_pictures and t.label not in left_off]
        if unused and self.tally.n_pictures:
            told.append(f"given to no picture: {_listed(unused, _NAMED, ', ')}")
        if not fit.n_background:
            told.append(
                "too few pictures to compare with: confidences are the model's bare odds and say little"
            )
        elif fit.kind == "background":
            told.append(
                "confidences say how far a picture stands out, no more; labels make them probabilities: "
                f"clipsearch tag review {self.asked.vocabulary} -c {self.store.name}, --labels, --labels-from"
            )
        return told

    def last_line(self) -> str:
        """What was done, where it went, and how to take it back."""
        tally = self.tally
        said = (
            f"tagged {tally.n_tagged:,} of {tally.n_pictures:,} pictures with {tally.n_used:,} of "
            f"{len(self.tagger.vocabulary):,} tags, {tally.n_pictures - tally.n_tagged:,} untagged"
        )
        if self.n_bad:
            said += f", {self.n_bad:,} unusable"
        wrote = self._wrote()
        if not wrote and not self.asked.pictures:
            wrote = ["nothing was written: add --write, --sidecars or --out tags.csv"]
        if self.has_written:
            wrote.append(f"undo: clipsearch tag undo {self.places.run} -c {self.store.name}")
        return "; ".join([said, *wrote])

    def _wrote(self) -> list[str]:
        counts, told = self.places.counts(), list[str]()
        if self.asked.write:
            n, where = counts.get("n_written", 0), f"collection {self.store.name!r}"
            if self.asked.dry_run:
                told.append(f"would change {counted(n, 'record')} of {where}")
            elif n:
                told.append(f"{counted(n, 'record')} of {where} changed by run {self.places.run}")
            else:
                told.append(f"{where} had these tags already")
        wrote = "would write" if self.asked.dry_run else "wrote"
        for name, into, what, asked in (
            ("n_sidecars", "", "sidecar", self.asked.sidecars),
            ("n_embedded", "into ", "picture", self.asked.embed),
        ):
            if asked:
                n = counts.get(name, 0)
                told.append(f"{wrote} {into}{counted(n, what)}" if n else f"no {what} needed a change")
        if counts.get("n_refused"):
            told.append(f"{counts['n_refused']:,} refused")
        if counts.get("n_elsewhere"):
            told.append(f"{counts['n_elsewhere']:,} are in archives or on the web and got none")
        if self.asked.out is not None:
            told.append(f"wrote {self.asked.out}")
        return told


def _listed(names: Sequence[str], most: int, between: str) -> str:
    more = [f"… {len(names) - most:,} more"] if len(names) > most else []
    return between.join([*names[:most], *more])
