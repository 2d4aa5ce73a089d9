"""Tags of pictures -> what is to be written in their sidecars; and what sidecars say of a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipsearch.errors import TaggingError
from clipsearch.tagging.journal import Journal
from clipsearch.tagging.sidecars import files, writing
from clipsearch.tagging.sidecars.changes import Change
from clipsearch.tagging.sidecars.lists import DIGIKAM, HIERARCHICAL, LISTS, SUBJECT, leaf
from clipsearch.tagging.sidecars.merging import merged
from clipsearch.tagging.sidecars.packet import Refused, parse
from clipsearch.tagging.sidecars.places import Places, Style
from clipsearch.tagging.sidecars.standing import Standing, standing
from clipsearch.tagging.vocabulary.words import folded
from clipsearch.types import Tag

KIND = "sidecar"  # of a journal's entries


@dataclass(frozen=True, slots=True)
class PictureTags:
    """What a picture's sidecars say. names: all its tags, people's and ours, each once; ours: which are ours.

    paths: those with broader ones, root first. rejected: ours that people took away.
    """

    names: tuple[str, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()
    ours: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()


class Sidecars:
    """One run's tags, written in XMP files beside pictures."""

    def __init__(
        self, journal: Journal | None, *, model: str, run: str = "", style: Style = "x.jpg.xmp"
    ) -> None:
        """journal None: nothing can be written, only planned; run is then the name that is shown.

        model: the model's fingerprint as short text.
        """
        self._journal, self._model = journal, model
        self._run = journal.run if journal is not None else run or "dry-run"
        self._places = Places(style)

    def plan(self, pictures: Iterable[tuple[str | Path, Sequence[Tag]]]) -> Iterator[Change]:
        """A change for every picture, also where there is nothing to write. Writes nothing.

        A picture that comes twice gets the tags of both.
        """
        for picture, tags in by_picture(pictures).items():
            yield self._planned(Path(picture), tags)

    def write(self, changes: Iterable[Change]) -> Iterator[Change]:
        """The changes, when they are noted and on the disk; `refused` says why one is not.

        Raises TaggingError where the journal cannot be written.
        """
        if self._journal is None:
            raise TaggingError(
                "tags are written into sidecars only with a journal, so that they can be undone"
            )
        return writing.written(self._journal, KIND, changes, files.put)

    def _planned(self, picture: Path, tags: Sequence[Tag]) -> Change:
        place = None
        try:
            place = self._places.of(picture)
            own, other = place.appended, place.replaced
            if place.target == other:
                own, other = other, own
            before = files.read(own) if own is not None else None
            beside = files.read(other) if other is not None else None
            base = beside if before is None else before
            taken = _taken(beside, other) if before is not None else frozenset()
            found = merged(base, tags, model=self._model, run=self._run, taken=taken)
        except (Refused, OSError) as error:
            return Change(picture, place.target if place else picture, refused=files.why(error))
        after = None if found.after == base else found.after
        return Change(
            picture, place.target, before, after, found.added, found.removed, found.ours, None, found.notes
        )


def undo(journal: Journal) -> Iterator[writing.Undone]:
    """Take the run's sidecars back, one after the other. Harmless where it was done before.

    Where a later run stands on top, that one's tags stay: it gave the tags that are there.
    """
    return writing.undone(journal, KIND, files.read, files.put)


def read_tags(picture: str | Path) -> PictureTags:
    """The tags a picture has by its sidecars, x.jpg.xmp and x.xmp. Raises TaggingError for a broken one."""
    path = Path(picture)
    try:
        place = Places("x.jpg.xmp").of(path)
        raws = [files.read(one) for one in (place.appended, place.replaced) if one is not None]
        some = [standing(parse(raw)) for raw in raws if raw is not None]
    except (Refused, OSError) as error:
        raise TaggingError(f"the sidecars of {path} cannot be read: {error}") from error
    return _summed(some)


# --- parts ---------------------------------------------------------------------------------------


def by_picture(pictures: Iterable[tuple[str | Path, Sequence[Tag]]]) -> dict[str, list[Tag]]:
    """Each picture's tags by its absolute path, those of several records together."""
    found: dict[str, list[Tag]] = {}
    for path, tags in pictures:
        found.setdefault(os.path.abspath(path), []).extend(tags)  # noqa: PTH100 - "..", too
    return found


def _taken(beside: bytes | None, path: Path | None) -> frozenset[str]:
    """Names in the picture's other sidecar that are not ours to give."""
    if beside is None or path is None:
        return frozenset()
    try:
        return standing(parse(beside)).taken
    except Refused as error:
        raise Refused(f"its other sidecar {path.name} cannot be read: {error}") from None


def _summed(some: Sequence[Standing]) -> PictureTags:
    names: dict[str, str] = {}
    paths: dict[tuple[str, ...], None] = {}
    ours: dict[str, None] = {}
    rejected: dict[str, None] = {}
    for one in some:
        for tag in (*(leaf(entry, name) for name in LISTS for entry in one.human[name]), *one.ours[SUBJECT]):
            names.setdefault(folded(tag), tag)
        ours |= dict.fromkeys(one.ours[SUBJECT])
        rejected |= dict.fromkeys(one.rejected)
        for name, sign in ((HIERARCHICAL, "|"), (DIGIKAM, "/")):
            split = (tuple(entry.split(sign)) for entry in (*one.human[name], *one.ours[name]))
            paths |= dict.fromkeys(path for path in split if len(path) > 1)
    return PictureTags(tuple(names.values()), tuple(paths), tuple(ours), tuple(rejected))
