"""Metrics against their definitions written out slowly, and intervals against known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsearch.evaluation.metrics import (
    average_precision,
    class_weights,
    hit_at,
    mean_per_class,
    ndcg_at,
    pessimistic_ranks,
    recall_at,
    reciprocal_rank,
    top_k_correct,
)
from clipsearch.evaluation.resampling import bootstrap_mean


@st.composite
def rankings(draw: st.DrawFn) -> tuple[list[list[float]], list[list[bool]]]:
    """Scores with many ties (five levels) and any relevance, none and all included."""
    queries, items = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    level = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0])
    scores = [draw(st.lists(level, min_size=items, max_size=items)) for _ in range(queries)]
    truth = [draw(st.lists(st.booleans(), min_size=items, max_size=items)) for _ in range(queries)]
    return scores, truth


def slow_order(scores: list[float], truth: list[bool]) -> list[bool]:
    """The relevance of items, best first; among equals the irrelevant come first."""
    return [t for _, t in sorted(zip(scores, truth, strict=True), key=lambda pair: (-pair[0], pair[1]))]


@given(rankings(), st.integers(1, 10))
def test_retrieval_metrics_equal_their_definitions(
    case: tuple[list[list[float]], list[list[bool]]], k: int
) -> None:
    scores, truth = case
    for q, (row, wanted) in enumerate(zip(scores, truth, strict=True)):
        values = (
            recall_at(scores, truth, k)[q],
            recall_at(scores, truth, k, capped=True)[q],
            hit_at(scores, truth, k)[q],
            reciprocal_rank(scores, truth)[q],
        )
        if not any(wanted):
            assert all(np.isnan(values))
            continue
        order = slow_order(row, wanted)
        found, n = sum(order[:k]), sum(wanted)
        definitions = (found / n, found / min(k, n), float(found > 0), 1 / (order.index(True) + 1))
        assert values == pytest.approx(definitions)


@given(rankings())
def test_average_precision_equals_its_definition(case: tuple[list[list[float]], list[list[bool]]]) -> None:
    scores, truth = case
    for found, row, wanted in zip(average_precision(scores, truth), scores, truth, strict=True):
        order = slow_order(row, wanted)
        precisions = [sum(order[:i]) / i for i in range(1, len(order) + 1) if order[i - 1]]
        assert found == pytest.approx(np.mean(precisions) if precisions else np.nan, nan_ok=True)


@given(rankings(), st.integers(1, 10), st.integers(0, 99))
def test_ndcg_equals_its_definition_and_ties_are_the_worst_order(
    case: tuple[list[list[float]], list[list[bool]]], k: int, seed: int
) -> None:
    scores, truth = case
    rng = np.random.default_rng(seed)
    grades = np.array(truth) * rng.integers(1, 4, np.shape(truth))
    for found, row, grade in zip(ndcg_at(scores, grades, k), scores, grades, strict=True):
        if not grade.any():
            assert np.isnan(found)
            continue
        best = slow_dcg(sorted(grade, reverse=True), k)
        pairs = list(zip(row, grade, strict=True))
        shuffled = [pairs[i] for i in rng.permutation(len(pairs))]
        broken = slow_dcg([g for _, g in sorted(shuffled, key=lambda pair: -pair[0])], k) / best
        worst = slow_dcg([g for _, g in sorted(pairs, key=lambda pair: (-pair[0], pair[1]))], k) / best
        assert found == pytest.approx(worst) and found <= broken + 1e-12


def slow_dcg(gains: list[float], k: int) -> float:
    return float(sum(gain / np.log2(rank + 1) for rank, gain in enumerate(gains[:k], start=1)))


def test_ndcg_gives_the_textbooks_value() -> None:
    # grades 3 2 3 0 1 2, in this order: DCG 6.861 of 7.141 (Wikipedia, "Discounted cumulative gain")
    assert ndcg_at([[6, 5, 4, 3, 2, 1]], [[3, 2, 3, 0, 1, 2]], 6)[0] == pytest.approx(0.961, abs=5e-4)
    assert ndcg_at([[2, 1, 0]], [[0, 1, 0]], 2)[0] == pytest.approx(1 / np.log2(3))
    with pytest.raises(ValueError, match="grades must be 0 or more"):
        ndcg_at([[0.0, 1.0]], [[-1, 1]], 1)


@given(rankings(), st.integers(0, 99))
def test_the_order_of_the_gallery_changes_nothing(
    case: tuple[list[list[float]], list[list[bool]]], seed: int
) -> None:
    scores, truth = np.array(case[0]), np.array(case[1])
    order = np.random.default_rng(seed).permutation(scores.shape[1])
    np.testing.assert_array_equal(
        recall_at(scores, truth, 3), recall_at(scores[:, order], truth[:, order], 3)
    )


def test_a_constant_scorer_earns_nothing() -> None:
    scores = np.ones((3, 10))
    truth = np.eye(10, dtype=bool)[:3]
    for metric in (recall_at, hit_at, ndcg_at):
        assert metric(scores, truth, 9).tolist() == [0, 0, 0]
    assert top_k_correct(scores, [0, 5, 9], 9).tolist() == [0, 0, 0]
    # the least that any order gives: the relevant item is last
    assert average_precision(scores, truth).tolist() == reciprocal_rank(scores, truth).tolist() == [0.1] * 3
    assert pessimistic_ranks(scores, truth)[0].tolist() == [10]


def test_a_relevant_item_counts_though_its_score_is_negative() -> None:
    # torchmetrics' retrieval metrics drop what is relevant at a score of 0 or less
    scores, truth = [[-0.1, -0.5, 0.0, -0.9]], [[True, True, False, False]]
    assert recall_at(scores, truth, 3).tolist() == [1.0]
    assert average_precision(scores, truth)[0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert ndcg_at(scores, truth, 3)[0] > 0.6


def test_a_score_that_is_not_a_number_comes_last() -> None:
    assert pessimistic_ranks([[np.nan, 0.1, -5.0]], [[True, False, False]])[0].tolist() == [3]


def test_scores_and_relevance_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 2\)"):
        recall_at(np.zeros((2, 3)), np.zeros((2, 2), dtype=bool), 1)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        hit_at(np.zeros((1, 1)), np.ones((1, 1), dtype=bool), 0)


def test_top_k_accuracy_counts_the_true_class_among_the_k_best() -> None:
    scores = [[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.4, 0.4, 0.1]]
    assert top_k_correct(scores, [1, 1, 0]).tolist() == [1, 0, 0]  # the third is a tie
    assert top_k_correct(scores, [1, 1, 0], k=2).tolist() == [1, 1, 1]


def test_a_rare_class_weighs_as_much_as_a_common_one() -> None:
    values, labels = [1.0] * 9 + [0.0], ["bolt"] * 9 + ["spring"]
    assert mean_per_class(values, labels) == 0.5
    assert mean_per_class([1.0, np.nan], ["bolt", "nut"]) == 1.0
    assert np.isnan(mean_per_class([np.nan], ["bolt"]))


def test_weights_of_classes_make_the_mean_per_class() -> None:
    rng = np.random.default_rng(0)
    values, labels = rng.random(50), rng.choice(["bolt", "nut", "spring"], 50, p=[0.8, 0.15, 0.05])
    weights = class_weights(labels)
    assert bootstrap_mean(values, weights=weights).mean == pytest.approx(mean_per_class(values, labels))
    assert weights.sum() == pytest.approx(len(set(labels)))


def test_intervals_in_blocks_are_those_of_all_draws_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(101)
    whole = bootstrap_mean(values, n_resamples=300)
    monkeypatch.setattr("clipsearch.evaluation.resampling._DRAWS_AT_ONCE", 101 * 7)
    assert bootstrap_mean(values, n_resamples=300) == whole


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        interval = bootstrap_mean(rng.normal(0.7, 0.2, 60), n_resamples=400, seed=trial)
        covered += interval.low <= 0.7 <= interval.high
    assert 0.89 <= covered / 200 <= 0.99


def test_values_of_one_group_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).random(20), 10)
    alone = bootstrap_mean(values)
    grouped = bootstrap_mean(values, np.repeat(np.arange(20), 10))
    assert grouped.mean == alone.mean
    assert (grouped.n_groups, alone.n_groups) == (20, 200)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_an_interval_is_the_same_for_the_same_seed_and_ignores_missing_values() -> None:
    values = [0.0, 1.0, 1.0, np.nan]
    first = bootstrap_mean(values, ["a", "a", "b", "c"], seed=5)
    assert first == bootstrap_mean(values, ["a", "a", "b", "c"], seed=5)
    assert first.mean == pytest.approx(2 / 3)
    assert (first.n_values, first.n_groups) == (3, 2)
    assert np.isnan(bootstrap_mean([np.nan]).mean)
    with pytest.raises(ValueError, match="equally long"):
        bootstrap_mean([1.0], ["a", "b"])
