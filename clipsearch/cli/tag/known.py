"""What is known of a collection's pictures, from all places that tell, and what is said about that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clipsearch.cli.tag.asked import Asked
from clipsearch.errors import TaggingError

if TYPE_CHECKING:
    from clipsearch.settings import Settings
    from clipsearch.store import Store
    from clipsearch.tagging.labels import Found, Labels
    from clipsearch.tagging.vocabulary import Vocabulary

_SHOWN = 3


def known(asked: Asked, store: Store, settings: Settings, vocabulary: Vocabulary) -> Found | None:
    """Labelled pictures: of --labels, then of the answers to `review`, then of --labels-from; None for none.

    Raises TableError, TaggingError, UnknownField; TaggingError where a promise needs labels and has none.
    """
    from clipsearch.tagging.labels import Answers, examples, gathered

    answers = Answers(settings.collection_dir()).labels(vocabulary)
    if len(answers):
        click.echo(f"{len(answers):,} pictures have answers of `clipsearch tag review`", err=True)
    told = gathered(store, vocabulary, answers, table=asked.labels, fields=asked.labels_from)
    _say_unknown(told)
    found = examples(told, store, vocabulary) if len(told) else None
    if found is not None and found.missing:
        some = ", ".join(found.missing[:_SHOWN]) + (", …" if len(found.missing) > _SHOWN else "")
        click.echo(
            f"{len(found.missing):,} of {len(told):,} labelled keys are not in collection {store.name!r}: "
            f"{some}",
            err=True,
        )
    if found is not None and len(found.examples):
        return found
    if asked.labels is not None or asked.labels_from:
        raise TaggingError(
            f"none of the labels is about a picture of collection {store.name!r}; a label's key is the "
            "picture's path in its folder, or the catalogue's id: clipsearch search … --json shows them"
        )
    if asked.precision is not None:
        raise TaggingError(
            f"--precision {asked.precision:g} cannot be promised without labels; give --labels FILE or "
            "--labels-from FIELD, or answer some questions: clipsearch tag review"
        )
    return None


def _say_unknown(labels: Labels) -> None:
    if labels.unknown:
        some = sorted(labels.unknown.items(), key=lambda item: -item[1])[:_SHOWN]
        listed = ", ".join(f"{word} ({n:,})" for word, n in some)
        more = f" and {len(labels.unknown) - _SHOWN:,} more" if len(labels.unknown) > _SHOWN else ""
        click.echo(f"values that are no tag of the vocabulary: {listed}{more}", err=True)
