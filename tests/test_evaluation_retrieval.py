"""Both directions, several captions an image, and every metric by name."""

from __future__ import annotations

import numpy as np
import pytest

from clipsearch.evaluation.metrics import hit_at, recall_at
from clipsearch.evaluation.retrieval import (
    both_directions,
    classification_values,
    qrels,
    retrieval_values,
)

CAPTIONS, IMAGES = ["a", "a", "b", "c"], ["a", "b", "c"]  # two captions of the first image
SCORES = np.array([[0.9, 0.1, 0.2], [0.3, 0.8, 0.1], [0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])


def test_a_caption_looks_for_its_image_and_an_image_for_any_of_its_captions() -> None:
    to_image, to_text = both_directions(SCORES, caption_keys=CAPTIONS, image_keys=IMAGES)
    assert (to_image.name, to_text.name) == ("text->image", "image->text")
    assert to_image.relevant.tolist() == [
        [True, False, False],
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
    np.testing.assert_array_equal(to_text.relevant, to_image.relevant.T)
    assert hit_at(to_image.scores, to_image.relevant, 1).tolist() == [1, 0, 1, 0]
    assert hit_at(to_text.scores, to_text.relevant, 1).tolist() == [1, 0, 1]
    assert recall_at(to_text.scores, to_text.relevant, 1).tolist() == [0.5, 0, 1]
    assert to_image.groups.tolist() == CAPTIONS and to_text.groups.tolist() == IMAGES


def test_several_pictures_of_one_part_are_all_right() -> None:
    assert qrels([7], [7, "7", 8]).tolist() == [[True, True, False]]
    assert qrels([], ["a"]).shape == (0, 1)


def test_an_image_without_a_caption_has_no_value_and_takes_none() -> None:
    _, to_text = both_directions(SCORES, caption_keys=CAPTIONS, image_keys=["a", "b", "x"])
    values = retrieval_values(to_text.scores, to_text.relevant, ks=(1,))
    assert all(np.isnan(each[2]) and not np.isnan(each[:2]).any() for each in values.values())


def test_keys_that_do_not_fit_the_scores_are_refused() -> None:
    with pytest.raises(ValueError, match=r"scores \(4, 3\).*keys for 3 and 4"):
        both_directions(SCORES, caption_keys=IMAGES, image_keys=CAPTIONS)
    with pytest.raises(ValueError, match=r"grades \(4, 2\)"):
        retrieval_values(SCORES, SCORES > 1, grades=np.ones((4, 2)))


def test_every_metric_has_its_name_and_a_value_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scores, right = rng.normal(size=(25, 40)).astype(np.float16), rng.random((25, 40)) < 0.1
    grades = right * rng.integers(1, 4, right.shape)
    values = retrieval_values(scores, right, ks=(1, 5), grades=grades)
    assert list(values) == ["Hit@1", "Hit@5", "Recall@1", "Recall@5", "MRR", "nDCG@1", "nDCG@5", "mAP"]
    assert all(each.shape == (25,) for each in values.values())
    monkeypatch.setattr("clipsearch.evaluation.retrieval._QUERIES_AT_ONCE", 4)
    for name, each in retrieval_values(scores, right, ks=(1, 5), grades=grades).items():
        np.testing.assert_array_equal(each, values[name])
    assert retrieval_values(np.zeros((0, 3)), np.zeros((0, 3), bool))["mAP"].shape == (0,)


def test_no_metric_of_a_constant_scorer_is_above_that_of_the_worst_order() -> None:
    right = np.random.default_rng(1).random((30, 20)) < 0.2
    flat, worst = retrieval_values(np.ones(right.shape), right), retrieval_values(-right.astype(float), right)
    for name, each in flat.items():
        np.testing.assert_array_equal(each, worst[name])
    assert np.nanmax(flat["Hit@5"]) == np.nanmax(flat["nDCG@5"]) == 0


def test_the_best_order_earns_everything_that_can_be_had() -> None:
    right = np.random.default_rng(2).random((30, 20)) < 0.2
    values = retrieval_values(right.astype(float), right, ks=(20,))
    assert all(np.nanmin(each) == pytest.approx(1.0) for each in values.values())


def test_accuracies_are_of_classes_that_can_be_missed() -> None:
    scores = np.array([[0.5, 0.3, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4]])
    values = classification_values(scores, [1, 3])
    assert {name: each.tolist() for name, each in values.items()} == {"top-1": [0, 1], "top-3": [1, 1]}
