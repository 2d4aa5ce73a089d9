"""The command line: which commands there are, and how an error is shown.

Owns printing and exit codes. Each command's file is imported only when that command runs.
"""

from __future__ import annotations

import errno
import os
import sys

import click

from clipsearch import __version__
from clipsearch.cli.lazy import LazyGroup
from clipsearch.errors import ClipSearchError, QueryError, UnknownField

COMMANDS = {
    "index": ("indexer.cli:index", "Index a folder or a catalogue of pictures."),
    "encode": ("indexer.shards.cli:encode", "Encode pictures into Parquet shards, without a collection."),
    "load": ("indexer.shards.cli:load", "Fill a collection from Parquet shards."),
    "export": ("indexer.shards.cli:export", "Write a collection as Parquet shards, or for clip-retrieval."),
    "search": ("clipsearch.cli.search:search", "Search a collection by words or by a picture."),
    "verify": ("clipsearch.cli.verify:verify", "Compare a collection's graph with an exact scan."),
    "tag": ("clipsearch.cli.tag:tag", "Tag a collection's pictures with a vocabulary."),
    "explain": ("clipsearch.cli.explain:explain", "Show why a picture was found for some words."),
    "dupes": ("clipsearch.cli.dupes:dupes", "Find duplicates in a collection; delete nothing."),
    "doctor": ("clipsearch.cli.doctor:doctor", "Check the installation and a collection."),
    "serve": ("clipsearch.cli.serve:serve", "Serve collections over HTTP."),
    "collection": ("clipsearch.cli.collection:collection", "List, describe and delete collections."),
    "models": ("clipsearch.cli.models:models", "List, fetch and verify models."),
    "demo": ("clipsearch.cli.demo:demo", "Index the bundled catalogue and search it."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: clipsearch demo",
)
@click.version_option(__version__, prog_name="clipsearch")
def cli() -> None:
    """Search your own pictures by words or by example, on your own machine.

    \b
    clipsearch demo                                   try it on the bundled parts catalogue
    clipsearch index ~/Pictures                       index a folder …
    clipsearch search "a dog on a beach"              … and search it
    clipsearch index parts.csv -c parts --id-column part_no --image-column photo
    clipsearch search "brass hex bolt" -c parts --filter "price<=5"

    Settings come from clipsearch.toml in the current folder, then CLIPSEARCH_* variables, then
    options. Pictures and vectors stay on this machine.
    """


def main() -> None:
    """Run the command line and leave with its exit code: 0 done, 1 error, 2 usage, 130 interrupted.

    3: `search --min-confidence` found nothing certain.
    """
    try:
        code = cli.main(
            prog_name="clipsearch", standalone_mode=False
        )  # an Exit inside a command comes back as its code
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped", 130)
    except (QueryError, UnknownField) as exc:
        _fail(_pointed(exc), 1)
    except ClipSearchError as exc:
        _fail(str(exc), 1)
    except BrokenPipeError:  # `clipsearch search … | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as exc:
        if exc.errno is None:
            raise
        _fail(_operating_system_error(exc), 1)


def _pointed(exc: QueryError | UnknownField) -> str:
    """The message, and the query with a mark under the mistake."""
    from clipsearch.query import pointed

    return "\n".join(filter(None, [str(exc), pointed(exc)]))


def _fail(message: str, code: int) -> None:
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {message}", err=True)
    sys.exit(code)


def _operating_system_error(exc: OSError) -> str:
    where = f" ({exc.filename})" if exc.filename else ""
    advice = {
        errno.ENOSPC: "free some space, then run the same command again",
        errno.EDQUOT: "free some space, then run the same command again",
        errno.EACCES: "check the permissions, or point CLIPSEARCH_DATA at a folder you may write to",
        errno.EROFS: "point CLIPSEARCH_DATA at a folder you may write to",
    }.get(exc.errno or 0, "check the path and try again")
    return f"{exc.strerror or exc}{where}; {advice}"
