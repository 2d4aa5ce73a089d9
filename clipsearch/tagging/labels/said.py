"""What is known of one picture, what follows from it, and how what several people said is put together.

Plain data and its rules. Reads no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from clipsearch.errors import TaggingError
from clipsearch.tagging.vocabulary import Vocabulary

_KEPT = 2_000_000  # pairs of what follows that are remembered: few things are said of many pictures


@dataclass(frozen=True, slots=True)
class Said:
    """Places of the labels that a picture has, and of those that it has not.

    complete: it has no label but these and the broader ones.
    """

    has: frozenset[int] = frozenset()
    has_not: frozenset[int] = frozenset()
    complete: bool = False

    def __bool__(self) -> bool:
        return bool(self.has or self.has_not or self.complete)

    @property
    def spoken(self) -> Said:
        """Without what follows from its being complete: all other labels, which may be thousands."""
        return replace(self, complete=False) if self.complete else self


@dataclass(frozen=True)
class Labels:
    """What was said, by the key of a record or of a picture. `len` is how many keys.

    n_blank: questions without an answer. unknown: words that are no label, with how often, where these
    were to be passed over. why: the reason that a question (key, place) was asked for.
    """

    by_key: Mapping[str, Said] = field(default_factory=dict)
    n_blank: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)
    why: Mapping[tuple[str, int], str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.by_key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_key)

    @property
    def n_yes(self) -> int:
        """Pairs of a key and a label that it has."""
        return sum(len(said.has) for said in self.by_key.values())

    @property
    def n_no(self) -> int:
        """Pairs of a key and a label that it was said not to have, by itself."""
        return sum(len(said.has_not) for said in self.by_key.values())

    def over(self, older: Labels, rules: Rules) -> Labels:
        """Both; where they contradict each other, also by what follows from them, these count."""
        merged = dict(older.by_key)
        for key, said in self.by_key.items():
            merged[key] = rules.over(said, older.by_key.get(key, Said()))
        return Labels(
            merged, self.n_blank + older.n_blank, {**older.unknown, **self.unknown}, {**older.why, **self.why}
        )


class Rules:
    """What follows from what was said, by a vocabulary's hierarchy and exclusive groups."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._below: dict[int, list[int]] = {}
        for place, label in enumerate(vocabulary.labels):
            for parent in label.parents:
                self._below.setdefault(vocabulary.places[parent], []).append(place)
        self._above_group_alone = self._broader_of_one_group()
        self._closed: dict[Said, Mapping[int, bool]] = {}
        self._n_closed = 0

    def closed(self, said: Said) -> Mapping[int, bool]:
        """Everything that follows: place -> whether the picture has that label.

        Who has a label has the broader ones and no other of its exclusive group, nor, unless it is said, what
        is broader than those others alone; who has not a label has not the narrower ones. Raises
        TaggingError for what contradicts itself.
        """
        if said not in self._closed:
            if self._n_closed >= _KEPT:
                self._closed.clear()
                self._n_closed = 0
            self._closed[said] = self._follow(said)
            self._n_closed += len(self._closed[said])
        return self._closed[said]

    def over(self, newer: Said, older: Said) -> Said:
        """Both of one picture; the newer counts where the older contradicts it."""
        if newer.complete or not older:
            return newer
        known = self.closed(newer)
        above = self.vocabulary.ancestors
        has = {p for p in older.has if p not in known and all(known.get(a, True) for a in above(p))}
        return Said(newer.has | has, newer.has_not | (older.has_not - known.keys()), older.complete)

    def narrower(self, place: int) -> tuple[int, ...]:
        """Places of all labels that this one is broader than."""
        found: dict[int, None] = {}
        waiting = [place]
        while waiting:
            for child in self._below.get(waiting.pop(), ()):
                if child not in found:
                    found[child] = None
                    waiting.append(child)
        return tuple(found)

    def _broader_of_one_group(self) -> Mapping[str, tuple[int, ...]]:
        """Exclusive group -> places of the labels all of whose narrowest labels are of that group."""
        labels, found = self.vocabulary.labels, dict[str, list[int]]()
        for place in self._below:
            leaves = [below for below in self.narrower(place) if below not in self._below]
            groups = {labels[leaf].group for leaf in leaves}
            group = groups.pop() if len(groups) == 1 else None
            if group is not None:
                found.setdefault(group, []).append(place)
        return {group: tuple(places) for group, places in found.items()}

    def _follow(self, said: Said) -> dict[int, bool]:
        labels, found = self.vocabulary.labels, dict[int, bool]()
        for place in said.has:
            for implied in (place, *self.vocabulary.ancestors(place)):
                found[implied] = True
        for place in sorted(found):
            group = labels[place].group
            for rival in () if group is None else self.vocabulary.groups[group]:
                if rival != place and found.setdefault(rival, False):
                    raise TaggingError(
                        f"{labels[place].name!r} and {labels[rival].name!r} are both said to be right, and "
                        f"of the group {group!r} a picture has one at most"
                    )
        for place in said.has:
            for broader in self._above_group_alone.get(labels[place].group or "", ()):
                found.setdefault(broader, False)
        for place in said.has_not | {place for place, yes in found.items() if not yes}:
            for lost in (place, *self.narrower(place)):
                if found.setdefault(lost, False):
                    raise TaggingError(
                        f"{labels[lost].id!r} is said to be right, and {labels[place].id!r} to be wrong"
                    )
        if said.complete:
            for place in range(len(labels)):
                found.setdefault(place, False)
        return found
