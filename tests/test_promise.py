"""Promises of precision: kept on new pictures; labels that cannot keep them are left off with the reason."""

from __future__ import annotations

from functools import cache
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray

from clipsearch.tagging.scoring import Examples, fewest, fitted
from clipsearch.tagging.scoring.promise import NEVER, promised
from clipsearch.tagging.vectors import LabelVectors

PROMISE = 0.9
TAIL = np.linspace(-4, 12, 4001)
NORMAL = np.exp(-(TAIL**2) / 2) / np.sqrt(2 * np.pi) * (TAIL[1] - TAIL[0])


def above(threshold: float) -> float:
    """The share of a standard normal distribution above the threshold."""
    return float(NORMAL[threshold <= TAIL].sum())


def tag(
    rng: np.random.Generator, n: int, share: float, apart: float, noise: float
) -> tuple[NDArray, NDArray]:
    """Scores and truth: who has the tag is `apart` higher; a share `noise` of them was labelled wrongly."""
    truth = rng.random(n) < share
    scores = rng.normal(0, 1, n) + apart * truth
    return scores, truth & (rng.random(n) >= noise)


def precision_at(threshold: float, share: float, apart: float, noise: float) -> float:
    right = share * above(threshold - apart)
    return right * (1 - noise) / max(right + (1 - share) * above(threshold), 1e-12)


@cache
def can_be_promised(n: int, share: float, apart: float, noise: float) -> bool:
    """Whether some threshold has the precision, and gives so many pictures that it can be known."""
    return any(
        precision_at(t, share, apart, noise) >= PROMISE
        and n * (share * above(t - apart) + (1 - share) * above(t)) >= 60
        for t in np.linspace(-1, 6, 141)
    )


def simulated(seed: int, n_tags: int, n: int, *, noise: bool) -> tuple[NDArray, NDArray, NDArray]:
    """Whether each tag is promised, its true precision there, and whether it could be."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_tags):
        share, apart = float(rng.choice([0.03, 0.1, 0.3])), float(rng.choice([0.5, 1.5, 2.5, 4.0]))
        wrong = float(rng.choice([0.0, 0.05, 0.11, 0.15])) if noise else 0.0
        scores, truth = tag(rng, n, share, apart, wrong)
        squashed = 1 / (1 + np.exp(-(scores - 2)))
        found = promised(squashed[:, None], truth.astype(np.int8)[:, None], np.arange(n), PROMISE)[0][0]
        at = np.log(found / (1 - found)) + 2 if found <= 1 else 99.0
        rows.append(
            (found <= 1, precision_at(at, share, apart, wrong), can_be_promised(n, share, apart, wrong))
        )
    is_promised, precision, possible = (np.array(column) for column in zip(*rows, strict=True))
    return is_promised, precision, possible


@pytest.mark.parametrize("noise", [False, True])
def test_nineteen_of_twenty_promised_tags_keep_the_promise_on_new_pictures(noise: bool) -> None:
    is_promised, precision, possible = simulated(1, 500, 1000, noise=noise)
    kept = precision[is_promised] >= PROMISE
    assert is_promised.sum() > 30
    assert kept.mean() >= 0.95
    assert precision[is_promised].min() > PROMISE - 0.08  # and who breaks it, breaks it narrowly
    assert is_promised[possible].mean() > (0.4 if noise else 0.65)  # few are left off that could keep it


def test_a_tag_that_is_a_little_too_bad_everywhere_is_rarely_promised() -> None:
    rng = np.random.default_rng(2)
    n_runs, n, caught, looser = 400, 300, 0, 0
    for _ in range(n_runs):
        truth = (rng.random(n) < 0.88).astype(np.int8)
        values = np.sort(rng.random(n))[::-1]
        caught += promised(values[:, None], truth[:, None], np.arange(n), PROMISE)[0][0] <= 1
        looser += any(_bounded(i, int(truth[:i].sum())) for i in range(29, n + 1))
    assert caught / n_runs <= 0.03
    assert looser > 2 * caught  # what bounds of 95 % would have promised


def _bounded(n: int, right: int) -> bool:
    """Whether Clopper and Pearson's lower bound of 95 % is at least 0.9."""
    tail = sum(comb(n, k) * PROMISE**k * (1 - PROMISE) ** (n - k) for k in range(right, n + 1))
    return tail <= 0.05


