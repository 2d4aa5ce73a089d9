"""`clipsearch models`: list, fetch and verify models."""

from __future__ import annotations

from dataclasses import asdict

import click

from clipsearch.cli import output
from clipsearch.settings import DEFAULT_MODEL


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the known models; fetch or verify one.

    Any Hugging Face id of a CLIP, SigLIP or SigLIP 2 model works too, and local-dir:PATH.

    \b
    clipsearch models
    clipsearch models pull google/siglip2-base-patch32-256
    clipsearch models verify starter
    """
    if ctx.invoked_subcommand is None:
        list_models(as_json)


def list_models(as_json: bool) -> None:
    """Print the table of known models with their published figures."""
    from clipsearch.models import CARDS

    if as_json:
        output.print_json({"default": DEFAULT_MODEL, "models": [asdict(card) for card in CARDS]})
        return
    output.print_models(CARDS, DEFAULT_MODEL)


@models.command()
@click.argument("name")
def pull(name: str) -> None:
    """Fetch a model from the hub into the cache, so that it works offline from then on.

    HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are honoured.

    \b
    clipsearch models pull google/siglip2-base-patch32-256
    """
    from clipsearch.models import pull as pull_model

    folder = pull_model(name)
    click.echo(f"{folder.name} is at {folder.path}", err=True)


@models.command()
@click.argument("name")
def verify(name: str) -> None:
    """Check a model's files: readable, safe formats only, weights as recorded, vectors of length 1.

    \b
    clipsearch models verify starter
    """
    import numpy as np

    from clipsearch.encoder import Encoder
    from clipsearch.models import verify as verify_model

    folder = verify_model(name)
    with Encoder.open(name) as encoder:
        texts = encoder.encode_texts(["a photo of a cat", "ボルト"])
        grey = np.full((1, encoder.preprocessing.height, encoder.preprocessing.width, 3), 128, np.uint8)
        images = encoder.encode_pixels(grey)
    click.echo(f"{name}: files good, {texts.shape[1]} dims, text and image towers agree in shape", err=True)
    click.echo(f"{folder.path}")
    if not np.allclose(np.linalg.norm(np.vstack([texts, images]), axis=1), 1.0, atol=1e-4):
        raise click.ClickException(f"{name}: vectors are not of length 1; fetch the model again")
