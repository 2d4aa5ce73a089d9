"""`clipsearch tag runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clipsearch.cli import output
from clipsearch.cli.options import collection_option, place_options, settings_from


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@collection_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@place_options
def runs(collection: str | None, as_json: bool, data: Path | None, url: str | None) -> None:
    """List the runs of `clipsearch tag` that wrote something, oldest first.

    \b
    clipsearch tag runs -c parts
    clipsearch tag runs -c parts --json
    """
    from clipsearch.store import read_spec
    from clipsearch.tagging.journal import Journal
    from clipsearch.tagging.journal import runs as names

    settings = settings_from(collection=collection, data=data, url=url)
    folder = settings.collection_dir()
    if not folder.is_dir():
        read_spec(settings.collection, settings)  # says which collections there are
    found = [Journal.open(folder, name).facts for name in names(folder)]
    if as_json:
        output.print_json({"collection": settings.collection, "runs": found})
        return
    for facts in found:
        click.echo("\t".join(_row(facts)))
    if not found:
        click.echo(
            f"no run has written tags of collection {settings.collection!r}; one does with: "
            f"clipsearch tag VOCAB -c {settings.collection} --write",
            err=True,
        )


def _row(facts: dict[str, Any]) -> list[str]:
    """Name, state, what was written, the vocabulary."""
    # A killed run could not say how it ended.
    state = {"open": "under way, or killed"}.get(str(facts.get("state")), str(facts.get("state")))
    wrote = [
        f"{facts[name]:,} {what}"
        for name, what in (("n_written", "records"), ("n_sidecars", "sidecars"), ("n_embedded", "pictures"))
        if facts.get(name)
    ]
    return [str(facts["run"]), state, ", ".join(wrote) or "–", str(facts.get("vocabulary", ""))]
