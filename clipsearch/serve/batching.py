"""An Encoder whose concurrent calls are joined into batches. Knows no HTTP, and encodes nothing itself.

A call that comes while nothing is being encoded runs at once: a single client waits for nobody. Calls
that come meanwhile form the next batch.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from clipsearch import images
from clipsearch.types import Embeddings

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder
    from clipsearch.images import Source

_TEXTS, _PICTURES = 64, 16  # the largest batches; a picture of 384 x 384 pixels is 1.8 MB as float32
_REMEMBERED = 4096  # texts: 8 MB at 512 dimensions; the next page, or the same labels again
_LONGEST = 512  # characters of a remembered text

Item = TypeVar("Item")
OnBatch = Callable[[str, int], None]
"""Called with "text" or "image" and the number of them after each batch."""


class _Call(Generic[Item]):
    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.turn = threading.Event()  # done, or to lead the next batch
        self.rows: NDArray[np.float32] | None = None
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.rows is not None or self.error is not None


class Batcher(Generic[Item]):
    """One function from items to rows, of which one call runs at a time, for whoever waits."""

    def __init__(
        self,
        run: Callable[[list[Item]], NDArray[np.float32]],
        *,
        largest: int,
        on_batch: Callable[[int], None],
    ) -> None:
        """largest: items in a batch; a call of more runs alone."""
        self._run, self._largest, self._on_batch = run, largest, on_batch
        self._lock = threading.Lock()
        self._waiting: list[_Call[Item]] = []
        self._running = False

    def __call__(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """The rows of items; what run raises, for these items only."""
        call = _Call(items)
        with self._lock:
            self._waiting.append(call)
            leads, self._running = not self._running, True
        if not leads:
            call.turn.wait()
        if not call.done:
            self._lead()
        if call.error is not None:
            raise call.error
        assert call.rows is not None
        return call.rows

    def _lead(self) -> None:
        """Run the next batch, which this thread's call heads, and hand the lead on."""
        with self._lock:
            batch = [self._waiting.pop(0)]
            n = len(batch[0].items)
            while self._waiting and n + len(self._waiting[0].items) <= self._largest:
                batch.append(self._waiting.pop(0))
                n += len(batch[-1].items)
        self._on_batch(n)
        self._answer(batch)
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._running = following is not None
        for call in batch:
            call.turn.set()
        if following is not None:
            following.turn.set()

    def _answer(self, batch: Sequence[_Call[Item]]) -> None:
        try:
            rows = self._run([item for call in batch for item in call.items])
        except Exception as exc:
            if len(batch) == 1:
                batch[0].error = exc
                return
            for call in batch:  # one of them is at fault, and only that one is told
                self._answer([call])
            return
        start = 0
        for call in batch:
            call.rows = rows[start : start + len(call.items)]
            start += len(call.items)


class BatchingEncoder:
    """What a Searcher asks of an Encoder, for many threads at once."""

    def __init__(self, encoder: Encoder, *, uploads: Path, max_pixels: int, on_batch: OnBatch) -> None:
        """max_pixels: of a picture from somebody else, which comes as bytes or lies in the folder uploads."""
        self._encoder, self._uploads, self._max_pixels = encoder, uploads, max_pixels
        self._texts: Batcher[str] = Batcher(
            encoder.encode_texts, largest=_TEXTS, on_batch=lambda n: on_batch("text", n)
        )
        self._pictures: Batcher[NDArray[np.uint8]] = Batcher(
            lambda pictures: encoder.encode_pixels(np.stack(pictures)),
            largest=_PICTURES,
            on_batch=lambda n: on_batch("image", n),
        )
        self._lock = threading.Lock()
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def __getattr__(self, name: str) -> Any:
        """Everything else (fingerprint, dim, logit_scale, …) is the encoder's."""
        return getattr(self._encoder, name)

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = _TEXTS) -> Embeddings:
        """As Encoder.encode_texts."""
        rows = np.empty((len(texts), self._encoder.dim), np.float32)
        missing = [i for i, text in enumerate(texts) if not self._recall(text, rows[i])]
        if missing:
            rows[missing] = self._texts([texts[i] for i in missing])
            for i in missing:
                self._remember(texts[i], rows[i])
        return rows

    def encode_images(self, images_: Sequence[Source], *, batch_size: int = _PICTURES) -> Embeddings:
        """As Encoder.encode_images; each is decoded in the calling thread."""
        if not len(images_):
            return np.empty((0, self._encoder.dim), np.float32)
        return self._pictures([self._load(image) for image in images_])

    def encode_pixels(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """As Encoder.encode_pixels."""
        return self._pictures(list(pixels)) if len(pixels) else self._encoder.encode_pixels(pixels)

    def _load(self, source: Source) -> NDArray[np.uint8]:
        exact = self._encoder.fingerprint.decode == "exact"
        uploaded = isinstance(source, (str, Path)) and Path(source).is_relative_to(self._uploads)
        if not isinstance(source, bytes) and not uploaded:
            return images.load(source, self._encoder.preprocessing, exact=exact)[0]
        return images.load(
            source,
            self._encoder.preprocessing,
            exact=exact,
            max_pixels=self._max_pixels,
            name="the uploaded picture",
        )[0]

    def _recall(self, text: str, row: NDArray[np.float32]) -> bool:
        with self._lock:
            known = self._known.get(text)
            if known is None:
                return False
            self._known.move_to_end(text)
            row[:] = known
            return True

    def _remember(self, text: str, row: NDArray[np.float32]) -> None:
        if len(text) > _LONGEST:
            return
        with self._lock:
            self._known[text] = row.copy()
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
