"""The lists of a packet that hold tags: what stands in them in whatever form, entries added and taken out.

Owns their names, kinds and separators. Knows not whose an entry is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from clipsearch.tagging.sidecars.packet import RDF, Name, Node, Packet, Refused, Splice, escaped

SUBJECT: Name = ("http://purl.org/dc/elements/1.1/", "subject")
HIERARCHICAL: Name = ("http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject")
DIGIKAM: Name = ("http://www.digikam.org/ns/1.0/", "TagsList")
LISTS = (SUBJECT, HIERARCHICAL, DIGIKAM)
_PREFIXES = {SUBJECT: "dc", HIERARCHICAL: "lr", DIGIKAM: "digiKam"}
_KINDS = {SUBJECT: "Bag", HIERARCHICAL: "Bag", DIGIKAM: "Seq"}
_CONTAINERS = {(RDF, "Bag"), (RDF, "Seq"), (RDF, "Alt")}
_LI: Name = (RDF, "li")
_ABOUT = {(RDF, "about"), ("", "about")}

Lists = Mapping[Name, list[str]]


def entries(packet: Packet, name: Name) -> list[str]:
    """What stands in a list, wherever and however it is written, in order.

    Raises Refused for a form that cannot be read.
    """
    texts = (description.attributes.get(name, "").strip() for description in packet.descriptions)
    found = [text for text in texts if text]
    for _, node in packet.properties(name):
        found += values(node)
    return found


def values(node: Node) -> list[str]:
    """A property's values: its list's entries, or the one value that it has without a list."""
    container = container_of(node)
    if container is not None:
        return [value for item in container.children if (value := _value(item))]
    value = _value(node)
    return [value] if value else []


def container_of(node: Node) -> Node | None:
    """The property's Bag, Seq or Alt; None where it has a bare value. Raises Refused for other forms."""
    if not node.children:
        return None
    first = node.children[0]
    if len(node.children) == 1 and first.name in _CONTAINERS:
        if any(item.name != _LI for item in first.children):
            raise Refused(f"its {node.name[1]} holds something else than a list's entries")
        return first
    if any(child.name == (RDF, "value") for child in _fields(node)):
        return None
    raise Refused(f"its {node.name[1]} is in a form that is not known: {first.name[1]}")


def joined(path: Sequence[str]) -> str:
    """A path as lr:hierarchicalSubject has it. It has no escape for its separator."""
    return "|".join(name.replace("|", "/") for name in path)


def for_digikam(path: str) -> str:
    """A path of lr:hierarchicalSubject as digiKam:TagsList has it.

    digiKam has no escape either: where it reads the former, it makes a "/" of a name a backslash
    (core/libs/metadataengine/dmetadata/dmetadata_tags.cpp).
    """
    return path.replace("/", "\\").replace("|", "/")


def leaf(entry: str, name: Name) -> str:
    """The tag that an entry of a list stands for."""
    if name == SUBJECT:
        return entry
    return entry.rsplit("|" if name == HIERARCHICAL else "/", 1)[-1]


# --- edits ---------------------------------------------------------------------------------------


def without(packet: Packet, gone: Mapping[Name, Iterable[str]], properties: Iterable[Name] = ()) -> Packet:
    """The packet without one occurrence of each of these entries, and without these properties at all.

    A list, a property and a description go too where nothing is left in them.
    """
    marked: set[int] = set()
    splices: list[Splice] = []
    whole = set(properties)
    for description in packet.descriptions:
        attributes = description.attributes.keys() & whole
        splices += [packet.attribute(description, key) for key in attributes]
        marked |= {id(node) for node in description.children if node.name in whole}
    for name, some in gone.items():
        left = Counter(some)
        for _, node in reversed(list(packet.properties(name))):
            for item in reversed(_items(node)):
                value = _value(item)
                if left[value] > 0:
                    left[value] -= 1
                    marked.add(id(item))
    cut: list[Splice] = []
    for description in packet.descriptions:
        is_bare = description.attributes.keys() <= _ABOUT | whole
        gap = packet.gap_before(description, packet.rdf)
        _cut(packet, description, gap, marked, cut, may_go=is_bare)
    kept = [one for one in splices if not any(start <= one[0] < end for start, end, _ in cut)]
    return packet.edited([*kept, *cut]) if kept or cut else packet


def with_entries(packet: Packet, added: Lists, properties: Sequence[bytes] = (), uris: str = "") -> Packet:
    """The packet with these entries in its lists, and with these lines of new properties.

    uris: declarations that the new properties need. A list that is not there begins in a new description.
    """
    splices: list[Splice] = []
    lines: list[bytes] = []
    declared = ""
    for name, some in added.items():
        if not some:
            continue
        place = next(packet.properties(name), None)
        bare = next((one for one in packet.descriptions if one.attributes.get(name, "").strip()), None)
        if place is not None:
            splices += _filled(packet, place[1], some)
            continue
        fresh = some
        if bare is not None:
            splices.append(packet.attribute(bare, name))
            fresh = [bare.attributes[name].strip(), *some]
        prefix = _PREFIXES[name]
        declared += f' xmlns:{prefix}="{name[0]}"'
        lines += listed(f"{prefix}:{name[1]}", _KINDS[name], fresh)
    groups = [(lines, declared), (list(properties), uris)]
    splices += _descriptions(packet, [group for group in groups if group[0]])
    return packet.edited(splices) if splices else packet


