"""`clipsearch verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipsearch.cli import output
from clipsearch.cli.options import collection_option, device_option, filter_from, place_options, settings_from
from clipsearch.cli.progress import progress

if TYPE_CHECKING:
    from clipsearch.settings import Settings
    from clipsearch.store import Store
    from clipsearch.types import Embeddings
    from clipsearch.verification import Measured, Verification


@click.command(short_help="Compare a collection's graph with an exact scan.")
@click.argument("name", metavar="[COLLECTION]", required=False)
@collection_option
@click.option(
    "--recall",
    "wanted",
    default=0.98,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="The share of the exact top hits that searches must find.",
)
@click.option(
    "--sample",
    default=200,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="How many stored vectors to ask for, each with a little noise.",
)
@click.option(
    "-k", default=10, show_default=True, type=click.IntRange(1, 100), metavar="N", help="Hits a query."
)
@click.option(
    "--queries",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Ask for these words too, a query a line.",
)
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="COND", help="Search under this filter. May repeat."
)
@click.option("--apply", is_flag=True, help="Keep the fewest candidates that reach the recall.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@place_options
@device_option
@click.pass_context
def verify(
    ctx: click.Context,
    name: str | None,
    collection: str | None,
    wanted: float,
    sample: int,
    k: int,
    queries: Path | None,
    filters: tuple[str, ...],
    apply: bool,
    as_json: bool,
    data: Path | None,
    url: str | None,
    device: str | None,
) -> None:
    """Compare a collection's graph with an exact scan: how much is found, how fast, at what effort.

    \b
    clipsearch verify                                  the top 10 of 200 sampled queries
    clipsearch verify parts --recall 0.99 --apply      and keep the setting that reaches it
    clipsearch verify parts --queries words.txt        your own queries too, a line each
    clipsearch verify parts --filter material=brass    under a filter

    A large collection is searched by a graph (HNSW), which may miss a hit. The more candidates it keeps
    (ef), the less it misses and the longer it takes. Leaves with 1 if searches do not reach the recall.
    """
    from clipsearch.store import open_store
    from clipsearch.verification import verify as measure

    settings = settings_from(collection=name or collection, data=data, url=url, device=device)
    with open_store(settings.collection, settings) as store:
        words = None if queries is None else _encoded(store, queries, settings)
        chosen = filter_from(filters, store)
        with progress() as tell:
            found = measure(
                store, wanted=wanted, n_queries=sample, k=k, queries=words, filter=chosen, on_progress=tell
            )
        applied = found.enough if apply and found.has_graph else None
        if applied is not None:
            store.set_hnsw_ef(applied.ef)
    if as_json:
        output.print_json(_record(found, applied))
    else:
        _print(found, applied)
    if not found.ok and applied is None:
        ctx.exit(1)


def _encoded(store: Store, file: Path, settings: Settings) -> Embeddings:
    from clipsearch.models import require_same_model
    from clipsearch.search import encoder_of

    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    texts = [line for line in lines if line]
    if not texts:
        raise click.UsageError(f"{file} has no query in it; write one a line.")
    encoder = encoder_of(store.spec.fingerprint, settings)
    require_same_model(store.name, store.spec.fingerprint, encoder.fingerprint)
    return encoder.encode_texts(texts)


def _record(found: Verification, applied: Measured | None) -> dict[str, Any]:
    enough = found.enough
    return {
        "collection": found.collection,
        "points": found.n_points,
        "points_in_graph": found.n_indexed,
        "queries": found.n_queries,
        "k": found.k,
        "wanted_recall": found.wanted,
        "reached": found.ok or applied is not None,
        "current": _row(found.current),
        "exact": {"p50_ms": round(found.exact.p50_ms, 3), "p95_ms": round(found.exact.p95_ms, 3)},
        "by_ef": [_row(row) for row in found.rows],
        "smallest_ef": enough.ef if enough else None,
        "applied_ef": applied.ef if applied else None,
    }


def _row(row: Measured) -> dict[str, float]:
    return {
        "ef": row.ef,
        "recall": round(row.recall, 4),
        "p50_ms": round(row.p50_ms, 3),
        "p95_ms": round(row.p95_ms, 3),
    }


def _print(found: Verification, applied: Measured | None) -> None:
    click.echo(
        f"collection {found.collection!r}: {found.n_points:,} points, {found.n_indexed:,} of them in a "
        f"graph; {found.n_queries} queries, top {found.k}"
    )
    click.echo(f"{'ef':>12}  recall@{found.k:<3}  p50 ms  p95 ms")
    for row in found.rows:
        _print_row(str(row.ef), row)
    _print_row("exact", found.exact)
    if not found.has_graph:
        click.echo("it has no graph: every search is exact and misses nothing")
        return
    _print_row("now", found.current)
    click.echo(_verdict(found, applied))


def _print_row(label: str, row: Measured) -> None:
    click.echo(f"{label:>12}  {row.recall:>9.4f}  {row.p50_ms:>6.2f}  {row.p95_ms:>6.2f}")


def _verdict(found: Verification, applied: Measured | None) -> str:
    enough = found.enough
    if applied is not None:
        return f"kept: searches of this collection keep {applied.ef} candidates (recall {applied.recall:.4f})"
    if enough is None:
        return (
            f"no ef tried reaches {found.wanted:g}; ask for less with --recall, or search exactly "
            f"({found.exact.p50_ms:.1f} ms)"
        )
    if found.ok:
        return f"searches reach {found.wanted:g} as they are; {enough.ef} candidates are enough"
    return (
        f"searches miss {found.wanted:g} as they are; ef {enough.ef} reaches it: run this again with --apply"
    )
