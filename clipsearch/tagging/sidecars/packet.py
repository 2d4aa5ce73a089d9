"""An XMP packet as a tree whose elements know where they stand in the text, and edits made at those places.

What isn't edited keeps every byte: comments, processing instructions, quotes, padding, unknown namespaces.
Knows RDF's outline (RDF, Description, property); knows nothing of tags.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn
from xml.parsers import expat

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
MAX_BYTES = 16 << 20  # Lightroom's masks make sidecars of some hundred KB
_MAX_DEPTH = 100
_SIGN = "\f"  # between a name's parts: no XML document can hold it
_TAG = re.compile(rb"<(?:[^\"'>]++|\"[^\"]*\"|'[^']*')*>")
_ATTRIBUTE = re.compile(rb"\s+([^\s=/>\"']+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_INVALID = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2
_DECLARED = re.compile(rb"""<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")

Name = tuple[str, str]  # (namespace, local name); ("", name) has no namespace
Splice = tuple[int, int, bytes]  # start, end, what takes its place


class Refused(Exception):
    """A packet or a place that is left as it is; the message is the reason."""


class Node:
    """One element. Offsets are bytes of the packet's data; close: where the end tag begins."""

    __slots__ = ("attributes", "children", "close", "data", "end", "name", "prefix", "start", "texts")

    def __init__(self, data: bytes, name: Name, prefix: str, attributes: dict[Name, str], start: int) -> None:
        self.data, self.name, self.prefix, self.attributes, self.start = data, name, prefix, attributes, start
        self.close = self.end = -1
        self.children: list[Node] = []
        self.texts: list[str] = []  # directly in it, but for white space before them

    @property
    def open_end(self) -> int:
        """Where the start tag ends."""
        tag = _TAG.match(self.data, self.start)
        return self.end if tag is None else tag.end()

    @property
    def text(self) -> str:
        """What stands directly in it, without the white space around it."""
        return "".join(self.texts).strip()

    @property
    def is_self_closing(self) -> bool:
        return self.close == self.end

    def child(self, name: Name) -> Node | None:
        """The first child of that name."""
        return next((node for node in self.children if node.name == name), None)


@dataclass(frozen=True, slots=True)
class Packet:
    """A parsed packet: UTF-8 without a byte order mark, and how it was encoded."""

    data: bytes
    rdf: Node
    encoding: str = "utf-8"
    mark: bytes = b""

    @property
    def descriptions(self) -> list[Node]:
        """The nodes that carry the picture's properties."""
        return self.rdf.children

    def properties(self, name: Name) -> Iterator[tuple[Node, Node]]:
        """(description, property) of every property element of that name."""
        for description in self.descriptions:
            for node in description.children:
                if node.name == name:
                    yield description, node

    @property
    def newline(self) -> bytes:
        return b"\r\n" if b"\r\n" in self.data else b"\n"

    def encoded(self) -> bytes:
        """The packet as a file holds it."""
        return self.mark + self.data.decode("utf-8").encode(self.encoding)

    def edited(self, splices: Sequence[Splice]) -> Packet:
        """The packet with these places replaced; they must not overlap."""
        parts: list[bytes] = []
        done = 0
        for start, end, fresh in sorted(splices, key=lambda splice: splice[:2]):
            if start < done:
                raise Refused("its tags stand inside one another")
            parts += (self.data[done:start], fresh)
            done = end
        data = b"".join((*parts, self.data[done:]))
        return Packet(data, _tree(data), self.encoding, self.mark)

    def gap_before(self, node: Node, parent: Node) -> int:
        """Where the white space before the node begins; its own start where something else stands there."""
        before = parent.open_end
        for child in parent.children:
            if child is node:
                break
            before = child.end
        return self.gap(before, node.start)

    def gap(self, end: int, start: int) -> int:
        """Where the white space between the end of one thing and the start of another begins."""
        return start if self.data[end:start].strip() else end

    def attribute(self, node: Node, name: Name) -> Splice:
        """The splice that takes the attribute out of its element."""
        tag = self.data[node.start : node.open_end]
        for match in _ATTRIBUTE.finditer(tag):
            prefix, _, local = match[1].decode("utf-8").rpartition(":")
            if local == name[1] and prefix and self._bound(prefix, node) == name[0]:
                return node.start + match.start(), node.start + match.end(), b""
        raise Refused(f"its attribute {name[1]} cannot be found")

    def _bound(self, prefix: str, node: Node) -> str | None:
        """What the prefix stands for at a description: declared there, or in the elements around it."""
        want = f"xmlns:{prefix}".encode()
        tags = [self.data[node.start : node.open_end], self.data[: self.rdf.open_end]]
        for tag in tags:
            found = [match[2][1:-1].decode("utf-8") for match in _ATTRIBUTE.finditer(tag) if match[1] == want]
            if found:
                return found[-1]
        return None


