"""What stands in a packet: which entries are a person's, which are ours, which of ours a person took away.

Changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from clipsearch.tagging.sidecars.lists import (
    DIGIKAM,
    HIERARCHICAL,
    LISTS,
    SUBJECT,
    entries,
    for_digikam,
    joined,
    leaf,
)
from clipsearch.tagging.sidecars.packet import Name, Packet
from clipsearch.tagging.sidecars.provenance import Ours, Provenance, read
from clipsearch.tagging.vocabulary.words import folded


@dataclass(frozen=True)
class Standing:
    """A packet's tags. human and ours hold the entries of each list; lost: ours that are there no more."""

    human: Mapping[Name, list[str]]
    ours: Mapping[Name, list[str]]
    lost: Mapping[Name, list[str]]
    noted: Provenance

    @cached_property
    def human_names(self) -> frozenset[str]:
        """What people's tags are called, folded."""
        return frozenset(folded(leaf(entry, name)) for name in LISTS for entry in self.human[name])

    @cached_property
    def rejected(self) -> tuple[str, ...]:
        """Names that people took away, now or before."""
        return tuple(dict.fromkeys((*self.noted.rejected, *self.lost[SUBJECT])))

    @cached_property
    def taken(self) -> frozenset[str]:
        """Names that are not ours to give, folded."""
        return self.human_names | {folded(name) for name in self.rejected}

    @cached_property
    def mirrored(self) -> Mapping[Name, list[str]]:
        """Entries of ours that repeat a person's tag in a list that we began."""
        tags = self.noted.tags.values()
        return {name: without_each(self.ours[name], own_entries(name, tags)) for name in LISTS}

    def mirrors(self, name: Name) -> list[str]:
        """People's tags of the other lists, as this list would have them."""
        is_digikam = name == DIGIKAM
        other = HIERARCHICAL if is_digikam else DIGIKAM
        theirs = self.human[other]
        paths = [for_digikam(path) if is_digikam else path.replace("/", "|") for path in theirs]
        leaves = {folded(leaf(path, other)) for path in theirs} | {folded(leaf(path, name)) for path in paths}
        flat = [entry for entry in self.human[SUBJECT] if folded(entry) not in leaves]
        alone = [for_digikam(joined([entry])) if is_digikam else joined([entry]) for entry in flat]
        return list(dict.fromkeys((*paths, *(one for one in alone if folded(leaf(one, name)) not in leaves))))


def standing(packet: Packet | None) -> Standing:
    """What stands in the packet; nothing in none. Raises Refused for lists in a form that is not known."""
    noted = read(packet) if packet is not None else Provenance()
    human: dict[Name, list[str]] = {}
    ours: dict[Name, list[str]] = {}
    lost: dict[Name, list[str]] = {}
    for name in LISTS:
        there = entries(packet, name) if packet is not None else []
        some, own = set(there), dict.fromkeys(noted.own.get(name, ()))
        ours[name] = [entry for entry in own if entry in some]
        lost[name] = [entry for entry in own if entry not in some]
        human[name] = _others(there, ours[name])
    return Standing(human, ours, lost, noted)


def own_entries(name: Name, tags: Iterable[Ours]) -> list[str]:
    """What tags of ours are in a list, each entry once."""
    if name == SUBJECT:
        return list(dict.fromkeys(tag.name for tag in tags))
    paths = [path for tag in tags for path in (tag.paths or (tag.name.replace("|", "/"),))]
    return list(dict.fromkeys(paths if name == HIERARCHICAL else map(for_digikam, paths)))


def without_each(some: Sequence[str], gone: Iterable[str]) -> list[str]:
    """The texts that are not among the others, in order."""
    others = set(gone)
    return [one for one in some if one not in others]


def _others(there: Sequence[str], ours: Iterable[str]) -> list[str]:
    """The entries but for one of each of ours."""
    left = Counter(ours)
    found: list[str] = []
    for entry in there:
        if left[entry] > 0:
            left[entry] -= 1
        else:
            found.append(entry)
    return found
