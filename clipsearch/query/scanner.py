"""A query's text as tokens with their positions.

Knows how words, quotes, filters and pictures are told apart; what they mean together is the parser's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from clipsearch.errors import QueryError, UnknownField
from clipsearch.query.names import is_a_slip, unknown_field
from clipsearch.query.spelling import PATH, QUOTED, fold, is_picture, unquote
from clipsearch.types import FieldKind

Fields: TypeAlias = Mapping[str, FieldKind] | None

_BLANKS = re.compile(r"\s*")
_WEIGHT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?|\.\d{1,6}):(?=[^\s\d])")  # 2:word; 16:9 and 2024:x are words
_NAME = re.compile(r"[^\W\d][\w.-]*")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_ID = re.compile(r"id:", re.IGNORECASE)
_OPERATOR = re.compile(r":(?!!=|[<>])|\s*:?(?:!=|[<>]=?|=)\s*")
_INTO_GROUP = re.compile(r"(?:\s*(?:[-+(]|not(?=[\s(])))*\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Element:
    """One value of a filter's list. prefix: a '*' follows the closing quotation mark."""

    text: str
    quoted: bool = False
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A filter as written: holes:2..4 has the field holes, the operator ':' and the raw value 2..4."""

    field: str
    operator: str  # : = != < <= > >=
    raw: str
    elements: tuple[Element, ...]  # raw, divided at its commas
    position: int


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a query. sign and weight stand before it; "sign": a sign before plain words."""

    kind: Literal["word", "quoted", "image", "id", "filter", "sign", "(", ")"]
    position: int
    value: str = ""
    sign: str = ""  # "+" or "-"
    weight: float | None = None
    written: Written | None = field(default=None)


def scan(text: str, fields: Fields) -> list[Token]:
    """The text's tokens, in order. Raises QueryError or UnknownField, with the position."""
    return _Scanner(text, fields).tokens()


