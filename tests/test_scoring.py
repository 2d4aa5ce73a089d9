"""Scores that mean something: units by the background, curves, thresholds; on scores with a known answer."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from clipsearch.errors import TaggingError
from clipsearch.evaluation.metrics import calibration_error
from clipsearch.tagging.scoring import Examples, Fit, Scorer, fitted, folds_of, unlabelled
from clipsearch.tagging.scoring.curves import fit_alone, fit_group
from clipsearch.tagging.scoring.scorer import with_none
from clipsearch.tagging.scoring.thresholds import best_thresholds
from clipsearch.tagging.scoring.units import ALONE, GROUPED, Curve, spreads
from clipsearch.tagging.vectors import LabelVectors
from clipsearch.types import Embeddings

Bools = NDArray[np.bool_]
DIM = 24


def unit(rng: np.random.Generator, n: int, dim: int = DIM) -> Embeddings:
    found = rng.normal(size=(n, dim)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def labels_of(vectors: Embeddings) -> LabelVectors:
    return LabelVectors(vectors, np.zeros((1, vectors.shape[1]), np.float32))


def world(
    rng: np.random.Generator, n: int, n_labels: int, *, share: float = 0.1
) -> tuple[LabelVectors, Embeddings, Bools]:
    """Labels, pictures and truth: who has a label is nearer to it."""
    labels = unit(rng, n_labels)
    truth = rng.random((n, n_labels)) < share
    pictures = unit(rng, n) * 0.5 + truth.astype(np.float32) @ labels
    return labels_of(labels), pictures / np.linalg.norm(pictures, axis=1, keepdims=True), truth


def fit_of(
    labels: LabelVectors,
    pictures: Embeddings,
    truth: NDArray[np.generic],
    *,
    groups: object = (),
    **more: float,
) -> Fit:
    examples = Examples(pictures, truth.astype(np.int8), [str(i) for i in range(len(pictures))])
    return fitted(
        labels,
        pictures,
        groups,
        examples=examples,
        logit_scale=20.0,
        logit_bias=None,
        **more,  # type: ignore[arg-type]
    )


def sigmoid(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return 1 / (1 + np.exp(-values))


# --- curves --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slope", "shift", "spread"), [(2.0, -4.0, 0.0), (0.7, -1.0, 1.5)])
def test_the_curve_that_made_the_labels_is_found(slope: float, shift: float, spread: float) -> None:
    rng = np.random.default_rng(1)
    biases = rng.normal(0, 1, 40) * spread
    scores = rng.normal(0, 1.5, (3000, 40)).astype(np.float32)
    truth = (rng.random(scores.shape) < sigmoid(slope * scores + shift + biases)).astype(np.int8)
    found = fit_alone(scores, truth, ALONE)
    assert found.curve.slope == pytest.approx(slope, rel=0.05)
    assert np.allclose(found.curve.shift + found.biases, shift + biases, atol=0.45)
    assert found.spread == pytest.approx(np.std(biases), abs=0.3)


def test_without_a_label_the_curve_is_the_one_before_and_with_few_it_is_near() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(0, 1, (6, 3)).astype(np.float32)
    none = fit_alone(scores, np.full((6, 3), -1, np.int8), ALONE)
    assert none.curve == ALONE and not none.biases.any()
    few = fit_alone(scores, np.array([[0, 0, -1]] * 6, np.int8), ALONE)
    assert few.curve.slope == pytest.approx(ALONE.slope, abs=0.3)
    assert few.biases[2] == pytest.approx(0, abs=1e-6)  # nothing is known of it


def test_a_label_with_few_examples_stays_near_the_shared_curve_and_one_with_many_goes_its_own_way() -> None:
    rng = np.random.default_rng(3)
    biases = np.r_[rng.normal(0, 0.3, 30), 3.0, 3.0]  # the last two are unlike all others
    scores = rng.normal(0, 1, (1500, 32)).astype(np.float32)
    truth = (rng.random(scores.shape) < sigmoid(1.5 * scores - 2 + biases)).astype(np.int8)
    truth[4:, 31] = -1
    found = fit_alone(scores, truth, ALONE)
    assert found.biases[30] == pytest.approx(3.0, abs=0.5)
    assert 0 < found.biases[31] < 2.0


def test_scores_that_say_nothing_get_a_slope_of_nothing_and_the_label_s_frequency() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(0, 1, (2000, 5)).astype(np.float32)
    backwards = (rng.random(scores.shape) < sigmoid(-scores - 2)).astype(np.int8)
    found = fit_alone(scores, backwards, ALONE)
    assert found.curve.slope == 0
    assert np.allclose(sigmoid(found.curve.shift + found.biases), backwards.mean(axis=0), atol=0.02)


def test_a_group_s_temperature_and_none_are_found() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(0, 4, (6000, 6)).astype(np.float32)
    full = with_none(0.8 * scores.astype(np.float64) - 2)
    cut = np.concatenate([np.zeros((6000, 1)), np.cumsum(full, axis=1)], axis=1)
    draw = rng.random((6000, 1))
    truth = ((cut[:, :-1] <= draw) & (draw < cut[:, 1:])).astype(np.int8)
    found = fit_group(scores, truth, GROUPED)
    assert found.curve.slope == pytest.approx(0.8, rel=0.08)
    assert np.allclose(found.curve.shift + found.biases, -2, atol=0.4)


def test_a_picture_of_which_nothing_is_known_or_too_much_says_nothing_of_a_group() -> None:
    truth = np.array([[-1, -1, -1], [1, 1, 0]], np.int8)
    found = fit_group(np.zeros((2, 3), np.float32), truth, GROUPED)
    assert found.curve == GROUPED and not found.biases.any()


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("n_labels", [1, 3])
def test_all_or_none_and_scores_that_do_not_differ_give_numbers(value: int, n_labels: int) -> None:
    for scores in (np.zeros((30, n_labels), np.float32), np.arange(30 * n_labels).reshape(30, -1) % 7):
        truth = np.full((30, n_labels), value, np.int8)
        for found in (
            fit_alone(np.float32(scores), truth, ALONE),
            fit_group(np.float32(scores), truth, GROUPED),
        ):
            assert np.isfinite([*found.biases, found.curve.slope, found.curve.shift, found.spread]).all()


# --- the background ------------------------------------------------------------------------------


def test_every_label_is_measured_in_its_own_background() -> None:
    rng = np.random.default_rng(6)
    labels, pictures, truth = world(rng, 2000, 10, share=0.05)
    hub = pictures.mean(axis=0) + labels.labels[0]
    labels.labels[0] = hub / np.linalg.norm(hub)  # near to every picture
    scorer = unlabelled(labels, pictures, (), logit_scale=20.0, logit_bias=None).scorer
    given = scorer.probabilities(pictures) >= 0.5
    assert given.mean(axis=0).max() < 0.1
    assert (given & truth).sum() / given.sum() > 0.8 and (given & truth).sum() / truth.sum() > 0.5


def test_pictures_that_all_look_alike_get_nothing() -> None:
    rng = np.random.default_rng(7)
    pictures = np.repeat(unit(rng, 1), 300, axis=0)
    for groups in ((), ((0, 1),)):
        fit = unlabelled(labels_of(unit(rng, 3)), pictures, groups, logit_scale=100.0, logit_bias=None)
        found = fit.scorer.probabilities(pictures)
        assert np.isfinite(found).all() and found[:, 2].max() < 0.1
    middle, spread = spreads(unit(rng, 3), pictures)
    assert np.isfinite(middle).all() and (spread > 0).all()


def test_the_order_of_a_group_is_the_model_s_own() -> None:
    rng = np.random.default_rng(8)
    labels, pictures, _ = world(rng, 500, 6)
    scorer = unlabelled(labels, pictures, ((1, 3, 4),), logit_scale=30.0, logit_bias=None).scorer
    cosines = pictures @ labels.labels[[1, 3, 4]].T
    found = scorer.probabilities(pictures)[:, [1, 3, 4]]
    assert (found.argmax(axis=1) == cosines.argmax(axis=1)).all()
    assert (found.sum(axis=1) < 1).all()


def test_five_loose_pictures_get_the_model_s_bare_odds() -> None:
    rng = np.random.default_rng(9)
    labels, pictures = labels_of(unit(rng, 4)), unit(rng, 5)
    siglip = unlabelled(labels, pictures, (), logit_scale=10.0, logit_bias=-3.0)
    assert siglip.n_background == 0
    assert np.allclose(siglip.scorer.logits(pictures), 10 * pictures @ labels.labels.T - 3, atol=1e-4)
    clip = unlabelled(labels, np.empty((0, DIM), np.float32), ((0, 1),), logit_scale=10.0, logit_bias=None)
    none = np.float32(labels.neutral[0])
    assert (clip.scorer.probabilities(none[None]) < 0.5).all()


@pytest.mark.slow
def test_twenty_thousand_labels_take_seconds_and_little_memory() -> None:
    rng = np.random.default_rng(10)
    labels, background = labels_of(unit(rng, 20_000, 256)), unit(rng, 2000, 256)
    start = time.perf_counter()
    fit = unlabelled(labels, background, ((0, 1, 2),), logit_scale=100.0, logit_bias=None)
    assert time.perf_counter() - start < 30
    assert np.isfinite(fit.scorer.offsets).all()


# --- together ------------------------------------------------------------------------------------


def test_labels_make_confidences_right_and_more_is_found() -> None:
    rng = np.random.default_rng(11)
    labels, pictures, truth = world(rng, 3000, 12, share=0.15)
    new, new_truth = pictures[1500:], truth[1500:]
    before = unlabelled(labels, pictures, (), logit_scale=20.0, logit_bias=None)
    after = fit_of(labels, pictures[:1500], truth[:1500])
    first, then = (fit.scorer.probabilities(new) for fit in (before, after))
    assert calibration_error(then.ravel(), new_truth.ravel()) < 0.02
    assert calibration_error(first.ravel(), new_truth.ravel()) > 0.04
    assert f1(then >= after.scorer.thresholds, new_truth) > f1(first >= 0.5, new_truth)
    assert after.cross_fitted is not None
    assert calibration_error(after.cross_fitted.ravel(), truth[:1500].ravel()) < 0.02
    assert after.kind == "labels" and (after.n_labels == 1500).all()
    assert json.loads(json.dumps(after.as_dict()))["n_labels"] == 1500 * 12


def test_groups_and_single_labels_are_fitted_beside_each_other() -> None:
    rng = np.random.default_rng(12)
    labels, pictures, truth = world(rng, 1200, 7, share=0.2)
    first = truth[:, :3].argmax(axis=1)
    truth[:, :3] = truth[:, :3] & (np.arange(3) == first[:, None])  # one at most
    fit = fit_of(labels, pictures, truth, groups=((0, 1, 2),))
    assert fit.cross_fitted is not None and len(fit.grouped) == 1
    assert fit.cross_fitted[:, :3].sum(axis=1).max() < 1
    kept = np.argsort(rng.random(1200))[:600]
    assert calibration_error(fit.cross_fitted[kept].ravel(), truth[kept].ravel()) < 0.04


def test_cross_fitted_confidences_have_not_seen_their_record() -> None:
    rng = np.random.default_rng(13)
    noise, labels = unit(rng, 400), labels_of(unit(rng, 200))
    truth = rng.random((400, 200)) < 0.02
    fit = fit_of(labels, noise, truth)
    assert fit.cross_fitted is not None
    right, wrong = fit.cross_fitted[truth].mean(), fit.cross_fitted[~truth].mean()
    assert right <= wrong * 1.02  # seen, a label's own positives would raise its bias
    folds = folds_of(["a", "a", "b", "c", "c", "c", "d", "e", "f"])
    assert folds[0] == folds[1] and len(set(folds[3:6])) == 1


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("groups", [(), ((0, 1),)])
def test_examples_without_a_yes_or_without_a_no_give_numbers(share: float, groups: object) -> None:
    rng = np.random.default_rng(14)
    labels, pictures, _ = world(rng, 60, 2)
    fit = fit_of(labels, pictures, np.full((60, 2), share), groups=groups, precision=0.9)
    assert np.isfinite(fit.scorer.probabilities(pictures)).all()
    assert fit.cross_fitted is not None and np.isfinite(fit.cross_fitted).all()
    one = fit_of(labels_of(labels.labels[:1]), pictures[:1], np.ones((1, 1)))
    assert np.isfinite(one.scorer.probabilities(pictures)).all()


def test_a_threshold_of_one_s_own_counts() -> None:
    rng = np.random.default_rng(15)
    labels, pictures, truth = world(rng, 300, 4)
    assert (fit_of(labels, pictures, truth, threshold=0.7).scorer.thresholds == 0.7).all()
    plain = unlabelled(labels, pictures, (), logit_scale=20.0, logit_bias=None, threshold=0.9)
    assert (plain.scorer.thresholds == 0.9).all() and plain.kind == "background"


def test_examples_of_other_labels_are_refused() -> None:
    rng = np.random.default_rng(16)
    labels, pictures, truth = world(rng, 60, 4)
    with pytest.raises(TaggingError, match=r"4 labels have truth of shape \(60, 3\)"):
        fit_of(labels, pictures, truth[:, :3])
    with pytest.raises(TaggingError, match="between 0 and 1"):
        fit_of(labels, pictures, truth, precision=1.0)


# --- thresholds ----------------------------------------------------------------------------------


def thresholds_of(columns: Sequence[tuple[Sequence[float], Sequence[int]]]) -> NDArray[np.float64]:
    values, truth = zip(*columns, strict=True)
    return best_thresholds(np.array(values).T, np.array(truth, np.int8).T)


def test_a_label_with_many_examples_has_its_own_threshold_and_one_with_few_that_of_all() -> None:
    rng = np.random.default_rng(17)
    n = 4000
    values = rng.random((n, 3))
    truth = (values > 0.4).astype(np.int8)
    truth[:, 1] = values[:, 1] > 0.7
    truth[3:, 2] = -1
    found = best_thresholds(values, truth)
    assert found[0] == pytest.approx(0.4, abs=0.02) and found[1] == pytest.approx(0.7, abs=0.03)
    assert found[2] == pytest.approx(found[:2].mean(), abs=0.16)


def test_too_few_examples_leave_the_threshold_at_one_half() -> None:
    assert (thresholds_of([([0.9, 0.8, 0.1], [1, 1, 0]), ([0.3, 0.2, 0.1], [1, -1, -1])]) == 0.5).all()


def f1(given: Bools, truth: Bools) -> float:
    return 2 * int((given & truth).sum()) / int(given.sum() + truth.sum())


def test_the_default_curve_is_at_one_half_three_spreads_out() -> None:
    assert isinstance(ALONE, Curve) and -ALONE.shift / ALONE.slope == pytest.approx(3.25)


def test_a_plain_no_in_a_group_teaches_the_group() -> None:
    """Each picture is asked about one label only, the one it looks like most."""
    rng = np.random.default_rng(21)
    scores = rng.normal(0, 1, (4000, 3)).astype(np.float32)
    logits = 2.0 * scores + np.array([1.5, 0.0, -1.0])
    chances = np.concatenate([with_none(logits), 1 - with_none(logits).sum(axis=1, keepdims=True)], axis=1)
    drawn = (chances.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    truth = np.full((4000, 3), -1, np.int8)
    guess = scores.argmax(axis=1)
    rows = np.arange(4000)
    truth[rows, guess] = drawn == guess
    found = fit_group(scores, truth, Curve(1.0, 0.0))
    assert found.curve.slope == pytest.approx(2.0, abs=0.2)
    levels = found.curve.shift + found.biases
    assert levels == pytest.approx([1.5, 0.0, -1.0], abs=0.6)  # which of the others it is, nobody said
    assert levels - levels.mean() == pytest.approx([1.333, -0.167, -1.167], abs=0.3)


def test_a_label_of_which_nothing_is_told_is_as_without_labels() -> None:
    rng = np.random.default_rng(22)
    labels, pictures, truth = world(rng, 400, 5, share=0.3)
    told = truth.astype(np.int8)
    told[:, 3] = -1
    fit = fit_of(labels, pictures, told)
    before = unlabelled(labels, pictures, (), logit_scale=20.0, logit_bias=None).scorer
    assert np.allclose(fit.scorer.weights[3], before.weights[3])
    assert fit.scorer.offsets[3] == before.offsets[3]
    assert fit.scorer.thresholds[3] == before.thresholds[3] == 0.5
    assert fit.scorer.offsets[0] != before.offsets[0]


def test_a_list_of_what_pictures_have_alone_is_no_sample_and_promises_nothing() -> None:
    rng = np.random.default_rng(23)
    labels, pictures, truth = world(rng, 400, 3, share=0.3)
    only_yes = np.where(truth, 1, -1).astype(np.int8)
    fit = fit_of(labels, pictures, only_yes, precision=0.5)
    before = unlabelled(labels, pictures, (), logit_scale=20.0, logit_bias=None).scorer
    assert np.allclose(fit.scorer.offsets, before.offsets)
    assert [one.place for one in fit.left_off] == [0, 1, 2]
    assert all("known to lack" in one.reason for one in fit.left_off)


def test_of_a_group_the_likeliest_alone_is_given() -> None:
    scorer = Scorer(
        np.eye(4, dtype=np.float32), np.zeros(4, np.float32), np.array([0.3, 0.3, 0.3, 0.3]), ((0, 1, 2),)
    )
    table = np.array([[0.35, 0.4, 0.1, 0.5], [0.2, 0.1, 0.25, 0.1], [0.4, 0.4, 0.1, 0.3]])
    assert scorer.given(table).tolist() == [
        [False, True, False, True],
        [False, False, False, False],
        [True, False, False, True],
    ]
