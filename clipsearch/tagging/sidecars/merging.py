"""A packet and a picture's tags -> the packet with them, and the way back where people edited it since.

Decides whose an entry is and what becomes of it. Touches no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from clipsearch.tagging.sidecars.lists import LISTS, SUBJECT, joined, leaf, with_entries, without
from clipsearch.tagging.sidecars.packet import Name, Packet, Refused, clean, parse
from clipsearch.tagging.sidecars.provenance import DECLARED, PROPERTIES, Ours, Provenance, written
from clipsearch.tagging.sidecars.standing import Standing, own_entries, standing, without_each
from clipsearch.tagging.vocabulary.words import folded
from clipsearch.types import Tag

_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    '<?xpacket end="w"?>\n'
).encode()
_NEAR = 0.5e-4 + 1e-6  # of a confidence of four digits: the same number, rounded on another machine


@dataclass(frozen=True, slots=True)
class Merged:
    """after: the packet's bytes, the very ones it had where nothing changes. The rest as in Change."""

    after: bytes | None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def merged(
    base: bytes | None, tags: Sequence[Tag], *, model: str, run: str, taken: frozenset[str] = frozenset()
) -> Merged:
    """The packet with these tags of ours, and no others of ours; base None: there is no packet yet.

    taken: folded names that are not to be given for other reasons. Raises Refused.
    """
    packet = None if base is None else parse(base)
    now = standing(packet)
    given, notes = _wanted(tags, model=clean(model), run=run, known=now.noted.tags)
    given = {name: tag for name, tag in given.items() if folded(name) not in taken}
    return replace(_settled(base, packet, now, given, run), notes=notes)


def taken_back(current: bytes, before: bytes | None, names: Iterable[str], run: str) -> bytes:
    """The packet, which was edited since the run gave it tags of these names, without them; all else stays.

    Tags of ours that the run had replaced come back, if nobody took them away since. Raises Refused.
    """
    packet = parse(current)
    now = standing(packet)
    old = standing(None if before is None else parse(before)).noted
    left = {name: tag if tag.run != run else old.tags.get(name) for name, tag in now.noted.tags.items()}
    left |= {name: tag for name, tag in old.tags.items() if name not in (*names, *left)}
    given = {name: tag for name, tag in left.items() if tag is not None}
    found = _settled(current, packet, now, given, old.run)
    return current if found.after is None else found.after


# --- parts ---------------------------------------------------------------------------------------


def _wanted(
    tags: Sequence[Tag], *, model: str, run: str, known: Mapping[str, Ours]
) -> tuple[dict[str, Ours], tuple[str, ...]]:
    """Tags to be given by name, those that differ in letter case once; and which cannot be written."""
    found: dict[str, Ours] = {}
    notes: list[str] = []
    seen: set[str] = set()
    for tag in sorted(tags, key=lambda tag: -tag.confidence):
        name = clean(tag.name)
        if not name or not isfinite(tag.confidence):
            what = "is empty or holds characters that XML has not" if not name else "has no confidence"
            notes.append(f"tag {tag.name!r} {what}, and was left off")
            continue
        if folded(name) in seen:
            continue
        seen.add(folded(name))
        paths = [[clean(part) for part in path] for path in tag.paths if len(path) > 1]
        whole = tuple(dict.fromkeys(joined(path) for path in paths if all(path)))
        fresh = Ours(name, f"{tag.confidence:.4f}", model, run, whole)
        found[name] = _known(known.get(name), fresh, tag.confidence)
    return found, tuple(notes)


def _known(old: Ours | None, fresh: Ours, confidence: float) -> Ours:
    """What was noted before, where that says the same but for the run."""
    if old is None or (old.model, set(old.paths)) != (fresh.model, set(fresh.paths)):
        return fresh
    try:
        return old if abs(float(old.confidence) - confidence) <= _NEAR else fresh
    except ValueError:
        return fresh


