"""Tokens -> a Query: words gathered into terms, filters joined by and, or, not and parentheses."""

from __future__ import annotations

import re
from collections.abc import Iterable

from clipsearch.errors import QueryError, UnknownField
from clipsearch.query.conditions import all_of, any_of, condition, negated
from clipsearch.query.names import unknown_field
from clipsearch.query.scanner import Element, Fields, Token, Written, scan
from clipsearch.query.spelling import fold
from clipsearch.query.values import Unreadable
from clipsearch.types import Filter, Query, Term

MAX_QUERY_CHARS = 8192
MAX_TERMS = 64  # each is embedded
MAX_DEPTH = 32  # of parentheses and nots

_ONE_FILTER = re.compile(
    r"\s*(?P<not>!?)(?P<field>[^\W\d][\w.-]*?)\s*(?P<op>:?(?:!=|[<>]=?)|=|:)\s*(?P<value>\S(?:.*\S)?)\s*",
    re.DOTALL,
)


def parse(text: str, *, fields: Fields = None, filters: Iterable[Filter] = ()) -> Query:
    """The query that `text` says; `filters` are added to the ones typed in it.

    fields: the collection's payload fields; words with a colon are filters only if their field is
    among them (so "re:zero" stays words). None: any identifier is taken for a field.
    Raises QueryError, with the position of the mistake, or UnknownField.
    """
    parser = _Parser(text, fields)
    parser.read()
    return Query(
        terms=tuple(parser.terms),
        filter=all_of([*filters, *parser.filters]),
        text=text,
        record_id=_record_id(parser.terms),
    )


def parse_filter(text: str, *, fields: Fields = None) -> Filter:
    """A filter alone: material=brass, price<=5, holes:2..4, material=brass or finish=plain.

    Where one condition is all there is, its value may have blanks without quotes. Values are read as
    the field's kind when `fields` is given. Raises QueryError or UnknownField.
    """
    parser = _Parser(text, fields)
    parser.read()
    made = all_of(parser.filters)
    if made is not None and not parser.terms:
        return made
    one = _ONE_FILTER.fullmatch(text)
    if one is None or len(parser.filters) > 1:
        raise QueryError(
            f"filter {text!r} is not understood; write field=value, field=a,b, field!=value, field>=3 or "
            "field:2..4, joined by and, or, not; and quote a value that has blanks",
            text=text,
            position=parser.terms[0].position if parser.terms else 0,
        )
    name = one["field"]
    if fields is not None and name not in fields:
        raise UnknownField(unknown_field(name, fields), text=text, position=one.start("field"))
    elements = tuple(Element(part.strip()) for part in one["value"].split(","))
    operator = one["op"].removeprefix(":") or ":"
    made = parser.condition(Written(name, operator, one["value"], elements, one.start("field")))
    return negated(made) if one["not"] else made


def _record_id(terms: list[Term]) -> str | None:
    """The key that is typed, where one plain term is all there is."""
    is_plain = len(terms) == 1 and terms[0].kind == "text" and terms[0].weight == 1.0
    return terms[0].value if is_plain else None


