"""What is known of one picture, what follows from it, and how what several people said is put together.

Plain data and its rules. Reads no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from clipsearch.errors import TaggingError
from clipsearch.tagging.vocabulary import Vocabulary

_KEPT = 1000  # consequences that are remembered: few different things are said of many pictures


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
        self._closed: dict[Said, Mapping[int, bool]] = {}

    def closed(self, said: Said) -> Mapping[int, bool]:
        """Everything that follows: place -> whether the picture has that label.

        Who has a label has the broader ones and no other of its exclusive group; who has not a label has not
        the narrower ones. Raises TaggingError for what contradicts itself.
        """
        if said not in self._closed:
            if len(self._closed) >= _KEPT:
                self._closed.clear()
            self._closed[said] = self._follow(said)
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
