"""One thing that is wrong with a vocabulary. Finds nothing itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from clipsearch.tagging.vocabulary import Vocabulary

Level: TypeAlias = Literal["error", "warning", "note"]
FEWEST = 50  # pictures of a collection, to say something about shares and spreads


@dataclass(frozen=True, slots=True)
class Finding:
    """labels: ids, in the vocabulary's order; the first is the one to keep where they should be one.

    check: its short name, see CHECKS. suggestion: a line of YAML to paste, "" for none. facts: the numbers
    behind message, for programs.
    """

    level: Level
    check: str
    labels: tuple[str, ...]
    message: str
    advice: str
    suggestion: str = ""
    line: int = 0  # of the first label in the vocabulary's file; 0: unknown
    facts: Mapping[str, Any] = field(default_factory=dict)


def finding(
    vocabulary: Vocabulary,
    places: Sequence[int],
    *,
    level: Level,
    check: str,
    message: str,
    advice: str,
    suggestion: str = "",
    **facts: Any,
) -> Finding:
    """A finding about the labels at these places."""
    labels = [vocabulary.labels[place] for place in places]
    ids = tuple(label.id for label in labels)
    return Finding(level, check, ids, message, advice, suggestion, labels[0].line if labels else 0, facts)


def merged(vocabulary: Vocabulary, places: Sequence[int]) -> str:
    """A line of YAML: the first label, with all words of the others as synonyms."""
    labels = [vocabulary.labels[place] for place in places]
    words = dict.fromkeys([*labels[0].synonyms, *(word for label in labels[1:] for word in label.words)])
    words.pop(labels[0].name, None)
    name, synonyms = (json.dumps(value, ensure_ascii=False) for value in (labels[0].name, list(words)))
    return f"- {{name: {name}, synonyms: {synonyms}}}"


def listed(vocabulary: Vocabulary, places: Sequence[int], *, most: int = 5) -> str:
    """The labels' ids in words: "a", "b" and "c"."""
    names = [f'"{vocabulary.labels[place].id}"' for place in places]
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1:,} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
