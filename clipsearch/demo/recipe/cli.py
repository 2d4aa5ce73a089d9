"""The recipe's commands under `python -m clipsearch.demo`. Decide nothing; training and assessment do."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from clipsearch.tuning.settings import Progress

_FOLDER = Path(str(files("clipsearch.demo")))
STARTER, CATALOGUE = _FOLDER / "starter", _FOLDER / "data" / "parts.csv"


@click.command(short_help="Train the starter model from rendered shards.")
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="Training shards.")
@click.option(
    "--validation", type=click.Path(path_type=Path, exists=True), help="Shards to choose weights by."
)
@click.option("--out", type=click.Path(path_type=Path), default=STARTER, help="Folder of the model.")
@click.option("--state", type=click.Path(path_type=Path), help="File to go on from after a kill.")
@click.option("--steps", type=click.IntRange(1), help="Optimiser steps. [default: the recipe's]")
@click.option("--batch", type=click.IntRange(2), help="Pictures a step. [default: the recipe's]")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides weights, batches and words.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads. [default: all cores]")
def starter(
    data: Path,
    validation: Path | None,
    out: Path,
    state: Path | None,
    steps: int | None,
    batch: int | None,
    seed: int,
    threads: int | None,
) -> None:
    """Train the starter model on the shards in DATA and write it with its compiled towers.

    \b
    python -m clipsearch.demo starter --data train/ --validation val/ --state run.safetensors
    """
    import torch

    from clipsearch.demo.recipe.training import SETTINGS, make_starter

    if threads is not None:
        torch.set_num_threads(threads)
    settings = replace(
        SETTINGS, steps=steps or SETTINGS.steps, batch_size=batch or SETTINGS.batch_size, seed=seed
    )
    metrics = make_starter(data, out, settings, validation=validation, state=state, on_progress=_show)
    _compile(out)
    click.echo(json.dumps(metrics, indent=2))


@click.command("compile-starter", short_help="Compile the starter's towers to ONNX again.")
@click.option("--model", type=click.Path(path_type=Path, exists=True), default=STARTER, help="Its folder.")
def compile_starter(model: Path) -> None:
    """Make compiled/text.onnx and compiled/image.onnx of a starter, weights stored as float16.

    \b
    python -m clipsearch.demo compile-starter
    """
    _compile(model)


@click.command("evaluate-starter", short_help="Measure the starter on parts it never saw.")
@click.option("--model", default=f"local-dir:{STARTER}", help="Any model's name. [default: the starter]")
@click.option(
    "--catalogue", type=click.Path(path_type=Path), default=CATALOGUE, help="Its CSV. [default: bundled]"
)
@click.option("--split", default="test", show_default=True, help="Which parts are asked for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with recall and MRR as well.")
def evaluate_starter(model: str, catalogue: Path, split: str, as_json: bool) -> None:
    """Print held-out Recall@1, @5 and @10 with 95 % intervals, in English and Japanese.

    \b
    python -m clipsearch.demo evaluate-starter
    python -m clipsearch.demo evaluate-starter --split val --json
    """
    from clipsearch.demo.recipe.assessment import as_text, assess
    from clipsearch.encoder import Encoder

    with Encoder.open(model, device="cpu") as encoder:
        found = assess(encoder, catalogue, split=split)
    click.echo(json.dumps(found.as_dict(), indent=2) if as_json else as_text(found))


def _compile(folder: Path) -> None:
    from clipsearch.encoder import export_shipped

    export_shipped(folder)
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    click.echo(f"{folder}: {n_bytes / 1e6:.1f} MB with its compiled towers", err=True)


def _show(progress: Progress) -> None:
    """A line every ten steps and at every evaluation."""
    if progress.step % 10 and not progress.metrics:
        return
    recalls = " ".join(f"{k} {v:.3f}" for k, v in progress.metrics.items() if not k.startswith("best/"))
    click.echo(
        f"step {progress.step}/{progress.steps} loss {progress.loss:.3f} scale {progress.scale:.1f} "
        f"{progress.images_per_s:.0f} images/s {progress.eta_s / 60:.0f} min left {recalls}",
        err=True,
    )
