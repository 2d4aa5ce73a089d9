"""`clipsearch tag lint`: what is wrong with a vocabulary, in words, to a model and in a collection."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipsearch.cli import output
from clipsearch.cli.options import collection_option, device_option, place_options, settings_from
from clipsearch.cli.progress import progress
from clipsearch.cli.tag.opening import tagger_of

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder
    from clipsearch.settings import Settings
    from clipsearch.store import Store
    from clipsearch.tagging.lint import Finding
    from clipsearch.tagging.vocabulary import Vocabulary
    from clipsearch.types import Embeddings

_STYLE = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_SHOWN = 10  # findings of one check; --json and --all print all


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was found, with which model and in how many pictures of which collection."""

    findings: list[Finding]
    skipped: list[str]  # checks
    why: str  # they were skipped
    model: str | None = None
    collection: str | None = None
    pictures: int = 0


@click.command(short_help="Say what is wrong with a vocabulary.")
@click.argument("vocabulary", metavar="VOCAB", type=click.Path(path_type=Path))
@click.option(
    "--prompts", multiple=True, metavar="SET", help="Template sets, as for clipsearch tag. May repeat."
)
@click.option("--template", multiple=True, metavar="TEXT", help='An own one: "a macro photo of {}".')
@click.option(
    "--model",
    metavar="NAME",
    help="Model to ask without a collection. [env: CLIPSEARCH_MODEL; default: the settings', if it is here]",
)
@click.option(
    "--pictures",
    default=10_000,
    show_default=True,
    type=click.IntRange(50),
    metavar="N",
    help="Of the collection, at random: what they would be given.",
)
@click.option("--all", "show_all", is_flag=True, help="All findings, not ten of each kind.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with all findings.")
@collection_option
@place_options
@device_option
@click.pass_context
def lint(
    ctx: click.Context,
    vocabulary: Path,
    prompts: tuple[str, ...],
    template: tuple[str, ...],
    model: str | None,
    pictures: int,
    show_all: bool,
    as_json: bool,
    collection: str | None,
    data: Path | None,
    url: str | None,
    device: str | None,
) -> None:
    """Say what is wrong with a vocabulary; change nothing.

    \b
    clipsearch tag lint tags.yaml                     its words, and prompts by the model if it is here
    clipsearch tag lint tags.yaml -c parts            and what the collection's pictures would be given
    clipsearch tag lint tags.yaml -c parts --prompts part
    clipsearch tag lint tags.yaml --model starter --json

    Words: labels embedded alike, a word of two labels. With a model: prompts beyond its token limit, which
    it cuts without a word, near-synonyms, labels that say no more than "a photo". With a collection: labels
    given to nothing, to most pictures or to the same ones. Where labels should be one, a line of YAML says
    so, to be pasted. Leaves with 1 if there are errors, 0 otherwise; warnings and notes are no errors.
    """
    from clipsearch.tagging.vocabulary import read_vocabulary

    if model is not None and collection is not None:
        raise click.UsageError("--model is for no collection: a collection is asked with its own model.")
    settings = settings_from(collection=collection, data=data, url=url, device=device, model=model)
    read = read_vocabulary(vocabulary)
    templates = (*prompts, *template)
    if collection is not None:
        looked = _in_collection(read, templates, settings, pictures)
    else:
        looked = _by_model(read, templates, settings, is_named=model is not None)
    n_errors = sum(one.level == "error" for one in looked.findings)
    if as_json:
        output.print_json({"vocabulary": str(vocabulary), "ok": not n_errors, **asdict(looked)})
    else:
        _print(looked.findings, sys.maxsize if show_all else _SHOWN)
        _sum_up(looked, len(read))
    ctx.exit(1 if n_errors else 0)


