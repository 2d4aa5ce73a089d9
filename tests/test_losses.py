"""The losses against the papers' definitions written out, and against transformers' own."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from clipsearch.tuning.losses import align_reg, contrastive_loss, sigmoid_loss


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
