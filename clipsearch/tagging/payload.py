"""Tags in the collection: what a run changes of a record's payload, and how that is taken back.

The field `tags` holds a person's tags and ours; beside it lies which of them are ours. A person's tag is
never changed or removed, and a tag of ours that a person took away is never given again. Decides no tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from clipsearch.errors import TaggingError
from clipsearch.store import TAGS, Store, beside, marked
from clipsearch.tagging.journal import Journal
from clipsearch.tagging.vocabulary.words import folded
from clipsearch.types import Payload, PayloadValue, Tagged

KIND = "payload"  # of a journal's entries
FIELD = TAGS
_BATCH = 1000
_DIGITS = 4  # of a confidence: a new run of the same model on another machine differs in the seventh


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of the payload's fields: the one that people see, and ours beside it."""

    tags: str = FIELD

    @property
    def ours(self) -> str:
        """Which of the tags are ours."""
        return beside("_tags", self.tags)

    @property
    def confidence(self) -> str:
        """Theirs, in the same order."""
        return beside("_tag_confidence", self.tags)

    @property
    def run(self) -> str:
        """The run that last changed any of this."""
        return beside("_tag_run", self.tags)

    @property
    def rejected(self) -> str:
        """Tags that were ours and that a person took away."""
        return beside("_tags_rejected", self.tags)

    @property
    def all(self) -> tuple[str, ...]:
        """All five."""
        return (self.tags, self.ours, self.confidence, self.run, self.rejected)


@dataclass(frozen=True, slots=True)
class Change:
    """One record's fields before and after a run; None: the record has no such field."""

    id: str
    before: Mapping[str, PayloadValue]
    after: Mapping[str, PayloadValue]

    def difference(self, fields: Fields) -> tuple[list[str], list[str]]:
        """Tags that are added, and those that are taken away."""
        before, after = (_listed(values[fields.tags]) for values in (self.before, self.after))
        return [tag for tag in after if tag not in before], [tag for tag in before if tag not in after]


def prepare(store: Store, fields: Fields) -> None:
    """Make the collection ready to hold tags, and to be filtered by them. Raises what check does."""
    check(store, fields)
    store.add_fields({fields.tags: "keyword"})


def check(store: Store, fields: Fields) -> None:
    """Raise TaggingError where the collection has a field of that name that cannot hold tags."""
    kind = store.spec.fields.get(fields.tags)
    if fields.tags.startswith("_") or not fields.tags.strip():
        raise TaggingError(
            f"tags cannot be kept in a field named {fields.tags!r}: names that begin with an underscore are "
            "clipsearch's own; name another with --field"
        )
    if kind not in (None, "keyword"):
        raise TaggingError(
            f"field {fields.tags!r} of collection {store.name!r} holds {kind} values, and tags are keywords; "
            f"keep them in another field: --field machine_{fields.tags}"
        )


def change(record: Tagged, run: str, fields: Fields) -> Change | None:
    """What the record's tags change of its payload; None where nothing does."""
    before = {name: record.payload.get(name) for name in fields.all}
    standing, ours, rejected = _read(before, fields)
    human = [tag for tag in standing if tag not in ours]
    taken = {folded(tag) for tag in (*human, *rejected)}
    given: dict[str, float] = {}
    for tag in record.tags:
        if folded(tag.name) not in taken:
            given[tag.name] = round(float(tag.confidence), _DIGITS)
            taken.add(folded(tag.name))
    after = _written(before, human, given, rejected, fields)
    if all(after[name] == before[name] for name in fields.all):
        return None
    return Change(record.id, before, {**after, fields.run: run if given else None})


class Writer:
    """Writes runs' tags into a collection, each change noted in the journal before it is made."""

    def __init__(self, store: Store, journal: Journal, fields: Fields) -> None:
        prepare(store, fields)
        self._store, self._journal, self._fields = store, journal, fields
        self.n_written = 0

    def write(self, records: Sequence[Tagged]) -> int:
        """How many of the records were changed; those whose tags are as they were are not touched."""
        found = (change(record, self._journal.run, self._fields) for record in records)
        changes = [one for one in found if one is not None]
        if changes:
            self._journal.note(
                KIND, ({"id": one.id, "before": one.before, "after": one.after} for one in changes)
            )
            self._store.set_payloads([(one.id, one.after) for one in changes])
        self.n_written += len(changes)
        return len(changes)


@dataclass(frozen=True, slots=True)
class Undone:
    """What taking a run back did to the collection's records."""

    n_restored: int = 0  # as they were before the run
    n_partly: int = 0  # changed since the run: its tags are gone, what came later stays
    n_untouched: int = 0  # never written, taken back before, or no longer there