def parse(raw: bytes) -> Packet:
    """The packet of a sidecar's bytes. Raises Refused with the reason; never expands an entity."""
    if len(raw) > MAX_BYTES:
        raise Refused(f"it has {len(raw):,} bytes, more than the {MAX_BYTES:,} that are read")
    mark, encoding = _encoding(raw)
    try:
        text = raw[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise Refused(
            f"it is no {encoding.upper()}: {error.reason} at byte {error.start + len(mark)}"
        ) from None
    data = text.encode("utf-8")
    declared = _DECLARED.match(data)
    if declared and not declared[1].lower().startswith((b"utf-8", b"utf8", b"utf-16", b"us-ascii")):
        raise Refused(f"it says that it is encoded in {declared[1].decode()}; XMP is UTF-8 or UTF-16")
    return Packet(data, _tree(data), encoding, mark)


def clean(text: str) -> str:
    """The text on one line and without space around it; "" where XML cannot hold it."""
    line = re.sub("[\t\n\r]+", " ", text).strip()
    return "" if _INVALID.search(line) else line


def escaped(text: str) -> bytes:
    """The text as an element's content, or an attribute's in double quotes."""
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(sign, name)
    return text.encode("utf-8")


# --- parts ---------------------------------------------------------------------------------------


def _encoding(raw: bytes) -> tuple[bytes, str]:
    """The byte order mark and the codec's name."""
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, b"\0\0\0<", b"<\0\0\0")):
        raise Refused("it is encoded in UTF-32, which is not read")
    marks = (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    )
    for mark, encoding in marks:
        if raw.startswith(mark):
            return mark, encoding
    if raw.startswith(b"<\0"):
        return b"", "utf-16-le"
    return b"", "utf-16-be" if raw.startswith(b"\0<") else "utf-8"


def _tree(data: bytes) -> Node:
    """The rdf:RDF element."""
    parser = expat.ParserCreate("utf-8", _SIGN)
    parser.namespace_prefixes = True
    parser.ordered_attributes = True
    parser.buffer_text = True
    builder = _Builder(data, parser)
    parser.StartDoctypeDeclHandler = builder.doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.stop
    parser.CharacterDataHandler = builder.text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Refused(f"it is no well-formed XML: {error}") from None
    root = builder.root
    rdf = root if root is None or root.name == (RDF, "RDF") else root.child((RDF, "RDF"))
    if rdf is None:
        raise Refused("it is no XMP: there is no rdf:RDF in it")
    return rdf


class _Builder:
    """Builds the tree from the parser's calls."""

    def __init__(self, data: bytes, parser: expat.XMLParserType) -> None:
        self.data, self.parser = data, parser
        self.open: list[Node] = []
        self.root: Node | None = None

    def doctype(self, *_: object) -> NoReturn:
        raise Refused("it has a document type declaration, which XMP has not and which can hide entities")

    def start(self, name: str, attributes: Sequence[str]) -> None:
        full, prefix = _split(name)
        found = {}
        if attributes:
            pairs = zip(attributes[::2], attributes[1::2], strict=True)
            found = {_split(key)[0]: value for key, value in pairs}
        node = Node(self.data, full, prefix, found, self.parser.CurrentByteIndex)
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node
        if len(self.open) >= _MAX_DEPTH:
            raise Refused(f"its elements are nested deeper than {_MAX_DEPTH} levels")
        self.open.append(node)

    def stop(self, _name: str) -> None:
        """The parser is at the end tag's start, or behind the tag of an element that closes itself."""
        node, at = self.open.pop(), self.parser.CurrentByteIndex
        if not node.children and not node.texts and self.data[at - 2 : at] == b"/>":
            node.close = node.end = at
        else:
            node.close, node.end = at, self.data.index(b">", at) + 1

    def text(self, text: str) -> None:
        texts = self.open[-1].texts
        if texts or not text.isspace():
            texts.append(text)


@lru_cache(maxsize=4096)
def _split(name: str) -> tuple[Name, str]:
    parts = name.split(_SIGN)
    if len(parts) == 1:
        return ("", name), ""
    return (parts[0], parts[1]), parts[2] if len(parts) > 2 else ""
