"""`clipsearch collection`: list, describe, calibrate and delete collections."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from clipsearch.cli import output
from clipsearch.cli.judged import read_judged
from clipsearch.cli.options import device_option, place_options, settings_from
from clipsearch.settings import shown_address


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def collection() -> None:
    """List, describe, calibrate and delete collections.

    \b
    clipsearch collection list
    clipsearch collection info parts
    clipsearch collection calibrate parts --judged judged.csv
    clipsearch collection delete parts
    """


@collection.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@place_options
def list_(as_json: bool, data: Path | None, url: str | None) -> None:
    """List the collections, with their models and sizes.

    \b
    clipsearch collection list
    clipsearch collection list --json
    """
    from clipsearch.store import list_collections

    settings = settings_from(data=data, url=url)
    names = list_collections(settings)
    if as_json:
        output.print_json(
            {
                "collections": names,
                "location": shown_address(settings.url) if settings.url else str(settings.data),
            }
        )
        return
    for name in names:
        click.echo(name)
    if not names:
        click.echo("no collection yet; make one with: clipsearch index FOLDER", err=True)


@collection.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@place_options
def info(name: str | None, as_json: bool, data: Path | None, url: str | None) -> None:
    """Describe a collection: how many pictures, which model made it, which fields it has.

    \b
    clipsearch collection info parts
    """
    from clipsearch.store import open_store

    settings = settings_from(collection=name, data=data, url=url)
    with open_store(settings.collection, settings) as store:
        found = store.info()
    if as_json:
        output.print_json(asdict(found))
        return
    made = found.spec.fingerprint
    rows = {
        "collection": found.name,
        "pictures": f"{found.n_points:,}",
        "model": f"{made.model} ({made.dim} dims, {made.precision}, {made.decode} decoding)",
        "weights": made.weights_sha256[:16],
        "location": found.location,
        "fields": ", ".join(f"{n} ({k})" for n, k in found.spec.fields.items() if not n.startswith("_"))
        or "none",
    }
    for label, value in rows.items():
        click.echo(f"{label:<11} {value}")


@collection.command()
@click.argument("name", required=False)
@click.option(
    "--judged",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A table with the columns query, key and relevant (yes/no, 1/0): a person's verdicts.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@place_options
@device_option
def calibrate(
    name: str | None,
    judged: Path | None,
    as_json: bool,
    data: Path | None,
    url: str | None,
    device: str | None,
) -> None:
    """Fit a collection's confidences: to judged pairs, or else to its records' own words.

    Without this, confidences come from the collection's background alone. `clipsearch index` does it too,
    where records have words; judged pairs are better, 50 of either kind say a good deal.

    \b
    clipsearch collection calibrate parts
    clipsearch collection calibrate parts --judged judged.csv
    """
    from clipsearch.search import open as open_searcher

    settings = settings_from(collection=name, data=data, url=url, device=device)
    with open_searcher(settings=settings) as searcher:
        made = searcher.calibrate([] if judged is None else read_judged(judged))
    curve = made.text
    if as_json:
        output.print_json({"text": asdict(curve), "image": asdict(made.image), "n_points": made.n_points})
        return
    how = {
        "background": "from the background alone: too few labels of either kind, or the model cannot tell "
        "them apart",
        "words": f"fitted to {curve.n_pairs:,} hits of the records' own words",
        "judgements": f"fitted to {curve.n_pairs:,} judged pairs",
    }[curve.fitted_on]
    half = curve.mean - curve.std * curve.intercept / curve.slope
    click.echo(f"confidence of words: {how}; it is 50 % at a corrected cosine of {half:.3f}")


@collection.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@place_options
def delete(name: str, yes: bool, data: Path | None, url: str | None) -> None:
    """Delete a collection: its vectors and payloads. Your pictures are not touched.

    \b
    clipsearch collection delete parts --yes
    """
    from clipsearch.store import delete_collection, open_store

    settings = settings_from(collection=name, data=data, url=url)
    if not yes:
        with open_store(name, settings) as store:
            click.confirm(
                f"Delete collection {name!r} with {store.count():,} pictures' vectors?", abort=True, err=True
            )
    delete_collection(name, settings)
    click.echo(f"deleted collection {name!r}; no picture was touched", err=True)
