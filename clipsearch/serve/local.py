"""The other programs of this user: `clipsearch search` and `index` go through the server's collections.

They may name local files, since they may read those anyway. Knows no HTTP and no socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsearch import query as query_language
from clipsearch.serve.opened import OpenCollections
from clipsearch.store import all_fields
from clipsearch.types import Query

if TYPE_CHECKING:
    from clipsearch.store.served import Listener


def listener(collections: OpenCollections) -> Listener:
    """A Listener, not started, with the handler "search"; it has the collections opened from now on."""
    from clipsearch.store.served import Listener

    made = Listener(handlers={"search": lambda arguments: _search(collections, arguments)})
    collections.when_opened(made.add)
    return made


def _search(collections: OpenCollections, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """page and model for {collection, text or query, image, filter, options, folder}.

    image: absolute paths or addresses; options: Searcher.search's; folder: where the text's paths begin.
    """
    searcher = collections.searcher(arguments["collection"])
    query = arguments.get("query") or query_language.parse(
        arguments.get("text", ""), fields=all_fields(searcher.store.spec)
    )
    page = searcher.search(
        _placed(query, Path(arguments.get("folder", "/"))),
        image=list(arguments.get("image", ())),
        filter=list(arguments.get("filter", ())),
        **arguments.get("options", {}),
    )
    return {"page": page, "model": searcher.store.spec.fingerprint.model}


def _placed(query: Query, folder: Path) -> Query:
    """The query with its pictures' paths made absolute; the client's folder is not the server's."""
    terms = [
        replace(term, value=str(folder / Path(term.value).expanduser()))
        if term.kind == "image" and "://" not in term.value
        else term
        for term in query.terms
    ]
    return replace(query, terms=tuple(terms))
