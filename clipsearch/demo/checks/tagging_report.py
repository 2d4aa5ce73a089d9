"""The check of tags as tables for people and as JSON. Measures nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from clipsearch.demo.checks.report import cell
from clipsearch.demo.checks.tagging import Promise, Run


def as_text(runs: Sequence[Run], promises: Sequence[Promise]) -> str:
    """Exclusive groups, then all labels, then promises; a line for each vocabulary, language and pictures."""
    lines = [
        "Exclusive groups: the likeliest label",
        f"{'pictures':15} {'language':9} {'group':9} {'top-1':>22} {'mean per class':>22} {'classes':>7}"
        f" {'top-1, fitted':>22} {'calibration error: bare':>23} {'background':>22} {'fitted':>22}",
    ]
    lines += [
        f"{run.pictures:15} {run.language:9} {one.name:9} {cell(one.top1):>22} {cell(one.per_class):>22}"
        f" {one.n_classes:7} {cell(then.top1):>22} {cell(bare.error):>23} {cell(one.error):>22}"
        f" {cell(then.error):>22}"
        for run in runs
        for bare, one, then in zip(run.bare.groups, run.before.groups, run.after.groups, strict=True)
    ]
    lines.append(
        f"\nAll labels\n{'pictures':15} {'language':9} {'labels':11} {'by':10} {'mAP':>22}"
        f" {'calibration error':>22} {'micro precision':>22} {'micro recall':>22} {'macro F1':>22}"
        f" {'untagged':>22}"
    )
    for run in runs:
        for by, one in (("bare", run.bare), ("background", run.before), ("labels", run.after)):
            figures = (
                one.mean_average_precision,
                one.error,
                one.micro.precision,
                one.micro.recall,
                one.macro.f1,
                one.untagged,
            )
            cells = " ".join(f"{cell(value):>22}" for value in figures)
            if one is run.after:  # five curves, mixed: see checks.tagging
                cells = f"{'':22}{cells[22:]}"
            kind = f"{len(one.labels)} {run.kind}"
            lines.append(f"{run.pictures:15} {run.language:9} {kind:11} {by:10} {cells}")
    lines.append("\nCurves fitted to all of these labels: slope, and the unit at which it is at one half")
    lines += [
        f"{run.pictures:15} {run.language:9} {name:11} {curve.slope:.2f}"
        + (f" {-curve.shift / curve.slope:.2f}" if curve.slope and name == "alone" else "")
        for run in runs
        for name, curve in run.curves.items()
    ]
    lines.append("\nPromises, made by four fifths of the records, on the last fifth's pictures")
    lines += [_promise(one) for one in promises]
    if any(run.pictures == "DIY products" for run in runs):
        lines.append(
            "\nThe starter was never made for the DIY products: it finds their category about as often as\n"
            "guessing does, its tags there are wrong, and fitted to labels it gives none."
        )
    return "\n".join([*lines, "95 % intervals by bootstrap over records: parts, or products."])


def _promise(one: Promise) -> str:
    n_given, n_right = (sum(pair[i] for pair in one.promised.values()) for i in (0, 1))
    head = f"{one.pictures:15} {one.language:9} {f'{one.n_labels} {one.kind}':11} {one.precision:g}: "
    left = ", ".join(f"{n / 5:.0f} {reason}" for reason, n in sorted(one.left_off.items()))
    if not one.promised:
        return f"{head}none promised (left off: {left})"
    each = "; ".join(f"{name} {right}/{given}" for name, (given, right) in one.promised.items())
    return (
        f"{head}{len(one.promised)} promised, {n_right} of {n_given} right, {cell(one.kept)} "
        f"(left off, mean of folds: {left})\n{'':37} {each}"
    )


def as_json(runs: Sequence[Run], promises: Sequence[Promise]) -> dict[str, Any]:
    return {
        "runs": [_plain(asdict(run)) for run in runs],
        "promises": [_plain(asdict(promise)) for promise in promises],
    }


def _plain(value: Any) -> Any:
    """NaN, which JSON has not, as null."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