def _settled(
    base: bytes | None, packet: Packet | None, now: Standing, given: Mapping[str, Ours], run: str
) -> Merged:
    """The packet with exactly these tags of ours, but for those that are people's or were taken away."""
    given = {name: tag for name, tag in given.items() if folded(name) not in now.taken}
    stand = {name: _own(name, now, given.values()) for name in LISTS}
    lost = {name: _still_lost(name, now, given.values()) for name in LISTS}
    own = {name: (*_in_order(now.ours[name], stand[name]), *lost[name]) for name in LISTS}
    tags = {name: given[name] for name in _in_order(list(now.noted.tags), list(given))}
    noted = Provenance(run, tags, own, now.rejected)
    added = {name: without_each(stand[name], now.ours[name]) for name in LISTS}
    gone = {
        name: without_each(now.ours[name], (*stand[name], *_released(name, now, given))) for name in LISTS
    }
    if not any(added.values()) and not any(gone.values()) and _is_same(noted, now.noted):
        return Merged(base, ours=tuple(given))
    if packet is None:
        packet = parse(_EMPTY)
    cleared = without(packet, gone, PROPERTIES)
    after = with_entries(cleared, added, written(noted), DECLARED)
    _check(after, now, noted)
    names = [name for name in given if name not in now.noted.tags]
    ended = [name for name in now.noted.tags if name not in given and name not in now.lost[SUBJECT]]
    return Merged(after.encoded(), tuple(names), tuple(ended), tuple(given))


def _own(name: Name, now: Standing, given: Iterable[Ours]) -> list[str]:
    """Entries of ours that are to stand in a list."""
    tags = list(given)
    if name == SUBJECT:
        return own_entries(name, tags)
    there = now.human[name]
    if not tags or not (there or any(tag.paths for tag in tags)):
        return []
    wanted = without_each(own_entries(name, tags), (*there, *now.lost[name]))
    return list(dict.fromkeys((*wanted, *_mirrors(name, now))))


def _mirrors(name: Name, now: Standing) -> list[str]:
    """People's tags that are to be repeated in a list that we begin.

    digiKam and darktable read dc:subject only where this list is not there: without its repetition a
    person's flat tag would seem to be gone.
    """
    if not now.human[name]:
        return without_each(now.mirrors(name), now.lost[name])
    elsewhere = {folded(leaf(entry, other)) for other in LISTS if other != name for entry in now.human[other]}
    return [one for one in now.mirrored[name] if folded(leaf(one, name)) in elsewhere]


def _still_lost(name: Name, now: Standing, given: Iterable[Ours]) -> list[str]:
    """Entries that a person took out of a hierarchy's list while the tag stands; they stay out."""
    tags = list(given)
    if name == SUBJECT or not tags:
        return []
    wanted = {*own_entries(name, tags), *now.mirrors(name)}
    return [entry for entry in now.lost[name] if entry in wanted]


def _released(name: Name, now: Standing, given: Mapping[str, Ours]) -> list[str]:
    """Entries of ours that become a person's: they stay, and are ours no more."""
    if name == SUBJECT:
        in_list = {folded(entry) for entry in now.human[SUBJECT]}
        return [
            one for one in now.ours[name] if folded(one) in now.human_names and folded(one) not in in_list
        ]
    return now.mirrored[name] if now.human[name] and not given else []


def _in_order(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The new ones, those that were there before in their old order."""
    some = set(new)
    return [*(one for one in old if one in some), *without_each(new, old)]


def _is_same(new: Provenance, old: Provenance) -> bool:
    own = all(set(new.own.get(name, ())) == set(old.own.get(name, ())) for name in LISTS)
    return own and new.tags == old.tags and set(new.rejected) == set(old.rejected)


def _check(after: Packet, before: Standing, noted: Provenance) -> None:
    """Read the new packet again. Raises Refused where it does not say what it should."""
    now = standing(after)
    if any(Counter(before.human[name]) - Counter(now.human[name]) for name in LISTS):
        raise Refused("its tags cannot be told apart safely")
    if not _is_same(noted, now.noted):
        raise Refused("its tags cannot be noted safely")
