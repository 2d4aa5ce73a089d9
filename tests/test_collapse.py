"""The spread of vectors, and the guard that tells when a model gives every query the same picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coloured_shapes import shapes
from tiny_models import CONTEXT, make_clip

from clipsearch.errors import TuningError
from clipsearch.tuning.collapse import check, spread
from clipsearch.tuning.losses import align_reg, contrastive_loss
from clipsearch.tuning.towers import image_vectors, text_vectors


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices of 32 columns: a second thread only waits for the first, for a minute on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def unit(n: int, dim: int, *, centre: float = 0.0, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)) + centre
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_effective_rank_counts_directions() -> None:
    axes = np.eye(8, dtype=np.float32)
    assert spread(axes).effective_rank == pytest.approx(8)
    assert spread(np.repeat(axes[:3], 5, axis=0)).effective_rank == pytest.approx(3)
    assert spread(np.repeat(axes[:1], 5, axis=0)).effective_rank == pytest.approx(1)
    uneven = np.repeat(axes[:2], [9, 1], axis=0)  # singular values 3 and 1: shares of 3/4 and 1/4
    expected = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert spread(uneven).effective_rank == pytest.approx(expected)


def test_the_mean_cosine_is_that_of_all_pairs_of_different_rows() -> None:
    vectors = unit(30, 6, centre=0.5)
    cosines = vectors @ vectors.T
    expected = (cosines.sum() - np.trace(cosines)) / (30 * 29)
    assert spread(vectors).mean_cosine == pytest.approx(expected, abs=1e-6)


def test_two_opposite_heaps_are_a_collapse_though_their_mean_cosine_is_low() -> None:
    heaps = np.repeat(unit(1, 16), 20, axis=0) * np.tile([1, -1], 10)[:, None]
    assert spread(heaps).mean_cosine < 0
    assert "effective rank of 1.0" in (check(heaps) or "")


def test_near_equal_parts_are_no_collapse_and_losing_most_of_a_models_spread_is() -> None:
    shelf = unit(60, 32, centre=3.0)
    assert spread(shelf).mean_cosine > 0.88
    assert check(shelf) is None
    wide = spread(unit(60, 32, seed=1))
    assert check(unit(60, 32, seed=2), before=wide) is None
    narrower = check(unit(60, 32, centre=6.0), before=wide)
    assert narrower is not None
    assert "before tuning" in narrower
    assert "Lower the learning rate, set align_reg to 0" in narrower


def test_positives_alone_collapse_a_real_model_and_contrast_does_not(tmp_path: Path) -> None:
    """A tiny CLIP learns by contrast, goes on without negatives, and loses its spread."""
    from transformers import CLIPModel

    model: Any = CLIPModel.from_pretrained(make_clip(tmp_path / "clip"))
    pairs = shapes(24)
    pixels = torch.from_numpy(pairs.pictures.rows(np.arange(24))).permute(0, 3, 1, 2) / 255.0
    ids = 3 + torch.from_numpy(pairs.groups)[:, None] * torch.arange(1, CONTEXT + 1) % 390
    same = torch.from_numpy(pairs.groups[:, None] == pairs.groups[None, :])

    def train(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], rate: float) -> np.ndarray:
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
        for _ in range(50):
            optimizer.zero_grad()
            loss(image_vectors(model, pixels), text_vectors(model, ids)).backward()
            optimizer.step()
        return np.asarray(image_vectors(model, pixels).detach())

    learned = train(lambda image, text: contrastive_loss(image, text, torch.tensor(20.0), same), 2e-3)
    healthy = spread(learned)
    assert check(learned, before=healthy) is check(learned) is None
    collapsed = train(align_reg, 1e-2)
    assert check(collapsed) is not None, (healthy, spread(collapsed))
    assert check(collapsed, before=healthy) is not None


def test_vectors_that_have_no_spread_are_refused() -> None:
    with pytest.raises(TuningError, match="at least 2 rows"):
        spread(unit(1, 4))
    with pytest.raises(TuningError, match="not finite; lower the learning rate"):
        spread(np.full((3, 4), np.nan, dtype=np.float32))
    with pytest.raises(TuningError, match="of 5 rows and this one of 6"):
        check(unit(6, 4), before=spread(unit(5, 4)))
