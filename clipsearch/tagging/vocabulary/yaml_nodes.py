"""YAML text as a tree that keeps every scalar as it is written, and its line. Owns PyYAML.

Constructs no Python objects, follows no tags, and bounds what aliases make of a small file.
"""

from __future__ import annotations

import re
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

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as exc:
        raise origin.error(*_explained(exc)) from exc
    except RecursionError as exc:
        raise origin.error(0, "is nested too deeply; flatten it") from exc
    return _Reader(text, origin).node(root, 0) if root is not None else Node("nothing", 0)


class _Reader:
    """PyYAML's nodes made ours, counted."""

    def __init__(self, text: str, origin: Origin) -> None:
        self._text, self._origin = text, origin
        self._n_nodes = 0

    def node(self, node: Any, depth: int) -> Node:
        """The node and everything below it."""
        line = node.start_mark.line + 1
        self._n_nodes += 1
        if self._n_nodes > _MAX_NODES:
            raise self._origin.error(line, "is far larger with its aliases (*name) written out; use fewer")
        if depth > _MAX_DEPTH:
            raise self._origin.error(
                line, "is nested too deeply, or an alias (*name) holds itself; flatten it"
            )
        if not node.tag.startswith("tag:yaml.org,2002:"):
            raise self._origin.error(
                line, f"{node.tag!r} begins with '!', which is YAML's own sign; put it in quotation marks"
            )
        if node.id == "sequence":
            return Node("list", line, items=tuple(self.node(item, depth + 1) for item in node.value))
        if node.id == "mapping":
            return Node("map", line, pairs=self._pairs(node, depth))
        return self._scalar(node, line)

    def _pairs(self, node: Any, depth: int) -> tuple[tuple[Node, Node], ...]:
        pairs = tuple((self.node(key, depth + 1), self.node(value, depth + 1)) for key, value in node.value)
        seen: dict[str, int] = {}
        for key, _ in pairs:
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
        return pairs

    def _scalar(self, node: Any, line: int) -> Node:
        is_plain = not node.style
        if is_plain and node.value in _NULLS:
            return Node("nothing", line)
        end = node.end_mark.index
        if is_plain and self._text[end : end + 1] in (" ", "\t") and _CUT.match(self._text, end):
            rest = self._text[end:].split("\n", 1)[0]
            raise self._origin.error(
                line,
                f"{(node.value + rest)[:60]!r}: YAML takes what follows ' #' for a comment; put the name in "
                "quotation marks, or a space after '#'",
            )
        return Node("text", line, text=str(node.value))


def _explained(exc: Any) -> tuple[int, str]:
    """(line, what is wrong and what to do) of PyYAML's error."""
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    problem = str(getattr(exc, "problem", None) or getattr(exc, "context", None) or exc)
    advice = "check indentation, colons and brackets there and in the line before"
    if "cannot start any token" in problem:
        advice = "indent with spaces, not tabs; put words that begin with @, `, % or a tab in quotation marks"
    elif "mapping values are not allowed" in problem:
        advice = (
            "one ':' too many, or a key indented unlike the one before; a name with ': ' in it needs "
            "quotation marks"
        )
    elif "another document" in problem:
        advice = "take the line '---' away: a file is one vocabulary"
    elif "alias" in problem:
        advice = "a word that begins with * needs quotation marks"
    return (mark.line + 1 if mark else 0), f"is no YAML: {problem}; {advice}"
