"""The query language: what a person types -> one Query value with positions.

    brass hex bolt -washer            words, away from other words
    bolt + ./photo.jpg                several terms; a path is a picture
    2:"golden retriever"              a weight before a term
    bolt material:brass,steel price:..5 holes:>=4    filters on payload fields

Parses text only: opens no file, asks no collection. Fields are checked against `fields` when given.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clipsearch.errors import QueryError, UnknownField
from clipsearch.types import And, FieldKind, Filter, Match, Not, Query, Range, Scalar, Term

MAX_QUERY_CHARS = 8192

_PIECE = re.compile(
    r"""(?P<sign>[-+]?)                                  # away from, or one more term
        (?:(?P<weight>\d+(?:\.\d+)?|\.\d+):(?=[^\s\d]))?    # 2:word, but 16:9 is a word
        (?:(?P<field>[^\W\d]\w*)(?P<op>:|>=|<=|>|<|!=|=))?   # field:value; a field begins with a letter
        (?P<value>"(?:[^"\\]|\\.)*"(?!\S)|[^\s"]\S*|)       # a quotation mark inside a word means inches
    """,
    re.VERBOSE,
)
_PATH = re.compile(r"^(?:\.{1,2}/|/|~/|[A-Za-z]:[\\/])")
_COMPARE = re.compile(r"^(?P<op>>=|<=|>|<)(?P<bound>.+)$")


@dataclass(frozen=True, slots=True)
class _Piece:
    position: int
    sign: str
    weight: float
    field: str | None
    op: str
    value: str
    quoted: bool


def parse(
    text: str, *, fields: Mapping[str, FieldKind] | None = None, filters: Iterable[Filter] = ()
) -> Query:
    """The query that `text` says; `filters` are added to the ones typed in it.

    fields: the collection's payload fields; words with a colon are filters only if their field is
    among them (so "re:zero" stays words). None: any identifier is taken for a field.
    Raises QueryError, with the position of the mistake, or UnknownField.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise QueryError(
            f"the query is {len(text):,} characters long; {MAX_QUERY_CHARS:,} is the limit", text=text
        )
    terms: list[Term] = []
    conditions: list[Filter] = list(filters)
    words: list[_Piece] = []  # the plain words gathered so far: one term, until a '+'
    for piece in _pieces(text):
        if piece.field is not None and _is_filter(piece, fields):
            condition = _condition(piece, text, fields)
            conditions.append(Not(condition) if piece.sign == "-" else condition)
            continue
        if piece.sign == "+" and words:
            terms.append(_term(words))
            words = []
        if not piece.value and not piece.field:
            if piece.sign == "-":
                raise QueryError(
                    "'-' has nothing after it; write -word, or quote it", text=text, position=piece.position
                )
        elif piece.sign == "-" or piece.weight != 1.0 or _is_path(piece):
            terms.append(_term([piece]))
        else:
            words.append(piece)
    if words:
        terms.append(_term(words))
    terms.sort(key=lambda term: term.position)
    plain = len(terms) == 1 and terms[0].kind == "text" and terms[0].weight == 1.0
    return Query(
        terms=tuple(terms),
        filter=all_of(conditions),
        text=text,
        record_id=terms[0].value if plain else None,
    )


def parse_filter(text: str, *, fields: Mapping[str, FieldKind] | None = None) -> Filter:
    """One condition: material=brass, material=brass,steel, material!=nylon, price<=5, holes:2..4.

    Values are read as the field's kind when `fields` is given. Raises QueryError or UnknownField.
    """
    match = re.fullmatch(
        r"\s*(?P<not>!?)(?P<field>[^\W\d]\w*)\s*(?P<op>!=|>=|<=|=|:|>|<)\s*(?P<value>.*?)\s*", text
    )
    if not match or not match["value"]:
        raise QueryError(
            f"filter {text!r} is not understood; write field=value, field=a,b, field!=value, field>=3 or "
            "field:2..4",
            text=text,
        )
    piece = _Piece(match.start("field"), "", 1.0, match["field"], match["op"], match["value"], False)
    condition = _condition(piece, text, fields)
    return Not(condition) if match["not"] else condition


