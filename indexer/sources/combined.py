"""Several sources as one run sees them. Knows no particular kind of source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from clipsearch.errors import SourceError
from clipsearch.types import FieldKind, ImageFile
from indexer.sources.source import Source

_WIDER: Mapping[frozenset[FieldKind], FieldKind] = {
    frozenset({"integer", "float"}): "float",
    frozenset({"keyword", "text"}): "text",
}


class CombinedSource:
    """The parts one after another, each with the ids that it gives alone.

    Where parts share a name (a folder, and a picture of it that was named as well) they share their
    records, and what the first gave is not given again. Parts with other names have records of their
    own: a picture that is in two of them is in the collection twice, with one vector.
    """

    def __init__(self, parts: Sequence[Source], *, at_once: bool = True) -> None:
        """at_once: begin every part before the first file comes, so that their number is known.

        Raises SourceError where a field is of one kind in one part and of another in the next.
        """
        self._sources = list(parts)
        self.name = _listed([part.name for part in self.parts])
        self.named = any(part.named for part in self._sources)
        self.notes: list[str] = [note for part in self._sources for note in part.notes]
        for part in self._sources:
            part.notes = self.notes  # one list, so that what a part finds later is told as well
        self._at_once = at_once
        kinds = self.fields
        for part in self._sources:
            part.conform(kinds, collection="")

    @property
    def parts(self) -> Sequence[Source]:
        """The single sources."""
        return [part for source in self._sources for part in source.parts]

    @property
    def fields(self) -> Mapping[str, FieldKind]:
        """Every part's columns; where one has whole numbers and another fractions, they are fractions."""
        merged: dict[str, tuple[FieldKind, Source]] = {}
        for part in self._sources:
            for name, kind in part.fields.items():
                known, other = merged.setdefault(name, (kind, part))
                if known != kind:
                    merged[name] = (_wider(name, (known, other), (kind, part)), part)
        return {name: kind for name, (kind, _) in merged.items()}

    @property
    def n_files(self) -> int | None:
        """None as long as one part does not know."""
        numbers = [part.n_files for part in self._sources]
        known = [n for n in numbers if n is not None]
        return sum(known) if len(known) == len(numbers) else None

    @property
    def n_other(self) -> int:
        return sum(part.n_other for part in self._sources)

    @property
    def n_ignored(self) -> int:
        """Pictures left out by the user's rules."""
        return sum(getattr(part, "n_ignored", 0) for part in self._sources)

    @property
    def n_readers(self) -> int:
        return max((part.n_readers for part in self._sources), default=0)

    @property
    def complete(self) -> bool:
        """Whether every part saw all there is; each part says it for itself, too."""
        return all(part.complete for part in self._sources)

    def conform(self, declared: Mapping[str, FieldKind], *, collection: str) -> None:
        """Have every part take on the kinds. SourceError for a value that does not fit."""
        kinds = {**self.fields, **declared}
        for part in self._sources:
            part.conform(kinds, collection=collection)

    def files(self) -> Iterator[ImageFile]:
        """Every part's pictures."""
        shared = {name for name, n in Counter(part.name for part in self.parts).items() if n > 1}
        seen: set[tuple[str, str]] = set()
        for file in self._all_files():
            if file.source in shared:
                if (file.source, file.key) in seen:
                    continue
                seen.add((file.source, file.key))
            yield file

    def _all_files(self) -> Iterator[ImageFile]:
        if not self._at_once:
            for part in self._sources:
                yield from part.files()
            return
        begun = [(files, next(files, None)) for files in (part.files() for part in self._sources)]
        for files, first in begun:
            if first is not None:
                yield from chain([first], files)


def _wider(name: str, one: tuple[FieldKind, Source], other: tuple[FieldKind, Source]) -> FieldKind:
    """The kind that holds both."""
    wider = _WIDER.get(frozenset({one[0], other[0]}))
    if wider is None:
        raise SourceError(
            f"column {name!r} holds {one[0]} values in {one[1].name}, but {other[0]} values in "
            f"{other[1].name}. Rename one of them, or index the two one after the other: the second's "
            "values are then read as the first's kind, where they can be"
        )
    return wider


def _listed(names: Sequence[str]) -> str:
    """The names, or the first of many."""
    different = list(dict.fromkeys(names))
    if len(different) <= 3:
        return ", ".join(different)
    return f"{different[0]} and {len(different) - 1:,} more sources"
