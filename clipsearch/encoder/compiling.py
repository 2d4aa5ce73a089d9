"""Making compiled towers: export, compare with PyTorch, measure. Used by indexing, never by a query."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipsearch.encoder.compiled import TowerName, write_manifest
from clipsearch.encoder.export import export_tower
from clipsearch.encoder.int8 import quantise
from clipsearch.encoder.onnx_runtime import OnnxTower
from clipsearch.encoder.spec import ModelSpec
from clipsearch.encoder.tokens import TextTokenizer
from clipsearch.encoder.towers import Vectors, unit
from clipsearch.errors import EncoderError
from clipsearch.images import normalise
from clipsearch.models import file_sha256

if TYPE_CHECKING:
    from clipsearch.encoder.torch_runtime import TorchModel

MIN_COSINE = 0.9999  # to PyTorch's vectors; below, a compiled tower is thrown away
MIN_COSINE_INT8 = 0.99
_TEXTS = (
    "a photo of a cat",
    "brass hex bolt M8 x 40",
    "",
    "真鍮製の六角ボルト",
    "Two people walking on a beach at sunset, seen from far above!",
    "12-34/AB.7",
    "café №5 — Straße",
    "ネコ " * 40,
    "x",
    "a very long caption " * 30,
)
_TORCH_COSTS = 1.1  # it must gain a tenth: importing it and transformers takes seconds of every run
_N_PICTURES, _MEASURED_BATCH, _LONG_S = 8, 16, 1.0


@dataclass(frozen=True, slots=True)
class Reference:
    """The model to compile, float32 on the CPU, and what feeds it."""

    model: TorchModel
    spec: ModelSpec
    tokenizer: TextTokenizer
    weights_sha256: str
    threads: int | None = None


def compile_towers(
    target: Path,
    towers: Sequence[TowerName],
    reference: Reference,
    *,
    measure: bool = True,
    half_weights: bool = False,
) -> None:
    """Make towers in `target` beside those there, checked against the reference.

    A tower that cannot be exported or differs from PyTorch is recorded as refused, with the reason.
    The caller holds the folder's lock. Raises EncoderError if the disk cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".draft-") as draft:
            made = {
                name: _make(Path(draft), name, reference, target, measure=measure, half_weights=half_weights)
                for name in towers
            }
            for path in Path(draft).iterdir():
                path.replace(target / path.name)
        write_manifest(target, made, reference.weights_sha256)
    except OSError as exc:
        raise EncoderError(
            f"the compiled model cannot be written to {target} ({exc.strerror or exc}); "
            "free some space there, or set CLIPSEARCH_CACHE to another folder"
        ) from exc


def _make(
    draft: Path, name: TowerName, reference: Reference, kept: Path, *, measure: bool, half_weights: bool
) -> dict[str, Any]:
    """Export one tower into `draft`; its manifest entry. kept: where those are that were made before."""
    path = draft / f"{name}.onnx"
    least = MIN_COSINE_INT8 if name == "image-int8" else MIN_COSINE
    try:
        if name == "image-int8":
            quantise(next(p for p in (draft / "image.onnx", kept / "image.onnx") if p.is_file()), path)
        else:
            export_tower(reference.model.model, name, reference.spec, path, half_weights=half_weights)
        tower = OnnxTower(path, threads=reference.threads)
        cosine = _agreement(name, tower, reference)
    except OSError:
        raise
    except Exception as exc:  # the exporter raises anything; without a compiled tower torch still serves
        return _refused(path, f"{type(exc).__name__}: {(str(exc) or 'no message').splitlines()[0][:300]}")
    if not cosine >= least:
        return _refused(path, f"cosine {cosine:.6f} to PyTorch, below {least}")
    entry: dict[str, Any] = {"cosine": round(cosine, 8), "files": _files(path)}
    if name == "image" and measure:
        entry |= _measured(tower, reference)
    return entry


def _agreement(name: TowerName, tower: OnnxTower, reference: Reference) -> float:
    """The least cosine between the two runtimes' vectors over ten texts, or eight pictures and one alone."""
    model, spec, tokenizer = reference.model, reference.spec, reference.tokenizer
    if name == "text":
        tokens = tokenizer.tokens(_TEXTS)
        batches: list[NDArray[Any]] = [tokenizer.batch(tokens)] + [tokenizer.batch([t]) for t in tokens[:2]]
        pairs = [(tower.run(ids), model.text(ids)) for ids in batches]
    else:
        pixels = normalise(_pictures(spec, _N_PICTURES), spec.preprocessing)
        pairs = [(tower.run(part), model.plain(part)) for part in (pixels, pixels[:1])]
    return min(_least_cosine(ours, theirs) for ours, theirs in pairs)


def _least_cosine(ours: Vectors, theirs: Vectors) -> float:
    products = unit(ours, what="vector") * unit(theirs, what="vector")
    return float(products.sum(axis=1, dtype=np.float64).min())


def _pictures(spec: ModelSpec, n: int) -> NDArray[np.uint8]:
    """n deterministic pictures (n, H, W, 3): blocks of colour of many sizes, which move every patch."""
    rng = np.random.default_rng(7)
    height, width = spec.preprocessing.height, spec.preprocessing.width
    result = np.empty((n, height, width, 3), np.uint8)
    for picture in result:
        block = 2 ** int(rng.integers(0, 6))
        cells = rng.integers(0, 256, (-(-height // block), -(-width // block), 3), dtype=np.uint8)
        picture[:] = cells.repeat(block, 0).repeat(block, 1)[:height, :width]
    return result


def _measured(tower: OnnxTower, reference: Reference) -> dict[str, Any]:
    """Seconds a batch of each runtime here, and the faster one; a slow model is timed on one picture."""
    model, spec = reference.model, reference.spec
    pixels = normalise(_pictures(spec, _MEASURED_BATCH), spec.preprocessing)
    if _seconds(lambda: tower.run(pixels[:1]), repeats=1) > _LONG_S:
        pixels = pixels[:1]
    seconds = {
        "onnx": _seconds(lambda: tower.run(pixels), repeats=3),
        "torch": _seconds(lambda: model.normalised(pixels), repeats=3),
    }
    rounded = {k: round(v, 6) for k, v in seconds.items()}
    faster = "torch" if seconds["torch"] * _TORCH_COSTS < seconds["onnx"] else "onnx"
    return {"faster": faster, "seconds": rounded, "batch": len(pixels)}


def _seconds(run: Callable[[], object], *, repeats: int) -> float:
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _files(path: Path) -> dict[str, Any]:
    paths = (path, path.with_name(f"{path.name}.data"))
    return {p.name: {"bytes": p.stat().st_size, "sha256": file_sha256(p)} for p in paths if p.is_file()}


def _refused(path: Path, reason: str) -> dict[str, Any]:
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()
    return {"refused": reason}
