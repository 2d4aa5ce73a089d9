"""A draft's relations checked: parents found, no circles, no tag twice, ids given. Makes the Vocabulary.

Reads no file; knows no format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from clipsearch.errors import VocabularyError
from clipsearch.tagging.vocabulary.draft import MAX_DEPTH, Draft, Entry, Reference
from clipsearch.tagging.vocabulary.model import MAX_PATHS, Label, Vocabulary
from clipsearch.tagging.vocabulary.words import SEPARATOR

_MAX_ID_LETTERS = 2_000  # of a whole path, or a URI

_Group: TypeAlias = int | str | None  # the place of the tag that is the group, or the group's name


def finished(draft: Draft) -> Vocabulary:
    """The vocabulary. Raises VocabularyError for everything that only shows when all of it is there."""
    if not draft.entries:
        raise draft.origin.error(0, "has no tags; write one on each line")
    for place, entry in enumerate(draft.entries):
        _find_parents(draft, place, entry)
    groups = _groups(draft)
    order = _from_the_roots(draft)
    ids = _ids(draft, order, groups)
    _check_twice(draft, ids, groups)
    _check_groups(draft, ids, groups)
    labels = (_label(draft, place, ids, groups[place]) for place in range(len(ids)))
    return Vocabulary(tuple(labels), draft.templates, draft.neutral, draft.origin.source)


def _label(draft: Draft, place: int, ids: Sequence[str], group: _Group) -> Label:
    entry = draft.entries[place]
    return Label(
        ids[place],
        entry.name,
        parents=tuple(ids[parent] for parent in entry.parents),
        group=ids[group] if isinstance(group, int) else group,
        synonyms=tuple(entry.synonyms),
        translations={language: tuple(words) for language, words in entry.translations.items()},
        prompts=tuple(entry.prompts),
        line=entry.line,
        above=entry.above,
    )


# --- relations -------------------------------------------------------------------------------------


def _find_parents(draft: Draft, place: int, entry: Entry) -> None:
    for reference in entry.references:
        parent = _one(draft, reference, f"parent of {entry.name!r}", not_place=place)
        if parent not in entry.parents:
            entry.parents.append(parent)
    entry.references.clear()


def _groups(draft: Draft) -> list[_Group]:
    """Each entry's group; where that is a tag, it becomes the entry's parent."""
    found: dict[str, _Group] = {}
    for entry in draft.entries:
        if entry.group is not None and entry.group.text not in found:
            found[entry.group.text] = _group(draft, entry.group)
    groups = [None if entry.group is None else found[entry.group.text] for entry in draft.entries]
    for entry, group in zip(draft.entries, groups, strict=True):
        if not isinstance(group, int):
            continue
        if not entry.parents:
            entry.parents.append(group)
        if group not in entry.parents:
            name = draft.entries[group].name
            raise draft.origin.error(
                entry.line,
                f"{entry.name!r} is of the group {name!r}, which is a tag too, so it must lie directly under "
                f"that, but its parent is {draft.entries[entry.parents[0]].name!r}. Give it the parent "
                f"{name!r}, or the group another name",
            )
    return groups


def _group(draft: Draft, reference: Reference) -> _Group:
    """What a group's name means; its members themselves are not meant."""
    found = [i for i in draft.candidates(reference) if not _is_of(draft.entries[i], reference)]
    if found:
        return _only(draft, reference, found, "group")
    if len(reference.names) > 1:
        raise _missing(draft, reference, "group")
    return reference.text


def _is_of(entry: Entry, reference: Reference) -> bool:
    return entry.group is not None and entry.group.text == reference.text


def _one(draft: Draft, reference: Reference, what: str, *, not_place: int) -> int:
    """The place of the one entry that is meant."""
    found = draft.candidates(reference, not_place=not_place)
    if not found:
        raise _missing(draft, reference, what)
    return _only(draft, reference, found, what)


def _only(draft: Draft, reference: Reference, found: Sequence[int], what: str) -> int:
    if len(found) > 1:
        unit = draft.origin.unit
        shown = " or ".join(f"{_path(draft, i)!r} ({unit} {draft.entries[i].line})" for i in found[:3])
        raise draft.origin.error(
            reference.line, f"the {what}, {reference.text!r}, may be {shown}; write its whole path"
        )
    return found[0]


def _missing(draft: Draft, reference: Reference, what: str) -> VocabularyError:
    near = draft.near(reference.names[-1])
    return draft.origin.error(
        reference.line,
        f"the {what}, {reference.text!r}, is not in the vocabulary.{near or ' Add it as a tag of its own.'}",
    )


