"""Gradients of a large batch in the memory of a small one. Knows neither models nor which loss it is.

Cached contrastive gradients (Gao et al. 2021, arXiv 2101.06983, section 3): the vectors of the whole batch
are made without a graph, the loss gives their gradients, and each chunk is encoded once more, with the same
random numbers, to carry its share of them into the weights. Costs one more forward pass and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clipsearch.errors import TuningError

if TYPE_CHECKING:
    from torch import Tensor, device

Encode = Callable[[slice], Sequence["Tensor"]]
"""Vectors of some rows of the batch: one (n, D) tensor for the pictures and one for each kind of text."""


def cached_backward(
    encode: Encode, loss: Callable[..., Tensor], *, n_rows: int, chunk: int, on: device | str = "cpu"
) -> Tensor:
    """The loss of the whole batch, detached; its gradients are added to every .grad as backward() would.

    loss is called once with what encode returns for all n_rows together and may use parameters of its own
    (logit scale and bias get their gradients too). Equal to `loss(*encode(slice(0, n_rows))).backward()` as
    far as a row's vectors depend on that row alone, so not with batch norm; dropout draws by chunk. encode
    is called twice for a chunk and must draw random numbers from torch's global generators only, those of
    the CPU and of the device `on`. Their state afterwards is that of one pass over the chunks. Under autocast
    open it within encode or around everything: both give the weights their gradients.
    """
    import torch

    if n_rows < 1 or chunk < 1:
        raise TuningError(f"a batch of {n_rows} rows in chunks of {chunk}: both must be at least 1")
    slices = [slice(start, min(start + chunk, n_rows)) for start in range(0, n_rows, chunk)]
    if len(slices) == 1:
        value = loss(*encode(slices[0]))
        torch.autograd.backward(value)
        return value.detach()
    vectors, states = _vectors(encode, slices, torch.device(on))
    value = loss(*vectors)
    torch.autograd.backward(value)
    for rows, state in zip(slices, states, strict=True):
        with _replayed(state):
            again = encode(rows)
        pairs = [
            (v, whole.grad[rows])
            for v, whole in zip(again, vectors, strict=True)
            if v.requires_grad and whole.grad is not None  # a frozen tower's have none to carry
        ]
        if pairs:
            torch.autograd.backward([v for v, _ in pairs], [g for _, g in pairs])
    return value.detach()


def _vectors(encode: Encode, slices: Sequence[slice], on: device) -> tuple[list[Tensor], list[_RandomState]]:
    """Vectors of the whole batch as leaves that want gradients, and the random state before each chunk."""
    import torch

    parts, states = [], []
    with torch.no_grad():
        for rows in slices:
            states.append(_RandomState.now(on))
            parts.append(encode(rows))
    # Weights cast here by an autocast around everything have no graph; a torch that caches them all the same
    # (2.13 does not) would use them in the second pass and learn nothing.
    torch.clear_autocast_cache()
    return [torch.cat(kind).requires_grad_() for kind in zip(*parts, strict=True)], states


@dataclass(frozen=True, slots=True)
class _RandomState:
    """The state of the CPU's generator and of one device's."""

    cpu: Tensor
    on: device
    accelerator: Tensor | None

    @classmethod
    def now(cls, on: device) -> _RandomState:
        import torch

        own = None if on.type == "cpu" else _module(on).get_rng_state(*_index(on))
        return cls(torch.get_rng_state(), on, own)

    def restore(self) -> None:
        import torch

        torch.set_rng_state(self.cpu)
        if self.accelerator is not None:
            _module(self.on).set_rng_state(self.accelerator, *_index(self.on))


@contextmanager
def _replayed(state: _RandomState) -> Iterator[None]:
    """Draw once more what was drawn after `state` was taken, then go on as if nothing had been."""
    present = _RandomState.now(state.on)
    state.restore()
    try:
        yield
    finally:
        present.restore()


def _module(on: device) -> Any:
    import torch

    return torch.get_device_module(on)


def _index(on: device) -> tuple[device, ...]:
    return () if on.type == "mps" else (on,)  # Apple's has one device and takes no argument
