"""Ordinary JPEGs decoded and fitted on an NVIDIA GPU, by nvJPEG through torchvision. Only where asked for.

It pays for small pictures beside few cores (published: 7,830 of 551 x 676 a second on an A100); large ones
are quicker on a CPU, which decodes them at a reduced scale. benchmarks/gpu.py measures both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsearch import images
from clipsearch.errors import EncoderError
from clipsearch.images import PlainJpeg
from clipsearch.types import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

Decode = Callable[[list[Any]], list[Any]]
"""JPEG files as uint8 tensors (bytes,) to RGB tensors (3, H, W) uint8 on the device."""
MAX_PIXELS = 4_000_000
_CHECKED = 8  # pictures compared with the CPU's before the GPU is trusted
_MAX_DIFFERENCE = 4.0  # of 255, on average; decoders and resizers differ by one or two
_MODES = {"bicubic": "bicubic", "bilinear": "bilinear"}


class GpuJpegs:
    """Decodes batches on one GPU; safe to call from several threads."""

    def __init__(self, preprocessing: Preprocessing, device: str, *, decode: Decode | None = None) -> None:
        """decode: torchvision's, if not given. Raises EncoderError where that is not there."""
        self._preprocessing, self._device = preprocessing, device
        self._decode = decode or _torchvision(device)
        self._lock = threading.Lock()
        self._trusted: bool | None = None  # None: not compared yet

    def takes(self, jpeg: PlainJpeg) -> bool:
        """Whether the picture is for the GPU: small, and resized in a way that both do alike."""
        wanted = self._preprocessing
        if self._trusted is False or jpeg.width * jpeg.height > MAX_PIXELS or wanted.resample not in _MODES:
            return False
        width, height = images.resized_size(jpeg.width, jpeg.height, wanted)
        return wanted.width <= width <= 4 * wanted.width and wanted.height <= height <= 4 * wanted.height

    def fitted(self, jpegs: Sequence[PlainJpeg]) -> NDArray[np.uint8] | None:
        """The pictures fitted to the model, (N, height, width, 3); None where the CPU has to do these."""
        import torch

        if self._trusted is False:
            return None
        try:
            with torch.inference_mode():
                files = [torch.frombuffer(bytearray(jpeg.data), dtype=torch.uint8) for jpeg in jpegs]
                decoded = self._decode(files)
                rows = [self._fit(pixels, jpeg) for pixels, jpeg in zip(decoded, jpegs, strict=True)]
                pixels: NDArray[np.uint8] = torch.stack(rows).cpu().numpy()
        except (RuntimeError, ValueError):  # one damaged file fails all; the CPU tells which, and why
            return None
        return pixels if self._is_trusted(jpegs, pixels) else None

    def _fit(self, pixels: Tensor, jpeg: PlainJpeg) -> Tensor:
        """(3, H, W) as decoded -> (height, width, 3), as clipsearch.images.fit."""
        from torch.nn.functional import interpolate

        wanted = self._preprocessing
        width, height = images.resized_size(jpeg.width, jpeg.height, wanted)
        upright = _turned(pixels.to(self._device), jpeg.orientation)
        if upright.shape[1:] != (jpeg.height, jpeg.width):
            raise ValueError(f"decoded to {tuple(upright.shape)}, not {jpeg.height} x {jpeg.width}")
        resized = interpolate(
            upright[None].float(), (height, width), mode=_MODES[wanted.resample], antialias=True
        )
        top, left = (height - wanted.height) // 2, (width - wanted.width) // 2
        part = resized[0, :, top : top + wanted.height, left : left + wanted.width]
        return part.clamp(0, 255).round().byte().permute(1, 2, 0)

    def _is_trusted(self, jpegs: Sequence[PlainJpeg], pixels: NDArray[np.uint8]) -> bool:
        with self._lock:
            if self._trusted is None:
                ours = pixels[:_CHECKED].astype(np.int16)
                theirs = [images.load(jpeg.data, self._preprocessing)[0] for jpeg in jpegs[:_CHECKED]]
                difference = np.abs(ours - np.stack(theirs)).mean(axis=(1, 2, 3)).max()
                self._trusted = bool(difference <= _MAX_DIFFERENCE)
        return self._trusted


def _turned(pixels: Tensor, orientation: int) -> Tensor:
    """(3, H, W) upright, for an EXIF orientation of 1 to 8."""
    if orientation >= 5:  # 5 to 8 are 1 to 4 of the transposed picture
        pixels, orientation = pixels.transpose(1, 2), orientation - 4
    axes = ([1] if orientation in (3, 4) else []) + ([2] if orientation in (2, 3) else [])
    return pixels.flip(axes) if axes else pixels


def _torchvision(device: str) -> Decode:
    if not device.startswith("cuda"):
        raise EncoderError(f"--gpu-decode needs an NVIDIA GPU, and the model runs on {device}; leave it out")
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except (ImportError, OSError, RuntimeError) as exc:  # beside another PyTorch it fails in all three ways
        raise EncoderError(
            f"--gpu-decode needs torchvision with nvJPEG, of this PyTorch's version ({exc}); "
            "install it, or leave the option out"
        ) from exc

    def decode(files: list[Any]) -> list[Any]:
        decoded: list[Any] = decode_jpeg(files, mode=ImageReadMode.RGB, device=device)
        return decoded

    return decode
