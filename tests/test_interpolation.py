"""Weights between two models, and the choice of the mixture under a forgetting limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import make_clip

from clipsearch.errors import TuningError
from clipsearch.tuning.interpolation import (
    ALPHAS,
    AlphaCurve,
    AlphaPoint,
    choose_alpha,
    interpolate,
    trace,
)


def curve(*rows: tuple[float, float, float]) -> AlphaCurve:
    return AlphaCurve(tuple(AlphaPoint(*row) for row in rows))


TYPICAL = curve((0, 0.40, 0.60), (0.25, 0.50, 0.61), (0.5, 0.58, 0.58), (0.75, 0.62, 0.53), (1, 0.61, 0.40))


def test_a_mixture_of_two_models_loads_and_its_ends_are_the_models(tmp_path: Path) -> None:
    from transformers import CLIPModel

    model: Any = CLIPModel.from_pretrained(make_clip(tmp_path / "a", seed=0))
    other: Any = CLIPModel.from_pretrained(make_clip(tmp_path / "b", seed=1))
    start = {k: v.clone() for k, v in model.state_dict().items()}
    end = other.state_dict()
    for alpha, expected in ((0.0, start), (1.0, end)):
        assert all(torch.equal(v, expected[k]) for k, v in interpolate(start, end, alpha).items())
    model.load_state_dict(interpolate(start, end, 0.25))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, 0.75 * start[name] + 0.25 * end[name])


def test_a_mixture_is_new_tensors_of_the_tuned_models_type() -> None:
    start = {"w": torch.tensor([1.0, 2.0]), "ids": torch.arange(3)}
    end = {"w": torch.tensor([3.0, 4.0], dtype=torch.float16), "ids": torch.arange(3)}
    mixed = interpolate(start, end, 0.5)
    assert mixed["w"].dtype == torch.float16
    assert mixed["w"].tolist() == [2.0, 3.0]
    assert torch.equal(mixed["ids"], torch.arange(3))
    for state in (interpolate(start, end, 1.0), mixed):
        state["w"].zero_()
        state["ids"].zero_()
    assert end["w"].tolist() == [3.0, 4.0]
    assert end["ids"].tolist() == [0, 1, 2]


def test_models_that_do_not_belong_together_are_not_mixed() -> None:
    start = {"a": torch.zeros(2), "n": torch.tensor(3)}
    with pytest.raises(TuningError, match=r"lacks a and has nothing beside.* merge adapters"):
        interpolate(start, {"n": torch.tensor(3)}, 0.5)
    extra = {f"lora_{i}": torch.zeros(1) for i in range(5)}
    with pytest.raises(TuningError, match="has lora_0, lora_1, lora_2 and 2 more"):
        interpolate(start, start | extra, 0.5)
    with pytest.raises(TuningError, match=r"a is \(2,\) torch.float32 in one model and \(3,\)"):
        interpolate(start, start | {"a": torch.zeros(3)}, 0.5)
    with pytest.raises(TuningError, match="n holds whole numbers that differ"):
        interpolate(start, start | {"n": torch.tensor(4)}, 0.5)
    for alpha in (-0.1, 1.5, float("nan")):
        with pytest.raises(TuningError, match="must be between 0"):
            interpolate(start, start, alpha)


def test_the_curve_evaluates_each_mixture_of_the_grid_once() -> None:
    seen = []

    def evaluate(state: dict[str, torch.Tensor]) -> tuple[float, float]:
        seen.append(float(state["w"]))
        return float(state["w"]), 1.0

    found = trace({"w": torch.tensor(0.0)}, {"w": torch.tensor(8.0)}, evaluate)
    assert seen == [8 * alpha for alpha in ALPHAS] == [0, 2, 4, 6, 8]
    assert [p.alpha for p in found.points] == list(ALPHAS)


def test_the_best_mixture_within_the_forgetting_limit_is_chosen() -> None:
    assert choose_alpha(TYPICAL, 1.0).alpha == 0.75  # the best of all is not the tuned model itself
    assert choose_alpha(TYPICAL, 0.02).alpha == 0.5  # .60 - .58 is exactly the limit
    assert choose_alpha(TYPICAL, 0.019).alpha == 0.25
    assert choose_alpha(TYPICAL, 0.0).alpha == 0.25  # it gained on the general metric


def test_where_nothing_was_gained_the_frozen_model_is_kept() -> None:
    assert choose_alpha(curve((0, 0.4, 0.6), (0.5, 0.4, 0.6), (1, 0.4, 0.6)), 0.1).alpha == 0
    assert choose_alpha(curve((0, 0.4, 0.6), (1, 0.9, 0.1)), 0.1).alpha == 0


def test_a_curve_that_cannot_be_judged_is_refused() -> None:
    with pytest.raises(TuningError, match="must begin with 0"):
        curve((0.5, 0.4, 0.6), (1, 0.4, 0.6))
    with pytest.raises(TuningError, match="rise"):
        curve((0, 0.4, 0.6), (1, 0.4, 0.6), (1, 0.4, 0.6))
    with pytest.raises(TuningError, match="at alpha 1 the metrics are nan"):
        curve((0, 0.4, 0.6), (1, float("nan"), 0.6))
    with pytest.raises(TuningError, match=r"forgetting_limit=-0\.1"):
        choose_alpha(TYPICAL, -0.1)