def listed(qualified: str, kind: str, some: Iterable[str]) -> list[bytes]:
    """The lines of a property that is a list of texts."""
    items = (b"  <rdf:li>" + escaped(one) + b"</rdf:li>" for one in some)
    tag, box = qualified.encode(), f"rdf:{kind}".encode()
    return [b"<%s>" % tag, b" <%s>" % box, *items, b" </%s>" % box, b"</%s>" % tag]


# --- parts ---------------------------------------------------------------------------------------


def _fields(node: Node) -> list[Node]:
    """The fields of a struct written with parseType="Resource" or with a description inside."""
    if len(node.children) == 1 and node.children[0].name == (RDF, "Description"):
        return node.children[0].children
    return node.children


def _value(node: Node) -> str:
    """A value's text, also of one with qualifiers."""
    if not node.children:
        return (
            node.text or node.attributes.get((RDF, "resource"), "") or node.attributes.get((RDF, "value"), "")
        )
    inner = next((child for child in _fields(node) if child.name == (RDF, "value")), None)
    return inner.text if inner is not None else ""


def _items(node: Node) -> list[Node]:
    container = container_of(node)
    return [] if container is None else container.children


def _cut(packet: Packet, node: Node, gap: int, marked: set[int], cut: list[Splice], *, may_go: bool) -> bool:
    """Whether the node goes, with the gap before it; else what goes of it is in `cut`."""
    if id(node) in marked:
        cut.append((gap, node.end, b""))
        return True
    before = len(cut)
    ends = [node.open_end, *(child.end for child in node.children)]
    gone = [
        _cut(packet, child, packet.gap(end, child.start), marked, cut, may_go=True)
        for end, child in zip(ends, node.children, strict=False)
    ]
    if not gone or not all(gone) or not may_go:
        return False
    edges = [
        node.open_end,
        *(edge for child in node.children for edge in (child.start, child.end)),
        node.close,
    ]
    rests = (packet.data[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    if any(rest.strip() for rest in rests):
        return False
    del cut[before:]
    cut.append((gap, node.end, b""))
    return True


def _filled(packet: Packet, node: Node, some: Sequence[str]) -> list[Splice]:
    """A property that is there, with entries added after those it has."""
    container = container_of(node)
    kind = _KINDS[node.name]
    if container is None:
        bare = _value(node)
        if node.children or node.attributes:
            raise Refused(f"its {node.name[1]} is one value with qualifiers, to which nothing can be added")
        tag = _qualified(packet, node)
        fresh = [bare, *some] if bare else list(some)
        box = f' xmlns:rdf="{RDF}"'.encode()
        lines = listed("x", kind, fresh)[1:-1]
        lines[0] = lines[0].strip()[:-1] + box + b">"
        body = b"".join(line.strip() for line in lines)
        return [(node.start, node.end, _opened(packet, node) + body + b"</%s>" % tag)]
    li = f"{container.prefix}:li".encode() if container.prefix else b"li"
    items = [b"<%s>%s</%s>" % (li, escaped(one), li) for one in some]
    if container.is_self_closing:
        tag = _qualified(packet, container)
        body = b"".join(items)
        return [(container.start, container.end, _opened(packet, container) + body + b"</%s>" % tag)]
    if not container.children:
        return [(container.open_end, container.open_end, b"".join(items))]
    last = container.children[-1]
    gap = packet.data[packet.gap_before(last, container) : last.start]
    return [(last.end, last.end, b"".join(gap + item for item in items))]


def _qualified(packet: Packet, node: Node) -> bytes:
    return f"{node.prefix}:{node.name[1]}".encode() if node.prefix else node.name[1].encode()


def _opened(packet: Packet, node: Node) -> bytes:
    """Its start tag, not closed at once."""
    tag = packet.data[node.start : node.open_end]
    return tag[:-2].rstrip() + b">" if tag.endswith(b"/>") else tag


def _descriptions(packet: Packet, groups: Sequence[tuple[Sequence[bytes], str]]) -> list[Splice]:
    """New descriptions of these lines and declarations at the end of rdf:RDF, indented as the last one is."""
    if not groups:
        return []
    rdf, newline = packet.rdf, packet.newline
    about = next((one.attributes[key] for one in rdf.children for key in _ABOUT & one.attributes.keys()), "")
    indent = b" "
    if rdf.children:
        last = rdf.children[-1]
        gap = packet.data[packet.gap_before(last, rdf) : last.start]
        indent = gap.rpartition(b"\n")[2] if b"\n" in gap else indent
    is_bound = rdf.prefix == "rdf"
    start = b"<rdf:Description " + (b"" if is_bound else f'xmlns:rdf="{RDF}" '.encode())
    body = b""
    for lines, declared in groups:
        head = start + b'rdf:about="' + escaped(about) + b'"' + declared.encode() + b">"
        whole = [head, *(b" " + line for line in lines), b"</rdf:Description>"]
        body += newline + newline.join(indent + line for line in whole)
    if rdf.is_self_closing:
        end = newline + b"</%s>" % _qualified(packet, rdf)
        return [(rdf.start, rdf.end, _opened(packet, rdf) + body + end)]
    at = rdf.open_end + len(packet.data[rdf.open_end : rdf.close].rstrip())
    return [(at, at, body)]
