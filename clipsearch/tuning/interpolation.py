"""Weights between the frozen model's and the tuned one's, and which of them to keep (WiSE-FT).

Wortsman et al. 2022, arXiv 2109.01903: theta = (1 - alpha) theta0 + alpha theta1 often keeps what the model
knew and most of what it learned. Knows state dicts and two metrics, not models, data or plots.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from clipsearch.errors import TuningError

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, "Tensor"]
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class AlphaPoint:
    """A mixture on validation data: metric is what tuning is for, general what must not be forgotten."""

    alpha: float
    metric: float
    general: float


@dataclass(frozen=True, slots=True)
class AlphaCurve:
    """The mixtures that were evaluated, by rising alpha; the first is the frozen model.

    Higher is better for both metrics. Raises TuningError without alpha 0, for an alpha twice, and for a
    metric that is no number.
    """

    points: tuple[AlphaPoint, ...]

    def __post_init__(self) -> None:
        alphas = [p.alpha for p in self.points]
        if not alphas or alphas[0] != 0 or any(a >= b for a, b in pairwise(alphas)):
            raise TuningError(f"alphas {alphas} must begin with 0, the frozen model, and rise")
        for p in self.points:
            if not (math.isfinite(p.metric) and math.isfinite(p.general)):
                raise TuningError(
                    f"at alpha {p.alpha:g} the metrics are {p.metric} and {p.general}; "
                    "a model whose training diverged cannot be mixed: lower the learning rate"
                )

    def forgotten(self, point: AlphaPoint) -> float:
        """How much of the frozen model's general metric is lost at this point; negative where it gained."""
        return self.points[0].general - point.general


def interpolate(state0: State, state1: State, alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) state0 + alpha state1, exactly state0 at 0 and exactly state1 at 1; new tensors.

    Floating tensors are mixed, in float32 at least, and keep state1's type and device; others (positions,
    counters) must be equal. Raises TuningError where the two are not the same model: keys, shapes or
    whole numbers that differ.
    """
    if not 0 <= alpha <= 1:
        raise TuningError(f"alpha={alpha} must be between 0 (the frozen model) and 1 (the tuned one)")
    _check_keys(state0, state1)
    return {key: _mixed(key, state0[key], state1[key], alpha) for key in state1}


def trace(
    state0: State,
    state1: State,
    evaluate: Callable[[dict[str, Tensor]], tuple[float, float]],
    *,
    alphas: Iterable[float] = ALPHAS,
) -> AlphaCurve:
    """The curve of the mixtures; evaluate gives (metric, general) of a state dict on validation data."""
    mixtures = ((alpha, interpolate(state0, state1, alpha)) for alpha in sorted(alphas))
    return AlphaCurve(tuple(AlphaPoint(alpha, *evaluate(state)) for alpha, state in mixtures))


def choose_alpha(curve: AlphaCurve, forgetting_limit: float) -> AlphaPoint:
    """The point with the best metric among those that forget at most forgetting_limit.

    The limit is a difference of the general metric (0.02: two points of a share). Of equally good points
    the one nearer to the frozen model. Alpha 0 forgets nothing, so there is always one.
    """
    if not forgetting_limit >= 0:
        raise TuningError(f"forgetting_limit={forgetting_limit} must be 0 or more")
    slack = 1e-9  # 0.50 - 0.48 is not quite 0.02 in floating point
    kept = [p for p in curve.points if curve.forgotten(p) <= forgetting_limit + slack]
    return max(kept, key=lambda p: (p.metric, -p.alpha))


def _mixed(key: str, start: Tensor, end: Tensor, alpha: float) -> Tensor:
    import torch

    if start.shape != end.shape or start.is_floating_point() != end.is_floating_point():
        raise TuningError(
            f"{key} is {tuple(start.shape)} {start.dtype} in one model and {tuple(end.shape)} {end.dtype} in "
            "the other; mix a tuned model only with the one that it was tuned from"
        )
    start = start.detach().to(end.device)
    if not end.is_floating_point():
        if not torch.equal(start, end):
            raise TuningError(
                f"{key} holds whole numbers that differ between the models and cannot be mixed; "
                "mix a tuned model only with the one that it was tuned from"
            )
        return end.detach().clone()
    wide = torch.promote_types(torch.promote_types(start.dtype, end.dtype), torch.float32)
    return torch.lerp(start.to(wide), end.detach().to(wide), alpha).to(end.dtype)


def _check_keys(state0: State, state1: State) -> None:
    missing, added = sorted(set(state0) - set(state1)), sorted(set(state1) - set(state0))
    if missing or added:
        raise TuningError(
            f"the tuned model lacks {_listed(missing)} and has {_listed(added)} beside the frozen model's "
            "weights; merge adapters (LoRA) into the tuned model first, and mix it only with the model that "
            "it was tuned from"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) or "nothing"
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