@pytest.mark.parametrize(("precision", "n"), [(0.9, 44), (0.95, 90), (0.5, 7), (0.99, 459)])
def test_how_many_records_a_promise_needs_at_least(precision: float, n: int) -> None:
    assert fewest(precision) == n
    values = np.linspace(0.99, 0.5, n)[:, None]
    right = np.ones((n, 1), np.int8)
    assert promised(values, right, np.arange(n), precision)[0][0] <= 1
    thresholds, left_off = promised(values[1:], right[1:], np.arange(n - 1), precision)
    assert thresholds[0] == NEVER
    assert left_off[0].place == 0 and f"fewer than {n}" in left_off[0].reason


def test_the_reason_is_named() -> None:
    n = 200
    values = np.tile(np.linspace(0.99, 0.01, n)[:, None], (1, 4))
    truth = np.zeros((n, 4), np.int8)
    truth[:60, 0] = 1  # clear
    truth[::2, 1] = 1  # no better than chance
    truth[:3, 2] = 1
    truth[:, 3] = -1
    thresholds, left_off = promised(values, truth, np.arange(n), PROMISE)
    assert thresholds[0] <= 1 and (thresholds[1:] == NEVER).all()
    reasons = {one.place: one.reason for one in left_off}
    assert "of its 44 surest records 50% are right" in reasons[1]
    assert "3 labelled records have it" in reasons[2] and "no labelled picture has it" in reasons[3]


def test_two_photos_of_a_part_are_one_observation() -> None:
    values = np.repeat(np.linspace(0.99, 0.5, 30), 2)[:, None]
    truth = np.ones((60, 1), np.int8)
    apart, together = np.arange(60), np.repeat(np.arange(30), 2)
    assert promised(values, truth, apart, PROMISE)[0][0] <= 1
    assert promised(values, truth, together, PROMISE)[0][0] == NEVER


def test_of_a_record_only_the_pictures_that_are_given_count() -> None:
    values = np.r_[np.linspace(0.99, 0.8, 60), np.full(60, 0.1)][:, None]
    truth = np.r_[np.ones(60), np.zeros(60)].astype(np.int8)[:, None]  # an album: one of two shows it
    assert 0.1 < promised(values, truth, np.tile(np.arange(60), 2), PROMISE)[0][0] < 0.8


def test_equal_confidences_are_given_together_or_not_at_all() -> None:
    values = np.r_[np.full(50, 0.9), np.full(50, 0.8)][:, None]
    truth = np.r_[np.ones(50), np.ones(5), np.zeros(45)].astype(np.int8)[:, None]
    threshold = promised(values, truth, np.arange(100), PROMISE)[0][0]
    assert 0.8 < threshold <= 0.9


def test_promises_of_a_whole_fit_are_kept_on_pictures_it_has_not_seen() -> None:
    rng = np.random.default_rng(3)
    n_promised, n_kept = 0, 0
    for _ in range(4):
        labels = rng.normal(size=(12, 48)).astype(np.float32)
        labels /= np.linalg.norm(labels, axis=1, keepdims=True)
        truth = rng.random((9000, 12)) < rng.choice([0.05, 0.1, 0.15], 12)
        pictures = rng.normal(size=(9000, 48)).astype(np.float32) * rng.uniform(0.1, 0.25)
        pictures += truth.astype(np.float32) @ labels
        pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
        known = slice(0, 1000)
        fit = fitted(
            LabelVectors(labels, np.zeros((1, 48), np.float32)),
            pictures[known],
            (),
            examples=Examples(
                pictures[known], truth[known].astype(np.int8), [str(i // 2) for i in range(1000)]
            ),
            logit_scale=20.0,
            logit_bias=None,
            precision=PROMISE,
        )
        given = fit.scorer.probabilities(pictures[1000:]) >= fit.scorer.thresholds
        left = {one.place for one in fit.left_off}
        assert all(given[:, c].any() != (c in left) for c in range(12))
        right = (given & truth[1000:]).sum(axis=0) / np.maximum(given.sum(axis=0), 1)
        n_promised += 12 - len(left)
        n_kept += sum(right[c] >= PROMISE for c in range(12) if c not in left)
    assert n_promised >= 15
    assert n_kept / n_promised >= 0.95
