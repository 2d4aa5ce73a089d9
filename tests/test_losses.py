"""The losses against the papers' definitions written out, and against transformers' own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from clipsearch.errors import TuningError
from clipsearch.tuning.losses import (
    Objective,
    align_reg,
    contrastive_loss,
    multi_positive_loss,
    sigmoid_loss,
)
from clipsearch.tuning.positives import group_numbers, too_alike, twins


def unit(n: int, seed: int, dim: int = 8) -> torch.Tensor:
    return normalize(torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_without_twins_the_contrastive_loss_is_transformers_own() -> None:
    from transformers.models.clip.modeling_clip import image_text_contrastive_loss

    image, text, scale = unit(6, 0), unit(6, 1), torch.tensor(20.0)
    theirs = image_text_contrastive_loss(scale * text @ image.T)
    torch.testing.assert_close(contrastive_loss(image, text, scale), theirs)
    alone = torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(contrastive_loss(image, text, scale, alone), theirs)


def test_twins_are_left_out_of_the_denominators() -> None:
    """Written out for picture 0, whose twin is 1: -log of e^s00 over all texts but 1."""
    image, text, scale = unit(3, 2), unit(3, 3), torch.tensor(5.0)
    same = torch.eye(3, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    s = (scale * image @ text.T).tolist()
    by_picture = [{0, 2}, {1, 2}, {0, 1, 2}]
    expected = 0.0
    for i, others in enumerate(by_picture):
        expected -= math.log(math.exp(s[i][i]) / sum(math.exp(s[i][j]) for j in others)) / 6
        expected -= math.log(math.exp(s[i][i]) / sum(math.exp(s[j][i]) for j in others)) / 6
    assert contrastive_loss(image, text, scale, same).item() == pytest.approx(expected, rel=1e-5)


def test_a_twin_gets_no_push_and_a_stranger_does() -> None:
    image, text = unit(3, 4), unit(3, 5).requires_grad_()
    same = torch.eye(3, dtype=torch.bool)
    same[0] = True  # every text is true of picture 0
    loss = contrastive_loss(image[:1].expand(3, -1), text, torch.tensor(10.0), same | same.T)
    (grad,) = torch.autograd.grad(loss, text)
    assert grad[1].abs().sum() > 0
    everything = torch.ones(3, 3, dtype=torch.bool)
    assert contrastive_loss(image, text, torch.tensor(10.0), everything).item() == 0.0


def test_the_sigmoid_loss_is_siglips_own() -> None:
    """Against the loss in transformers' SiglipModel.forward, written as there."""
    image, text, scale, bias = unit(5, 6), unit(5, 7), torch.tensor(9.0), torch.tensor(-8.0)
    logits = text @ image.T * scale + bias
    m1_diag1 = -torch.ones_like(logits) + 2 * torch.eye(5)
    theirs = -torch.sum(torch.nn.functional.logsigmoid(m1_diag1 * logits), dim=-1).mean()
    torch.testing.assert_close(sigmoid_loss(image, text, scale, bias), theirs)


def test_the_sigmoid_loss_ignores_twins() -> None:
    image, text, scale, bias = unit(4, 8), unit(4, 9), torch.tensor(9.0), torch.tensor(-2.0)
    everything = torch.ones(4, 4, dtype=torch.bool)
    own = (image * text).sum(dim=1) * scale + bias
    expected = -torch.nn.functional.logsigmoid(own).mean()
    torch.testing.assert_close(sigmoid_loss(image, text, scale, bias, everything), expected)


def test_the_regulariser_is_twice_one_minus_the_cosine() -> None:
    image, text = unit(7, 10), unit(7, 11)
    torch.testing.assert_close(align_reg(image, text), 2 - 2 * (image * text).sum(dim=1).mean())
    assert align_reg(image, image).item() == 0.0
    assert align_reg(image, -image).item() == pytest.approx(4.0)


