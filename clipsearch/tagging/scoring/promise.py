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
from functools import lru_cache
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
    are one observation, wrong by the share of those given that is wrong.
    """
    _, codes = np.unique(np.asarray(records).astype(str), return_inverse=True)
    allowed = _allowed(int(codes.max(initial=-1)) + 1, precision)
    thresholds, left_off = np.full(truth.shape[1], NEVER), []
    for place in range(truth.shape[1]):
        known = truth[:, place] >= 0
        true = truth[known, place] == 1
        n_right = len(np.unique(codes[known][true]))
        runs = _runs(probabilities[known, place], true, codes[known])
        threshold, reason = _longest(runs, n_right, allowed, precision)
        if reason:
            left_off.append(LeftOff(place, reason, n_right))
        else:
            thresholds[place] = threshold
    return thresholds, tuple(left_off)


@dataclass(frozen=True, slots=True)
class _Runs:
    """The n surest pictures of a label, for each n: what a threshold below the last of them would give."""

    values: Floats  # confidence of the last, falling
    n_records: NDArray[np.int64]  # that they belong to
    wrong: Floats  # records, each by its share of wrong pictures among these


def _runs(values: Floats, true: NDArray[np.bool_], codes: NDArray[np.int64]) -> _Runs:
    order = np.argsort(-values, kind="stable")
    codes, wrong = codes[order], ~true[order]
    together = np.argsort(codes, kind="stable")  # a record's pictures one after the other, surest first
    first = np.append(True, codes[together][1:] != codes[together][:-1])[: len(codes)]
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(codes)))
    so_far = np.arange(1, len(codes) + 1) - np.repeat(starts, sizes)
    n_wrong = np.cumsum(wrong[together])
    n_wrong = n_wrong - np.repeat(n_wrong[starts] - wrong[together][starts], sizes)
    share = n_wrong / so_far
    change = np.diff(share, prepend=0.0)
    change[starts] = share[starts]
    changes, is_new = np.zeros(len(codes)), np.zeros(len(codes), np.int64)
    changes[together], is_new[together] = change, first
    return _Runs(values[order], np.cumsum(is_new), np.cumsum(changes))


def _longest(runs: _Runs, n_right: int, allowed: Floats, precision: float) -> tuple[float, str]:
    """The threshold, or the reason why there is none. allowed: for n records, `_allowed`."""
    least = fewest(precision)
    if n_right < least:
        has = f"{n_right} labelled records have it" if n_right else "no labelled picture has it"
        return NEVER, f"{has}, and {precision:g} cannot be promised with fewer than {least}"
    ends = np.append(runs.values[:-1] > runs.values[1:], True)  # equal ones are given together
    kept = np.flatnonzero(ends & (runs.wrong <= allowed[runs.n_records - 1] + 1e-9))
    if not len(kept):
        right = 1 - runs.wrong[np.searchsorted(runs.n_records, least)] / least
        return NEVER, f"of its {least} surest records {right:.0%} are right, too few to promise {precision:g}"
    last = int(kept[-1])
    after = runs.values[last + 1] if last + 1 < len(runs.values) else 0.0
    return float((runs.values[last] + after) / 2), ""


@lru_cache(maxsize=4)
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