def undo(store: Store, journal: Journal, fields: Fields) -> Undone:
    """Take the run's tags out of the collection again. Harmless where that was done already."""
    restored = partly = untouched = 0
    for entries in _in_batches(journal.noted(KIND)):
        there = {point.id: point.payload for point in store.retrieve([entry["id"] for entry in entries])}
        changes: list[tuple[str, Payload]] = []
        for entry in entries:
            now = there.get(entry["id"])
            after = None if now is None else taken_back(now, entry["before"], entry["after"], fields)
            if now is None or after is None:
                untouched += 1
                continue
            is_whole = all(after[name] == entry["before"].get(name) for name in fields.all)
            restored, partly = restored + is_whole, partly + (not is_whole)
            changes.append((entry["id"], after))
        store.set_payloads(changes)
    return Undone(restored, partly, untouched)


def taken_back(
    now: Payload, before: Mapping[str, Any], after: Mapping[str, Any], fields: Fields
) -> dict[str, PayloadValue] | None:
    """What the record is to hold with the run's change taken back; None where there is nothing to take."""
    current = {name: now.get(name) for name in fields.all}
    if current == {name: before.get(name) for name in fields.all}:
        return None
    if current == {name: after.get(name) for name in fields.all}:
        return {name: before.get(name) for name in fields.all}
    standing, ours, rejected = _read(current, fields)
    human = [tag for tag in standing if tag not in ours]
    _, old, _ = _read(before, fields)
    _, new, _ = _read(after, fields)
    left = {
        name: sure for name, sure in ours.items() if name in standing and (name in old or name not in new)
    }
    taken = {*human, *rejected, *left}
    left |= {name: sure for name, sure in old.items() if name not in new and name not in taken}
    found = _written(current, human, left, rejected, fields)
    if current[fields.run] == after.get(fields.run):
        found[fields.run] = before.get(fields.run) if left else None
    return None if found == current else found


def kept(payload: Payload, columns: Payload) -> dict[str, PayloadValue]:
    """A record's fields with tags of ours, where its columns are written anew from their source.

    The source's own tags are a person's, and take the place of those that stood there. None: the field goes.
    """
    found: dict[str, PayloadValue] = {}
    for field in marked(payload, "_tags", "_tags_rejected"):
        found |= _kept(payload, columns, Fields(field))
    return found


# --- parts ---------------------------------------------------------------------------------------


def _read(payload: Mapping[str, Any], fields: Fields) -> tuple[list[str], dict[str, float], list[str]]:
    """The tags that stand; ours, also those that a person took away since; those taken away before."""
    standing = _listed(payload.get(fields.tags))
    names = _listed(payload.get(fields.ours))
    sure = payload.get(fields.confidence)
    numbers = [float(value) for value in (sure if isinstance(sure, list) else [])]
    numbers += [0.0] * (len(names) - len(numbers))
    ours = dict(zip(names, numbers, strict=False))
    rejected = [tag for tag in _listed(payload.get(fields.rejected)) if tag not in standing]
    rejected += [name for name in ours if name not in standing and name not in rejected]
    return standing, ours, rejected


def _written(
    before: Mapping[str, Any],
    human: Sequence[str],
    ours: Mapping[str, float],
    rejected: Sequence[str],
    fields: Fields,
) -> dict[str, PayloadValue]:
    """The fields' values; those as they were where only their form would change."""
    standing = _listed(before[fields.tags])
    order = [tag for tag in standing if tag in human or tag in ours]
    order += [tag for tag in (*human, *ours) if tag not in order]
    values: dict[str, PayloadValue] = {
        fields.tags: before[fields.tags] if order == standing else list(order) or None,
        fields.ours: list(ours) or None,
        fields.confidence: list(ours.values()) or None,
        fields.run: before[fields.run] if ours else None,
        fields.rejected: list(rejected) or None,
    }
    return values


def _kept(payload: Payload, columns: Payload, fields: Fields) -> dict[str, PayloadValue]:
    before = {name: payload.get(name) for name in fields.all}
    standing, ours, rejected = _read(before, fields)
    human = _listed(columns.get(fields.tags))
    theirs = {folded(tag) for tag in human}
    left = {name: n for name, n in ours.items() if name in standing and folded(name) not in theirs}
    return _written({**before, fields.tags: columns.get(fields.tags)}, human, left, rejected, fields)


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else [str(value)]


def _in_batches(entries: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    rest = iter(entries)
    return iter(lambda: list(islice(rest, _BATCH)), [])
