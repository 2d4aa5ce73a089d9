"""The report on tags: figures that are known beforehand, and intervals over records."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from clipsearch.evaluation.metrics import calibration_error, weighted_average_precision
from clipsearch.evaluation.tagging import (
    Resamples,
    calibration_errors,
    report,
)

TRUTH = np.array([[1, 0], [1, 0], [0, 1], [0, -1]], np.int8)
PROBABILITIES = np.array([[0.9, 0.2], [0.3, 0.1], [0.7, 0.8], [0.1, 0.9]])
RECORDS = ["a", "a", "b", "c"]


def test_the_figures_of_each_label_are_those_one_counts_by_hand() -> None:
    found = report(PROBABILITIES, PROBABILITIES >= 0.5, TRUTH, ["x", "y"], records=RECORDS)
    x, y = found.labels
    assert (x.support, x.n_given, x.precision.mean, x.recall.mean, x.f1.mean) == (2, 2, 0.5, 0.5, 0.5)
    assert x.average_precision.mean == pytest.approx((1 + 2 / 3) / 2)
    assert (y.support, y.n_given, y.precision.mean, y.recall.mean) == (
        1,
        1,
        1.0,
        1.0,
    )  # the unknown pair is out
    assert found.micro.precision.mean == pytest.approx(2 / 3) and found.micro.recall.mean == pytest.approx(
        2 / 3
    )
    assert found.macro.f1.mean == pytest.approx(0.75)
    assert found.mean_average_precision.mean == pytest.approx((5 / 6 + 1) / 2)
    assert found.untagged.mean == 0.25
    assert (found.n_pictures, found.n_records) == (4, 3)


def test_a_group_s_accuracy_is_of_the_likeliest_label_given_or_not() -> None:
    truth = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], np.int8)
    values = np.array([[0.4, 0.1, 0.1], [0.3, 0.2, 0.1], [0.1, 0.2, 0.1], [0.1, 0.2, 0.0], [0.9, 0.0, 0.0]])
    found = report(values, values > 1, truth, list("xyz"), records=list("abcde"), groups={"g": (0, 1, 2)})
    (group,) = found.groups
    assert (group.n_pictures, group.n_classes) == (4, 2)
    assert group.top1.mean == pytest.approx(3 / 4)
    assert group.per_class.mean == pytest.approx((2 / 3 + 1) / 2)


def test_the_calibration_error_is_that_of_the_other_metrics_and_nothing_for_true_odds() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(20_000)
    true = rng.random(20_000) < values
    errors = calibration_errors(values, true, np.ones((1, 20_000)))
    assert errors[0] == pytest.approx(calibration_error(values, true)) and errors[0] < 0.02
    assert calibration_errors(np.sqrt(values), true, np.ones((1, 20_000)))[0] > 0.1


def test_weights_are_examples_that_come_several_times() -> None:
    rng = np.random.default_rng(1)
    values, true = np.round(rng.random(40), 1), rng.random(40) < 0.4
    times = rng.integers(0, 4, 40)
    weighted = calibration_errors(values, true, times[None].astype(float))[0]
    repeated = np.repeat(values, times), np.repeat(true, times)
    assert weighted == pytest.approx(calibration_errors(*repeated, np.ones((1, times.sum())))[0])
    once, thrice = weighted_average_precision(values, true, np.array([[1.0] * 40, [3.0] * 40]))
    assert once == pytest.approx(thrice)
    left_out = weighted_average_precision(values, true, (times > 0)[None].astype(float))[0]
    assert left_out == pytest.approx(
        weighted_average_precision(values[times > 0], true[times > 0], np.ones((1, 40))[:, times > 0])[0]
    )


def test_intervals_cover_the_truth_and_are_wider_for_fewer_records() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(60):
        truth = (rng.random((120, 1)) < 0.7).astype(np.int8)
        found = report(np.ones((120, 1)), np.ones((120, 1), bool), truth, ["x"], records=np.arange(120))
        covered += found.labels[0].precision.low <= 0.7 <= found.labels[0].precision.high
    assert covered >= 52
    one = np.repeat((rng.random(30) < 0.7).astype(np.int8), 4)[:, None]
    given = np.ones((120, 1), bool)
    alone = report(np.ones((120, 1)), given, one, ["x"], records=np.arange(120)).micro.precision
    together = report(np.ones((120, 1)), given, one, ["x"], records=np.arange(120) // 4).micro.precision
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_labels_without_anything_known_and_no_pictures_at_all_are_no_errors() -> None:
    unknown = report(
        PROBABILITIES, PROBABILITIES > 2, np.full((4, 2), -1, np.int8), ["x", "y"], records=RECORDS
    )
    assert np.isnan(unknown.labels[0].precision.mean) and np.isnan(unknown.error.mean)
    assert unknown.untagged.mean == 1
    none = report(
        np.zeros((0, 1)),
        np.zeros((0, 1), bool),
        np.zeros((0, 1), np.int8),
        ["x"],
        records=[],
        groups={"g": (0,)},
    )
    assert none.n_pictures == 0 and np.isnan(none.groups[0].top1.mean)
    assert asdict(none)["labels"][0]["support"] == 0


def test_whole_records_are_drawn() -> None:
    drawn = Resamples.of(["a", "a", "b"], n_resamples=50)
    assert (drawn.weights[0] == 1).all() and drawn.n_records == 2
    assert (drawn.weights[:, 0] == drawn.weights[:, 1]).all()
    assert set(drawn.weights[1:, [0, 2]].sum(axis=1)) == {2.0}