def _pieces(text: str) -> Iterable[_Piece]:
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match = _PIECE.match(text, position)
        if match is None or (match.end() < len(text) and not text[match.end()].isspace()):
            raise QueryError(f'a quotation mark at character {position + 1} is not closed; add a second "',
                             text=text, position=position)  # fmt: skip
        raw = match["value"]
        yield _Piece(
            position=position,
            sign=match["sign"],
            weight=float(match["weight"] or 1.0),
            field=match["field"],
            op=match["op"] or "",
            value=_unquote(raw),
            quoted=raw.startswith('"'),
        )
        position = match.end()


def _unquote(raw: str) -> str:
    if raw.startswith('"') and raw.endswith('"') and len(raw) >= 2:
        return re.sub(r"\\(.)", r"\1", raw[1:-1])
    return raw


def _is_path(piece: _Piece) -> bool:
    return not piece.field and not piece.quoted and bool(_PATH.match(piece.value))


def _is_filter(piece: _Piece, fields: Mapping[str, FieldKind] | None) -> bool:
    if not piece.value or piece.value.startswith("//"):  # https://… is no filter
        return False
    return fields is None or piece.field in fields or piece.op != ":"


def _term(run: list[_Piece]) -> Term:
    first = run[0]
    weight = -first.weight if first.sign == "-" else first.weight
    if _is_path(first):
        return Term("image", first.value, weight, first.position)
    words = " ".join(f"{p.field}{p.op}{p.value}" if p.field else p.value for p in run)
    return Term("text", words, weight, first.position)


def _condition(piece: _Piece, text: str, fields: Mapping[str, FieldKind] | None) -> Filter:
    name = piece.field or ""
    if fields is not None and name not in fields:
        raise UnknownField(unknown_field(name, fields))
    kind = fields[name] if fields is not None else None
    op, value = piece.op, piece.value
    compare = _COMPARE.match(value) if op == ":" else None
    if compare:
        op, value = compare["op"], compare["bound"]

    def bound(word: str) -> float | str:
        read = _read(word, kind or "float", name, text, piece.position)
        if isinstance(read, bool) or kind in ("keyword", "text", "bool"):
            raise QueryError(f"{name} holds {kind or 'words'}, which has no order; use {name}=value",
                             text=text, position=piece.position)  # fmt: skip
        return read

    if op in (">", ">=", "<", "<="):
        side = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}[op]
        return Range(name, **{side: bound(value)})
    if ".." in value and kind not in ("keyword", "text"):
        low, _, high = value.partition("..")
        return Range(name, gte=bound(low) if low else None, lte=bound(high) if high else None)
    words = [w for w in (w.strip() for w in value.split(",")) if w] if not piece.quoted else [value]
    if not words:
        raise QueryError(f"{name}{op} has no value", text=text, position=piece.position)
    match = Match(name, tuple(_read(word, kind, name, text, piece.position) for word in words))
    return Not(match) if op == "!=" else match


def _read(word: str, kind: FieldKind | None, name: str, text: str, position: int) -> Scalar:
    """The word as its field's kind; a field of unknown kind keeps the word."""
    try:
        if kind == "integer":
            number = float(word)
            return int(number) if number.is_integer() else number
        if kind == "float":
            return float(word)
        if kind == "bool":
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                word.lower()
            ]
    except (ValueError, KeyError):
        raise QueryError(f"{name} holds {kind}; {word!r} is none", text=text, position=position) from None
    return word


def all_of(conditions: list[Filter]) -> Filter | None:
    """One filter that holds where every condition holds; None for no condition."""
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else And(tuple(conditions))


def unknown_field(name: str, fields: Iterable[str]) -> str:
    """The message for a field the collection does not have, with the nearest name."""
    known = sorted(f for f in fields if not f.startswith("_"))
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}? Known:" if near else "; known:"
    return f"there is no field {name!r} in this collection{hint} {', '.join(known) or 'none'}"
