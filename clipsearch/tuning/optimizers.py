"""The optimisers a run may use, set up as image-text training does. Know nothing of batches or losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clipsearch.errors import TuningError
from clipsearch.tuning.settings import TrainSettings

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


def optimizers(model: Any, settings: TrainSettings) -> list[Optimizer]:
    """What steps the model's parameters: AdamW, or Muon for the layers' matrices and AdamW for the rest.

    AdamW has CLIP's betas and epsilon; gains, biases and the logit scale do not decay. Muon (Jordan 2024;
    Liu et al. 2025, arXiv 2502.16982) makes each update's directions equally strong: from random weights
    it needs about half the steps. For small changes of a trained model AdamW is the known quantity.
    """
    import torch

    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    hidden = [p for name, p in trained.items() if settings.optimizer == "muon" and _is_hidden(name, p)]
    taken = {id(p) for p in hidden}
    rest = [p for p in trained.values() if id(p) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    found: list[Optimizer] = [
        torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), eps=1e-6)
    ]
    if hidden:
        found.append(_muon(hidden, settings))
    return found


def state_tensors(model: Any, used: list[Optimizer]) -> dict[str, Tensor]:
    """The optimisers' memory by parameter name, to be written beside the weights."""
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        f"{key}.{names[id(p)]}": value
        for optimizer in used
        for p, memory in optimizer.state.items()
        for key, value in memory.items()
    }


def restore_state(model: Any, used: list[Optimizer], tensors: dict[str, Tensor]) -> None:
    """Give the optimisers the memory that state_tensors took."""
    parameters = dict(model.named_parameters())
    owners = {id(p): o for o in used for group in o.param_groups for p in group["params"]}
    for full, value in tensors.items():
        key, name = full.split(".", 1)
        parameter = parameters[name]
        owners[id(parameter)].state[parameter][key] = value


def _is_hidden(name: str, parameter: Tensor) -> bool:
    """A matrix inside a transformer layer; embeddings and projections have rows of their own meaning."""
    return parameter.ndim == 2 and ".layers." in name


def _muon(parameters: list[Tensor], settings: TrainSettings) -> Optimizer:
    import torch

    if not hasattr(torch.optim, "Muon"):
        raise TuningError(
            f"optimizer 'muon' needs torch 2.9 or newer, this is {torch.__version__}; use 'adamw'"
        )
    return torch.optim.Muon(
        parameters,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adjust_lr_fn="match_rms_adamw",  # its rate then means what AdamW's means
    )
