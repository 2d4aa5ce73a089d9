"""Comparing two systems: textbook values, brute force, and how often it errs where nothing changed."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsearch.evaluation.comparing import EXACT_UP_TO, compare, holm, mcnemar, sign_flip_test
from clipsearch.evaluation.resampling import bootstrap_difference


def outcomes(gained: int, lost: int, same: int = 3) -> tuple[list[float], list[float]]:
    before = [0.0] * gained + [1.0] * lost + [1.0] * same
    return before, [1.0] * gained + [0.0] * lost + [1.0] * same


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [
        (12, 2, 0.0129),  # Armitage and Berry 1994, p. 127: two media for one specimen
        (7, 1, 0.0703),  # Bentur et al. 2009, in Fagerland et al. 2013, table 1
        (4, 4, 1.0),
        (0, 0, 1.0),
        (0, 6, 2 / 2**6),
    ],
)
def test_mcnemar_gives_the_textbooks_p(gained: int, lost: int, p_value: float) -> None:
    found = mcnemar(*outcomes(gained, lost))
    assert (found.n_gained, found.n_lost) == (gained, lost)
    assert found.p_value == pytest.approx(p_value, abs=5e-5)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_binomial_tail_in_whole_numbers(gained: int, lost: int) -> None:
    n = gained + lost
    exact = min(Fraction(1), Fraction(2 * sum(comb(n, i) for i in range(min(gained, lost) + 1)), 2**n))
    assert mcnemar(*outcomes(gained, lost, same=0)).p_value == pytest.approx(float(exact), rel=1e-9)


def test_mcnemar_leaves_out_what_is_missing_and_refuses_what_is_no_outcome() -> None:
    found = mcnemar([0, 1, np.nan, 0], [1, 1, 1, np.nan])
    assert (found.n_gained, found.n_lost, found.p_value) == (1, 0, 1.0)
    with pytest.raises(ValueError, match="sign_flip_test"):
        mcnemar([0.5, 1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="equally long"):
        mcnemar([1.0], [1.0, 0.0])


@given(
    st.lists(
        st.tuples(st.sampled_from([-1.0, -0.5, 0.0, 0.1, 0.3]), st.integers(0, 6)), min_size=1, max_size=12
    )
)
def test_the_sign_flip_test_looks_at_every_flip_of_whole_groups(pairs: list[tuple[float, int]]) -> None:
    values, groups = [value for value, _ in pairs], [group for _, group in pairs]
    sums = [sum(v for v, g in pairs if g == group) for group in set(groups)]
    far = abs(sum(sums)) - 1e-9
    flips = [
        abs(sum(s * one for s, one in zip(signs, sums, strict=True)))
        for signs in product((1, -1), repeat=len(sums))
    ]
    found = sign_flip_test(values, groups)
    assert found.is_exact and found.n_groups == len(sums)
    assert found.p_value == pytest.approx(np.mean([flip >= far for flip in flips]))


@given(st.integers(0, 8), st.integers(0, 8))
def test_with_one_outcome_a_group_the_sign_flip_test_is_mcnemars(gained: int, lost: int) -> None:
    before, after = outcomes(gained, lost)
    flipped = sign_flip_test(np.subtract(after, before))
    assert flipped.is_exact and flipped.p_value == pytest.approx(mcnemar(before, after).p_value)
    assert (flipped.n_groups, flipped.n_differing) == (gained + lost + 3, gained + lost)


def test_many_groups_are_flipped_at_random_and_never_give_0() -> None:
    certain = sign_flip_test(np.ones(40), n_flips=999)
    assert not certain.is_exact and certain.n_flips == 999
    assert certain.p_value == 1 / 1000
    before, after = outcomes(40, 22)
    near = sign_flip_test(np.subtract(after, before), n_flips=20_000, seed=1)
    assert near.p_value == pytest.approx(mcnemar(before, after).p_value, abs=0.006)
    assert near == sign_flip_test(np.subtract(after, before), n_flips=20_000, seed=1)
    assert near.p_value != sign_flip_test(np.subtract(after, before), n_flips=20_000, seed=2).p_value


def test_random_flips_in_blocks_are_those_of_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(0.1, 1, 60)
    whole = sign_flip_test(values, n_flips=500)
    monkeypatch.setattr("clipsearch.evaluation.comparing._SIGNS_AT_ONCE", 60 * 64)
    assert sign_flip_test(values, n_flips=500) == whole


@pytest.mark.parametrize("times", [1, 8])  # in every way, and at random
def test_flips_that_differ_by_rounding_alone_are_as_far(times: int) -> None:
    whole = sign_flip_test([1, 2, -3, 3] * times, n_flips=500)
    assert sign_flip_test([0.1, 0.2, -0.3, 0.3] * times, n_flips=500).p_value == whole.p_value


def test_nothing_to_flip_is_no_evidence() -> None:
    assert sign_flip_test([0.0, 0.0]).p_value == 1.0
    assert sign_flip_test([1.0, -1.0], ["a", "a"]).n_differing == 0
    assert np.isnan(sign_flip_test([np.nan]).p_value)
    assert sign_flip_test([1.0] * 3).p_value == 2 / 2**3  # three groups cannot say more


@pytest.mark.parametrize("n_groups", [8, EXACT_UP_TO + 14])
def test_systems_that_are_alike_differ_about_as_often_as_the_level_says(n_groups: int) -> None:
    rng, trials = np.random.default_rng(n_groups), 400
    groups = np.repeat(np.arange(n_groups), 4)
    by_group = by_query = 0
    for _ in range(trials):
        shared = np.repeat(rng.standard_t(3, n_groups), 4)  # a group's queries go the same way
        change = shared + rng.normal(0, 0.3, len(shared))
        by_group += sign_flip_test(change, groups, n_flips=199).p_value <= 0.05
        by_query += sign_flip_test(change, n_flips=199).p_value <= 0.05
    assert 0.02 <= by_group / trials <= 0.083  # 0.05 and three standard errors of 400 trials
    assert by_query / trials > 0.2  # what ignoring the groups would do


def test_holm_gives_the_textbooks_values() -> None:
    # as R's p.adjust(c(.01, .04, .03, .005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    np.testing.assert_allclose(holm([0.01, np.nan, 0.03]), [0.02, np.nan, 0.03])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_stepping_down_rejects(p_values: list[float], level: float) -> None:
    rejected = set()
    for step, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[i] * (len(p_values) - step) > level:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(p_values) <= level)) == rejected


def test_a_difference_is_surer_than_the_two_systems_are() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(200)  # what makes a query hard for both
    before, after = hard + rng.normal(0, 0.02, 200), hard + 0.05 + rng.normal(0, 0.02, 200)
    found = bootstrap_difference(before, after, np.arange(200) // 2)
    assert found.low <= 0.05 <= found.high and found.high - found.low < 0.02
    assert (found.n_values, found.n_groups) == (200, 100)
    back = bootstrap_difference(after, before, np.arange(200) // 2)
    assert (back.low, back.mean, back.high) == pytest.approx((-found.high, -found.mean, -found.low))
    with pytest.raises(ValueError, match=r"before \(2,\) and after \(3,\)"):
        bootstrap_difference([0.0, 1.0], [0.0, 1.0, 1.0])


def test_metrics_are_compared_on_the_queries_both_have_and_corrected_together() -> None:
    first, second = outcomes(14, 2, same=20)
    before = {"Hit@1": first, "MRR": [0.5] * 36}
    after = {"Hit@1": second, "MRR": [*[0.5] * 35, np.nan]}
    hit, mrr = compare(before, after, n_resamples=200)
    assert (hit.metric, mrr.metric) == ("Hit@1", "MRR")
    assert hit.mcnemar is not None and hit.p_value == mcnemar(first, second).p_value
    assert hit.p_adjusted == pytest.approx(2 * hit.p_value) and mrr.p_adjusted == 1.0
    assert hit.difference.mean == pytest.approx(12 / 36) and hit.difference.low > 0
    assert mrr.mcnemar is None and mrr.before.n_values == 35
    assert mrr.difference.mean == 0 == mrr.difference.low
    with pytest.raises(ValueError, match="only one system has the metrics MRR"):
        compare(before, {"Hit@1": second})


def test_outcomes_that_share_groups_are_not_given_to_mcnemar() -> None:
    first, second = outcomes(12, 2, same=10)
    (found,) = compare({"top-1": first}, {"top-1": second}, np.arange(24) // 2, n_resamples=100)
    assert found.mcnemar is None and found.p_value == found.test.p_value
    assert found.test.n_groups == 12


def test_a_system_compared_with_itself_has_no_difference() -> None:
    values = np.random.default_rng(0).random(30)
    (found,) = compare({"MRR": values}, {"MRR": values}, n_resamples=100)
    assert (found.difference.low, found.difference.high, found.p_value, found.p_adjusted) == (0, 0, 1, 1)
