"""Thresholds that keep a promise: of the pictures that are given a label, at least this share has it.

For each label by itself: its records are taken from the surest on, and the longest run of them is kept whose
precision is at least the promised one by Clopper and Pearson's exact lower bound (1934). The run is chosen by
the same records that judge it, so the bound is one of 99 % for a promise of 95 %. That level was chosen by
simulation (tests/test_promise.py has part of it): with bounds of 95 %, of the tags promised more than one in
twenty break it where many are close to the line. Fixed-sequence testing ("Learn then Test", Angelopoulos et
al. 2021) needs no correction, but ends at the first wrong picture among the surest and promises fewer tags.
Confidences must be out of fold, and pictures to come like the labelled ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, lgamma, log

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging.scoring.units import Floats

CONFIDENCE = 0.95  # share of the promised labels that keep it
_LEVEL = 0.01  # of each bound: it is the best of many
NEVER = 2.0  # a threshold above every confidence


@dataclass(frozen=True, slots=True)
class LeftOff:
    """A label that cannot keep the promise, and why."""

    place: int
    reason: str
    n_records: int  # labelled ones that have it


def fewest(precision: float) -> int:
    """How many records must be given a label, all rightly, for the promise: 44 for 0.9, 90 for 0.95."""
    return ceil(log(_LEVEL) / log(precision) - 1e-9)


def promised(
    probabilities: Floats,
    truth: NDArray[np.int8],
    records: Sequence[str] | NDArray[np.generic],
    precision: float,
) -> tuple[Floats, tuple[LeftOff, ...]]:
    """Thresholds (C,), and the labels that have none (NEVER).

    probabilities (N, C), out of fold; truth 1 has, 0 has not, -1 unknown; records (N,): a record's pictures
    are one observation, wrong by the share of them that is wrong.
    """
    _, codes = np.unique(np.asarray(records).astype(str), return_inverse=True)
    allowed = _allowed(int(codes.max(initial=-1)) + 1, precision)
    thresholds, left_off = np.full(truth.shape[1], NEVER), []
    for place in range(truth.shape[1]):
        known = truth[:, place] >= 0
        run = _surest(probabilities[known, place], truth[known, place] == 1, codes[known])
        threshold, reason = _longest(*run, allowed, precision)
        if reason:
            left_off.append(LeftOff(place, reason, run[2]))
        else:
            thresholds[place] = threshold
    return thresholds, tuple(left_off)


def _surest(values: Floats, true: NDArray[np.bool_], codes: NDArray[np.int64]) -> tuple[Floats, Floats, int]:
    """Records from the surest on: their confidences, how many of the first n are wrong, and how many are not.

    A record comes with its surest picture; what all its pictures say counts from there on.
    """
    if not len(values):
        return np.zeros(0), np.zeros(0), 0
    there, inverse = np.unique(codes, return_inverse=True)
    top = np.zeros(len(there))
    np.maximum.at(top, inverse, values)
    wrong = np.bincount(inverse, weights=~true) / np.bincount(inverse)
    order = np.argsort(-top, kind="stable")
    return top[order], np.cumsum(wrong[order]), int(np.sum(wrong < 1))


def _longest(
    values: Floats, wrong: Floats, n_right: int, allowed: Floats, precision: float
) -> tuple[float, str]:
    """The threshold, or the reason why there is none. allowed: for a run's n, `_allowed`."""
    least = fewest(precision)
    if n_right < least:
        has = f"{n_right} labelled records have it" if n_right else "no labelled picture has it"
        return NEVER, f"{has}, and {precision:g} cannot be promised with fewer than {least}"
    ends = np.append(values[:-1] > values[1:], True)  # equal ones are given together
    runs = np.flatnonzero(ends & (wrong <= allowed[: len(values)] + 1e-9))
    if not len(runs):
        right = 1 - wrong[least - 1] / least
        return NEVER, f"of its {least} surest records {right:.0%} are right, too few to promise {precision:g}"
    last = int(runs[-1])
    after = values[last + 1] if last + 1 < len(values) else 0.0
    return float((values[last] + after) / 2), ""


def _allowed(n_records: int, precision: float) -> Floats:
    """For n = 1 .. n_records: the most wrong ones with which n keep the promise; -1 where none do."""
    most, found = -1, np.full(n_records, -1.0)
    facts = np.array([lgamma(i + 1.0) for i in range(n_records + 2)])
    for n in range(1, n_records + 1):
        while most + 1 < n and _tail(n, most + 1, precision, facts) <= _LEVEL:
            most += 1
        found[n - 1] = most
    return found


def _tail(n: int, wrong: int, precision: float, facts: Floats) -> float:
    """The chance that of n at most so many are wrong, were the precision only just what is promised."""
    far = int(12 * (n * precision * (1 - precision)) ** 0.5) + 10  # what is beyond is below 1e-12
    k = np.arange(max(0, wrong - far), wrong + 1)
    logs = facts[n] - facts[k] - facts[n - k] + k * log(1 - precision) + (n - k) * log(precision)
    return float(np.exp(logs).sum())
