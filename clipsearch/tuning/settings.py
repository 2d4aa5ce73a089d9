"""How to train, and how far a run is: values, checked once. Knows neither data nor models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from clipsearch.errors import TuningError


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train. Shares are of all steps."""

    steps: int = 1000
    batch_size: int = 256
    learning_rate: float = 1e-3
    warmup_share: float = 0.05
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    optimizer: Literal["adamw", "muon"] = "adamw"
    loss: Literal["contrastive", "sigmoid"] = "contrastive"
    align_reg: float = 0.0  # lambda of losses.align_reg
    patch_keep: float = 1.0  # share of the patches a picture is trained on ...
    patch_keep_share: float = 0.85  # ... for this first part of the run; then all of them
    augments: bool = True
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    evaluate_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 2 or self.evaluate_every < 1:
            raise TuningError(
                f"steps={self.steps}, batch_size={self.batch_size}, evaluate_every={self.evaluate_every}: "
                "steps and evaluate_every must be at least 1, and a batch needs 2 pairs to contrast"
            )
        if not 0 < self.patch_keep <= 1:
            raise TuningError(f"patch_keep={self.patch_keep} must be in (0, 1]")

    def rate_at(self, step: int) -> float:
        """Learning rate of a step (from 0): linear warm-up, then a cosine to zero."""
        warmup = max(1, round(self.warmup_share * self.steps))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        done = (step - warmup) / max(1, self.steps - warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def keep_at(self, step: int) -> float:
        """Share of the patches seen at a step."""
        return self.patch_keep if step < self.patch_keep_share * self.steps else 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands. metrics is filled at the steps that evaluate."""

    step: int
    steps: int
    loss: float
    scale: float
    images_per_s: float
    eta_s: float
    metrics: Mapping[str, float] = field(default_factory=dict)


OnProgress = Callable[[Progress], None]
