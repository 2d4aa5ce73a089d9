"""Labels out of a table: a line for each question (key, tag, correct), or for each record (key, tags).

Owns what a table's columns and verdicts mean. Knows no collection.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipsearch.errors import TableError, TaggingError
from clipsearch.tables import Row, Table, read_table
from clipsearch.tables.verdicts import NO, YES
from clipsearch.tagging.labels.said import Labels, Rules, Said
from clipsearch.tagging.labels.words import Words, plain
from clipsearch.tagging.vocabulary import Vocabulary

_NONE = frozenset({"none", "none of these", "neither", "なし", "無し", "どれでもない"})
_LONG, _WIDE = ("key", "tag", "correct"), ("key", "tags")
_SEPARATORS = (";", "；", "、")
_JAPANESE = "cp932"  # what Excel on a Japanese Windows saves CSV as


@dataclass
class _Told:
    """What one key's lines say so far."""

    has: set[int] = field(default_factory=set)
    has_not: set[int] = field(default_factory=set)
    complete: bool = False
    lines: list[int] = field(default_factory=list)


def read_labels(
    path: Path, vocabulary: Vocabulary, *, ignore_unknown: bool = False, encoding: str | None = None
) -> Labels:
    """The labels of a table: CSV, TSV, JSON lines, JSON, Parquet or Arrow.

    With the columns key, tag and correct, only these pairs are known. correct is yes or no; or the tag that
    is right instead; or none: it is none of the tag's group; empty: not answered. With key and tags (a list,
    or words with ; between them) what is not named is not there; an empty cell says that there is none. A
    tag is written as any word for a label, its id or its path.
    Raises TableError, and TaggingError with the line: a word that is no label (unless ignore_unknown), a
    verdict that is neither, a contradiction.
    """
    table = _table(path, encoding)
    reader = _Reader(path, Words(vocabulary), ignore_unknown)
    if all(name in table.columns for name in _LONG):
        return reader.labels(reader.pairs(table))
    if all(name in table.columns for name in _WIDE):
        return reader.labels(reader.lists(table))
    raise TableError(
        f"{path} has the columns {', '.join(table.columns[:8])}; labels need key, tag and correct (yes or "
        "no), or key and tags (all of a record's tags, with ; between them)"
    )


class _Reader:
    """Reads one table's rows; counts what is blank and what is unknown."""

    def __init__(self, path: Path, words: Words, ignore_unknown: bool) -> None:
        self._path, self._words, self._ignore = path, words, ignore_unknown
        self._n_blank, self._unknown = 0, Counter[str]()
        self._why: dict[tuple[str, int], str] = {}

    def labels(self, told: dict[str, _Told]) -> Labels:
        """The labels, each key's found to be without a contradiction."""
        rules = Rules(self._words.vocabulary)
        by_key: dict[str, Said] = {}
        for key, one in told.items():
            said = Said(frozenset(one.has), frozenset(one.has_not), one.complete)
            try:
                rules.closed(said.spoken)
            except TaggingError as exc:
                lines = ", ".join(map(str, one.lines[:6]))
                where = f"s {lines}" if len(one.lines) > 1 else f" {lines}"
                raise self._error(where, f"of {key!r} {exc}") from exc
            by_key[key] = said
        return Labels(by_key, self._n_blank, dict(self._unknown), self._why)

    def pairs(self, table: Table) -> dict[str, _Told]:
        """A question a line."""
        told: dict[str, _Told] = {}
        for row in table.only((*_LONG, "why")):
            verdict = plain(_text(row.values.get("correct")))
            if not verdict:
                self._n_blank += 1
                continue
            key, word = self._key(row), _text(row.values.get("tag"))
            if not word:
                raise self._error(
                    f" {row.line}", "there is a verdict and no tag; write which tag it is about"
                )
            place = self._place(word, row)
            if place is None:
                continue
            has, has_not = self._meant(place, verdict, row)
            one = told.setdefault(key, _Told())
            one.lines.append(row.line)
            one.has |= has
            one.has_not |= has_not
            if both := one.has & one.has_not:
                name = self._words.vocabulary.labels[min(both)].name
                raise self._error(
                    f"s {', '.join(map(str, one.lines))}", f"{name!r} is both right and wrong for {key!r}"
                )
            if why := _text(row.values.get("why")):
                self._why[key, place] = why
        return told

    def lists(self, table: Table) -> dict[str, _Told]:
        """All tags of a record a line."""
        told: dict[str, _Told] = {}
        for row in table.only(_WIDE):
            key = self._key(row)
            if key in told:
                raise self._error(
                    f"s {told[key].lines[0]}, {row.line}", f"{key!r} is there twice; put its tags in one line"
                )
            places = [self._place(word, row) for word in self._list(row.values.get("tags"))]
            told[key] = _Told({p for p in places if p is not None}, complete=True, lines=[row.line])
        return told

    def _key(self, row: Row) -> str:
        key = _text(row.values.get("key"))
        if not key:
            raise self._error(f" {row.line}", "there is no key; write the record's, as search shows it")
        return key

    def _place(self, word: str, row: Row) -> int | None:
        try:
            place = self._words.place(word)
        except TaggingError as exc:
            raise self._error(f" {row.line}", str(exc)) from exc
        if place is None:
            if not self._ignore:
                hint = self._words.nearest(word)
                raise self._error(
                    f" {row.line}",
                    f"{word!r} is no label of the vocabulary{hint}; correct it, or add it there",
                )
            self._unknown[word] += 1
        return place

    def _meant(self, place: int, verdict: str, row: Row) -> tuple[set[int], set[int]]:
        """The labels that a verdict on a label says are right, and those that are wrong."""
        if verdict in YES:
            return {place}, set()
        vocabulary = self._words.vocabulary
        group = vocabulary.labels[place].group
        if verdict in _NONE:
            return set(), {place} if group is None else set(vocabulary.groups[group])
        if verdict in NO:
            return set(), {place}
        try:
            other = self._words.place(verdict)
        except TaggingError as exc:
            raise self._error(f" {row.line}", str(exc)) from exc
        if other is None:
            raise self._error(
                f" {row.line}",
                f"correct is {verdict!r}; write yes or no, the tag that is right instead, or none, or leave "
                "it empty",
            )
        is_implied = other == place or place in vocabulary.ancestors(other)
        return {other}, set() if is_implied else {place}

    def _list(self, value: Any) -> list[str]:
        """A cell's tags. A comma parts them only where nothing else does, and the cell is no label itself."""
        if isinstance(value, list | tuple):
            return [text for text in map(_text, value) if text]
        text = _text(value)
        separator = next((sign for sign in _SEPARATORS if sign in text), None)
        if separator is None and "," in text and self._words.place(text) is None:
            separator = ","
        words = text.split(separator) if separator else [text]
        return [word.strip() for word in words if word.strip()]

    def _error(self, lines: str, what: str) -> TaggingError:
        return TaggingError(f"{self._path}, line{lines}: {what}")


def _table(path: Path, encoding: str | None) -> Table:
    """The table; one that is no UTF-8 is tried as what Excel saves in Japan."""
    try:
        return read_table(path, encoding=encoding)
    except TableError as exc:
        if encoding is not None or not isinstance(exc.__cause__, UnicodeDecodeError):
            raise
        try:
            return read_table(path, encoding=_JAPANESE)
        except TableError:
            raise exc from None


def _text(value: Any) -> str:
    """A cell's words; a whole number that a table made a fraction is whole again."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
