"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clipsearch.settings import DEFAULT_COLLECTION, Settings

if TYPE_CHECKING:
    from clipsearch.store import Store
    from clipsearch.types import Filter

_F = TypeVar("_F", bound=Callable[..., Any])


def collection_option(command: _F) -> _F:
    """--collection / -c."""
    return click.option(
        "-c",
        "--collection",
        metavar="NAME",
        help=f"The collection. [env: CLIPSEARCH_COLLECTION; default: {DEFAULT_COLLECTION}]",
    )(command)


def place_options(command: _F) -> _F:
    """--data and --url: where collections are."""
    command = click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the collections. [env: CLIPSEARCH_DATA; default: the user's data folder]",
    )(command)
    return click.option(
        "--url",
        metavar="URL",
        help="A Qdrant server instead of the embedded engine. [env: QDRANT_URL; key: QDRANT_API_KEY]",
    )(command)


def device_option(command: _F) -> _F:
    """--device."""
    return click.option(
        "--device",
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:1, mps; for indexing also cuda:all or cuda:0,cuda:2. "
        "[env: CLIPSEARCH_DEVICE; default: auto]",
    )(command)


def settings_from(**options: Any) -> Settings:
    """Settings where the options given win; those that are None were not given."""
    return Settings.load(**options)


def filter_from(texts: Sequence[str], store: Store) -> Filter | None:
    """One filter that holds where all of the conditions hold. Raises QueryError, UnknownField."""
    from clipsearch import query

    return query.all_of([query.parse_filter(text, fields=store.spec.fields) for text in texts])