def _path(draft: Draft, place: int) -> str:
    """The entry's names from the root as far as they are known, first parents first."""
    names: list[str] = []
    seen: set[int] = set()
    while place not in seen:
        seen.add(place)
        entry = draft.entries[place]
        names = [*entry.above, entry.name, *names]
        if entry.parents:
            place = entry.parents[0]
        elif entry.references:
            return SEPARATOR.join((*entry.references[0].names, *names))
    return SEPARATOR.join(names)


# --- order, ids ------------------------------------------------------------------------------------


def _from_the_roots(draft: Draft) -> list[int]:
    """All places, parents before their children. Raises VocabularyError for a circle, named."""
    entries = draft.entries
    children: dict[int, list[int]] = {}
    waits = [len(entry.parents) for entry in entries]
    for place, entry in enumerate(entries):
        for parent in entry.parents:
            children.setdefault(parent, []).append(place)
    order = [place for place, n in enumerate(waits) if n == 0]
    for place in order:  # grows meanwhile
        for child in children.get(place, []):
            waits[child] -= 1
            if waits[child] == 0:
                order.append(child)
    if len(order) < len(entries):
        raise _circle(draft, {place for place, n in enumerate(waits) if n})
    return order


def _circle(draft: Draft, waiting: set[int]) -> VocabularyError:
    walked: dict[int, None] = {}
    here = min(waiting)
    while here not in walked:
        walked[here] = None
        here = next(parent for parent in draft.entries[here].parents if parent in waiting)
    circle = list(walked)
    circle = [*circle[circle.index(here) :], here]
    names = [draft.entries[place].name for place in circle]
    shown = names if len(names) < 12 else [*names[:6], "…", *names[-4:]]
    return draft.origin.error(
        draft.entries[circle[0]].line,
        f"{names[0]!r} lies under itself: {' → '.join(shown)} (each under the next). "
        "Take away one of these parents",
    )


def _ids(draft: Draft, order: Sequence[int], groups: Sequence[_Group]) -> list[str]:
    """Each entry's id: what its file gives, or its first path. Raises for one too deep or with too many."""
    ids = [""] * len(order)
    depths, ways = [0] * len(order), [0] * len(order)
    for place in order:
        entry = draft.entries[place]
        depths[place] = 1 + len(entry.above) + max((depths[parent] for parent in entry.parents), default=0)
        ways[place] = sum(ways[parent] for parent in entry.parents) or 1
        if depths[place] > MAX_DEPTH:
            raise draft.origin.error(
                entry.line, f"{entry.name!r} is {depths[place]} levels deep, {MAX_DEPTH} at most; flatten it"
            )
        if ways[place] > MAX_PATHS:
            raise draft.origin.error(
                entry.line,
                f"{entry.name!r} lies under its roots in {ways[place]:,} ways, {MAX_PATHS} at most, since so "
                "many of its parents have several parents; take some away",
            )
        start = ids[entry.parents[0]] if entry.parents else groups[place]
        names = (*([start] if isinstance(start, str) else []), *entry.above, entry.name)
        ids[place] = entry.id or SEPARATOR.join(names)
        if len(ids[place]) > _MAX_ID_LETTERS:
            raise draft.origin.error(
                entry.line, f"the path of {entry.name!r} has {len(ids[place]):,} letters; shorten its levels"
            )
    return ids


def _check_twice(draft: Draft, ids: Sequence[str], groups: Sequence[_Group]) -> None:
    """No path is there twice; so ids that are paths are unique."""
    seen: dict[str, int] = {}
    for place, entry in enumerate(draft.entries):
        group = groups[place]
        for above in [ids[parent] for parent in entry.parents] or [group if isinstance(group, str) else ""]:
            path = SEPARATOR.join((*([above] if above else []), *entry.above, entry.name))
            before = draft.entries[seen.setdefault(path, place)]
            if before is not entry:
                under = f" under {above!r}" if above else ""
                raise draft.twice(entry.name, entry.line, before=before.line, under=under)


def _check_groups(draft: Draft, ids: Sequence[str], groups: Sequence[_Group]) -> None:
    """No member of a group lies under another, for both would be given together."""
    for place, entry in enumerate(draft.entries):
        if entry.group is None:
            continue
        waiting, seen = list(entry.parents), set(entry.parents)
        for above in waiting:  # grows meanwhile
            other = draft.entries[above]
            if other.group is not None and groups[above] == groups[place]:
                raise draft.origin.error(
                    entry.line,
                    f"{entry.name!r} lies under {other.name!r} and both are of the group "
                    f"{entry.group.text!r}, of which a picture gets one at most; leave the group out at "
                    f"{ids[place]!r}",
                )
            waiting += [parent for parent in other.parents if parent not in seen]
            seen.update(other.parents)
