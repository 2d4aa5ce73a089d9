"""`clipsearch explain`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipsearch.cli import output
from clipsearch.cli.options import collection_option, device_option, place_options, settings_from
from clipsearch.cli.pictures import picture as stored_picture
from clipsearch.errors import SourceError

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder
    from clipsearch.explain import Check, Explanation, WordShare
    from clipsearch.settings import Settings
    from clipsearch.store import Store

_BAR = 24  # characters of the longest bar


@click.command(short_help="Show why a picture was found for some words.")
@click.argument("picture", metavar="PICTURE|URL|KEY")
@click.argument("words", nargs=-1, required=True)
@collection_option
@click.option(
    "--model", metavar="NAME", help="This model, and no collection; PICTURE is a file or an address then."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PNG",
    help="Write the picture with the map over it.",
)
@click.option("--force", is_flag=True, help="Write it even where the map is no better than a random one.")
@click.option(
    "--check/--no-check",
    "check_map",
    default=True,
    show_default=True,
    help="Whether to find out if the map is better than a random one; most of the time goes there.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with the map.")
@place_options
@device_option
def explain(
    picture: str,
    words: tuple[str, ...],
    collection: str | None,
    model: str | None,
    out: Path | None,
    force: bool,
    check_map: bool,
    as_json: bool,
    data: Path | None,
    url: str | None,
    device: str | None,
) -> None:
    """Show why a picture was found: which of the words, and which part of the picture.

    \b
    clipsearch explain WN-M6-BR "brass wing nut" -c parts --out why.png
    clipsearch explain ./photo.jpg "a dog on a beach" --model openai/clip-vit-base-patch32
    clipsearch explain ./photo.jpg 赤い六角ボルト -c parts --json

    The words are plain words, not the query language. `share` is how far the cosine falls without a
    word. The map is checked: hiding what it calls important must lower the score, and showing it must
    raise it, by more than a random order does; a map that fails says so, and is not drawn.
    """
    if model is not None and (collection is not None or url is not None):
        raise click.UsageError("--model goes without --collection and --url: a collection has its own model.")
    from clipsearch.explain import explain as explained

    settings = settings_from(collection=collection, data=data, url=url, device=device)
    with ExitStack() as opened:
        source, encoder = (
            (_read(picture), _encoder(model, settings)) if model else _of_collection(picture, settings)
        )
        opened.enter_context(encoder)
        found = explained(encoder, source, " ".join(words), check_map=check_map, name=picture)
        used = encoder.fingerprint.model
    drawn = out if out is not None and (force or found.is_better_than_random is not False) else None
    if drawn is not None:
        from clipsearch import images
        from clipsearch.explain import overlay

        images.save_png(overlay(found, source), drawn)
    if as_json:
        output.print_json(_record(found, picture, used, drawn))
    else:
        _print(found)
    if drawn is not None:
        click.echo(f"wrote {drawn}", err=True)
    elif out is not None:
        click.echo(f"did not write {out}: the map is no better than a random one (--force)", err=True)


def _of_collection(picture: str, settings: Settings) -> tuple[Path | bytes, Encoder]:
    """A file or what an address answers, else a record's first picture; and the collection's encoder."""
    from clipsearch.models import require_same_model
    from clipsearch.search import encoder_of
    from clipsearch.store import open_store

    with open_store(settings.collection, settings) as store:
        made = store.spec.fingerprint
        is_place = _is_address(picture) or Path(picture).is_file()
        source = _read(picture) if is_place else _of_record(picture, store)
    encoder = encoder_of(made, settings)
    require_same_model(settings.collection, made, encoder.fingerprint)
    return source, encoder


def _of_record(key: str, store: Store) -> Path | bytes:
    from clipsearch.search.asking import named

    points = next(iter(store.scroll(filter=named(key), batch_size=100)), [])
    if not points:
        raise SourceError(
            f"{key} is neither a picture's file nor a record's key in collection {store.name!r}; "
            "give the key as hits show it"
        )
    path = min(str(point.payload.get("_path") or "") for point in points)
    source = _read(path) if _is_address(path) else stored_picture(path)
    if source is None:
        raise SourceError(f"the picture of {key} is not at {path or 'any path'} any more; index again")
    return source


def _is_address(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _read(place: str) -> Path | bytes:
    from clipsearch.search.pictures import picture

    return picture(place)


def _encoder(model: str, settings: Settings) -> Encoder:
    from clipsearch.encoder import Encoder

    return Encoder.open(model, device=settings.device, cache=settings.cache)


def _print(found: Explanation) -> None:
    """A table with bars on a terminal; word, tab, share elsewhere. The rest goes to stderr."""
    if sys.stdout.isatty():
        _print_table(found.words)
    else:
        for word in found.words:
            click.echo(f"{word.word}\t{word.share:+.4f}")
    click.echo(f"cosine {found.cosine:.3f}; with words that fit any picture {found.neutral:.3f}", err=True)
    if found.cosine <= found.neutral:
        click.echo("the picture is no nearer to these words than to any others", err=True)
    if found.check is not None:
        click.echo(_verdict(found.check), err=True)


def _print_table(words: tuple[WordShare, ...]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("word", overflow="fold")
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    most = max(abs(word.share) for word in words) or 1.0
    for word in words:
        bar = Text("█" * round(_BAR * abs(word.share) / most), style="green" if word.share > 0 else "red")
        table.add_row(Text(word.word), f"{word.share:+.3f}", bar)  # Text: a [word] is no markup
    Console(highlight=False).print(table)


def _verdict(check: Check) -> str:
    than = "better than a random one" if check.is_better_than_random else "no better than a random one"
    return f"the map is {than}: insertion - deletion {check.gain:+.3f}, and chance reaches {check.needed:.3f}"


def _record(found: Explanation, picture: str, model: str, drawn: Path | None) -> dict[str, Any]:
    check = found.check
    return {
        "picture": picture,
        "text": found.text,
        "model": model,
        "cosine": round(found.cosine, 5),
        "neutral": round(found.neutral, 5),
        "words": [
            {"word": word.word, "start": word.start, "end": word.end, "share": round(word.share, 5)}
            for word in found.words
        ],
        "check": check
        and {
            "is_better_than_random": check.is_better_than_random,
            "deletion": round(check.deletion, 5),
            "insertion": round(check.insertion, 5),
            "needed": round(check.needed, 5),
        },
        "map": [[round(value, 6) for value in row] for row in found.map.tolist()],
        "box": [round(value, 2) for value in found.box],
        "size": list(found.size),
        "out": None if drawn is None else str(drawn),
    }
