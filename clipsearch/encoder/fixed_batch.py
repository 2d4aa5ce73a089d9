"""An image tower compiled by torch.compile for one batch size: for long runs on a GPU, never for a query.

Compiling takes the better part of a minute and fuses what lies between the matrix products. CUDA graphs are
left out: at batches of 256 and more, launching the kernels is a small part of computing them, and graphs want
one thread where two keep the copies going (benchmarks/gpu.py measures both).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Tower = Callable[["Tensor"], "Tensor"]
_MIN_COSINE = 0.999  # to the tower as it is; below, the compiled one is not used


class FixedBatch:
    """The tower for batches of up to `size` pictures: compiled if that works, as it is otherwise."""

    def __init__(self, tower: Tower, size: int, **compile_options: Any) -> None:
        """compile_options: of torch.compile. Nothing is compiled before the first batch."""
        import torch

        self._plain, self._size = tower, size
        self._compiled: Tower | None = torch.compile(tower, dynamic=False, **compile_options)
        self._lock = threading.Lock()
        self._checked = False

    @property
    def is_compiled(self) -> bool:
        """Whether the compiled tower is used."""
        return self._compiled is not None

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> (B, D). A smaller batch is padded; a larger one goes through uncompiled."""
        n = len(pixels)
        if self._compiled is None or n > self._size:
            return self._plain(pixels)
        padded = pixels if n == self._size else _padded(pixels, self._size)
        with self._lock:
            if not self._checked:
                return self._first(padded)[:n]
        compiled = self._compiled  # another thread may have given it up
        return (self._plain if compiled is None else compiled)(padded)[:n]

    def _first(self, padded: Tensor) -> Tensor:
        """Both ways; the compiled one must give the same vectors to be used from now on."""
        import torch

        expected = self._plain(padded)
        self._checked = True
        try:
            ours = self._compiled(padded) if self._compiled is not None else expected
        except torch.OutOfMemoryError:
            self._compiled = None
            raise
        except Exception:  # no compiler on this machine, or a model that it cannot take: slower, not wrong
            self._compiled = None
            return expected
        cosine = torch.nn.functional.cosine_similarity(ours.float(), expected.float()).min()
        if not float(cosine) >= _MIN_COSINE:
            self._compiled = None
        return expected


def _padded(pixels: Tensor, size: int) -> Tensor:
    import torch

    missing = (size - len(pixels), *pixels.shape[1:])
    return torch.cat([pixels, torch.zeros(missing, dtype=pixels.dtype, device=pixels.device)])
