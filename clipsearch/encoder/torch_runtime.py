"""Towers in PyTorch, from transformers' own classes. The only module here that loads weights into torch."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsearch.encoder.devices import Device
from clipsearch.encoder.fixed_batch import FixedBatch, Tower
from clipsearch.encoder.pooled import image_tower, pixel_tower, plain_features
from clipsearch.encoder.spec import ModelSpec
from clipsearch.encoder.towers import TowerOutOfMemory, Vectors
from clipsearch.errors import EncoderError, ModelError

_HARMLESS = ("position_ids",)  # buffers that old checkpoints store and new classes compute, or the reverse


class TorchModel:
    """Both towers of a CLIPModel or SiglipModel on one device. Safe to call from several threads."""

    def __init__(self, folder: Path, spec: ModelSpec, device: Device, *, threads: int | None = None) -> None:
        """Raises ModelError if the weights do not fill the architecture, EncoderError if they don't fit."""
        import torch

        if threads is not None and device.is_cpu:
            torch.set_num_threads(threads)
        self._device = torch.device(device.name)
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[device.precision]
        self._preprocessing = spec.preprocessing
        self._of_thread = threading.local()
        model = load_model(folder, spec, self._dtype)
        try:
            self.model = model.to(self._device)
            self._image_tower = image_tower(self.model, spec)
            self._plain_pixel_tower = pixel_tower(self._image_tower, spec.preprocessing, self._dtype).to(
                self._device
            )
        except RuntimeError as exc:  # torch.OutOfMemoryError is one
            raise EncoderError(
                f"the model in {folder} does not fit on {device.name} ({str(exc).splitlines()[0]}); "
                "choose a smaller one (clipsearch models), or --device cpu"
            ) from exc
        self._pixel_tower: Tower = self._plain_pixel_tower

    def text(self, ids: NDArray[np.int64]) -> Vectors:
        """Token ids (B, L) -> vectors (B, D)."""
        import torch

        with _translated(), torch.inference_mode():
            batch = torch.from_numpy(ids).to(self._device)
            return _array(self.model.get_text_features(input_ids=batch))

    def image(self, pixels: NDArray[np.uint8]) -> Vectors:
        """Fitted pictures uint8 (B, H, W, 3) -> vectors (B, D).

        To a GPU go the bytes, from pinned memory and in a stream of the calling thread's own: with two
        threads, one batch is copied while the other is computed.
        """
        import torch

        if self._device.type == "cpu":
            from clipsearch.images import normalise

            return self.normalised(normalise(pixels, self._preprocessing))
        with _translated(), torch.inference_mode(), self._own_stream():
            batch = torch.from_numpy(np.ascontiguousarray(pixels))
            if self._device.type == "cuda":
                batch = batch.pin_memory()
            return _array(self._pixel_tower(batch.to(self._device, non_blocking=True)))

    def fix_batch(self, size: int, **compile_options: Any) -> None:
        """From now on compile the image tower for batches of this size; see FixedBatch."""
        self._pixel_tower = FixedBatch(self._plain_pixel_tower, size, **compile_options)

    def _own_stream(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        if self._device.type != "cuda":
            return contextlib.nullcontext()
        if not hasattr(self._of_thread, "stream"):
            make: Any = torch.cuda.Stream
            self._of_thread.stream = make(self._device)
        return torch.cuda.stream(self._of_thread.stream)

    def normalised(self, pixels: NDArray[np.float32]) -> Vectors:
        """Normalised pixels (B, 3, H, W) -> vectors (B, D)."""
        import torch

        with _translated(), torch.inference_mode():
            batch = torch.from_numpy(pixels).to(self._device, self._dtype)
            return _array(self._image_tower(batch))

    def plain(self, pixels: NDArray[np.float32]) -> Vectors:
        """As normalised, in transformers' own way: what every other way is compared with."""
        import torch

        with _translated(), torch.inference_mode():
            batch = torch.from_numpy(pixels).to(self._device, self._dtype)
            return _array(plain_features(self.model, batch))


def load_model(folder: Path, spec: ModelSpec, dtype: Any) -> Any:
    """transformers' model with every weight filled from the folder's safetensors, ready to infer.

    Raises ModelError if any weight is absent: transformers would fill it at random.
    """
    from transformers import CLIPModel, SiglipModel

    kind = CLIPModel if spec.family == "clip" else SiglipModel
    try:
        with _quiet():
            model, report = kind.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation="sdpa",
                dtype=dtype,
                output_loading_info=True,
            )
    except Exception as exc:  # transformers, safetensors and torch raise a dozen kinds
        raise ModelError(f"the weights in {folder} cannot be loaded ({exc}); fetch the model again") from exc
    absent = [k for k in report["missing_keys"] if not k.endswith(_HARMLESS)] + list(
        report["mismatched_keys"]
    )
    if absent:
        raise ModelError(
            f"the weights in {folder} lack {len(absent)} tensors of the architecture "
            f"(the first: {absent[0]}); fetch the model again"
        )
    return model.eval()


def _array(output: Any) -> Vectors:
    pooled = getattr(output, "pooler_output", output)  # transformers 5 returns an object, 4 a tensor
    vectors: Vectors = pooled.float().cpu().numpy()
    return vectors


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    import torch

    try:
        yield
    except torch.OutOfMemoryError as exc:
        torch.cuda.empty_cache()
        raise TowerOutOfMemory(str(exc).splitlines()[0]) from exc
    except RuntimeError as exc:
        text = str(exc)
        if "not enough memory" in text or "out of memory" in text.lower():  # the CPU's and MPS's wording
            raise TowerOutOfMemory(text.splitlines()[0]) from exc
        raise EncoderError(f"PyTorch failed on this batch: {text.splitlines()[0]}") from exc


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and advice on stderr."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
