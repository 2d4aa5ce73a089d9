"""Thresholds that keep a promise: of the pictures that are given a label, at least this share has it.

For each label by itself: its records are taken from the surest on, and after each from the 29th on (for
0.9) the hypothesis "the precision is less than promised" is tested by the exact binomial test, which is
Clopper and Pearson's lower bound (1934). The label keeps the longest run of records all of whose tests reject
it. Tests in an order fixed beforehand, stopped at the first that fails, need no correction for there being
many (fixed-sequence testing; Maurer, Hothorn and Lehmacher 1995; for thresholds Angelopoulos et al. 2021,
"Learn then Test"): a label that cannot keep the promise gets it with a chance of 1 - confidence at most. To
take the longest run that passes by itself would promise little more, and break more (tests/test_promise.py).
Confidences must be out of fold, and pictures to come like the labelled ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, lgamma, log

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging.scoring.units import Floats

CONFIDENCE = 0.95
NEVER = 2.0  # a threshold above every confidence


@dataclass(frozen=True, slots=True)
class LeftOff:
    """A label that cannot keep the promise, and why."""

    place: int
    reason: str


def fewest(precision: float, *, confidence: float = CONFIDENCE) -> int:
    """How many records must be given a label, all rightly, for the promise: 29 for 0.9, 59 for 0.95."""
    return ceil(log(1 - confidence) / log(precision) - 1e-9)


def promised(
    probabilities: Floats,
    truth: NDArray[np.int8],
    records: Sequence[str] | NDArray[np.generic],
    precision: float,
    *,
    confidence: float = CONFIDENCE,
) -> tuple[Floats, tuple[LeftOff, ...]]:
    """Thresholds (C,), and the labels that have none (NEVER).

    probabilities (N, C), out of fold; truth 1 has, 0 has not, -1 unknown; records (N,): a record's pictures
    are one observation, wrong by the share of them that is wrong.
    """
    _, codes = np.unique(np.asarray(records).astype(str), return_inverse=True)
    allowed = _allowed(int(codes.max(initial=-1)) + 1, precision, confidence)
    thresholds, left_off = np.full(truth.shape[1], NEVER), []
    for place in range(truth.shape[1]):
        known = truth[:, place] >= 0
        run = _surest(probabilities[known, place], truth[known, place] == 1, codes[known])
        threshold, reason = _longest(*run, allowed, precision)
        if reason:
            left_off.append(LeftOff(place, reason))
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
    least = next((n for n, most in enumerate(allowed, start=1) if most >= 0), 0)
    if not least or n_right < least:
        has = f"{n_right} labelled records have it" if n_right else "no labelled picture has it"
        return NEVER, f"{has}, and {precision:g} cannot be promised with fewer than {fewest(precision)}"
    tests = wrong[least - 1 :] <= allowed[least - 1 : len(values)] + 1e-9
    ends = np.append(values[:-1] > values[1:], True)[least - 1 :]  # equal ones are given together
    length = len(tests) if tests.all() else int(np.argmin(tests))
    runs = np.flatnonzero(ends[:length])
    if not len(runs):
        right = 1 - wrong[least - 1] / least
        return NEVER, f"of its {least} surest records {right:.0%} are right, too few to promise {precision:g}"
    last = least - 1 + int(runs[-1])
    after = values[last + 1] if last + 1 < len(values) else 0.0
    return float((values[last] + after) / 2), ""


def _allowed(n_records: int, precision: float, confidence: float) -> Floats:
    """For n = 1 .. n_records: the most wrong ones with which n reject the hypothesis; -1 where none do."""
    most, found = -1, np.full(n_records, -1.0)
    facts = np.array([lgamma(i + 1.0) for i in range(n_records + 2)])
    for n in range(1, n_records + 1):
        while most + 1 < n and _tail(n, most + 1, precision, facts) <= 1 - confidence:
            most += 1
        found[n - 1] = most
    return found


def _tail(n: int, wrong: int, precision: float, facts: Floats) -> float:
    """The chance that of n at most so many are wrong, were the precision only just what is promised."""
    far = int(12 * (n * precision * (1 - precision)) ** 0.5) + 10  # what is beyond is below 1e-12
    k = np.arange(max(0, wrong - far), wrong + 1)
    logs = facts[n] - facts[k] - facts[n - k] + k * log(1 - precision) + (n - k) * log(precision)
    return float(np.exp(logs).sum())
