"""A vocabulary in the making: entries as a file has them, parents by place or by name, not yet checked.

Every format fills one; `finish` makes a Vocabulary of it. Reads no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from clipsearch.errors import VocabularyError
from clipsearch.tagging.vocabulary.source import Origin
from clipsearch.tagging.vocabulary.words import SEPARATOR, prompt_of, word_of

MAX_LABELS = 200_000
MAX_DEPTH = 100  # levels; the deepest published thesauri have about 20


@dataclass(frozen=True, slots=True)
class Reference:
    """Another entry as the file names it: "dog", or a path, "animal|dog"."""

    text: str
    line: int

    @property
    def names(self) -> tuple[str, ...]:
        """The path's names, the entry's own last."""
        return tuple(self.text.split(SEPARATOR))


@dataclass(slots=True)
class Entry:
    """A label as its file has it."""

    name: str
    line: int
    parents: list[int] = field(default_factory=list)  # places
    references: list[Reference] = field(default_factory=list)  # parents that are only named
    above: tuple[str, ...] = ()
    group: Reference | None = None
    synonyms: list[str] = field(default_factory=list)
    translations: dict[str, list[str]] = field(default_factory=dict)
    prompts: list[str] = field(default_factory=list)
    id: str = ""  # where the file gives one
    is_written: bool = True  # False: only as a level of another's path


class Draft:
    """Entries in order. Words are checked when they come, relations by `finish`."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.entries: list[Entry] = []
        self.templates: tuple[str, ...] = ()
        self.neutral: tuple[str, ...] = ()
        self._by_name: dict[str, list[int]] = {}
        self._children: dict[tuple[int | None, tuple[str, ...], str], int] = {}
        self._by_pair: dict[tuple[str, str], dict[int, None]] = {}  # (a name above it, its name)
        self._n_paired = 0
        self._meant: dict[str, tuple[int, list[int], list[int]]] = {}  # what candidates found, of how many

    def add(self, name: str, line: int, *, group: Reference | None = None, id: str = "") -> int:
        """A new entry's place; its parents are still to come."""
        entry = Entry(word_of(name, self.origin, line), line, group=group, id=id)
        if len(self.entries) == MAX_LABELS:
            raise self.origin.error(line, f"has more than {MAX_LABELS:,} tags; split it into several")
        self.entries.append(entry)
        self._by_name.setdefault(entry.name, []).append(len(self.entries) - 1)
        return len(self.entries) - 1

    def child(
        self,
        parent: int | None,
        name: str,
        *,
        line: int,
        above: tuple[str, ...] = (),
        is_written: bool = True,
    ) -> int:
        """The place of the entry of this name under a parent, new if it is not there.

        VocabularyError where it was written before and is again.
        """
        here = self.place(parent, name, above=above, line=line)
        if here is None:
            here = self.add(name, line)
            entry = self.entries[here]
            entry.above, entry.is_written = above, is_written
            entry.parents += [] if parent is None else [parent]
            self._children[parent, above, entry.name] = here
            return here
        entry = self.entries[here]
        if is_written and entry.is_written:
            raise self.twice(entry.name, line, before=entry.line, under=self._under(parent, above))
        if is_written:
            entry.is_written, entry.line = True, line
        return here

    def place(self, parent: int | None, name: str, *, line: int, above: tuple[str, ...] = ()) -> int | None:
        """The place of the entry of this name that child made under a parent."""
        return self._children.get((parent, above, word_of(name, self.origin, line)))

    def path(self, parent: int | None, names: Sequence[str], *, line: int) -> int:
        """The place of the last of a path's names, whose levels are made where they are not there."""
        for i, name in enumerate(names, start=1):
            parent = self.child(parent, name, line=line, is_written=i == len(names))
        if parent is None:
            raise self.origin.error(line, "a tag's name is empty; write a word or delete it")
        return parent

    def say(self, place: int, word: str, line: int, *, language: str | None = None) -> None:
        """Give an entry another word, in a language or as a synonym."""
        what = f"a synonym of {self.entries[place].name!r}"
        entry, word = self.entries[place], word_of(word, self.origin, line, what=what)
        words = entry.synonyms if language is None else entry.translations.setdefault(language, [])
        if word not in words and not (language is None and word == entry.name):
            words.append(word)

    def prompt(self, place: int, text: str, line: int) -> None:
        """Give an entry a sentence of its own."""
        entry = self.entries[place]
        prompt = prompt_of(text, self.origin, line, what=f"a prompt of {entry.name!r}")
        if prompt not in entry.prompts:
            entry.prompts.append(prompt)

    def refer(self, text: str, line: int, *, what: str = "a parent's name") -> Reference:
        """A reference to an entry by its name or path, its names checked."""
        names = text.split(SEPARATOR)
        if len(names) > MAX_DEPTH:
            raise self.origin.error(line, f"{text[:40]!r}… has {len(names)} levels, {MAX_DEPTH} at most")
        return Reference(SEPARATOR.join(word_of(n, self.origin, line, what=what) for n in names), line)

    def candidates(self, reference: Reference, *, not_place: int | None = None) -> list[int]:
        """Places of all entries a reference may mean; not_place only where there is no other.

        Those whose whole path it is, if there are any, else those whose path ends in it.
        """
        n_entries, whole, every = self._meant.get(reference.text, (0, [], []))
        if n_entries != len(self.entries):
            whole, every = self._search(reference.names)
            self._meant[reference.text] = len(self.entries), whole, every
        others = [i for i in whole if i != not_place] or [i for i in every if i != not_place]
        return others or every

    def _search(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """Places of the entries whose whole path these names are, and of those whose path ends in them."""
        named = self._by_name.get(names[-1], []) if len(names) == 1 else self._pairs(names[-2], names[-1])
        found = {i: set(self._ends(i, names[:-1], set())) for i in named}
        return [i for i, ends in found.items() if True in ends], [i for i, ends in found.items() if ends]

    def _pairs(self, above: str, name: str) -> Iterable[int]:
        """Places of the entries of a name that lie directly under another name."""
        for place in range(self._n_paired, len(self.entries)):
            entry = self.entries[place]
            names = [self.entries[parent].name for parent in entry.parents]
            names += [reference.names[-1] for reference in entry.references]
            names += [] if entry.group is None else [entry.group.names[-1]]
            for name_above in entry.above[-1:] or names:
                self._by_pair.setdefault((name_above, entry.name), {})[place] = None
        self._n_paired = len(self.entries)
        return self._by_pair.get((above, name), {})

    def near(self, name: str) -> str:
        """ " Did you mean …?" where there is an entry of nearly this name, else ""."""
        folded = {known.casefold(): known for known in self._by_name}
        close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
        if not close:
            return ""
        known = folded[close[0]]
        line = self.entries[self._by_name[known][0]].line
        return f" Did you mean {known!r}" + (f" ({self.origin.unit} {line})?" if line else "?")

    def twice(self, name: str, line: int, *, before: int, under: str = "") -> VocabularyError:
        """The error to raise for a tag that was there before."""
        where = (
            f"was there before{under}, in {self.origin.unit} {before}" if before else f"is there twice{under}"
        )
        return self.origin.error(line, f"{name!r} {where}; delete one, or name them apart")

    def _ends(self, place: int, names: tuple[str, ...], seen: set[tuple[int, int]]) -> Iterator[bool]:
        """One for each way in which the entry lies under these names; True: they begin at a root."""
        if (place, len(names)) in seen:
            return
        seen.add((place, len(names)))
        entry = self.entries[place]
        n_above = min(len(names), len(entry.above))
        if n_above and names[-n_above:] != entry.above[-n_above:]:
            return
        names, has_parents = names[: len(names) - n_above], bool(entry.parents or entry.references)
        if not names:
            yield not has_parents and n_above == len(entry.above) and entry.group is None
        elif not has_parents and entry.group is not None and names == entry.group.names:
            yield True
        elif has_parents:
            for parent in self._parents(entry, names):
                yield from self._ends(parent, names[:-1], seen)

    def _parents(self, entry: Entry, names: tuple[str, ...]) -> Iterator[int]:
        """Places of what may be the entry's parents, of those that have the last of the names."""
        yield from (parent for parent in entry.parents if self.entries[parent].name == names[-1])
        for reference in entry.references:
            n = min(len(names), len(reference.names))
            if names[-n:] == reference.names[-n:]:
                yield from self._by_name.get(names[-1], [])

    def _under(self, parent: int | None, above: tuple[str, ...]) -> str:
        if above:
            return f" under [{above[-1]}]"
        return "" if parent is None else f" under {self.entries[parent].name!r}"
