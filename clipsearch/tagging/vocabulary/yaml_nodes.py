"""YAML text as a tree that keeps every scalar as it is written, and its line. Owns PyYAML.

Constructs no Python objects, follows no tags, and bounds what aliases make of a small file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from clipsearch.tagging.vocabulary.source import Origin

_MAX_NODES = 3_000_000  # 200,000 tags with words in several languages; aliases can make billions of a line
_MAX_DEPTH = 400
_CUT = re.compile(r"[ \t]+#\d")  # YAML takes the #3 of "gear #3" for a comment
_NULLS = ("", "~")

Kind: TypeAlias = Literal["text", "list", "map", "nothing"]


@dataclass(frozen=True, slots=True)
class Node:
    """text, items or pairs, as kind says."""

    kind: Kind
    line: int
    text: str = ""
    items: tuple[Node, ...] = ()
    pairs: tuple[tuple[Node, Node], ...] = ()


def nodes_of(text: str, origin: Origin) -> Node:
    """The document's root. Raises VocabularyError: not YAML, a key twice, too deep, aliases without end."""
    import yaml

    # From events, not yaml.compose: its nodes are three times as many objects, and collecting garbage among
    # 20,000 tags' took five times as long as reading them.
    try:
        return _Reader(text, origin).document(yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as exc:
        raise origin.error(*_explained(exc)) from exc
    except RecursionError as exc:
        raise origin.error(0, "is nested too deeply; flatten it") from exc


class _Reader:
    """PyYAML's events as nodes, counted."""

    def __init__(self, text: str, origin: Origin) -> None:
        self._text, self._origin = text, origin
        self._events: Iterator[Any] = iter(())
        self._n_nodes = 0
        self._anchors: dict[str, tuple[Node, int]] = {}  # the node, and how many it is with those below it

    def document(self, events: Iterator[Any]) -> Node:
        """The only document's root."""
        self._events = events
        root = Node("nothing", 0)
        n_documents = 0
        for event in events:
            if type(event).__name__ == "DocumentStartEvent":
                n_documents += 1
                if n_documents > 1:
                    raise self._origin.error(
                        event.start_mark.line + 1, "begins a second document; take the line '---' away"
                    )
                root = self._node(next(events), 0)
        return root

    def _node(self, event: Any, depth: int) -> Node:
        """The node that begins with the event, and everything below it."""
        line, kind = event.start_mark.line + 1, type(event).__name__
        before = self._n_nodes
        self._count(line, 1)
        if depth > _MAX_DEPTH:
            raise self._origin.error(line, "is nested too deeply; flatten it")
        if kind == "AliasEvent":
            return self._aliased(event.anchor, line)
        if event.tag is not None and not event.tag.startswith("tag:yaml.org,2002:"):
            raise self._origin.error(
                line, f"{event.tag!r} begins with '!', which is YAML's own sign; put it in quotation marks"
            )
        if kind == "ScalarEvent":
            node = self._scalar(event, line)
        elif kind == "SequenceStartEvent":
            node = Node("list", line, items=tuple(self._below("SequenceEndEvent", depth)))
        else:
            node = Node("map", line, pairs=self._pairs(depth))
        if event.anchor is not None:
            self._anchors[event.anchor] = node, self._n_nodes - before
        return node

    def _below(self, end: str, depth: int) -> Iterator[Node]:
        for event in self._events:
            if type(event).__name__ == end:
                return
            yield self._node(event, depth + 1)

    def _pairs(self, depth: int) -> tuple[tuple[Node, Node], ...]:
        pairs = []
        seen: dict[str, int] = {}
        nodes = self._below("MappingEndEvent", depth)
        for key in nodes:
            if key.kind != "text":
                raise self._origin.error(
                    key.line, "has a list or nothing where a key should be; write a word"
                )
            if key.text == "<<":
                raise self._origin.error(key.line, "merges with '<<', which vocabularies do not know")
            if key.text in seen:
                raise self._origin.error(
                    key.line, f"{key.text!r} was there before, in line {seen[key.text]}; put both in one"
                )
            seen[key.text] = key.line
            pairs.append((key, next(nodes)))
        return tuple(pairs)

    def _aliased(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchors:
            raise self._origin.error(
                line, f"'*{anchor}' is YAML for what is called '&{anchor}' above, and nothing is; if it is a "
                f"name, write '*{anchor}' in quotation marks",
            )  # fmt: skip
        node, n_nodes = self._anchors[anchor]
        self._count(line, n_nodes)
        return node

    def _count(self, line: int, n_nodes: int) -> None:
        self._n_nodes += n_nodes
        if self._n_nodes > _MAX_NODES:
            raise self._origin.error(line, "is far too large with its aliases (*name) written out; use fewer")

    def _scalar(self, event: Any, line: int) -> Node:
        is_plain = not event.style
        if is_plain and event.value in _NULLS:
            return Node("nothing", line)
        if is_plain and event.end_mark.line >= line:
            raise self._origin.error(
                line,
                f"{event.value[:60]!r} is written over several lines; each tag needs its own '- ', indented "
                "alike; a long sentence stands in quotation marks",
            )
        end = event.end_mark.index
        if is_plain and self._text[end : end + 1] in (" ", "\t") and _CUT.match(self._text, end):
            rest = self._text[end:].split("\n", 1)[0]
            raise self._origin.error(
                line,
                f"{(event.value + rest)[:60]!r}: YAML takes what follows ' #' for a comment; put the name in "
                "quotation marks, or a space after '#'",
            )
        return Node("text", line, text=event.value)


def _explained(exc: Any) -> tuple[int, str]:
    """(line, what is wrong and what to do) of PyYAML's error."""
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    problem = str(getattr(exc, "problem", None) or getattr(exc, "context", None) or exc)
    advice = "check indentation, colons and brackets there and in the line before"
    if "tab character" in problem or "cannot start any token" in problem:
        advice = "indent with spaces, not tabs; put words that begin with @, `, % or a tab in quotation marks"
    elif "mapping values are not allowed" in problem:
        advice = (
            "one ':' too many, or a key indented unlike the one before; a name with ': ' in it needs "
            "quotation marks"
        )
    return (mark.line + 1 if mark else 0), f"is no YAML: {problem}; {advice}"
