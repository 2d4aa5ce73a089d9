"""The work behind the routes: a request's values in, the answer's JSON out. Runs in a worker thread.

Owns what the network may not do: queries that name files or addresses are refused, here and nowhere else.
Knows no framework.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clipsearch import query as query_language
from clipsearch.errors import ImageError, QueryError
from clipsearch.search import Searcher
from clipsearch.search.asking import MAX_VIEWS, named
from clipsearch.serve.opened import OpenCollections
from clipsearch.serve.records import collection_record, page_record, to_json
from clipsearch.serve.replies import Refusal, Reply, refusal
from clipsearch.serve.schemas import SearchRequest, TagImageForm, TagRequest
from clipsearch.serve.taggers import Wanted
from clipsearch.serve.tags import tag_record, vocabulary_record
from clipsearch.store import all_fields
from clipsearch.types import Embeddings, Query

_UPLOAD = "the uploaded picture"


def search(collections: OpenCollections, ask: SearchRequest, picture: bytes | None = None) -> bytes:
    """A page of hits for the words, the filters and an uploaded picture."""
    name = collections.chosen(ask.collection)
    searcher = collections.searcher(name)
    query = _network_query(ask.q, searcher)
    with _uploaded(picture, collections.uploads) as images:
        page = searcher.search(query, image=images, filter=ask.filter, **ask.options())
    return to_json(page_record(page, name, searcher.store.spec.fingerprint.model))


def tag_record_of(collections: OpenCollections, ask: TagRequest) -> bytes:
    """The labels for a record's picture."""
    _check(ask)
    name = collections.chosen(ask.collection)
    record = named(ask.key)
    for points in collections.store(name).scroll(filter=record, batch_size=MAX_VIEWS, with_vectors=True):
        first = min(points, key=lambda point: str(point.payload.get("_key", "")))
        vector: Any = first.vectors["image"]
        return _tags(collections, name, vector[None], ask)
    raise refusal(404, "no-record", f"collection {name!r} has no record with the key {ask.key!r}")


def tag_image(collections: OpenCollections, ask: TagImageForm, picture: bytes) -> bytes:
    """The labels for an uploaded picture."""
    _check(ask)
    name = collections.chosen(ask.collection)
    vector = collections.encoder(name).encode_images([picture])  # (1, D)
    return _tags(collections, name, vector, ask)


def list_collections(collections: OpenCollections) -> bytes:
    """The names, and the one that is asked where none is named."""
    try:
        default = collections.chosen(None)
    except QueryError:
        default = None
    return to_json({"collections": collections.names(), "default": default})


def describe_collection(collections: OpenCollections, name: str) -> bytes:
    """What the collection holds."""
    return to_json(collection_record(collections.store(name).info()))


def _check(ask: TagRequest | TagImageForm) -> None:
    """Raises Refusal for options that do not go together."""
    if bool(ask.labels) == (ask.vocabulary is not None):
        raise refusal(400, "bad-request", "give either labels or a vocabulary")
    if ask.labels and (ask.templates or ask.threshold is not None):
        raise refusal(
            400, "bad-request", "templates and threshold go with a vocabulary; labels have template"
        )
    if ask.vocabulary is not None and ask.template != "{}":
        raise refusal(400, "bad-request", "template goes with labels; a vocabulary has templates")
    if ask.template.count("{}") != 1:
        raise refusal(400, "bad-request", "template: write {} once, where the label goes")


def _tags(
    collections: OpenCollections, name: str, vector: Embeddings, ask: TagRequest | TagImageForm
) -> bytes:
    encoder = collections.encoder(name)
    if ask.vocabulary is None:
        return to_json({"collection": name, **tag_record(encoder, vector, ask.labels, ask.template)})
    tagger = collections.taggers.get(
        Wanted(ask.vocabulary, ask.vocabulary_format, tuple(ask.templates), ask.threshold),
        store=collections.store(name),
        encoder=encoder,
        folder=collections.settings.collection_dir(name),
    )
    found = vocabulary_record(tagger, vector)
    return to_json({"collection": name, "model": encoder.fingerprint.model, **found})


def _network_query(text: str, searcher: Searcher) -> Query:
    """The parsed query. Raises Refusal for a file or an address in it: neither is opened for the network."""
    query = query_language.parse(text, fields=all_fields(searcher.store.spec))
    for term in query.terms:
        if term.kind == "image":
            message = (
                f"{term.value[:100]!r} is a file or an address, and the server opens none; upload the "
                'picture to /search/image, name a record with id:KEY, or put the word in "quotation marks"'
            )
            raise Refusal(Reply(400, "no-files", message, term.position))
    return query


@contextlib.contextmanager
def _uploaded(picture: bytes | None, folder: Path) -> Iterator[tuple[Path, ...]]:
    """The picture as a file for the time of a search; its errors name the upload, not the file."""
    if picture is None:
        yield ()
        return
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(picture)
        yield (Path(name),)
    except ImageError as exc:
        raise ImageError(exc.reason, str(exc).replace(name, _UPLOAD)) from exc
    finally:
        Path(name).unlink(missing_ok=True)
