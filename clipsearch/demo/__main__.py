"""How the bundled catalogue and starter model are made: `python -m clipsearch.demo --help`.

parts/ draws a part's shape from a seed, render/ traces and shades it, studio.py places camera and light.
looks.py and words/ say what surfaces and parts are called, combinations.py which pairs may be trained on.
catalogue.py writes parts.csv and two pictures of each part, training_set.py the shards that the starter
model learns from (recipe/); the two draw from different seeds, and only the catalogue shows test pairs.
"""

from __future__ import annotations

from pathlib import Path

import click

from clipsearch.demo.checks.cli import (
    evaluate_confidence,
    evaluate_negation,
    evaluate_search,
    evaluate_tagging,
)
from clipsearch.demo.combinations import Split
from clipsearch.demo.recipe.cli import compile_starter, evaluate_starter, starter

DATA = Path(__file__).parent / "data"


@click.group()
def main() -> None:
    """Make the bundled catalogue and the starter model again, from nothing but this code.

    \b
    python -m clipsearch.demo sheet --out sheet.png                 one tile for each type of part
    python -m clipsearch.demo catalogue --out catalogue --jobs 2    parts.csv and 1,200 pictures
    python -m clipsearch.demo training-set --count 36000 --out train128 --jobs 2
    python -m clipsearch.demo training-set --split val --count 1000 --seed 99 --out val128
    python -m clipsearch.demo starter --data train128 --validation val128
    python -m clipsearch.demo evaluate-starter

    \b
    Checks of the search on the collection that `clipsearch demo` makes:
    python -m clipsearch.demo evaluate-search
    python -m clipsearch.demo evaluate-negation
    python -m clipsearch.demo evaluate-confidence
    python -m clipsearch.demo evaluate-tagging
    """


_JOBS = click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes to render with."
)


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=DATA, help="Folder to write. [default: the bundled one]"
)
@_JOBS
def catalogue(out: Path, jobs: int) -> None:
    """Render the catalogue: parts.csv and two pictures of each part.

    Pictures that are there already are kept: a run that was stopped goes on, and to render all anew,
    delete images/ first.

    \b
    python -m clipsearch.demo catalogue --out catalogue --jobs 2
    """
    from clipsearch.demo.catalogue import make_catalogue

    def tell(n: int, of: int) -> None:
        if n % 20 == 0 or n == of:
            click.echo(f"{n} of {of} parts", err=True)

    make_catalogue(out, jobs=jobs, on_part=tell)


@main.command()
@click.option(
    "--count", type=click.IntRange(1), default=36_000, show_default=True, help="Pictures; shards hold 1,000."
)
@click.option("--seed", default=7, show_default=True, help="Of all that is drawn.")
@click.option(
    "--split", type=click.Choice(["train", "val"]), default="train", show_default=True, help="Which pairs."
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder to write; shards there are kept."
)
@_JOBS
def training_set(count: int, seed: int, split: Split, out: Path, jobs: int) -> None:
    """Render pictures with captions to train the starter model on; goes on where it was stopped.

    \b
    python -m clipsearch.demo training-set --count 36000 --out train128 --jobs 2
    """
    from clipsearch.demo.training_set import Plan, render_training_set

    plan = Plan(out, count, seed, split)
    render_training_set(plan, jobs=jobs, on_shard=lambda n: click.echo(f"shard {n}", err=True))


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="PNG to write.")
@click.option("--seed", default=1, show_default=True, help="Of proportions, views, surfaces and lights.")
def sheet(out: Path, seed: int) -> None:
    """Render one random part of every type as a labelled contact sheet.

    \b
    python -m clipsearch.demo sheet --out sheet.png
    """
    import numpy as np

    from clipsearch import images
    from clipsearch.demo.combinations import combinations
    from clipsearch.demo.parts import TYPES
    from clipsearch.demo.studio import develop, photograph

    rng = np.random.default_rng(seed)
    tiles = []
    for key, part in TYPES.items():
        surface = str(rng.choice(list(combinations()[key])))
        shape, _ = part.build(rng)
        buffer = photograph(key, shape, rng, size=400)
        tiles.append((develop(buffer, surface, rng, size=200), f"{key}, {surface}"))
    images.save_png(images.contact_sheet(tiles, columns=10, title="The types of parts"), out)
    click.echo(f"wrote {out}", err=True)


for command in (
    starter,
    compile_starter,
    evaluate_starter,
    evaluate_search,
    evaluate_negation,
    evaluate_confidence,
    evaluate_tagging,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
