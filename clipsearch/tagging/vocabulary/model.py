"""What a vocabulary is: labels, which are broader than which, and of which groups at most one is given.

Plain data. Reads no file; knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

MAX_PATHS = 256  # a label's ways to the root that are given; a ladder of diamonds has 2 ** rungs


@dataclass(frozen=True, slots=True)
class Label:
    """One tag that pictures may be given.

    name: what is written as the tag. synonyms and translations are other words for the same thing and are
    embedded as prompts of it; prompts are its own sentences, in which {} is the name.
    """

    id: str  # unique in the vocabulary: the names from the root, "animal|dog", or a concept's URI
    name: str
    parents: tuple[str, ...] = ()  # ids of the broader labels
    group: str | None = None  # name of the exclusive group it belongs to
    synonyms: tuple[str, ...] = ()
    translations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by language: "ja": ("犬",)
    prompts: tuple[str, ...] = ()
    line: int = 0  # in the file it was read from, for messages
    above: tuple[str, ...] = ()  # levels between its parent and it that are no tags, as [this] in a text file

    @property
    def words(self) -> tuple[str, ...]:
        """The name and every other word for it, each once."""
        others = (word for words in self.translations.values() for word in words)
        return tuple(dict.fromkeys((self.name, *self.synonyms, *others)))


@dataclass(frozen=True)
class Vocabulary:
    """Labels in order; ids are unique, parents exist and form no circle (`read_vocabulary` checks).

    Of an exclusive group's labels a picture gets one at most. A group that has the id of a label has that
    label for its parent.
    """

    labels: tuple[Label, ...]
    templates: tuple[str, ...] = ()  # names of template sets, or own templates with {}; (): the default set
    neutral: tuple[str, ...] = ()  # own prompts for "none of these"; (): the default ones
    source: str = ""  # where it was read from

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """id -> its place in labels."""
        return {label.id: i for i, label in enumerate(self.labels)}

    @cached_property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """Exclusive group -> places of its labels."""
        found: dict[str, list[int]] = {}
        for i, label in enumerate(self.labels):
            if label.group is not None:
                found.setdefault(label.group, []).append(i)
        return {name: tuple(places) for name, places in found.items()}

    @cached_property
    def by_word(self) -> Mapping[str, tuple[int, ...]]:
        """A word, case-folded -> places of the labels it is a word for; also ids are words."""
        found: dict[str, dict[int, None]] = {}
        for i, label in enumerate(self.labels):
            for word in (*label.words, label.id):
                found.setdefault(word.casefold(), {})[i] = None
        return {word: tuple(places) for word, places in found.items()}

    def paths(self, place: int) -> tuple[tuple[str, ...], ...]:
        """The names from the root to this label, itself last; several where it has several parents.

        A label without a parent whose group is no label begins with the group's name. MAX_PATHS at most;
        a vocabulary that was read has none with more.
        """
        return tuple(islice(self._paths(place), MAX_PATHS))

    def _paths(self, place: int) -> Iterator[tuple[str, ...]]:
        label = self.labels[place]
        own = (*label.above, label.name)
        if not label.parents:
            is_free = label.group is not None and label.group not in self.places
            yield (label.group, *own) if is_free and label.group is not None else own
        for parent in label.parents:
            for path in self._paths(self.places[parent]):
                yield (*path, *own)

    def ancestors(self, place: int) -> tuple[int, ...]:
        """Places of all broader labels, nearest first, each once."""
        found: dict[int, None] = {}
        waiting = [self.places[parent] for parent in self.labels[place].parents]
        while waiting:
            here = waiting.pop(0)
            if here not in found:
                found[here] = None
                waiting += [self.places[parent] for parent in self.labels[here].parents]
        return tuple(found)
