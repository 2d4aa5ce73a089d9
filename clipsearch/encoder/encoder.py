"""Encoder: pictures and texts -> unit vectors. Chooses the runtime for each; knows no weights itself.

A compiled tower runs in ONNX Runtime, and then neither torch nor transformers is imported.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from clipsearch.encoder.compiled import MANIFEST, CompiledFolder, TowerName, locked
from clipsearch.encoder.devices import Device, choose
from clipsearch.encoder.opened import OpenedTowers
from clipsearch.encoder.spec import canonical, read_spec
from clipsearch.encoder.tokens import TextTokenizer, tokenizer_sha256
from clipsearch.encoder.towers import BatchLimit, Vectors, unit
from clipsearch.errors import EncoderError
from clipsearch.images import load, normalise
from clipsearch.models import LOCAL_PREFIX, ModelFolder, resolve, weight_files, weights_sha256
from clipsearch.settings import Settings
from clipsearch.types import Embeddings, Fingerprint

if TYPE_CHECKING:
    from clipsearch.encoder.compiling import Reference
    from clipsearch.encoder.onnx_runtime import OnnxTower
    from clipsearch.encoder.torch_runtime import TorchModel
    from clipsearch.images import Source

_FEW = 8  # pictures a call, from which on loading torch for its speed can pay


class Encoder:
    """One model, ready to embed. Safe to use from several threads. Close it, or use it with `with`.

    device: where it runs, and at which precision; fingerprint: what makes its vectors comparable;
    preprocessing: what encode_pixels expects; logit_scale, logit_bias: the model's own calibration,
    logits = logit_scale * cosine + logit_bias.
    """

    def __init__(
        self, folder: ModelFolder, *, device: Device, cache: Path, exact: bool, threads: int | None
    ) -> None:
        """Use Encoder.open."""
        spec = read_spec(folder)
        self._folder, self._spec, self.device = folder, spec, device
        self.cache, self._exact, self._threads = cache, exact, threads
        self.dim, self.preprocessing = spec.dim, spec.preprocessing
        self.logit_scale, self.logit_bias = spec.logit_scale, spec.logit_bias
        self.fingerprint = Fingerprint(
            model=folder.name,
            revision=folder.revision,
            weights_sha256=weights_sha256(weight_files(folder.path), cache),
            preprocessing=canonical(spec.preprocessing),
            tokenizer_sha256=tokenizer_sha256(folder.path, spec, cache),
            dim=spec.dim,
            decode="exact" if exact else "scaled",
            precision=device.precision,
        )
        self._lock = threading.RLock()
        self._tokenizer: TextTokenizer | None = None
        self._torch: TorchModel | None = None
        sha = self.fingerprint.weights_sha256
        self._towers = OpenedTowers(folder.path, sha, cache, threads=threads)
        self._fits = {"picture": BatchLimit("picture"), "text": BatchLimit("text")}

    @classmethod
    def open(
        cls,
        name: str,
        *,
        device: str = "auto",
        cache: Path | None = None,
        exact: bool = False,
        precision: str | None = None,
        threads: int | None = None,
        download: bool = True,
    ) -> Self:
        """The encoder of a model by name (see clipsearch.models.resolve). Loads no weights yet.

        cache: where compiled towers are kept (default: the settings'). exact: full JPEG decode and
        float32 on every device. precision: fp32, bf16, fp16 or int8 (on a CPU, pictures only); None: the
        device's best. threads: of each runtime on the CPU; None: all cores.
        Raises ModelNotFound, ModelError, EncoderError (the device is not there, or not at that precision).
        """
        chosen = choose(device, exact=exact, precision=precision)
        folder = resolve(name, download=download)
        cache = cache or Settings.load().cache
        return cls(folder, device=chosen, cache=cache, exact=exact, threads=threads)

    def encode_images(self, images: Sequence[Source], *, batch_size: int = 32) -> Embeddings:
        """Embed pictures; row i belongs to images[i].

        images: paths, bytes, Pillow images or uint8 RGB arrays (H, W, 3). Returns float32 (N, D), rows
        of length 1; shape (0, D) for none. Raises ImageError for the first unusable picture, EncoderError.
        """
        parts = [np.empty((0, self.dim), np.float32)]
        for start in range(0, len(images), _positive(batch_size)):
            batch = [
                load(i, self.preprocessing, exact=self._exact)[0] for i in images[start : start + batch_size]
            ]
            parts.append(self.encode_pixels(np.stack(batch)))
        return np.concatenate(parts)

    def encode_pixels(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """Embed fitted pictures, uint8 (B, height, width, 3) as clipsearch.images.load gives them.

        Runs as one batch, or in halves where it does not fit in memory.
        """
        expected = (self.preprocessing.height, self.preprocessing.width, 3)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != expected:
            raise EncoderError(
                f"pixels must be uint8 of shape (B, {', '.join(map(str, expected))}), "
                f"got {pixels.dtype} {pixels.shape}; clipsearch.images.load makes them"
            )
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        return unit(self._fits["picture"].run(self._image_runner(len(pixels)), pixels), what="picture")

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 64) -> Embeddings:
        """Embed texts; row i belongs to texts[i]. Texts beyond the model's context are cut.

        Returns float32 (N, D), rows of length 1; shape (0, D) for none. An empty text has a vector too.
        """
        vectors = np.empty((len(texts), self.dim), np.float32)
        if not len(texts):
            return vectors
        tokenizer = self._text_tokenizer()
        tokens = tokenizer.tokens(texts)
        by_length = sorted(range(len(texts)), key=lambda i: len(tokens[i]))  # less padding to compute
        run = self._text_runner()
        for start in range(0, len(texts), _positive(batch_size)):
            rows = by_length[start : start + batch_size]
            ids = tokenizer.batch([tokens[i] for i in rows])
            vectors[rows] = self._fits["text"].run(run, ids)
        return unit(vectors, what="text")

    def relevance(
        self, pixels: NDArray[np.uint8], directions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], Embeddings]:
        """How much each patch moved picture i towards directions[i]; see clipsearch.encoder.attention."""
        from clipsearch.encoder.attention import relevance

        torch_model = self.reference().model if self.device.precision == "int8" else self._torch_model()
        values = normalise(pixels, self.preprocessing)
        maps, vectors = relevance(torch_model.model, self._spec, values, directions)
        return maps, unit(vectors, what="picture")

    @property
    def context(self) -> int:
        """How many tokens of a text are embedded, start and end tokens among them; the rest is cut."""
        return self._text_tokenizer().context

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has before it is cut: with start and end, without padding.

        Loads no weights. Raises EncoderError for a text that is not valid Unicode.
        """
        return self._text_tokenizer().counts(texts)

    def compile(self) -> None:
        """Make the compiled towers that are not there yet: text, and on a CPU also image (and its int8).

        Takes seconds to minutes once per model; a second process waits for the first. A tower that
        cannot be compiled faithfully stays in PyTorch. Raises EncoderError if the cache is not writable.
        """
        wanted: list[TowerName] = ["text", "image"] if self.device.is_cpu else ["text"]
        if self.device.precision == "int8":
            wanted.append("image-int8")
        if all(self._towers.is_settled(name) for name in wanted):
            return
        from clipsearch.encoder.compiling import compile_towers

        target = self._towers.cached_folder().folder
        with locked(target):
            folder = self._towers.cached_folder()
            missing = [name for name in wanted if not folder.is_settled(name)]
            if missing:
                compile_towers(target, missing, self.reference())
        with self._lock:
            self._towers.clear()
            if self.device.is_cpu:
                self._torch = None  # comes back by itself where it measured faster

    def prepare_for_many(self, batch_size: int) -> None:
        """Spend the better part of a minute on a GPU so that batches of this size take less; else nothing."""
        if self.device.name.startswith("cuda"):
            self._torch_model().fix_batch(batch_size)

    def reference(self) -> Reference:
        """The model in float32 on the CPU, to export from and to compare with. Not for embedding."""
        from clipsearch.encoder.compiling import Reference

        plain = Device("cpu", "fp32")
        return Reference(
            model=self._torch_model() if self.device == plain else self._load(plain),
            spec=self._spec,
            tokenizer=self._text_tokenizer(),
            weights_sha256=self.fingerprint.weights_sha256,
            threads=self._threads,
        )

    @property
    def largest_batch(self) -> int | None:
        """The largest batch of pictures that fits in memory, once one did not; None until then."""
        return self._fits["picture"].size

    def close(self) -> None:
        """Give the memory back. The encoder may be used again, and then loads again."""
        with self._lock:
            self._towers.clear()
            self._torch = None
            self._tokenizer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _text_runner(self) -> Callable[[NDArray[Any]], Vectors]:
        tower = self._towers.get("text")
        return tower.run if tower is not None else self._torch_model().text

    def _image_runner(self, n: int) -> Callable[[NDArray[Any]], Vectors]:
        """On the CPU the faster runtime; for a few pictures the compiled one unless torch is loaded."""
        if self.device.precision == "int8":
            run = self._int8_tower().run
            return lambda pixels: run(normalise(pixels, self.preprocessing))
        tower = self._towers.get("image") if self.device == Device("cpu", "fp32") else None
        if tower is None or (self._towers.prefers_torch and (n >= _FEW or self._torch is not None)):
            return self._torch_model().image
        run = tower.run
        return lambda pixels: run(normalise(pixels, self.preprocessing))

    def _int8_tower(self) -> OnnxTower:
        tower = self._towers.get("image-int8")
        if tower is None:
            self.compile()
            tower = self._towers.get("image-int8")
        if tower is None:
            raise EncoderError(
                f"{self.fingerprint.model} cannot be used at int8 ({self._towers.refusal('image-int8')}); "
                "leave --precision out"
            )
        return tower

    def _text_tokenizer(self) -> TextTokenizer:
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = TextTokenizer(self._folder.path, self._spec)
            return self._tokenizer

    def _torch_model(self) -> TorchModel:
        with self._lock:
            if self._torch is None:
                self._torch = self._load(self.device)
            return self._torch

    def _load(self, device: Device) -> TorchModel:
        from clipsearch.encoder.torch_runtime import TorchModel

        return TorchModel(self._folder.path, self._spec, device, threads=self._threads)


def _positive(batch_size: int) -> int:
    if batch_size < 1:
        raise EncoderError(f"batch_size must be 1 or more, not {batch_size}")
    return batch_size


def export_shipped(folder: Path) -> None:
    """Compile a model into its own folder, `<folder>/compiled/`, with weights stored as float16.

    For a model that is shipped so, and whose safetensors are float16 already. Raises EncoderError if
    a tower differs from PyTorch.
    """
    from clipsearch.encoder.compiling import compile_towers

    target = folder / "compiled"
    shutil.rmtree(target, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory() as cache,
        Encoder.open(f"{LOCAL_PREFIX}{folder}", device="cpu", cache=Path(cache)) as encoder,
    ):
        compile_towers(target, ["text", "image"], encoder.reference(), measure=False, half_weights=True)
        made = CompiledFolder(target, encoder.fingerprint.weights_sha256, Path(cache))
        refused = [name for name, entry in made.entries().items() if "refused" in entry]
    if refused:
        raise EncoderError(f"{' and '.join(refused)} of {folder} cannot be compiled; see {target / MANIFEST}")
