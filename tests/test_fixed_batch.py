"""A tower compiled for one batch size: padding, and the ways back to the tower as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import SIZE, make_clip
from torch import Tensor

from clipsearch.encoder import Encoder
from clipsearch.encoder.fixed_batch import FixedBatch


def tower(pixels: Tensor) -> Tensor:
    """Mean of each channel and a constant: (B, 4), different for different pictures."""
    means = pixels.float().mean(dim=(1, 2))  # (B, 3)
    return torch.cat([means, torch.ones(len(pixels), 1)], dim=1)


def pictures(n: int) -> Tensor:
    return torch.randint(0, 256, (n, 4, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


def compiling_to(monkeypatch: pytest.MonkeyPatch, function: Callable[[Tensor], Tensor]) -> None:
    monkeypatch.setattr(torch, "compile", lambda model, **options: function)


def test_batches_of_every_size_give_the_towers_own_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def compiled(pixels: Tensor) -> Tensor:
        sizes.append(len(pixels))
        return tower(pixels)

    compiling_to(monkeypatch, compiled)
    fixed = FixedBatch(tower, 4)
    for n in (4, 3, 1, 4, 6):
        torch.testing.assert_close(fixed(pictures(n)), tower(pictures(n)))
    assert sizes == [4, 4, 4, 4]  # padded to one size, and the larger batch not compiled for
    assert fixed.is_compiled


def test_a_machine_without_a_compiler_is_slower_and_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(pixels: Tensor) -> Tensor:
        raise RuntimeError("no C++ compiler")

    compiling_to(monkeypatch, fails)
    fixed = FixedBatch(tower, 4)
    torch.testing.assert_close(fixed(pictures(2)), tower(pictures(2)))
    assert not fixed.is_compiled
    torch.testing.assert_close(fixed(pictures(3)), tower(pictures(3)))


def test_a_compiled_tower_with_other_vectors_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    compiling_to(monkeypatch, lambda pixels: -tower(pixels))
    fixed = FixedBatch(tower, 4)
    for n in (4, 2):
        torch.testing.assert_close(fixed(pictures(n)), tower(pictures(n)))
    assert not fixed.is_compiled


def test_running_out_of_memory_while_compiled_is_told_to_who_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(pixels: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("too much")

    compiling_to(monkeypatch, too_much)
    fixed = FixedBatch(tower, 4)
    with pytest.raises(torch.OutOfMemoryError):
        fixed(pictures(4))
    torch.testing.assert_close(fixed(pictures(2)), tower(pictures(2)))


def test_the_real_model_compiled_by_torch_gives_its_own_vectors(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
    with Encoder.open(str(make_clip(tmp_path / "clip")), cache=tmp_path, device="cpu") as encoder:
        model: Any = encoder._torch_model()
        plain = model._pixel_tower(torch.from_numpy(pixels))
        model.fix_batch(8, backend="eager")  # traced by torch.compile, without a C++ compiler
        with torch.inference_mode():
            first, again = (model._pixel_tower(torch.from_numpy(pixels)) for _ in range(2))
        assert model._pixel_tower.is_compiled
        torch.testing.assert_close(first, plain, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(again, plain, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(
            encoder.encode_pixels(pixels), torch.nn.functional.normalize(plain).detach().numpy(), atol=1e-5
        )
