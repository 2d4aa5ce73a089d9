"""The encoders of a run and the pipeline around them: which devices, how many threads, what batch.

Knows neither sources nor collections; `index`, `encode` and `--plan` share it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clipsearch.encoder import Encoder, GpuJpegs, device_names
from clipsearch.errors import SettingsError
from clipsearch.settings import Settings
from clipsearch.types import Embeddings, Fingerprint
from indexer.loading import Loader, nobody
from indexer.options import RunOptions, precision_for
from indexer.pipeline import Pipeline
from indexer.probing import probed_batch

_MANY = 100_000  # pictures, from which on a minute of compiling for a GPU pays
CPU_BATCH = 8  # pictures: ViT-B/32 takes 46 ms a picture at 8, 64 at 1, and 47 at 16


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoder a device, all of one model. fused: the decoding threads encode, too."""

    encoders: Sequence[Encoder]
    fused: bool
    workers: int
    gpu_jpegs: GpuJpegs | None = None

    @classmethod
    def open(
        cls, options: RunOptions, settings: Settings, stack: ExitStack, *, made: Fingerprint | None = None
    ) -> Self:
        """Open the model on each of settings.device's devices; `stack` closes them. Loads no weights yet.

        made: what made the collection to be added to: its model, decoding and int8 are kept. Threads that
        decode are one a core if options do not say; beside GPUs one core is left to feed them.
        Raises ModelNotFound, ModelError, EncoderError, SettingsError.
        """
        cores, workers = _cores(), options.workers
        model = options.model or (made.model if made else settings.model)
        exact = made.decode == "exact" if made else options.exact
        precision = precision_for(options, made, settings.collection)
        devices = device_names(settings.device)
        encoders = [
            stack.enter_context(
                Encoder.open(
                    model,
                    device=device,
                    cache=settings.cache,
                    exact=exact,
                    precision=precision,
                    threads=max(1, cores // (workers or cores)),
                )
            )
            for device in devices
        ]
        first = encoders[0]
        fused = first.device.is_cpu
        if options.gpu_decode and exact:
            raise SettingsError("--exact wants the CPU's decoder for JPEGs; leave --gpu-decode out")
        jpegs = GpuJpegs(first.preprocessing, first.device.name) if options.gpu_decode else None
        return cls(encoders, fused, workers or (cores if fused else max(1, cores - 1)), jpegs)

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes the vectors."""
        return self.encoders[0].fingerprint

    def pipeline(
        self,
        *,
        batch_size: int | None,
        n_readers: int,
        n_expected: Callable[[], int] = lambda: 0,
        known: Callable[[str], str | None] = nobody,
        on_compile: Callable[[str], None] = lambda stage: None,
    ) -> Pipeline:
        """The pipeline. batch_size None: what suits the device, found out when the first batch comes.

        n_expected: pictures to come, asked with the first batch: a long run is prepared for. known: which
        record has a content already. on_compile: told what is done before the first batch.
        """
        first = self.encoders[0]
        loader = Loader(first.preprocessing, exact=first.fingerprint.decode == "exact", known=known)
        size = cache(lambda: batch_size or (CPU_BATCH if self.fused else probed_batch(first)))
        ready = _Compiled(self.encoders, on_compile, lambda: size() if n_expected() >= _MANY else None)
        return Pipeline(
            loader,
            [ready.before(encoder.encode_pixels) for encoder in self.encoders],
            fused=self.fused,
            batch_size=size,
            workers=self.workers,
            n_readers=n_readers,
            gpu_jpegs=self.gpu_jpegs,
        )


class _Compiled:
    """Makes the encoders ready before the first batch, whichever thread has that: never for nothing."""

    def __init__(
        self, encoders: Sequence[Encoder], tell: Callable[[str], None], many: Callable[[], int | None]
    ) -> None:
        """many: the batch size to prepare for, where the run is long enough; else None."""
        self._encoders, self._tell, self._many = encoders, tell, many
        self._lock = threading.Lock()
        self._done = False

    def before(
        self, encode: Callable[[NDArray[np.uint8]], Embeddings]
    ) -> Callable[[NDArray[np.uint8]], Embeddings]:
        """encode, once the model is compiled."""

        def ready(pixels: NDArray[np.uint8]) -> Embeddings:
            with self._lock:
                if not self._done:
                    self._make_ready()
                    self._done = True
            return encode(pixels)

        return ready

    def _make_ready(self) -> None:
        self._tell("compiling the model, once")
        self._encoders[0].compile()
        size = self._many()
        for encoder in self._encoders:
            if size is not None:
                encoder.prepare_for_many(size)
        self._tell("indexing")


def _cores() -> int:
    """Cores this process may use: a container's share, not the machine's."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
