"""`clipsearch tag review`: ask which pictures have which tags, and read the answers back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipsearch.cli.options import (
    collection_option,
    device_option,
    filter_from,
    place_options,
    settings_from,
)
from clipsearch.cli.output import counted
from clipsearch.cli.pictures import picture
from clipsearch.cli.tag.opening import tagger_of
from clipsearch.errors import TaggingError

if TYPE_CHECKING:
    from clipsearch.settings import Settings
    from clipsearch.tagging.labels import Answers
    from clipsearch.tagging.review import Question
    from clipsearch.tagging.vocabulary import Vocabulary

_FILE = click.Path(path_type=Path, dir_okay=False)
_MAX_SHEET = 200  # pictures on a sheet: 40 rows of five


@click.command(short_help="Ask about the pictures whose labels would teach most; read the answers.")
@click.argument("vocabulary", type=click.Path(path_type=Path))
@collection_option
@click.option("-o", "--out", type=_FILE, metavar="CSV", help="Write the questions here. [default: stdout]")
@click.option("-n", "n", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many.")
@click.option("--sheet", type=_FILE, metavar="PNG", help="Write a contact sheet of the pictures asked about.")
@click.option("--answers", type=_FILE, metavar="FILE", help="Read answers back, and keep them.")
@click.option(
    "--labels", type=_FILE, metavar="FILE", help="A table of labels: what it answers is not asked again."
)
@click.option(
    "--labels-from",
    multiple=True,
    metavar="FIELD",
    help="A field of the collection that tells tags: not asked again either. May repeat.",
)
@click.option(
    "--random-share",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="So many of the questions at random among pictures that would get the tag.",
)
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="COND", help="Only among these records. May repeat."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another one: other questions.")
@place_options
@device_option
def review(
    vocabulary: Path,
    collection: str | None,
    answers: Path | None,
    data: Path | None,
    url: str | None,
    device: str | None,
    **asking: Any,
) -> None:
    """Ask about the pictures whose labels would teach most, and read the answers back.

    \b
    clipsearch tag review words.txt -c parts --out review.csv --sheet review.png
    clipsearch tag review words.txt -c parts --answers review.csv
    clipsearch tag review words.txt -c parts -n 100 > more.csv

    Each line of the table is a picture and a tag. In the column correct write yes or no (はい, いいえ, 1, 0);
    better than no, the tag that is right instead, or none for none of an exclusive group; or leave it empty.
    Most lines are "uncertain": near the tag's threshold, unlike each other, about tags with few answers. The
    others are "at random" among pictures that would get the tag, so that what share of them is right can be
    told. Answers are kept beside the collection, the latest counts, and the next `clipsearch tag` uses them.
    Ask in rounds of 50 rather than for all at once.
    """
    from clipsearch.tagging.vocabulary import read_vocabulary

    settings = settings_from(collection=collection, data=data, url=url, device=device)
    read = read_vocabulary(vocabulary)
    if answers is not None:
        if asking["out"] or asking["sheet"]:
            raise click.UsageError("--answers reads a table; --out and --sheet are for questions.")
        _keep(answers, read, vocabulary, settings)
        return
    _ask(read, vocabulary, settings, **asking)


def _ask(
    vocabulary: Vocabulary,
    file: Path,
    settings: Settings,
    *,
    out: Path | None,
    sheet: Path | None,
    labels: Path | None,
    labels_from: tuple[str, ...],
    filters: tuple[str, ...],
    **how: Any,
) -> None:
    from clipsearch.store import open_store
    from clipsearch.tagging.labels import Answers, examples, gathered
    from clipsearch.tagging.review import questions, write_questions
    from clipsearch.tagging.review.questions import as_csv

    kept = Answers(settings.collection_dir())
    if out is not None:
        _require_read(out, kept, vocabulary)
    with open_store(settings.collection, settings) as store:
        known = gathered(store, vocabulary, kept.labels(vocabulary), table=labels, fields=labels_from)
        chosen = filter_from(filters, store)
        found = examples(known, store, vocabulary)
        with tagger_of(store, vocabulary, settings, known=found) as tagger:
            asked = questions(store, tagger.fit.scorer, vocabulary, known, filter=chosen, **how)
    if out is None:
        click.echo(as_csv(asked), nl=False)
    else:
        write_questions(out, asked)
    if sheet is not None:
        _write_sheet(asked, sheet, title=f"{settings.collection}: {len(asked)} questions")
        click.echo(f"wrote {sheet}", err=True)
    _say_what_was_asked(asked, out, file, settings)


def _keep(answers: Path, vocabulary: Vocabulary, file: Path, settings: Settings) -> None:
    """Read the answers, keep those about pictures that there are, and say what they are."""
    from clipsearch.store import open_store
    from clipsearch.tagging.labels import Answers, Labels, examples, read_labels

    read = read_labels(answers, vocabulary)
    with open_store(settings.collection, settings) as store:
        missing = set(examples(read, store, vocabulary).missing)
    there = Labels({key: said for key, said in read.by_key.items() if key not in missing}, why=read.why)
    kept = Answers(settings.collection_dir())
    n_new = kept.add(there, vocabulary, by=answers.name)
    if missing:
        some = ", ".join(sorted(missing)[:3]) + (", …" if len(missing) > 3 else "")
        click.echo(
            f"warning: left out {counted(len(missing), 'key')} that collection {settings.collection!r} does "
            f"not have: {some}. Did a spreadsheet change them?",
            err=True,
        )
    click.echo(
        f"{answers.name}: {there.n_yes} yes, {there.n_no} no, {read.n_blank} not answered; {n_new} new or "
        f"changed. Kept for collection {settings.collection!r}: {counted(len(kept), 'answer')}"
    )
    if len(kept):
        click.echo(
            f"the next run uses them: clipsearch tag {file} -c {settings.collection}\n"
            f"ask for more: clipsearch tag review {file} -c {settings.collection} --out more.csv",
            err=True,
        )


def _require_read(out: Path, kept: Answers, vocabulary: Vocabulary) -> None:
    """Raises TaggingError for a table with answers that were not read yet: they would be lost."""
    from clipsearch.errors import ClipSearchError
    from clipsearch.tagging.labels import read_labels

    if not out.is_file() or not out.stat().st_size:
        return
    try:
        n_new = len(kept.fresh(read_labels(out, vocabulary), vocabulary))
    except ClipSearchError as exc:
        raise TaggingError(
            f"{out} is there already and no review of this vocabulary; name another file"
        ) from exc
    if n_new:
        raise TaggingError(
            f"{out} has {counted(n_new, 'answer')} not read yet, which would be lost; read them first, with "
            f"--answers {out}, or name another file"
        )


def _write_sheet(asked: list[Question], sheet: Path, *, title: str) -> None:
    """The pictures in the table's order, each over its tag and key."""
    from clipsearch import images

    tiles: list[tuple[Any, str]] = [
        (picture(one.path) or Path(one.path), f"{number} {one.tag} {one.confidence:.2f} {one.key}")
        for number, one in enumerate(asked[:_MAX_SHEET], start=1)
    ]
    images.save_png(images.contact_sheet(tiles, title=title), sheet)


def _say_what_was_asked(asked: list[Question], out: Path | None, file: Path, settings: Settings) -> None:
    if not asked:
        click.echo("nothing to ask: every question about these pictures is answered", err=True)
        return
    why = Counter(one.why for one in asked)
    tags = len({one.label for one in asked})
    kinds = f"{why['uncertain']} uncertain, {why['at random']} at random"
    wrote = f"; wrote {out}" if out else ""
    click.echo(f"{counted(len(asked), 'question')} about {counted(tags, 'tag')}: {kinds}{wrote}", err=True)
    click.echo(
        f"write yes or no in the column correct, then: clipsearch tag review {file} -c {settings.collection} "
        f"--answers {out or 'FILE.csv'}",
        err=True,
    )