class _Parser:
    """terms and filters hold what was found, once it has been read."""

    def __init__(self, text: str, fields: Fields) -> None:
        if len(text) > MAX_QUERY_CHARS:
            raise QueryError(
                f"the query is {len(text):,} characters long; {MAX_QUERY_CHARS:,} is the limit", text=text
            )
        self.text = text
        self.fields = fields
        self.terms: list[Term] = []
        self.filters: list[Filter] = []
        self._tokens = scan(text, fields)
        self._starts = _filter_starts(self._tokens)
        self._next = 0
        self._run: list[Token] = []  # plain words, and the sign before them: one term

    def read(self) -> None:
        """Read the whole text. Raises QueryError or UnknownField."""
        while token := self._token():
            if token.sign == "+" or token.kind == "sign":
                self._end_run()
            if self._starts[self._next]:
                self.filters.append(self._alternatives(depth=0))
                continue
            self._next += 1
            if token.kind == "sign":
                self._begin_run(token)
            elif token.kind in ("(", ")"):
                raise self._error("this parenthesis has no filter after it", token)
            elif token.kind == "word" and token.weight is None and token.sign != "-":
                self._run.append(token)
            else:
                self._add_term(token)
        self._end_run()
        self.terms.sort(key=lambda term: term.position)

    # --- terms ---------------------------------------------------------------------------------

    def _begin_run(self, sign: Token) -> None:
        if sign.sign == "-":
            following = self._token()
            if following is None or not _is_plain_word(following) or self._starts[self._next]:
                raise self._error("'-' has nothing after it; write -word, or quote it", sign)
            self._run.append(sign)

    def _end_run(self) -> None:
        if self._run:
            first = self._run[0]
            words = " ".join(token.value for token in self._run if token.kind == "word")
            self._append(Term("text", words, -1.0 if first.kind == "sign" else 1.0, first.position), first)
            self._run = []

    def _add_term(self, token: Token) -> None:
        if not token.value:
            if token.sign == "-":
                raise self._error("'-' has nothing after it; write -word, or quote it", token)
            return
        weight = 1.0 if token.weight is None else token.weight
        term = Term(
            token.kind if token.kind == "image" or token.kind == "id" else "text",
            token.value,
            -weight if token.sign == "-" else weight,
            token.position,
            quoted=token.kind == "quoted" and token.weight is None,
        )
        self._append(term, token)

    def _append(self, term: Term, token: Token) -> None:
        if len(self.terms) == MAX_TERMS:
            raise self._error(f"a query has at most {MAX_TERMS} terms, and here begins another", token)
        self.terms.append(term)

    # --- filters: or < and < not ---------------------------------------------------------------

    def _alternatives(self, depth: int) -> Filter:
        """filter {or filter}"""
        found = [self._together(depth)]
        while self._operator("or"):
            found.append(self._together(depth))
        return any_of(found)

    def _together(self, depth: int) -> Filter:
        """filter {[and] filter}"""
        found = [self._single(depth)]
        while self._operator("and") or self._starts[self._next]:
            found.append(self._single(depth))
        return all_of(found) or found[0]

    def _single(self, depth: int) -> Filter:
        """not filter, -filter, (filter …) or field:value"""
        token = self._tokens[self._next]
        if depth > MAX_DEPTH:
            raise self._error(f"filters are nested more than {MAX_DEPTH} deep here", token)
        self._next += 1
        if token.kind == "word":  # only a `not` can begin a filter
            return negated(self._single(depth + 1))
        if token.written is not None:
            found = self.condition(token.written)
        else:
            found = self._alternatives(depth + 1)
            self._close(token)
        return negated(found) if token.sign == "-" else found

    def _close(self, opening: Token) -> None:
        token = self._token()
        if token is None:
            raise self._error("this parenthesis is not closed; add a )", opening)
        if token.kind != ")":
            raise self._error(
                "in parentheses with filters there are only filters, joined by and, or, not; "
                "write words outside, or quote a value that has blanks",
                token,
            )
        self._next += 1

    def condition(self, written: Written) -> Filter:
        """The filter that is written. Raises QueryError where its value does not fit the field."""
        kind = self.fields.get(written.field) if self.fields is not None else None
        try:
            return condition(written, kind)
        except Unreadable as exc:
            what = f"{written.field} holds {kind} values" if kind else written.field
            raise QueryError(f"{what}: {exc}", text=self.text, position=written.position) from None

    def _operator(self, word: str) -> bool:
        """Step over the word if it joins two filters here."""
        token = self._token()
        if token is None or not _is_plain_word(token, word) or not self._starts[self._next + 1]:
            return False
        self._next += 1
        return True

    # --- both ----------------------------------------------------------------------------------

    def _token(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _error(self, message: str, token: Token) -> QueryError:
        return QueryError(message, text=self.text, position=token.position)


def _filter_starts(tokens: list[Token]) -> list[bool]:
    """For each token, and for the end, whether a filter begins there."""
    starts = [False]
    for token in reversed(tokens):
        opens = token.kind == "(" or _is_plain_word(token, "not")
        starts.append(token.kind == "filter" or (opens and starts[-1]))
    return starts[::-1]


def _is_plain_word(token: Token, word: str | None = None) -> bool:
    """Whether the token is a word (this one, in any case) without sign and weight."""
    is_plain = token.kind == "word" and not token.sign and token.weight is None
    return is_plain and word in (None, fold(token.value).casefold())
