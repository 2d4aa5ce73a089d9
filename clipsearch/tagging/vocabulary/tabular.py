"""CSV and TSV: a tag on each row; its parent, synonyms, languages, group and prompts in columns.

Knows what columns may be called.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from clipsearch.errors import TableError, VocabularyError
from clipsearch.tables import read_table
from clipsearch.tagging.vocabulary.draft import Draft
from clipsearch.tagging.vocabulary.finish import finished
from clipsearch.tagging.vocabulary.languages import language_of, mistaken
from clipsearch.tagging.vocabulary.model import Vocabulary
from clipsearch.tagging.vocabulary.source import Origin, text_of
from clipsearch.tagging.vocabulary.words import SEPARATOR

_ROLES = {
    "name": "name names tag tags label labels keyword keywords term path preflabel "
    "名前 名称 タグ ラベル キーワード 標籤 標簽 标签",
    "parent": "parent parents broader 親 親タグ 上位 上位語",
    "synonyms": "synonym synonyms alias aliases altlabel altlabels 同義語 類義語 別名",
    "group": "group groups exclusive exclusive_group グループ",
    "prompts": "prompt prompts プロンプト",
    "": "note notes comment comments remark remarks description definition count 備考 説明 メモ",
}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words.split()}
_PROMPT = re.compile(r"prompts?_?\d+")
_BETWEEN_WORDS = re.compile("[;|；\n]")
_BETWEEN_PROMPTS = re.compile("[;；\n]")
_COMMAS = re.compile("[,、，]")
_HEADER_ADVICE = (
    "call the tags' column name, tag, label or keyword there; a file with a tag on each line and nothing "
    "else is .txt"
)
_YES = ("yes", "true", "1", "x", "y", "no", "false", "0")


@dataclass(slots=True)
class _Columns:
    """The table's columns by what they hold."""

    name: str = ""
    parent: str = ""
    group: str = ""
    synonyms: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    languages: dict[str, str] = field(default_factory=dict)  # column -> language


def read_csv(path: Path, origin: Origin) -> Vocabulary:
    """The vocabulary. Raises VocabularyError."""
    text_of(path, origin)  # says better what is wrong with an encoding
    try:
        table = read_table(path)
    except TableError as exc:
        line = re.search(r", line (\d+)", str(exc))
        raise VocabularyError(str(exc), line=int(line[1]) if line else 0) from exc
    columns = _columns(table.columns, origin)
    draft = Draft(origin)
    for row in table.rows:
        _add(draft, columns, row.values, row.line)
    return finished(draft)


def _add(draft: Draft, columns: _Columns, values: dict[str, Any], line: int) -> None:
    name, parent = _cell(values, columns.name), _cell(values, columns.parent)
    group = _cell(values, columns.group)
    if re.search(r"\s[>›→»]\s", name):
        raise draft.origin.error(line, f"{name!r} looks like a path; write its levels with '|': animal|dog")
    if SEPARATOR in name and (parent or group):
        raise draft.origin.error(
            line,
            f"{name!r} is a path, and the row has a parent or a group too; put the last name alone there",
        )
    if group.casefold() in _YES:
        raise draft.origin.error(
            line, f"the group of {name!r} is {group!r}; write the group's name, such as material"
        )
    if SEPARATOR in name:
        place = draft.path(None, name.split(SEPARATOR), line=line)
    elif parent or group:
        place = draft.add(
            name, line, group=draft.refer(group, line, what="a group's name") if group else None
        )
        parents = [part for part in re.split("[;；\n]", parent) if part.strip()]
        draft.entries[place].references += [draft.refer(part, line) for part in parents]
    else:
        place = draft.child(None, name, line=line)
    _describe(draft, columns, values, place, line)


def _describe(draft: Draft, columns: _Columns, values: dict[str, Any], place: int, line: int) -> None:
    for column in columns.synonyms:
        for word in _words(draft.origin, column, _cell(values, column), line):
            draft.say(place, word, line)
    for column, language in columns.languages.items():
        for word in _words(draft.origin, column, _cell(values, column), line):
            draft.say(place, word, line, language=language)
    for column in columns.prompts:
        for prompt in _BETWEEN_PROMPTS.split(_cell(values, column)):
            if prompt.strip():
                draft.prompt(place, prompt, line)


def _words(origin: Origin, column: str, cell: str, line: int) -> Iterator[str]:
    if not cell:
        return
    if not _BETWEEN_WORDS.search(cell) and _COMMAS.search(cell):
        raise origin.error(
            line,
            f"{column!r} holds {cell!r}; put ';' between its words, or one at the end if it is one word "
            "with a comma in it",
        )
    yield from (word for word in _BETWEEN_WORDS.split(cell) if word.strip())


def _cell(values: dict[str, Any], column: str) -> str:
    return str(values.get(column) or "").strip() if column else ""


# --- columns ---------------------------------------------------------------------------------------


def _columns(names: Sequence[str], origin: Origin) -> _Columns:
    columns = _Columns()
    keys = {column: _key(column) for column in names}
    unknown = [column for column, key in keys.items() if not _is_known(key)]
    if len(unknown) == len(names):
        raise origin.error(
            1, f"the first line, {', '.join(names)[:60]!r}, names no column that is known; {_HEADER_ADVICE}"
        )
    if unknown:
        raise origin.error(1, _unknown(unknown[0], keys[unknown[0]]))
    for column, key in keys.items():
        role, language = _ROLE_OF.get(key), language_of(key)
        if role in ("name", "parent", "group"):
            before = getattr(columns, role)
            if before:
                raise origin.error(1, f"the columns {before!r} and {column!r} both hold the {role}; keep one")
            setattr(columns, role, column)
        elif role == "synonyms":
            columns.synonyms.append(column)
        elif role == "prompts" or _PROMPT.fullmatch(key):
            columns.prompts.append(column)
        elif role is None and language:
            columns.languages[column] = language
    if not columns.name:
        raise origin.error(1, f"no column holds the tags' names; {_HEADER_ADVICE}")
    return columns


def _key(column: str) -> str:
    return re.sub("[ -]+", "_", unicodedata.normalize("NFKC", column).strip().casefold())


def _is_known(key: str) -> bool:
    return key in _ROLE_OF or _PROMPT.fullmatch(key) is not None or language_of(key) is not None


def _unknown(column: str, key: str) -> str:
    known = ", ".join(words.split()[0] for role, words in _ROLES.items() if role)
    close = get_close_matches(key, [word for word in _ROLE_OF if word.isascii()], n=1, cutoff=0.7)
    wrong = mistaken(key)
    advice = (
        f"{wrong}." if wrong else f"did you mean {close[0]!r}?" if close else "delete it, or name it note."
    )
    return f"the column {column!r} is not known: {advice} Known are {known}, and languages: ja, en, pt-BR"
