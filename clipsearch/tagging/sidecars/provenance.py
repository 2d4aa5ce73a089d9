"""What of a packet is ours, as properties in our own namespace: which entries, from which run and model.

Owns the namespace https://clipsearch.dev/ns/1.0/, prefix clipsearch, which never changes its meaning:

    run                  the run that last changed the packet
    tags                 bag of structs, a tag of ours each: name, confidence (0 to 1, four digits), model,
                         run, paths (bag of "A|B|C")
    subject              bag: entries of dc:subject that are ours
    hierarchicalSubject  bag: entries of lr:hierarchicalSubject that are ours
    tagsList             bag: entries of digiKam:TagsList that are ours
    rejected             bag: names of tags that were ours and that a person took away

Tells no human tag from another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from clipsearch.tagging.sidecars.lists import DIGIKAM, HIERARCHICAL, SUBJECT, listed, values
from clipsearch.tagging.sidecars.packet import RDF, Name, Packet, escaped

URI = "https://clipsearch.dev/ns/1.0/"
DECLARED = f' xmlns:clipsearch="{URI}"'
_RUN, _TAGS, _REJECTED = (URI, "run"), (URI, "tags"), (URI, "rejected")
_OWN = {SUBJECT: (URI, "subject"), HIERARCHICAL: (URI, "hierarchicalSubject"), DIGIKAM: (URI, "tagsList")}
PROPERTIES: tuple[Name, ...] = (_RUN, _TAGS, *_OWN.values(), _REJECTED)


@dataclass(frozen=True, slots=True)
class Ours:
    """One tag of ours as noted in the packet."""

    name: str
    confidence: str  # four digits after the point
    model: str
    run: str
    paths: tuple[str, ...] = ()  # "A|B|C"; (): the tag has no broader one


@dataclass(frozen=True, slots=True)
class Provenance:
    """All that is noted. own: the entries of each list that we wrote."""

    run: str = ""
    tags: Mapping[str, Ours] = field(default_factory=dict)  # by name
    own: Mapping[Name, tuple[str, ...]] = field(default_factory=dict)
    rejected: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.tags or self.rejected or any(self.own.values()))


def read(packet: Packet) -> Provenance:
    """What is noted in the packet; empty where nothing is. Raises Refused for a form that is not ours."""
    tags = {tag.name: tag for tag in _tags(packet) if tag.name}
    own = {name: tuple(_texts(packet, noted)) for name, noted in _OWN.items()}
    run = "".join(_texts(packet, _RUN)[:1])
    return Provenance(run, tags, own, tuple(dict.fromkeys(_texts(packet, _REJECTED))))


def written(provenance: Provenance) -> list[bytes]:
    """The lines of the properties; none where there is nothing to note."""
    if provenance.is_empty:
        return []
    lines = [_field("run", provenance.run)]
    if provenance.tags:
        structs = (line for tag in provenance.tags.values() for line in _struct(tag))
        lines += [b"<clipsearch:tags>", b" <rdf:Bag>", *structs, b" </rdf:Bag>", b"</clipsearch:tags>"]
    for name, noted in _OWN.items():
        if some := provenance.own.get(name):
            lines += listed(f"clipsearch:{noted[1]}", "Bag", some)
    if provenance.rejected:
        lines += listed("clipsearch:rejected", "Bag", provenance.rejected)
    return lines


# --- parts ---------------------------------------------------------------------------------------


def _texts(packet: Packet, name: Name) -> list[str]:
    found = [one.attributes[name].strip() for one in packet.descriptions if name in one.attributes]
    for _, node in packet.properties(name):
        found += values(node)
    return found


def _tags(packet: Packet) -> Iterator[Ours]:
    """Structs in any of RDF's forms: fields as elements or attributes, of an entry or a description in it."""
    for _, node in packet.properties(_TAGS):
        for box in node.children:
            for item in box.children:
                inner = item.child((RDF, "Description")) or item
                one = {key: value.strip() for node in (item, inner) for key, value in node.attributes.items()}
                one |= {child.name: child.text for child in inner.children}
                paths = inner.child((URI, "paths"))
                yield Ours(
                    one.get((URI, "name"), ""),
                    one.get((URI, "confidence"), ""),
                    one.get((URI, "model"), ""),
                    one.get((URI, "run"), ""),
                    tuple(values(paths)) if paths is not None else (),
                )


def _struct(tag: Ours) -> list[bytes]:
    lines = [_field("name", tag.name), _field("confidence", tag.confidence)]
    lines += [_field("model", tag.model), _field("run", tag.run)]
    if tag.paths:
        lines += listed("clipsearch:paths", "Bag", tag.paths)
    start, end = b'  <rdf:li rdf:parseType="Resource">', b"  </rdf:li>"
    return [start, *(b"   " + line for line in lines), end]


def _field(name: str, text: str) -> bytes:
    tag = f"clipsearch:{name}".encode()
    return b"<%s>%s</%s>" % (tag, escaped(text), tag)
