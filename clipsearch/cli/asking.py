"""A question put to whoever can answer it fastest: the process that serves the collection, else this one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from clipsearch.settings import Settings
from clipsearch.types import Page, SearchOptions


def ask(
    text: str, images: Sequence[Path], filters: Sequence[str], options: SearchOptions, settings: Settings
) -> tuple[Page, str]:
    """The page, and the model that made the collection. Raises what Searcher.search does."""
    from clipsearch.store import serving

    owner = serving(settings.collection, settings)
    if owner is not None:
        with owner:
            if "search" in owner.handlers:
                answer = owner.call(
                    "search",
                    {
                        "collection": settings.collection,
                        "text": text,
                        "image": [str(path if "://" in str(path) else path.absolute()) for path in images],
                        "filter": list(filters),
                        "options": asdict(options),
                        "folder": os.fspath(Path.cwd()),
                    },
                )
                return answer["page"], answer["model"]
    from clipsearch.search import open as open_searcher

    with open_searcher(settings=settings) as searcher:
        page = searcher.search(text, image=images, filter=filters, **asdict(options))
        return page, searcher.encoder.fingerprint.model