def _in_collection(
    vocabulary: Vocabulary, templates: tuple[str, ...], settings: Settings, n_pictures: int
) -> _Looked:
    from clipsearch.store import open_store
    from clipsearch.tagging import lint as linting

    with (
        open_store(settings.collection, settings) as store,
        tagger_of(store, vocabulary, settings, templates=templates) as tagger,
    ):
        vectors = _vectors(store, n_pictures)
        found = linting.lint(
            vocabulary,
            tagger.labels,
            tagger.encoder,
            templates=templates,
            vectors=vectors,
            scorer=tagger.fit.scorer,
        )
        few = len(vectors) < linting.FEWEST
        why = f"collection {store.name!r} has only {len(vectors)} pictures, and {linting.FEWEST} are needed"
        skipped = linting.skipped(model=True, collection=not few)
        model = store.spec.fingerprint.model
        return _Looked(found, skipped, why if few else "", model, store.name, len(vectors))


def _vectors(store: Store, n: int) -> Embeddings:
    """Vectors (N, D) of n pictures at random: ids are hashes, these are the first."""
    import numpy as np

    parts = [np.empty((0, store.spec.fingerprint.dim), np.float32)]
    for points in store.scroll(batch_size=min(n, 2048), with_vectors=True):
        parts.append(np.stack([np.asarray(point.vectors["image"], np.float32) for point in points]))
        if sum(map(len, parts)) >= n:
            break
    return np.concatenate(parts)[:n]


def _by_model(
    vocabulary: Vocabulary, templates: tuple[str, ...], settings: Settings, *, is_named: bool
) -> _Looked:
    from clipsearch.tagging import lint as linting
    from clipsearch.tagging.vectors import label_vectors

    with _model(settings, is_named=is_named) as encoder, progress() as tell:
        if encoder is None:
            found = linting.lint(vocabulary, templates=templates)
            why = f"the model {settings.model} is not here: clipsearch models, or --model starter"
            return _Looked(found, linting.skipped(model=False, collection=False), why)
        vectors = label_vectors(
            encoder, vocabulary, templates=templates, cache=settings.cache, on_progress=tell
        )
        found = linting.lint(vocabulary, vectors, encoder, templates=templates)
        skipped = linting.skipped(model=True, collection=False)
        return _Looked(found, skipped, "no collection is named: -c NAME", encoder.fingerprint.model)


@contextmanager
def _model(settings: Settings, *, is_named: bool) -> Iterator[Encoder | None]:
    """The settings' model; None if it is not here, unless it was named: then it is an error."""
    from clipsearch.encoder import Encoder
    from clipsearch.errors import ModelNotFound

    try:
        encoder = Encoder.open(
            settings.model, device=settings.device, cache=settings.cache, download=is_named
        )
    except ModelNotFound:
        if is_named:
            raise
        yield None
        return
    with encoder:
        yield encoder


def _print(findings: list[Finding], most: int) -> None:
    """A line each, what to do below it; of each check the first ones."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    shown: Counter[str] = Counter()
    totals = Counter(one.check for one in findings)
    for one in findings:
        shown[one.check] += 1
        if shown[one.check] > most:
            continue
        where = Text(f"  line {one.line}" if one.line else "", "dim")
        row = Table.grid(padding=(0, 1))
        row.add_column(width=7, no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(Text(one.level, _STYLE[one.level]), Text(one.message) + where)
        console.print(row)
        console.print(Padding(Text(f"→ {one.advice}", "italic"), (0, 0, 0, 8), expand=False))
        if one.suggestion:
            console.print(Padding(Text(one.suggestion), (0, 0, 0, 10), expand=False), soft_wrap=True)
        if shown[one.check] == most < totals[one.check]:
            more = totals[one.check] - most
            console.print(
                Padding(Text(f"… and {more:,} more of this kind: --all", "dim"), (0, 0, 0, 8), expand=False)
            )


def _sum_up(looked: _Looked, n_labels: int) -> None:
    counts = Counter[str](one.level for one in looked.findings)
    parts = [f"{counts[level]:,} {level}{'s'[: counts[level] != 1]}" for level in _STYLE if counts[level]]
    asked = f" by {looked.model}" if looked.model else ""
    seen = f" in {looked.pictures:,} pictures of {looked.collection!r}" if looked.collection else ""
    click.echo(f"{n_labels:,} labels{asked}{seen}: {', '.join(parts) or 'all is well'}", err=True)
    if looked.skipped:
        click.echo(f"not checked: {', '.join(looked.skipped)} ({looked.why})", err=True)