class _Scanner:
    def __init__(self, text: str, fields: Fields) -> None:
        self.text = text
        self.signs = fold(text)  # where signs are looked for; values are taken from the text
        self.fields = fields
        self.depth = 0  # of the parentheses around filters
        self.looked_to = 0  # how far a look-ahead for filters came
        self.filter_ahead = False  # what it saw there

    def tokens(self) -> list[Token]:
        made: list[Token] = []
        position = self._skip(0)
        while position < len(self.text):
            token, position = self._token(position)
            made.append(token)
            position = self._skip(position)
        return made

    def _token(self, start: int) -> tuple[Token, int]:
        if self._closes_group(start):
            self.depth -= 1
            return Token(")", start), start + 1
        if (sign := self.signs[start]) not in "+-":
            return self._weighted(start)
        body = self._skip(start + 1)
        if body < len(self.text) and not self._closes_group(body):
            token, end = self._weighted(body)
            if body == start + 1 or token.kind != "word" or token.weight is not None:
                return replace(token, sign=sign, position=start), end
        return Token("sign", start, sign=sign), start + 1

    def _weighted(self, start: int) -> tuple[Token, int]:
        weight = _WEIGHT.match(self.signs, start)
        if weight is None:
            return self._bare(start)
        token, end = self._bare(weight.end())
        if token.kind in ("filter", "("):
            raise self._error("a filter holds or does not, and has no weight; leave the number out", start)
        if float(weight[1]) == 0:
            raise self._error("a weight of 0 asks for nothing; write a number above 0", start)
        return replace(token, weight=float(weight[1]), position=start), end

    def _bare(self, start: int) -> tuple[Token, int]:
        """The token without its sign and weight."""
        if PATH.match(self.text, start):
            end = self._word_end(start)
            return Token("image", start, self.text[start:end]), end
        if self._names_a_record(start):
            return self._record(start)
        if begun := self._filter_begins(start):
            return self._filter(start, *begun)
        if self.signs[start] == '"':
            end = self._closing(start)
            value = unquote(self.text[start:end]).strip()
            return Token("image" if is_picture(value) else "quoted", start, value), end
        if self.signs[start] == "(" and self._opens_group(start):
            self.depth += 1
            return Token("(", start), start + 1
        end = self._word_end(start)
        return Token("word", start, self.text[start:end]), end

    def _names_a_record(self, start: int) -> bool:
        name = self.text[start : start + 2]  # a field called ID keeps its own spelling
        is_field = name != "id" and self.fields is not None and name in self.fields
        return bool(_ID.match(self.signs, start)) and not is_field

    def _record(self, start: int) -> tuple[Token, int]:
        value = start + len("id:")
        quoted = self.signs[value : value + 1] == '"'
        end = self._closing(value) if quoted else self._word_end(value)
        key = unquote(self.text[value:end]) if quoted else self.text[value:end]
        if not key.strip():
            raise self._error('id: has no key; write id:PART-123, or id:"PART 123"', start)
        return Token("id", start, key), end

    def _filter_begins(self, start: int) -> tuple[str, str, int] | None:
        """A filter's field, its operator and where its value begins; None: no filter is written here."""
        quoted = self.signs.startswith('"', start)
        named = (QUOTED if quoted else _NAME).match(self.signs, start)
        sign = _OPERATOR.match(self.signs, named.end()) if named else None
        if named is None or sign is None:
            return None
        name = unquote(self.text[start : named.end()]) if quoted else self.text[start : named.end()]
        if self.fields is not None and name not in self.fields:
            name = fold(name)  # ｐｒｉｃｅ
        begun = name, sign[0].strip().removeprefix(":") or ":", sign.end()
        if self.fields is not None and name in self.fields:
            return begun
        has_value = self.text[sign.end() : sign.end() + 1].strip() and not self.text.startswith(
            "//", sign.end()
        )
        if not has_value or sign[0] != sign[0].strip():  # blanks around it: words, perhaps a formula
            return None
        is_identifier = not quoted and bool(_IDENTIFIER.fullmatch(name))
        if self.fields is None:
            return begun if is_identifier else None
        if (is_identifier and sign[0] != ":") or is_a_slip(name, self.fields):
            raise UnknownField(unknown_field(name, self.fields), text=self.text, position=start)
        return None

    def _filter(self, start: int, name: str, operator: str, value: int) -> tuple[Token, int]:
        elements, end = [], value
        while True:
            element, end = self._element(end)
            elements.append(element)
            if self.signs[end : end + 1] != ",":
                break
            end += 1
        if not any(element.text for element in elements):
            raise self._error(f"{name}{operator} has no value; a filter is written field=value", start)
        written = Written(name, operator, self.text[value:end], tuple(elements), start)
        return Token("filter", start, written=written), end

    def _element(self, start: int) -> tuple[Element, int]:
        if self.signs[start : start + 1] != '"':
            end = self._word_end(start, in_filter=True)
            return Element(self.text[start:end]), end
        end = self._closing(start)
        value = unquote(self.text[start:end])
        prefix = self.signs[end : end + 1] == "*"
        end += prefix
        if self.signs[end : end + 1].strip() not in ("", ",", ")"):
            raise self._error("after the closing quotation mark there must be a blank or a comma", end)
        return Element(value, quoted=True, prefix=prefix), end

    def _word_end(self, start: int, *, in_filter: bool = False) -> int:
        """Where the word ends: at a blank, at the ')' of a group and, in a filter, at a comma."""
        opened = 0
        for position in range(start, len(self.text)):
            sign = self.signs[position]
            if sign.isspace() or (in_filter and sign == ","):
                return position
            opened += (sign == "(") - (sign == ")")
            if opened < 0 and self.depth:
                return position
            if opened < 0 and in_filter:
                raise self._error(
                    "this ')' closes nothing; if it belongs to the value, quote the value", position
                )
        return len(self.text)

    def _opens_group(self, start: int) -> bool:
        """Whether the '(' at start is followed by a filter, after further '(', '-' or 'not'."""
        if start >= self.looked_to:  # what follows a '(' already passed over was seen then
            ahead = _INTO_GROUP.match(self.signs, start)
            self.looked_to = ahead.end() if ahead else start
            self.filter_ahead = (
                self._names_a_record(self.looked_to) or self._filter_begins(self.looked_to) is not None
            )
        return self.filter_ahead

    def _closes_group(self, position: int) -> bool:
        return self.depth > 0 and self.signs[position] == ")"

    def _closing(self, start: int) -> int:
        """Where the quoted text that begins at start ends."""
        quoted = QUOTED.match(self.signs, start)
        if quoted is None:
            raise self._error(
                f'a quotation mark at character {start + 1} is not closed; add a second "', start
            )
        return quoted.end()

    def _skip(self, position: int) -> int:
        blanks = _BLANKS.match(self.signs, position)
        return blanks.end() if blanks else position

    def _error(self, message: str, position: int) -> QueryError:
        return QueryError(message, text=self.text, position=position)
