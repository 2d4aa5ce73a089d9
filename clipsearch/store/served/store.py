"""A `Store` whose collection another process has open. Forwards; the rules are in that process.

What is large goes in parts here, so that no message is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeAlias, TypeVar, cast

import numpy as np

from clipsearch.store.protocol import Store
from clipsearch.store.served.client import Connection
from clipsearch.store.served.codec import Block, Json
from clipsearch.store.served.methods import Method, method
from clipsearch.types import CollectionSpec

_POINTS = 2048  # in one message; all are checked before the first of them is stored
_IDS = 1000
_HITS = 20_000

_P = ParamSpec("_P")
_R = TypeVar("_R")
Arguments: TypeAlias = dict[str, Any]


def _forwarded(
    function: Callable[Concatenate[Any, _P], _R],
    *,
    parts: Callable[[Arguments], Iterator[Arguments]] = lambda arguments: iter([arguments]),
) -> Callable[Concatenate[ServedStore, _P], _R]:
    """The Store's method, done by the process that has the collection, in parts if it may be large."""
    name = function.__name__

    @functools.wraps(function)
    def forward(self: ServedStore, *args: Any, **kwargs: Any) -> Any:
        way = method(name)
        if way.streams:
            return self.connection.stream(name, _named(way, args, kwargs), _encoder(way), way.result.decode)
        answers = [
            self.connection.request(name, part, _encoder(way), way.result.decode)
            for part in parts(_named(way, args, kwargs))
        ]
        if way.lists:
            return [item for answer in answers for item in answer]
        return answers[0] if answers else None

    return cast("Callable[Concatenate[ServedStore, _P], _R]", forward)


def _by_id(arguments: Arguments) -> Iterator[Arguments]:
    rest = iter(dict.fromkeys(arguments["ids"]))
    for ids in iter(lambda: list(islice(rest, _IDS)), []):
        yield {**arguments, "ids": ids}


def _by_point(arguments: Arguments) -> Iterator[Arguments]:
    points = arguments["points"]
    for start in range(0, max(1, len(points)), _POINTS):
        yield {"points": points[start : start + _POINTS]}


def _by_change(arguments: Arguments) -> Iterator[Arguments]:
    changes = arguments["changes"]
    for start in range(0, len(changes), _IDS):
        yield {"changes": changes[start : start + _IDS]}


def _by_query(arguments: Arguments) -> Iterator[Arguments]:
    vectors = np.asarray(arguments["vectors"], dtype=np.float32)
    step = max(1, _HITS // max(1, arguments["limit"]))
    for start in range(0, max(1, len(np.atleast_1d(vectors))), step):
        yield {**arguments, "vectors": vectors[start : start + step] if vectors.ndim else vectors}


class ServedStore:
    """A collection that another process serves. Closing it leaves that process alone."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.name = connection.name
        self._spec = self._newest_spec()
        self._closed = False

    @property
    def spec(self) -> CollectionSpec:
        """The maker of the vectors and the fields, as declared by now, by whomever."""
        if not self._closed:
            self._spec = self._newest_spec()
        return self._spec

    # A method that Store gains is one more line here.
    upsert = _forwarded(Store.upsert, parts=_by_point)
    delete = _forwarded(Store.delete, parts=_by_id)
    retrieve = _forwarded(Store.retrieve, parts=_by_id)
    search = _forwarded(Store.search)
    search_batch = _forwarded(Store.search_batch, parts=_by_query)
    search_sparse = _forwarded(Store.search_sparse)
    recommend = _forwarded(Store.recommend)
    scroll = _forwarded(Store.scroll)
    count = _forwarded(Store.count)
    facet = _forwarded(Store.facet)
    set_payload = _forwarded(Store.set_payload, parts=_by_id)
    set_payloads = _forwarded(Store.set_payloads, parts=_by_change)
    mark_words = _forwarded(Store.mark_words)
    add_fields = _forwarded(Store.add_fields)
    set_hnsw_ef = _forwarded(Store.set_hnsw_ef)
    info = _forwarded(Store.info)
    optimize = _forwarded(Store.optimize)
    flush = _forwarded(Store.flush)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._closed = True
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _newest_spec(self) -> CollectionSpec:
        way = method("spec")
        spec: CollectionSpec = self.connection.request("spec", {}, _encoder(way), way.result.decode)
        return spec


def _named(way: Method, args: Iterable[Any], kwargs: Arguments) -> Arguments:
    return {**dict(zip(way.parameters, args, strict=False)), **kwargs}


def _encoder(way: Method) -> Callable[[Arguments, Block], Json]:
    return lambda given, block: {n: way.parameters[n].encode(value, block) for n, value in given.items()}


if TYPE_CHECKING:
    _a_served_collection_is_a_store: type[Store] = ServedStore
