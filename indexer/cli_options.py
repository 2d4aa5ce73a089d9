"""Options that several indexing commands share; each decorator hands its command one value, not many."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from indexer.options import RunOptions
from indexer.sources.source import MAX_BYTES, N_CONNECTIONS, N_PER_HOST, TIMEOUT_S, SourceOptions

_F = TypeVar("_F", bound=Callable[..., Any])

_SOURCE = (
    click.option(
        "--image-column",
        "image_columns",
        multiple=True,
        metavar="COLUMN",
        help="Catalogue column with the pictures: paths, URLs or bytes. Repeat it for several pictures of "
        "one record.",
    ),
    click.option(
        "--id-column", metavar="COLUMN", help="Catalogue column that names each record, such as part_no."
    ),
    click.option(
        "--list-column",
        "list_columns",
        multiple=True,
        metavar="COLUMN",
        help="Catalogue column whose cells hold several values, as in red;blue or red|blue. May repeat.",
    ),
    click.option(
        "--image-root",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="What the catalogue's paths are relative to. [default: its folder, or images/ in it]",
    ),
    click.option(
        "--encoding",
        metavar="NAME",
        help="Encoding of a catalogue, or of a zip's names, such as cp932. [default: utf-8]",
    ),
    click.option("--allow-outside", is_flag=True, help="Let a catalogue name pictures outside its folder."),
    click.option(
        "--include",
        multiple=True,
        metavar="PATTERN",
        help="Only pictures that match, as in .gitignore: '*.jpg', 'scans/**'. May repeat.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="PATTERN",
        help="No pictures that match; .clipsearchignore files do the same in their folders. May repeat.",
    ),
    click.option("--hidden", is_flag=True, help="Also hidden files and folders."),
    click.option(
        "--host-delay",
        "per_host_delay_s",
        type=click.FloatRange(0, 3600),
        default=0.0,
        show_default=True,
        metavar="SECONDS",
        help="Between two requests to one web host.",
    ),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(0.1, 3600),
        default=TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        help="For one picture from the web.",
    ),
    click.option(
        "--max-bytes",
        type=click.IntRange(1),
        default=MAX_BYTES,
        show_default=True,
        metavar="N",
        help="Of one picture from the web.",
    ),
    click.option(
        "--connections",
        "n_connections",
        type=click.IntRange(1, 1024),
        default=N_CONNECTIONS,
        show_default=True,
        metavar="N",
        help="To the web at once.",
    ),
    click.option(
        "--connections-per-host",
        "n_per_host",
        type=click.IntRange(1, 1024),
        default=N_PER_HOST,
        show_default=True,
        metavar="N",
        help="Of these, to one host.",
    ),
    click.option(
        "--allow-private",
        is_flag=True,
        help="Fetch from private addresses, too: this machine and its own network.",
    ),
    click.option(
        "--source-name",
        "name",
        metavar="NAME",
        help="Keep records' ids when the source moves. [default: its path]",
    ),
)
_ENCODING = (
    click.option(
        "-m",
        "--model",
        metavar="NAME",
        help="Model of a new collection (clipsearch models). [env: CLIPSEARCH_MODEL; "
        "default: the collection's own, else google/siglip2-base-patch32-256]",
    ),
    click.option("--exact", is_flag=True, help="Decode JPEGs at full size; slower, new collections only."),
    click.option(
        "--precision",
        type=click.Choice(["fp32", "bf16", "fp16", "int8"]),
        help="Of the model's arithmetic. int8: a CPU with 8-bit products; bf16: a GPU, or a CPU with AMX. "
        "[default: bf16 or fp16 on a GPU, fp32 on a CPU]",
    ),
    click.option(
        "--batch-size",
        type=click.IntRange(1, 4096),
        help="Pictures a call of the model. [default: 8 on a CPU; tried out on a GPU]",
    ),
    click.option(
        "--gpu-decode",
        is_flag=True,
        help="Decode JPEGs of up to 4 MP on the GPU (nvJPEG, through torchvision).",
    ),
    click.option("--workers", type=click.IntRange(1, 256), help="Threads that decode. [default: one a core]"),
)


def source_options(command: _F) -> _F:
    """What is indexed: the command gets `source_options`, a SourceOptions."""
    return _gathered(command, _SOURCE, "source_options", SourceOptions)


def run_options(command: _F) -> _F:
    """How it is encoded: the command gets `run_options`, a RunOptions."""
    return _gathered(command, _ENCODING, "run_options", RunOptions)


def _gathered(
    command: _F, options: Sequence[Callable[[_F], _F]], name: str, kind: Callable[..., object]
) -> _F:
    """The command with these options; their values reach it as one `kind` in the argument `name`."""

    @functools.wraps(command)
    def gathering(**values: Any) -> Any:
        mine = {option: values.pop(option) for option in names}
        return command(**values, **{name: kind(**mine)})

    before = len(getattr(gathering, "__click_params__", ()))
    gathered: Any = gathering
    for option in reversed(options):
        gathered = option(gathered)
    names = [parameter.name for parameter in gathered.__click_params__[before:]]
    return gathered  # type: ignore[no-any-return]
