"""Plain text: a tag on each line, below others by indentation or as a path; and Lightroom's keyword lists.

Knows how people mistype such files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from clipsearch.errors import VocabularyError
from clipsearch.tagging.vocabulary.draft import MAX_DEPTH, Draft
from clipsearch.tagging.vocabulary.finish import finished
from clipsearch.tagging.vocabulary.model import Vocabulary
from clipsearch.tagging.vocabulary.source import Origin
from clipsearch.tagging.vocabulary.words import SEPARATOR

_INDENTATION = re.compile("[ \t\u00a0\u3000]*")
_COMMENT = re.compile(r"(?:^\s*#.*|\s#(?:[\s#].*)?$)")  # not the # of "screw #8"
_MISTAKES = (
    (re.compile("[-*–—] |[•・‣]"), "begins with a bullet; take it off, or name the file .yaml"),
    (re.compile("＃"), "begins with a full-width ＃; a comment begins with # in half width"),
    (re.compile(r"[｛［].*[｝］]$"), "has a full-width bracket; type { } and [ ] in half width"),
    (re.compile(r"([\"'“”]).*[\"'“”],?$"), "stands in quotation marks; take them off"),
    (re.compile(r".*[,;、]$"), "ends in a comma or semicolon; take it off"),
    (re.compile(r".*[:：]$"), "ends in a colon; take it off, or name the file .yaml"),
    (re.compile(r".*\s[>›→»]\s"), "looks like a path; write its levels with '|': animal|dog"),
    (re.compile(r".*[{}]"), "has a brace; synonyms stand each on a line of its own, {like this}, indented"),
    (re.compile(r".*\t"), "holds a tab; is it a table? Name the file .tsv"),
)
_HEADER = re.compile(r"(?i)(?:name|tag|label|keyword)s?[ \"]*[,;\t]|.*[,;\t][ \"]*(?:parent|synonyms)\b")


@dataclass(frozen=True, slots=True)
class _Level:
    """What a deeper line lies under: the nearest tag, and the levels since that are no tags."""

    indentation: str
    place: int | None
    above: tuple[str, ...] = ()
    is_tag: bool = True


def read_text(text: str, origin: Origin) -> Vocabulary:
    """The vocabulary. Raises VocabularyError."""
    draft = Draft(origin)
    levels: list[_Level] = []
    for line, written in enumerate(text.split("\n"), start=1):
        content = _COMMENT.sub("", written) if "#" in written else written
        indentation = _INDENTATION.match(content)[0]  # type: ignore[index]  # it always matches
        content = content[len(indentation) :].strip()
        if not content:
            continue
        content = content.removeprefix("\\") if content.startswith("\\#") else content
        if content.startswith("{") and content.endswith("}"):
            _say(draft, levels, content[1:-1], indentation, line)
            continue
        _leave(levels, indentation, origin, line)
        _check_line(content, origin, line)
        levels.append(_level(draft, levels[-1] if levels else None, content, indentation, line))
    _check_one_line(draft)
    return finished(draft)


def vocabulary_of(names: Iterable[str]) -> Vocabulary:
    """A vocabulary of plain names, or paths such as "animal|dog". Raises VocabularyError: .line is which."""
    origin = Origin("the vocabulary", "name")
    if isinstance(names, str):
        raise VocabularyError(f"a vocabulary is a list of names, not one text; write [{names!r}]")
    draft = Draft(origin)
    for number, name in enumerate(names, start=1):
        if not isinstance(name, str):
            raise origin.error(number, f"{name!r} is no text; every name must be a str")
        draft.path(None, name.split(SEPARATOR), line=number)
    return finished(draft)


def _leave(levels: list[_Level], indentation: str, origin: Origin, line: int) -> None:
    """Drop the levels that a line with this indentation does not lie under."""
    for depth, level in enumerate(levels):
        if level.indentation == indentation:
            del levels[depth:]
            return
    if not levels and indentation:
        raise origin.error(line, "the first tag is indented; begin it at the line's start")
    above = levels[-1].indentation if levels else ""
    if not indentation.startswith(above):
        known = " or ".join(dict.fromkeys(_shown(level.indentation) for level in levels))
        mixed = "" if set(indentation) <= set(above) else "; use tabs alone or spaces alone"
        raise origin.error(
            line,
            f"is indented by {_shown(indentation)}, unlike the lines above ({known}), so it is not clear "
            f"what it lies under{mixed}",
        )
    if len(levels) >= MAX_DEPTH:
        raise origin.error(line, f"is more than {MAX_DEPTH} levels deep; flatten it")


def _level(draft: Draft, under: _Level | None, content: str, indentation: str, line: int) -> _Level:
    """The level that a line makes, its path's tags put into the draft."""
    place, above = (under.place, under.above) if under else (None, ())
    names = content.split(SEPARATOR)
    is_tag = True
    for i, name in enumerate(names, start=1):
        stripped = name.strip()
        is_tag = not (stripped.startswith("[") and stripped.endswith("]"))
        if is_tag:
            place = draft.child(place, name, line=line, above=above, is_written=i == len(names))
            above = ()
        else:
            above = (*above, draft.refer(stripped[1:-1], line, what="a level's name").text)
    return _Level(indentation, place, above, is_tag)


def _say(draft: Draft, levels: list[_Level], synonym: str, indentation: str, line: int) -> None:
    while levels and len(levels[-1].indentation) >= len(indentation):
        levels.pop()
    if not levels or not levels[-1].is_tag or levels[-1].place is None:
        raise draft.origin.error(
            line, f"the synonym {{{synonym}}} lies under no tag; indent it deeper than its tag, just below"
        )
    draft.say(levels[-1].place, synonym, line)


def _check_line(content: str, origin: Origin, line: int) -> None:
    if line == 1 and _HEADER.match(content):
        raise origin.error(line, f"{content[:60]!r} looks like a table's header; name the file .csv")
    for pattern, reason in _MISTAKES:
        if pattern.match(content):
            raise origin.error(line, f"{content[:60]!r} {reason}")


def _check_one_line(draft: Draft) -> None:
    if len(draft.entries) == 1:
        entry = draft.entries[0]
        if len(re.findall("[,;、，]", entry.name)) > 1:
            raise draft.origin.error(
                entry.line, f"{entry.name[:60]!r} is many tags on one line; write each on a line of its own"
            )


def _shown(indentation: str) -> str:
    counts = {"\t": "tab", " ": "space", "\u3000": "full-width space", "\u00a0": "no-break space"}
    parts = [
        f"{n} {name}{'s' if n > 1 else ''}" for mark, name in counts.items() if (n := indentation.count(mark))
    ]
    return " and ".join(parts) or "nothing"
