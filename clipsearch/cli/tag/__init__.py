"""`clipsearch tag`: its options, its help and its subcommands; what it does is in `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clipsearch.cli.options import collection_option, device_option, place_options
from clipsearch.cli.tag.group import CommandWithOthers

COMMANDS = {
    "lint": ("clipsearch.cli.tag.lint:lint", "Say what is wrong with a vocabulary."),
    "review": ("clipsearch.cli.tag.review:review", "Propose pictures to label; read the answers."),
    "undo": ("clipsearch.cli.tag.undo:undo", "Take a run's tags back."),
    "runs": ("clipsearch.cli.tag.runs:runs", "List the runs that wrote tags."),
}
_SECTIONS = {
    "Where the tags go": ("out", "write", "field", "sidecars", "sidecar_name", "embed", "dry_run"),
    "How sure": ("labels", "labels_from", "precision", "threshold"),
    "What is embedded": ("prompts", "template", "explain_prompts"),
    "Which pictures": ("filters", "limit"),
    "What is printed": ("as_json", "jsonl", "report"),
    "The collection": ("collection", "data", "url", "device"),
}
_FILE: Any = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "tag",
    cls=CommandWithOthers,
    lazy=COMMANDS,
    sections=_SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
    short_help="Tag a collection's pictures with a vocabulary.",
)
@click.argument("vocabulary", metavar="VOCAB", type=click.Path(path_type=Path))
@click.argument("pictures", metavar="[PICTURES]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=_FILE, metavar="FILE", help="Write the tags to FILE: .jsonl, .csv or .parquet."
)
@click.option("--write", is_flag=True, help="Write them into the collection, to be filtered by.")
@click.option("--field", metavar="NAME", default="tags", show_default=True, help="Its field for them.")
@click.option("--sidecars", is_flag=True, help="Write them into XMP files beside the pictures; merges.")
@click.option(
    "--sidecar-name",
    type=click.Choice(["x.jpg.xmp", "x.xmp"]),
    default="x.jpg.xmp",
    show_default=True,
    help="How a new sidecar of x.jpg is named.",
)
@click.option("--embed", is_flag=True, help="Write them into the pictures themselves; needs ExifTool.")
@click.option("--dry-run", is_flag=True, help="Print what these three would change; change nothing.")
@click.option(
    "--labels", type=_FILE, metavar="FILE", help="A table of pictures whose tags are known: key, tags."
)
@click.option(
    "--labels-from",
    multiple=True,
    metavar="FIELD",
    help="A field of the collection that tells their tags. May repeat.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="P",
    help="Give a tag only where a share P will be right; leave off tags that cannot keep it. Needs labels.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Give a tag from confidence P on. [default: fitted to labels, or 0.5]",
)
@click.option(
    "--prompts",
    multiple=True,
    metavar="SET",
    help="Templates to put tags in: general, product, part, document. May repeat.",
)
@click.option(
    "--template", multiple=True, metavar="TEXT", help='An own one: "a macro photo of {}". May repeat.'
)
@click.option("--explain-prompts", is_flag=True, help="Print what would be embedded; tag nothing.")
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="COND", help="Only these records. May repeat."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N, by id: a sample.")
@click.option("--json", "as_json", is_flag=True, help="What came of it as one JSON document.")
@click.option("--jsonl", is_flag=True, help="One picture a line, as JSON.")
@click.option("--report", type=_FILE, metavar="FILE", help="Write what came of it to FILE, as JSON.")
@collection_option
@place_options
@device_option
def tag(vocabulary: Path, pictures: tuple[Path, ...], **options: Any) -> None:
    """Tag a collection's pictures, or loose ones, with the tags of a vocabulary.

    \b
    clipsearch tag tags.txt -c parts                        what would be given? nothing is written
    clipsearch tag tags.yaml -c parts --write               into the collection …
    clipsearch search "m8" -c parts --filter tags=brass     … and filtered by, at once
    clipsearch tag tags.yaml -c parts --out tags.csv        .jsonl and .parquet, too
    clipsearch tag tags.yaml -c parts --sidecars --dry-run  what would change in the XMP files?
    clipsearch tag tags.yaml -c parts --labels-from material            how good are they?
    clipsearch tag tags.yaml -c parts --labels known.csv --precision 0.9 --write
    clipsearch tag tags.yaml new/*.jpg -c parts             loose pictures, compared with a collection
    clipsearch tag tags.yaml --explain-prompts              what is embedded for each tag?
    clipsearch tag undo last -c parts                       take the last run back

    VOCAB is text (a tag a line), CSV, YAML (hierarchy, synonyms, translations, groups of which a picture
    gets one at most) or SKOS. A file named as a command is written ./lint.

    A confidence says how far a picture stands out of the collection; with labels it is a fitted
    probability, and each tag's precision and recall are told. A picture of which nothing is certain
    stays untagged.

    A person's tags are never changed or removed, and a tag that a person took away is not given again.
    A run is noted before it writes: a stopped or killed one is taken back as any other. Exit codes: 0 done,
    4 some pictures or sidecars could not be used, 1 failed, 2 wrong usage, 130 stopped.
    """
    from clipsearch.cli.tag.asked import Asked
    from clipsearch.cli.tag.run import run

    asked = Asked(vocabulary, pictures, **options)
    asked.check()
    run(asked)
