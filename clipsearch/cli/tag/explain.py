"""`clipsearch tag VOCAB --explain-prompts`: what is embedded for a tag. Opens no model, no collection."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from clipsearch.cli import output
from clipsearch.cli.tag.asked import Asked

if TYPE_CHECKING:
    from clipsearch.tagging.vocabulary import Vocabulary


def explain(asked: Asked, vocabulary: Vocabulary) -> None:
    """Print every tag with its prompts. Raises TaggingError for a template that is none."""
    from clipsearch.tagging.prompts import explain as prompts
    from clipsearch.tagging.prompts import neutral_of

    found = list(prompts(vocabulary, asked.templates))
    neutral = neutral_of(vocabulary)
    records = [{"tag": label.name, "label": label.id, "prompts": some} for label, some in found]
    if asked.as_json:
        output.print_json({"vocabulary": vocabulary.source, "tags": records, "none_of_these": list(neutral)})
    elif asked.jsonl:
        output.print_jsonl(records)
    else:
        for label, some in found:
            _print(label.id, some)
        _print("(none of these)", neutral)
    n = sum(len(some) for _, some in found)
    click.echo(
        f"{n:,} prompts for {len(found):,} tags; a tag is the mean of its words, a word the mean of its "
        "prompts",
        err=True,
    )


def _print(name: str, prompts: tuple[str, ...] | list[str]) -> None:
    if not sys.stdout.isatty():
        for prompt in prompts:
            click.echo(f"{name}\t{prompt}")
        return
    click.secho(name, bold=True)
    for prompt in prompts:
        click.echo(f"    {prompt}")