def test_with_targets_a_twin_is_pulled_as_much_as_the_pair_itself() -> None:
    """Written out: minus the mean over a row's twins and itself of the log-softmax, both ways."""
    image, text, scale = unit(3, 12), unit(3, 13), torch.tensor(5.0)
    same = torch.eye(3, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    s = (scale * image @ text.T).tolist()
    expected = 0.0
    for i, own in enumerate([{0, 1}, {0, 1}, {2}]):
        row, column = (math.log(sum(math.exp(x) for x in v)) for v in (s[i], [r[i] for r in s]))
        expected -= sum((s[i][j] - row) + (s[j][i] - column) for j in own) / len(own) / 6
    assert multi_positive_loss(image, text, scale, same).item() == pytest.approx(expected, rel=1e-5)


def test_without_twins_targets_make_no_difference() -> None:
    image, text, scale = unit(5, 14), unit(5, 15), torch.tensor(20.0)
    alone = torch.eye(5, dtype=torch.bool)
    plain = contrastive_loss(image, text, scale)
    torch.testing.assert_close(multi_positive_loss(image, text, scale, alone), plain)
    bias = torch.tensor(-3.0)
    plain = sigmoid_loss(image, text, scale, bias)
    torch.testing.assert_close(sigmoid_loss(image, text, scale, bias, matches=alone), plain)


def test_an_ignored_pair_has_no_gradient_whatever_the_objective() -> None:
    """Picture i is the i-th axis, so that component i of text j has the gradient of logit (i, j)."""
    ignored = torch.zeros(4, 4, dtype=torch.bool)
    ignored[0, 1] = True
    for loss in ("contrastive", "sigmoid"):
        for positives in ("pair", "groups", "multi"):
            objective = Objective(loss, positives)  # type: ignore[arg-type]
            text = unit(4, 17, dim=4).requires_grad_()
            options = {"scale": torch.tensor(9.0), "bias": torch.tensor(-2.0), "same": torch.eye(4).bool()}
            value = objective(torch.eye(4), text, ignored=ignored, **options)
            (grad,) = torch.autograd.grad(value, text)
            assert grad[1, 0] == 0
            assert (grad != 0).sum() == 15


def test_each_option_of_the_objective_is_one_of_the_losses() -> None:
    image, text, scale, bias = unit(4, 18), unit(4, 19), torch.tensor(9.0), torch.tensor(-2.0)
    same = torch.eye(4, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    expected = {
        ("contrastive", "pair"): contrastive_loss(image, text, scale),
        ("contrastive", "groups"): contrastive_loss(image, text, scale, same),
        ("contrastive", "multi"): multi_positive_loss(image, text, scale, same),
        ("sigmoid", "pair"): sigmoid_loss(image, text, scale, bias),
        ("sigmoid", "groups"): sigmoid_loss(image, text, scale, bias, same),
        ("sigmoid", "multi"): sigmoid_loss(image, text, scale, bias, matches=same),
    }
    assert len({round(v.item(), 5) for v in expected.values()}) == 6
    for (loss, positives), value in expected.items():
        for factor in (0.0, 0.3):
            objective = Objective(loss, positives, factor)  # type: ignore[arg-type]
            got = objective(image, text, scale=scale, bias=bias, same=same)
            torch.testing.assert_close(got, value + factor * align_reg(image, text))


def test_an_objective_says_what_is_wrong_with_its_options() -> None:
    with pytest.raises(TuningError, match="loss='square' is not known; choose contrastive or sigmoid"):
        Objective("square")  # type: ignore[arg-type]
    with pytest.raises(TuningError, match="align_reg=-1 must be 0 or more"):
        Objective(align_reg=-1)
    with pytest.raises(TuningError, match="needs a logit bias"):
        Objective("sigmoid")(unit(2, 0), unit(2, 1), scale=torch.tensor(1.0))


def test_twins_agree_in_part_caption_hash_or_look() -> None:
    parts = ["A1", "A1", None, None, ""]
    captions = ["bolt", "a bolt", "bolt", "nut", "washer"]
    hashes = ["h0", "h1", "h2", "h3", "h4"]
    image = np.eye(5, dtype=np.float32)
    image[4] = [0, 0, 0, 0.98, math.sqrt(1 - 0.98**2)]
    expected = np.eye(5, dtype=bool)
    for i, j in ((0, 1), (0, 2), (3, 4)):  # by part, by caption, by look; empty parts agree with nothing
        expected[i, j] = expected[j, i] = True
    np.testing.assert_array_equal(twins(parts, captions, hashes, image=image, near_duplicate=0.97), expected)
    expected[3, 4] = expected[4, 3] = False  # unless told otherwise only equal pictures are twins
    np.testing.assert_array_equal(twins(parts, captions, hashes, image=image), expected)
    assert twins(hashes, image=np.repeat(image[4:], 5, axis=0)).all()
    np.testing.assert_array_equal(twins([None, "", None, ""]), np.eye(4, dtype=bool))
    np.testing.assert_array_equal(twins(["x", "y"], ["h", "h"]), np.ones((2, 2), dtype=bool))
    with pytest.raises(TuningError, match=r"columns of \[2, 3\] rows"):
        twins(["a", "b"], ["a", "b", "c"])


def test_likely_false_negatives_are_told_by_texts_or_by_pictures() -> None:
    by_angle = [[math.cos(a), math.sin(a)] for a in (0.0, 0.1, 1.2)]
    text = np.array(by_angle, dtype=np.float32)
    image = np.array([by_angle[2], by_angle[0], by_angle[2]], dtype=np.float32)
    close = too_alike(text, image, threshold=0.9)
    np.testing.assert_array_equal(close, [[0, 1, 1], [1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(too_alike(text, None, threshold=0.9), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    with pytest.raises(TuningError, match=r"leaves out every negative of a batch of 3.* well above"):
        too_alike(text, image, threshold=0.1)
    with pytest.raises(TuningError, match="is a cosine"):
        too_alike(text, image, threshold=30)


def test_a_chain_of_agreements_makes_one_group() -> None:
    parts = ["A1", "B2", "B2", None, "C3", ""]
    captions = ["bolt", "nut", "bolt", "washer", "hook", "a hook"]
    heaps = [None, None, None, 7, None, 7]  # near-duplicate pictures
    assert group_numbers(parts, captions, heaps).tolist() == [0, 0, 0, 1, 2, 1]
    assert group_numbers(parts).tolist() == [0, 1, 1, 2, 3, 4]
    order = [5, 4, 3, 2, 1, 0]
    backwards = group_numbers(*([column[i] for i in order] for column in (parts, captions, heaps)))
    assert backwards.tolist() == [0, 1, 0, 2, 2, 2]
    with pytest.raises(TuningError, match=r"columns of \[1, 2\] rows"):
        group_numbers(["a"], ["a", "b"])
