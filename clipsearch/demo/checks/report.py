"""The checks' reports as tables for people and as JSON. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from clipsearch.demo.checks import negation, retrieval
from clipsearch.demo.checks.confidence import Report
from clipsearch.demo.checks.negation import Case, Outcome
from clipsearch.demo.checks.questions import LANGUAGES
from clipsearch.evaluation.resampling import Interval


def cell(value: Interval) -> str:
    """A mean with its interval: .790 [.720, .850]."""
    if value.mean != value.mean:
        return "-"
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


# --- negation ----------------------------------------------------------------------------------


def negation_text(cases: Sequence[Case], found: Mapping[tuple[str, str], Outcome]) -> str:
    """One line for each method and language."""
    lines = [
        f"{len(cases)} cases: a shape or family without one attribute; of the first {negation.TOP} hits",
        f"{'':38} {'have the attribute still':>24} {'right':>24}",
    ]
    for language in LANGUAGES:
        lines.append(language)
        for method in negation.METHODS:
            survived, right = negation.intervals(cases, found[language, method])
            lines.append(f"  {method:36} {cell(survived):>24} {cell(right):>24}")
        for better, worse in negation.COMPARED:
            survived, right = negation.differences(cases, found[language, better], found[language, worse])
            lines.append(f"  {f'{better} less {worse}':60}\n  {'':36} {cell(survived):>24} {cell(right):>24}")
    return "\n".join([*lines, "95 % intervals by bootstrap over shapes and families."])


def negation_json(cases: Sequence[Case], found: Mapping[tuple[str, str], Outcome]) -> dict[str, Any]:
    rows = []
    for (language, method), outcome in found.items():
        survived, right = negation.intervals(cases, outcome)
        rows.append(
            {"language": language, "method": method, "survived": asdict(survived), "right": asdict(right)}
        )
    return {"n_cases": len(cases), "top": negation.TOP, "rows": rows}


# --- confidence --------------------------------------------------------------------------------


def confidence_text(reports: Sequence[Report]) -> str:
    """AUROC, what is confident, and how far confidences are to be believed."""
    lines = [
        f"First ten hits, pooled, of {' and of '.join(_n_queries(reports))}",
        f"{'curve':9} {'search':9} {'queries':12} {'AUROC of the cosine':>22} {'of the confidence':>22}"
        f" {'gain':>24} {'calibration error':>22}",
    ]
    lines += [
        f"{one.curve:9} {one.system:9} {one.asked:12} {cell(one.cosine):>22} {cell(one.confidence):>22}"
        f" {cell(one.gain):>24} {cell(one.error):>22}"
        for one in reports
    ]
    lines.append(
        f"\n{'curve':9} {'search':9} {'queries':12} {'no answer: none sure':>22} {'an answer: some sure':>22}"
        f" {'of these hits, right':>24}"
    )
    lines += [
        f"{one.curve:9} {one.system:9} {one.asked:12} {cell(one.said_no):>22} {cell(one.said_yes):>22}"
        f" {cell(one.precision):>24}"
        for one in reports
    ]
    lines.append("\nconfidence (mean of bin): share right (hits)")
    for one in reports:
        bins = "  ".join(f"{mean:.2f}: {share:.2f} ({n:.0f})" for mean, share, n in one.table)
        lines.append(f"{one.curve:9} {one.system:9} {one.asked:12} {bins}")
    return "\n".join([*lines, "95 % intervals by bootstrap over queries."])


def _n_queries(reports: Sequence[Report]) -> list[str]:
    return [f"{n} queries ({asked})" for asked, n in {one.asked: one.n_queries for one in reports}.items()]


def confidence_json(reports: Sequence[Report]) -> dict[str, Any]:
    return {"reports": [{**asdict(one), "table": one.table.tolist()} for one in reports]}


# --- retrieval ---------------------------------------------------------------------------------


def retrieval_text(rows: Sequence[retrieval.Row], languages: Mapping[tuple[str, str], Interval]) -> str:
    """A line for each kind, language and system; then English against Japanese."""
    values = {(row.kind, row.language, row.system, row.metric): row.value for row in rows}
    lines = [f"{'':21} {'':9} {'':9}" + "".join(f"{metric:>24}" for metric in retrieval.METRICS)]
    for kind, language, system in dict.fromkeys((row.kind, row.language, row.system) for row in rows):
        cells = "".join(f"{cell(values[kind, language, system, m]):>24}" for m in retrieval.METRICS)
        lines.append(f"{kind:21} {language:9} {system:9}{cells}")
    lines.append("\nEnglish less Japanese, whole search, the same parts")
    for kind in dict.fromkeys(kind for kind, _ in languages):
        cells = "".join(f"{cell(languages[kind, m]):>24}" for m in retrieval.METRICS)
        lines.append(f"{kind:41}{cells}")
    return "\n".join([*lines, "95 % intervals by bootstrap over parts."])


def retrieval_json(
    rows: Sequence[retrieval.Row], languages: Mapping[tuple[str, str], Interval]
) -> dict[str, Any]:
    return {
        "rows": [asdict(row) for row in rows],
        "english_less_japanese": [
            {"kind": kind, "metric": metric, **asdict(value)} for (kind, metric), value in languages.items()
        ],
    }
