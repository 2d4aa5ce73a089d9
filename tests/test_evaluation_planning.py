"""Sample sizes against published ones, and whether a test finds what it was said to find."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsearch.evaluation.comparing import sign_flip_test
from clipsearch.evaluation.planning import (
    detectable_difference,
    detectable_gain,
    effective_groups,
    fewest_groups,
    gain_groups_needed,
    groups_needed,
    independent_discordance,
    needed,
    plan,
    variance_per_group,
)


def test_sizes_for_means_are_those_of_the_t_test() -> None:
    # R's power.t.test(delta=.5, sd=1, power=.8, type="paired") gives 33.37, of delta=.2 198.15
    assert groups_needed(0.5, variance=1.0) == 34
    assert groups_needed(-0.2, variance=1.0) == 199
    assert groups_needed(0.5, variance=0.0) == fewest_groups() == 6
    assert groups_needed(0.0, variance=1.0) == math.inf


@pytest.mark.parametrize(
    ("difference", "discordance", "published"),
    [(0.4, 0.5, 23), (0.15, 0.45, 155)],  # calculators that cite Connor 1987
)
def test_sizes_for_shares_are_connor_s_and_the_correction(
    difference: float, discordance: float, published: int
) -> None:
    found = gain_groups_needed(difference, discordance=discordance)
    assert published - 1 < found - 1 / difference < published + 1


@pytest.mark.parametrize(
    ("difference", "discordance"), [(0.1, 0.2), (0.4, 0.5), (0.15, 0.45), (0.05, 0.1), (0.2, 0.3), (0.1, 0.1)]
)
def test_mcnemar_s_exact_test_has_the_power_it_was_planned_for(difference: float, discordance: float) -> None:
    n = int(gain_groups_needed(difference, discordance=discordance))
    assert 0.785 <= exact_power(n, difference, discordance) <= 0.88
    connor = n - math.ceil(1 / difference)  # without the correction it falls short
    assert exact_power(connor, difference, discordance) < 0.8


def exact_power(n: int, difference: float, discordance: float) -> float:
    """The chance of p <= 0.05 from n queries, summed over every outcome."""
    share = (discordance + difference) / 2 / discordance
    power = 0.0
    for k in range(n + 1):
        chance = binomial(n, discordance)[k]
        if chance > 1e-9:
            tail = np.cumsum(binomial(k, 0.5))
            gained = np.arange(k + 1)
            found = 2 * tail[np.minimum(gained, k - gained)] <= 0.05
            power += chance * binomial(k, share)[found].sum()
    return power


def binomial(n: int, share: float) -> np.ndarray:
    return np.array([math.comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(n + 1)])


def test_a_difference_that_can_be_found_is_found_four_times_in_five() -> None:
    rng, trials, groups = np.random.default_rng(5), 300, np.repeat(np.arange(30), 3)
    variance = 0.2**2 + 0.3**2 / 3  # of a group's mean
    difference = detectable_difference(30, variance=variance)
    found = 0
    for _ in range(trials):
        change = difference + np.repeat(rng.normal(0, 0.2, 30), 3) + rng.normal(0, 0.3, 90)
        found += sign_flip_test(change, groups, n_flips=399).p_value <= 0.05
    assert 0.73 <= found / trials <= 0.87


@given(st.integers(6, 5000), st.floats(0.001, 1), st.sampled_from([0.01, 0.05]), st.sampled_from([0.8, 0.9]))
def test_the_size_for_a_detectable_difference_is_the_size_one_has(
    n: int, variance: float, level: float, power: float
) -> None:
    difference = detectable_difference(n, variance=variance, level=level, power=power)
    if n < fewest_groups(level):
        assert difference == math.inf
        return
    assert groups_needed(difference, variance=variance, level=level, power=power) == n
    gain = detectable_gain(n, discordance=min(variance, 1.0), level=level, power=power)
    if gain < math.inf:
        options = {"discordance": min(variance, 1.0), "level": level, "power": power}
        assert gain_groups_needed(gain, **options) <= n < gain_groups_needed(gain * 0.97, **options)


def test_too_few_groups_find_nothing_however_large() -> None:
    assert sign_flip_test([9.0] * 5).p_value > 0.05 >= sign_flip_test([9.0] * 6).p_value
    assert fewest_groups(0.05) == 6
    assert detectable_difference(5, variance=1e-9) == math.inf
    assert detectable_gain(20, discordance=0.02) == math.inf
    assert detectable_gain(1000, discordance=0.0) == math.inf


def test_more_queries_more_power_and_more_noise_change_what_is_found_as_they_should() -> None:
    assert detectable_gain(400, discordance=0.2) < detectable_gain(100, discordance=0.2)
    assert detectable_gain(400, discordance=0.1) < detectable_gain(400, discordance=0.2)
    assert detectable_gain(400, discordance=0.2) < detectable_gain(400, discordance=0.2, level=0.05 / 6)
    assert detectable_difference(400, variance=0.2) < detectable_difference(400, variance=0.2, power=0.9)


def test_independent_systems_differ_most_where_half_is_right() -> None:
    assert independent_discordance(0.5, 0.5) == 0.5
    assert independent_discordance(0.9, 0.9) == pytest.approx(0.18)
    assert independent_discordance(0.0, 0.3) == pytest.approx(0.3)


def test_the_variance_of_groups_is_that_of_their_means_and_right_for_unlike_sizes() -> None:
    values = np.random.default_rng(0).normal(size=40)
    assert variance_per_group(values) == pytest.approx(values.var(ddof=1))
    groups = np.arange(40) // 4
    assert variance_per_group(values, groups) == pytest.approx(values.reshape(10, 4).mean(axis=1).var(ddof=1))
    assert np.isnan(variance_per_group([1.0, 2.0], ["a", "a"]))
    rng, sizes = np.random.default_rng(1), np.array([1, 2, 3, 10] * 15)
    labels = np.repeat(np.arange(60), sizes)
    drawn = [np.repeat(rng.normal(size=60), sizes) for _ in range(300)]
    seen = np.mean([variance_per_group(one, labels) for one in drawn]) / 60
    assert seen == pytest.approx(np.var([one.mean() for one in drawn]), rel=0.2)


def test_groups_of_unlike_sizes_count_for_fewer() -> None:
    assert effective_groups(["a", "a", "b", "b"]) == 2
    assert effective_groups(["a"] * 9 + ["b"]) == pytest.approx(100 / 82)
    assert effective_groups([]) == 0


def test_an_undecided_comparison_says_how_many_more_queries_it_needs() -> None:
    change = np.tile([0.3, -0.2, 0.1, -0.1], 10)
    groups = np.arange(40) // 2
    found = needed(0.01, change, groups)
    variance = variance_per_group(change, groups)
    assert found.n_groups == groups_needed(0.01, variance=variance) > 20
    assert (found.more_groups, found.more_queries) == (found.n_groups - 20, 2 * (found.n_groups - 20))
    assert needed(5.0, change, groups).more_queries == 0
    assert needed(0.0, change, groups).more_queries == math.inf
    assert np.isnan(needed(0.1, [1.0]).more_queries)


def test_a_plan_is_known_from_the_groups_and_the_share_one_expects() -> None:
    found = plan(np.arange(300) // 3, 0.6)
    assert (found.n_queries, found.n_groups, found.effective_groups) == (300, 100, 100)
    assert 0.05 < found.difference < 0.4
    after = independent_discordance(0.6, 0.6 + found.difference)
    assert found.difference == pytest.approx(detectable_gain(100, discordance=after), abs=2e-3)
    assert plan(np.arange(300), 0.6).difference < found.difference
    strict = plan(np.arange(300) // 3, 0.6, n_metrics=5)
    assert strict.level == pytest.approx(0.01) and strict.difference > found.difference
    assert plan(["a", "b"], 0.6).difference == plan(np.arange(300), 1.0).difference == math.inf
    assert plan([], 0.6).difference == math.inf


@given(st.floats(0, 1), st.integers(0, 3000), st.integers(1, 20))
def test_any_share_can_be_planned_for(expected: float, n: int, n_metrics: int) -> None:
    found = plan(range(n), expected, n_metrics=n_metrics)
    assert found.difference == math.inf or 0 < found.difference <= 1 - expected


@pytest.mark.parametrize("expected", [0.3, 0.8])
def test_a_planned_gain_is_found_at_least_as_often_as_planned(expected: float) -> None:
    rng, trials, groups = np.random.default_rng(2), 200, np.arange(160) // 2
    gain, found = plan(groups, expected).difference, 0
    for _ in range(trials):
        hard = rng.random(80)  # of a group: independent systems, queries of one group that agree
        before = np.repeat(hard < expected, 2)
        after = np.repeat(rng.random(80) < expected + gain, 2)
        found += sign_flip_test(after * 1.0 - before, groups, n_flips=399).p_value <= 0.05
    assert found / trials >= 0.73  # 0.8 less 2.5 standard errors of 200 trials


def test_shares_and_levels_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, got 5 and 0\.8"):
        detectable_difference(10, variance=1.0, level=5)
    with pytest.raises(ValueError, match="variance must be 0 or more"):
        groups_needed(0.1, variance=-1.0)
    with pytest.raises(ValueError, match=r"difference of 0.3 needs .* not 0.2: give a higher discordance"):
        gain_groups_needed(0.3, discordance=0.2)
    with pytest.raises(ValueError, match="after must be a share from 0 to 1, got 20"):
        independent_discordance(0.1, 20)
    with pytest.raises(ValueError, match="n_metrics must be at least 1, got 0"):
        plan(["a"], 0.5, n_metrics=0)
