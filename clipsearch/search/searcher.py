"""Searcher: a Query over one collection -> a Page of hits. Puts the steps of the query layer together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from clipsearch import query as query_language
from clipsearch.encoder import Encoder
from clipsearch.errors import QueryError, UnknownField
from clipsearch.models import require_same_model
from clipsearch.search import calibration
from clipsearch.search.answering import answer, browse
from clipsearch.search.asking import Embedded, Wanted, ask
from clipsearch.search.calibration import Judged
from clipsearch.search.channels import HEAD, condition_of
from clipsearch.search.confidence import Calibration
from clipsearch.store import Store, all_fields
from clipsearch.types import Filter, Hit, Page, Query, SearchOptions, Term

MAX_LIMIT = 10_000
MAX_OFFSET = 1_000_000
_EMBED = 256  # queries embedded together

Condition = str | Filter | Iterable[str | Filter]


@dataclass(frozen=True, slots=True)
class Question:
    """One query of many: words in the query language, pictures, a filter."""

    text: str | Query = ""
    image: str | Path | Sequence[str | Path] = ()
    filter: Condition = ()


class Searcher:
    """One collection, ready to be asked. Keeps its encoder warm; close it, or use it with `with`."""

    def __init__(self, store: Store, encoder: Encoder, *, folder: Path | None = None) -> None:
        """folder: where the collection's calibration is kept; None: it is sampled for this Searcher alone.

        Raises ModelMismatch if the collection was made by another model than `encoder`.
        """
        require_same_model(store.name, store.spec.fingerprint, encoder.fingerprint)
        self.store = store
        self.encoder = encoder
        self._folder = folder
        self._calibration: Calibration | None = None

    def search(
        self,
        text: str | Query = "",
        *,
        image: str | Path | Sequence[str | Path] = (),
        filter: Condition = (),
        top: int = 10,
        offset: int = 0,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
        group_by: str | None = None,
        diversity: float = 0.0,
        unique: bool = False,
        min_confidence: float | None = None,
        sort: str | None = None,
        exact: bool = False,
    ) -> Page:
        """The best hits for words, pictures or both, best first.

        text: the query language (see clipsearch.query), or a parsed Query.
        filter: conditions such as "material=brass", all of which must hold.
        The other options are those of types.SearchOptions.
        A text that is a record's key, typed exactly, puts that record first; its `why` says so.
        With a filter alone, hits are the records it lets through, in order of key, with score 0.
        Raises QueryError, UnknownField, SourceError or ImageError (a query picture), StoreError.
        """
        options = SearchOptions(
            top=top,
            offset=offset,
            like=tuple(like),
            unlike=tuple(unlike),
            group_by=group_by,
            diversity=diversity,
            unique=unique,
            min_confidence=min_confidence,
            sort=sort,
            exact=exact,
        )
        return self.search_many([Question(text, image, filter)], options)[0]

    def search_many(self, questions: Sequence[Question], options: SearchOptions | None = None) -> list[Page]:
        """A page for each question, in order; texts and pictures are embedded together.

        Queries with the same filter also go to the engine together. Raises as search does.
        """
        options = options or SearchOptions()
        self._check(options)
        pages: list[Page] = []
        for start in range(0, len(questions), _EMBED):
            queries = [self._query(q, options) for q in questions[start : start + _EMBED]]
            embedded = Embedded(self.encoder, queries)
            wanted = [ask(query, options, embedded, self.store) for query in queries]
            nearest = self._nearest(wanted, options) if len(wanted) > 1 else {}
            pages += [self._page(one, options, nearest.get(i)) for i, one in enumerate(wanted)]
        return pages

    @property
    def calibration(self) -> Calibration:
        """The collection's calibration: kept beside it, or sampled now."""
        if self._calibration is None:
            self._calibration = calibration.current(self._folder, self.store, self.encoder)
        return self._calibration

    def calibrate(self, judged: Iterable[Judged] = ()) -> Calibration:
        """Fit the calibration to judged pairs, or else to the records' own words, and keep it."""
        self._calibration = calibration.fitted(self.store, self.encoder, judged)
        calibration.save(self._calibration, self._folder, self.store)
        return self._calibration

    # --- steps -----------------------------------------------------------------------------------

    def _query(self, question: Question, options: SearchOptions) -> Query:
        fields = all_fields(self.store.spec)
        filter = question.filter
        given = [filter] if isinstance(filter, str) or not isinstance(filter, Iterable) else list(filter)
        conditions = [
            query_language.parse_filter(f, fields=fields) if isinstance(f, str) else f for f in given
        ]
        text = question.text
        query = text if isinstance(text, Query) else query_language.parse(text, fields=fields)
        typed = [] if query.filter is None else [query.filter]
        pictures = [question.image] if isinstance(question.image, (str, Path)) else list(question.image)
        terms = (*query.terms, *(Term("image", str(path)) for path in pictures))
        if not terms and query.filter is None and not conditions and not options.like:
            raise QueryError("nothing to search for: give words, a picture (--image FILE) or a filter")
        record_id = None if pictures or options.like else query.record_id
        both = query_language.all_of([*typed, *conditions])
        return replace(query, terms=terms, filter=both, record_id=record_id)

    def _nearest(self, wanted: Sequence[Wanted], options: SearchOptions) -> dict[int, list[Hit]]:
        """The pictures' ranking of all queries that need no more than their vector, asked for together."""
        plain = [
            (condition_of(one, self.store), i)
            for i, one in enumerate(wanted)
            if one.vector is not None and not one.has_feedback
        ]
        found: dict[int, list[Hit]] = {}
        for condition, some in groupby(sorted(plain, key=lambda c: repr(c[0])), key=lambda c: c[0]):
            places = [i for _, i in some]
            vectors = np.stack([v for i in places if (v := wanted[i].vector) is not None])
            hits = self.store.search_batch(
                vectors, limit=HEAD, filter=condition, exact=options.exact or None, with_payload=False
            )
            found.update(zip(places, hits, strict=True))
        return found

    def _page(self, wanted: Wanted, options: SearchOptions, nearest: list[Hit] | None) -> Page:
        if wanted.vector is None:
            return browse(wanted.query, options, self.store)
        return answer(wanted, options, self.store, self.calibration, nearest=nearest)

    def _check(self, options: SearchOptions) -> None:
        if not 1 <= options.top <= MAX_LIMIT:
            raise QueryError(f"top must be from 1 to {MAX_LIMIT:,}, not {options.top}")
        if not 0 <= options.offset <= MAX_OFFSET:
            raise QueryError(f"offset must be from 0 to {MAX_OFFSET:,}, not {options.offset}")
        for name, share in (("diversity", options.diversity), ("min_confidence", options.min_confidence)):
            if share is not None and not 0 <= share <= 1:
                raise QueryError(f"{name} must be from 0 to 1, not {share}")
        for field in (options.group_by, options.sort and options.sort.removeprefix("-")):
            if field and field not in all_fields(self.store.spec):
                raise UnknownField(query_language.unknown_field(field, self.store.spec.fields))

    def close(self) -> None:
        """Give the collection and the encoder back."""
        self.store.close()
        self.encoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
