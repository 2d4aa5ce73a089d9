"""Labels from a field of the collection: a catalogue that knows what is brass need not be asked.

Owns what a field's values say of labels that they do not name. Looks at no vector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from clipsearch.errors import TaggingError, UnknownField
from clipsearch.store import Store
from clipsearch.tagging.labels.said import Labels, Rules, Said
from clipsearch.tagging.labels.words import Words
from clipsearch.tagging.vocabulary import Vocabulary

_Values = tuple[str, ...]


def labels_from_field(store: Store, field: str, vocabulary: Vocabulary) -> Labels:
    """What a field of the collection says, by the picture's key; pictures without a value say nothing.

    A value that is a word of a label: the picture has it. Of the labels that the field names anywhere in the
    collection, and of their exclusive groups, it has no other, but for broader ones; narrower ones than those
    it has stay open. A value that is no label (in `unknown`, with how often) says that it has none of them.
    A group with the field's name is the one that is meant. Raises UnknownField, and TaggingError where no
    value of the field is a label.
    """
    if field not in store.spec.fields:
        names = ", ".join(sorted(store.spec.fields)) or "none"
        raise UnknownField(f"collection {store.name!r} has no field {field!r}; its fields: {names}")
    values = {key: found for key, found in _values(store, field) if found}
    places, unknown = _places(values.values(), field, Words(vocabulary))
    if not places:
        some = ", ".join(repr(word) for word, _ in unknown.most_common(4)) or "none"
        raise TaggingError(
            f"no value of the field {field!r} is a label of the vocabulary (the values: {some}); name "
            "another field, or add the values to the vocabulary as labels or synonyms"
        )
    rules = Rules(vocabulary)
    meant = _meant(places.values(), vocabulary)
    said: dict[_Values, Said] = {}
    for found in set(values.values()):
        has = {places[value] for value in found if value in places}
        said[found] = _of(has, meant, rules)
    return Labels({key: said[found] for key, found in values.items()}, unknown=dict(unknown.most_common()))


def _values(store: Store, field: str) -> Iterable[tuple[str, _Values]]:
    """(key, the field's values) of every picture."""
    for batch in store.scroll():
        for point in batch:
            value = point.payload.get(field)
            several = value if isinstance(value, list) else [value]
            found = tuple(sorted({str(v).strip() for v in several if v is not None and str(v).strip()}))
            yield str(point.payload.get("_key", point.id)), found


def _places(values: Iterable[_Values], field: str, words: Words) -> tuple[Mapping[str, int], Counter[str]]:
    """Each value's label, and how often the others are there."""
    group = field if field in words.vocabulary.groups else None
    counts = Counter(value for found in values for value in found)
    places = {value: words.place(value, group=group) for value in counts}
    known = {value: place for value, place in places.items() if place is not None}
    return known, Counter({value: n for value, n in counts.items() if value not in known})


def _meant(places: Iterable[int], vocabulary: Vocabulary) -> frozenset[int]:
    """The labels that the field speaks of: those it names, and the others of their groups."""
    named = set(places)
    groups = {vocabulary.labels[place].group for place in named} - {None}
    return frozenset(named.union(*(vocabulary.groups[group] for group in groups if group is not None)))


def _of(has: set[int], meant: frozenset[int], rules: Rules) -> Said:
    above = {broader for place in has for broader in rules.vocabulary.ancestors(place)}
    below = {narrower for place in has for narrower in rules.narrower(place)}
    return Said(frozenset(has), meant - has - above - below)
