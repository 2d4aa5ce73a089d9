"""From files to vectors, in order and with bounded queues: read, decode, batch, encode. Knows no store.

On a CPU every thread decodes a few pictures and encodes them: one thread a core, nothing handed over, and
the model's own threads switched off. With a GPU, threads decode and the GPU's own thread encodes.
Measured on two cores: one thread a core doing both beat a decoding pool beside a two-thread model by
19-30 %.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from clipsearch.encoder import GpuJpegs
from clipsearch.errors import ImageError
from clipsearch.types import Embeddings, ImageFile
from indexer.loading import Claims, Loaded, Loader, Work, decoded, nobody, read
from indexer.stages import Meter, chunks, completed, ordered

Encode = Callable[[NDArray[np.uint8]], Embeddings]
"""Fitted pictures (B, height, width, 3) to unit vectors (B, D)."""

Had = tuple[Work, bytes | ImageError | None]  # with its bytes, or why they cannot be had; None: not read yet
READ, DECODE, ENCODE = "read", "decode", "encode"
_CHUNK = 8  # pictures a thread decodes in one go where a GPU encodes; handing over costs 30 us
_PER_GPU = 2  # threads a GPU: while one batch is computed the next is copied there


class Pipeline:
    """Loads and encodes. One encoder for every device; fused: threads decode and encode, as on a CPU."""

    def __init__(
        self,
        loader: Loader,
        encoders: Sequence[Encode],
        *,
        fused: bool,
        batch_size: Callable[[], int],
        workers: int,
        n_readers: int = 0,
        gpu_jpegs: GpuJpegs | None = None,
    ) -> None:
        """batch_size: pictures a call of an encoder, asked when there is one. workers: threads that decode.

        n_readers: threads that read ahead, where reading is slow. gpu_jpegs: decodes what it takes.
        """
        self._claims = Claims(loader.known)
        self._loader = replace(loader, known=nobody)
        self._gpu_jpegs = gpu_jpegs
        if gpu_jpegs is not None:
            self._loader = replace(self._loader, left=gpu_jpegs.takes)
        self._fused, self.batch_size = fused, batch_size
        self._workers, self._n_readers = workers, n_readers
        self.meter = Meter()
        self._free: SimpleQueue[Encode] = SimpleQueue()
        self._n_encoding = workers if fused else _PER_GPU * len(encoders)
        for i in range(self._n_encoding):
            self._free.put(encoders[i % len(encoders)])
        self.meter.stage(READ, n_readers)
        self.meter.stage(DECODE, workers)
        self.meter.stage(ENCODE, workers if fused else len(encoders))

    def run(
        self, work: Iterable[Work], *, until: Callable[[], bool] = lambda: False
    ) -> Generator[list[Loaded], None, None]:
        """Batches of what became of each picture, in the order in which they were read.

        Once `until` says so nothing is begun; what is under way still comes. Raises EncoderError.
        """
        with closing(self._fused_run(work, until) if self._fused else self._split_run(work, until)) as done:
            for batch in done:
                yield batch
                self._claims.settle(batch)  # the batch is written by now

    def load_one(self, file: ImageFile, id: str) -> Loaded:
        """One picture anew, whoever has the same content."""
        (loaded,) = self._encoded([self._loader.load(file, id)])
        return loaded

    # --- the two ways --------------------------------------------------------------------------------

    def _fused_run(
        self, work: Iterable[Work], until: Callable[[], bool]
    ) -> Generator[list[Loaded], None, None]:
        with closing(self._read_ahead(work)) as had, _threads(self._workers, "encode") as pool:
            todo = chunks(had, self.batch_size())
            look_ahead = 2 * self._workers  # a batch under way and one that waits, for each
            yield from ordered(pool, self._load_and_encode, todo, look_ahead=look_ahead, until=until)

    def _split_run(
        self, work: Iterable[Work], until: Callable[[], bool]
    ) -> Generator[list[Loaded], None, None]:
        with (
            closing(self._read_ahead(work)) as had,
            _threads(self._workers, "decode") as decoding,
            _threads(self._n_encoding, "encode") as encoding,
        ):
            first = list(islice(had, 1))
            if not first:
                return
            size = self.batch_size()
            todo = chunks(chain(first, had), min(_CHUNK, size))
            look_ahead = 2 * size // _CHUNK + 2 * self._workers
            with closing(ordered(decoding, self._loaded, todo, look_ahead=look_ahead, until=until)) as loaded:
                batches, look_ahead = _full(loaded, size), self._n_encoding + 1
                yield from ordered(encoding, self._encoded, batches, look_ahead=look_ahead)

    # --- the steps, in any thread --------------------------------------------------------------------

    def _read_ahead(self, work: Iterable[Work]) -> Generator[Had, None, None]:
        if not self._n_readers:
            yield from ((item, None) for item in work)
            return
        with _threads(self._n_readers, "read") as pool:
            yield from completed(pool, self._read_one, work, look_ahead=self._n_readers)

    def _read_one(self, item: Work) -> Had:
        if item.edited:
            return item, None
        try:
            with self.meter.busy(READ):
                return item, read(item.file)
        except ImageError as exc:
            return item, exc

    def _load_and_encode(self, items: Sequence[Had]) -> list[Loaded]:
        return self._encoded(self._loaded(items))

    def _loaded(self, items: Sequence[Had]) -> list[Loaded]:
        with self.meter.busy(DECODE):
            loaded = [
                Loaded(item.file, item.id, item.sha256, edited=True)
                if item.edited
                else self._claims.loader(self._loader, item.id).load(item.file, item.id, data)
                for item, data in items
            ]
        self._claims.settle([item for item in loaded if item.error is not None])
        return loaded

    def _encoded(self, batch: Sequence[Loaded]) -> list[Loaded]:
        """The batch with vectors in the place of pixels."""
        batch = self._decoded(batch)
        pixels = [item.pixels for item in batch if item.pixels is not None]
        if not pixels:
            return list(batch)
        encode = self._free.get()
        try:
            with self.meter.busy(ENCODE):
                vectors = iter(encode(np.stack(pixels)))  # (B, D)
        finally:
            self._free.put(encode)
        return [
            replace(item, vector=next(vectors), pixels=None) if item.pixels is not None else item
            for item in batch
        ]

    def _decoded(self, batch: Sequence[Loaded]) -> Sequence[Loaded]:
        """The batch with pixels in the place of JPEGs that were left for the GPU."""
        jpegs = [item.jpeg for item in batch if item.jpeg is not None]
        if self._gpu_jpegs is None or not jpegs:
            return batch
        with self.meter.busy(ENCODE):
            fitted = self._gpu_jpegs.fitted(jpegs)
        if fitted is None:
            with self.meter.busy(DECODE):
                return [decoded(item, self._loader) for item in batch]
        rows = iter(fitted)
        return [item if item.jpeg is None else replace(item, pixels=next(rows), jpeg=None) for item in batch]


def _full(loaded: Iterable[list[Loaded]], size: int) -> Iterator[list[Loaded]]:
    """Batches with `size` pictures to encode each, and what else came between."""
    batch: list[Loaded] = []
    n_pixels = 0
    for part in loaded:
        for item in part:
            batch.append(item)
            n_pixels += item.pixels is not None or item.jpeg is not None
            if n_pixels == size or len(batch) >= 4 * size:
                yield batch
                batch, n_pixels = [], 0
    if batch:
        yield batch


def _threads(n: int, name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n, thread_name_prefix=name)
