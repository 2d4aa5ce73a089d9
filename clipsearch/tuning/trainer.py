"""The training loop: batches of pairs through a model and a loss, from a seed, restartable at any step.

Knows nothing of where pairs come from or what the result is called.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clipsearch.errors import TuningError
from clipsearch.tuning.checkpoint import load_state, save_state
from clipsearch.tuning.losses import align_reg, contrastive_loss, sigmoid_loss
from clipsearch.tuning.optimizers import optimizers, restore_state, state_tensors
from clipsearch.tuning.pairs import Batch, Pairs, augment
from clipsearch.tuning.settings import OnProgress, Progress, TrainSettings
from clipsearch.tuning.towers import busy_patches, image_vectors, on_device, scaled, text_vectors
from clipsearch.tuning.validation import recalls
from clipsearch.types import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

MAX_LOGIT_SCALE = math.log(100)  # as CLIP clamps it (Radford et al. 2021, section 2.5)
Tokenize = Callable[[Sequence[str]], "Tensor"]


def train(
    model: Any,
    pairs: Pairs,
    settings: TrainSettings,
    *,
    tokenize: Tokenize,
    preprocessing: Preprocessing,
    validation: Pairs | None = None,
    state: Path | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, float]:
    """Train the model in place and return the metrics of the weights it ends with, the best seen.

    With `state`, a run that was killed goes on from its last save and ends with the same weights.
    """
    trainer = Trainer(model, settings, tokenize=tokenize, preprocessing=preprocessing, state=state)
    while not trainer.finished:
        trainer.run_epoch(pairs, validation=validation, on_progress=on_progress)
    return trainer.restore_best()


class Trainer:
    """A run in progress: the model, its optimiser, and how far it is."""

    def __init__(
        self,
        model: Any,
        settings: TrainSettings,
        *,
        tokenize: Tokenize,
        preprocessing: Preprocessing,
        state: Path | None = None,
    ) -> None:
        self.model, self.settings = model, settings
        self.step = self.epoch = self.batch_in_epoch = 0
        self.n_pairs = 0  # of the epoch in progress
        self.metrics: dict[str, float] = {}
        self._tokenize, self._preprocessing, self._state = tokenize, preprocessing, state
        self._best: dict[str, Tensor] | None = None
        self._device = next(model.parameters()).device
        self._bf16 = _uses_bf16(settings.precision, self._device.type)
        self._optimizers = optimizers(model, settings)
        if state is not None and state.exists():
            self._load(state)

    @property
    def finished(self) -> bool:
        return self.step >= self.settings.steps

    def run_epoch(
        self, pairs: Pairs, *, validation: Pairs | None = None, on_progress: OnProgress | None = None
    ) -> None:
        """Train on each pair once, or on what is left of the epoch or of the run.

        The pairs may have grown since the last epoch, not within one.
        """
        settings = self.settings
        if self.batch_in_epoch and len(pairs) != self.n_pairs:
            raise TuningError(
                f"the run stopped within an epoch of {self.n_pairs} pairs and there are {len(pairs)} now; "
                f"give it the same pairs, or delete {self._state} to start anew"
            )
        self.n_pairs = len(pairs)
        batches = pairs.batches(settings.batch_size, seed=settings.seed, epoch=self.epoch)
        began, first = time.perf_counter(), self.step
        for batch in islice(batches, self.batch_in_epoch, None):
            loss = self._train_on(pairs, batch)
            self.step += 1
            self.batch_in_epoch += 1
            evaluates = self.step % settings.evaluate_every == 0 or self.finished
            if evaluates:
                self._evaluate(validation)
                self._save()
            if on_progress is not None:
                pace = (time.perf_counter() - began) / (self.step - first)
                on_progress(self._progress(loss, pace, len(batch.rows), evaluates))
            if self.finished:
                return
        self.epoch, self.batch_in_epoch = self.epoch + 1, 0

    def restore_best(self) -> dict[str, float]:
        """Put the best weights seen into the model and return their metrics."""
        if self._best is not None:
            self.model.load_state_dict(self._best)
        self.model.eval()
        return {k.removeprefix("best/"): v for k, v in self.metrics.items() if k.startswith("best/")}

    def _train_on(self, pairs: Pairs, batch: Batch) -> float:
        import torch

        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.step)
        rate = self.settings.rate_at(self.step)
        for group in (g for o in self._optimizers for g in o.param_groups):
            group["lr"] = rate
        self.model.train()
        loss = self._loss(pairs, batch, generator)
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        for optimizer in self._optimizers:
            optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TuningError(
                f"the loss became {value} at step {self.step}; lower the learning rate "
                f"(it is {self.settings.learning_rate:g}) or use precision fp32"
            )
        return value

    def _loss(self, pairs: Pairs, batch: Batch, generator: Any) -> Tensor:
        import torch

        settings, model = self.settings, self.model
        pixels = on_device(pairs.pictures.rows(batch.rows), self._device)
        if settings.augments:
            pixels = augment(pixels, generator)
        keep = settings.keep_at(self.step)
        kept = None
        if keep < 1:
            kept = busy_patches(pixels, model.config.vision_config.patch_size, keep, generator)
        with self._autocast():
            image = image_vectors(model, scaled(pixels, self._preprocessing), kept)
            texts = [text_vectors(model, self._tokenize(c).to(self._device)) for c in batch.captions]
        total = torch.zeros((), device=self._device)
        for text, same in zip(texts, batch.same, strict=True):
            twins = torch.from_numpy(same).to(self._device)
            scale = model.logit_scale.exp()
            if settings.loss == "sigmoid":
                total = total + sigmoid_loss(image, text, scale, model.logit_bias, twins)
            else:
                total = total + contrastive_loss(image, text, scale, twins)
            if settings.align_reg:
                total = total + settings.align_reg * align_reg(image, text)
        return total / len(texts)

    def _autocast(self) -> Any:
        import torch

        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)

    def _evaluate(self, validation: Pairs | None) -> None:
        """Recall of pictures by their first caption, per channel; keeps the weights if they are the best."""
        import torch

        if validation is not None:
            self.model.eval()
            with torch.inference_mode(), self._autocast():
                metrics = recalls(
                    self.model, validation, tokenize=self._tokenize, preprocessing=self._preprocessing
                )
            score = float(np.mean([v for k, v in metrics.items() if k.endswith("/1")]))
            self.metrics = {k: v for k, v in self.metrics.items() if k.startswith("best/")} | metrics
            if score <= self.metrics.get("best/score", -1.0):
                return
            self.metrics |= {f"best/{k}": v for k, v in metrics.items()}
            self.metrics |= {"best/score": score, "best/step": float(self.step)}
        self._best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def _progress(self, loss: float, pace_s: float, batch: int, evaluated: bool) -> Progress:
        left = (self.settings.steps - self.step) * pace_s
        scale = float(self.model.logit_scale.detach().exp())
        metrics = dict(self.metrics) if evaluated else {}
        return Progress(self.step, self.settings.steps, loss, scale, batch / pace_s, left, metrics)

    def _save(self) -> None:
        if self._state is None:
            return
        facts = {
            "settings": asdict(self.settings),
            "step": self.step,
            "epoch": self.epoch,
            "batch_in_epoch": self.batch_in_epoch,
            "n_pairs": self.n_pairs,
            "metrics": self.metrics,
        }
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in (self._best or {}).items()}
        tensors |= {f"memory.{k}": v for k, v in state_tensors(self.model, self._optimizers).items()}
        save_state(self._state, tensors, facts)

    def _load(self, path: Path) -> None:
        tensors, facts = load_state(path)
        if facts["settings"] != asdict(self.settings):
            changed = [k for k, v in asdict(self.settings).items() if facts["settings"].get(k) != v]
            raise TuningError(
                f"{path} is a run with other settings ({', '.join(changed)}); "
                "go on with the same settings, or delete it to start anew"
            )
        self.step, self.epoch, self.metrics = facts["step"], facts["epoch"], facts["metrics"]
        self.batch_in_epoch, self.n_pairs = facts["batch_in_epoch"], facts["n_pairs"]
        self.model.load_state_dict(_under("model.", tensors))
        self._best = _under("best.", tensors) or None
        restore_state(self.model, self._optimizers, _under("memory.", tensors))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _uses_bf16(precision: str, device: str) -> bool:
    """auto: on accelerators, and on CPUs that multiply bf16 themselves (2x there, 8x slower elsewhere)."""
    import torch

    if precision == "auto":
        return device != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return precision == "bf16"
