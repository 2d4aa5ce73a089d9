"""The checks' commands under `python -m clipsearch.demo`. Measure nothing themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipsearch.errors import ClipSearchError

if TYPE_CHECKING:
    from clipsearch.search import Searcher
    from clipsearch.types import Payload

_Command = Callable[..., None]


def _options(command: _Command) -> _Command:
    """--collection and --json."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    return click.option(
        "-c", "--collection", default="demo", show_default=True, help="One that `clipsearch demo` made."
    )(command)


@click.command("evaluate-negation", short_help="Count what minus terms let through.")
@_options
def evaluate_negation(collection: str, as_json: bool) -> None:
    """Print how often an excluded attribute survives in the first ten hits, against plain subtraction.

    \b
    clipsearch demo && python -m clipsearch.demo evaluate-negation      (about 1 min)
    """
    from clipsearch.demo.checks import negation, report

    with _opened(collection) as searcher:
        cases = negation.cases(_payloads(searcher))
        found = negation.evaluate(searcher, cases)
    _print(as_json, lambda: report.negation_text(cases, found), lambda: report.negation_json(cases, found))


@click.command("evaluate-confidence", short_help="Measure how far confidences can be believed.")
@_options
def evaluate_confidence(collection: str, as_json: bool) -> None:
    """Print how well confidence tells right hits from wrong ones across queries, against the raw cosine.

    \b
    clipsearch demo && python -m clipsearch.demo evaluate-confidence    (about 1 min)
    """
    from clipsearch.demo.checks import confidence, questions, report

    with _opened(collection) as searcher:
        asked = questions.by_labels(_payloads(searcher)) + questions.absent()
        reports = confidence.evaluate(searcher, asked)
    _print(as_json, lambda: report.confidence_text(reports), lambda: report.confidence_json(reports))


@click.command("evaluate-search", short_help="Measure what search finds, however it is asked.")
@_options
def evaluate_search(collection: str, as_json: bool) -> None:
    """Print Recall@1, Recall@10 and MRR of pictures, of words and of both, in English and Japanese.

    \b
    clipsearch demo && python -m clipsearch.demo evaluate-search        (about 1 min)
    """
    from clipsearch.demo.checks import questions, report, retrieval

    with _opened(collection) as searcher:
        payloads = _payloads(searcher)
        asked = questions.by_parts(payloads)
        outcomes = retrieval.evaluate(searcher, asked, payloads)
    rows, languages = retrieval.rows(asked, outcomes), retrieval.by_language(asked, outcomes)
    _print(
        as_json,
        lambda: report.retrieval_text(rows, languages),
        lambda: report.retrieval_json(rows, languages),
    )


@click.command("evaluate-tagging", short_help="Measure how far tags can be believed.")
@_options
@click.option(
    "--diy",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with products.csv and images/, of products that the starter was never made for.",
)
def evaluate_tagging(collection: str, as_json: bool, diy: Path | None) -> None:
    """Print accuracy, mAP and calibration of the catalogue's values as tags, without labels and with them.

    \b
    clipsearch demo && python -m clipsearch.demo evaluate-tagging       (about 1 min)
    python -m clipsearch.demo evaluate-tagging --diy ../shared/data/diy_catalogue
    """
    from clipsearch.demo.checks import tagging, tagging_report

    with _opened(collection) as searcher:
        try:
            runs, promises = tagging.evaluate(searcher, diy=diy)
        except ClipSearchError as exc:
            raise click.ClickException(str(exc)) from exc
    _print(
        as_json,
        lambda: tagging_report.as_text(runs, promises),
        lambda: tagging_report.as_json(runs, promises),
    )


def _opened(collection: str) -> Searcher:
    from clipsearch.demo.checks.asking import searcher_of

    try:
        return searcher_of(collection)
    except ClipSearchError as exc:
        raise click.ClickException(str(exc)) from exc


def _payloads(searcher: Searcher) -> list[Payload]:
    return [point.payload for batch in searcher.store.scroll() for point in batch]


def _print(as_json: bool, text: Callable[[], str], data: Callable[[], dict[str, Any]]) -> None:
    click.echo(json.dumps(data(), indent=2, ensure_ascii=False) if as_json else text())
