"""What a GPU does: encoder alone, decoding alone, end to end, and whether its vectors are right.

    python benchmarks/gpu.py [--device cuda] [--pictures 200] [--seconds 5] [--model vit-b-32]

Random weights; speed does not depend on them. Prints the measured bf16 peak of the device (a large matrix
product), then for each model images/s of the encoder alone (uint8 pixels in memory to vectors in memory, two
threads as in an index run): as it is, compiled, and compiled with CUDA graphs, with its share of that peak;
the least cosine to the CPU's float32 vectors; `clipsearch index` end to end beside the lower of the two
ceilings, decoding alone and encoding alone; and decoding on the GPU (--gpu-decode) alone. open_clip's
transform, DataLoader and bf16 model run beside it where `.peers/open_clip` has a PyTorch for this GPU
(benchmarks/peers/install.sh). `--device cpu` tries the script itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import material
import numpy as np

from clipsearch import images
from clipsearch.encoder import Encoder, GpuJpegs
from clipsearch.errors import EncoderError
from clipsearch.settings import Settings
from indexer.loading import Loader, Work
from indexer.options import RunOptions
from indexer.pipeline import Pipeline
from indexer.probing import probed_batch
from indexer.run import run

ROOT = Path(__file__).resolve().parents[1]
MODELS: dict[str, dict[str, Any]] = {
    "vit-b-32": {"family": "clip", "size": 224, "patch": 32, "width": 768, "layers": 12, "heads": 12},
    "siglip2-b-32-256": {
        "family": "siglip",
        "size": 256,
        "patch": 32,
        "width": 768,
        "layers": 12,
        "heads": 12,
    },
    "vit-l-14": {"family": "clip", "size": 224, "patch": 14, "width": 1024, "layers": 24, "heads": 16},
}


def main() -> None:
    options = _options()
    print(f"{os.cpu_count()} cores, {_device_name(options.device)}", flush=True)
    peak = _peak_flops(options.device)
    print(f"measured peak of a matrix product: {peak / 1e12:.1f} TFLOP/s\n", flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        sets = material.make_pictures(Path(scratch) / "pictures", options.pictures)
        for name in options.model or MODELS:
            _measure(name, Path(scratch), sets, peak, options)
        _open_clip(sets, options)


def _measure(
    name: str, scratch: Path, sets: dict[str, Path], peak: float, options: argparse.Namespace
) -> None:
    facts = MODELS[name]
    folder = material.make_tower(scratch / name, **facts)
    flops = image_flops(**facts)
    cache = scratch / "cache"
    with Encoder.open(f"local-dir:{folder}", device=options.device, cache=cache) as encoder:
        batch = probed_batch(encoder) if encoder.device.name != "cpu" else 8
        print(f"{name}: {flops / 1e9:.2f} GFLOP a picture, {encoder.device.precision}, batch {batch}")
        alone = 0.0
        for mode, compile_options in _modes(encoder):
            if compile_options is not None:
                encoder._torch_model().fix_batch(batch, **compile_options)
            pace = _pace(encoder, batch, options.seconds)
            tower = encoder._torch_model()._pixel_tower if compile_options is not None else None
            used = "" if tower is None or tower.is_compiled else "  (could not be compiled: as it is)"
            print(
                f"  encoder alone, {mode:24} {pace:9,.0f} images/s  {pace * flops / peak:6.1%} of peak{used}"
            )
            alone = max(alone, pace)
        _check(encoder, folder, cache, sets["0.3mp"])
    for kind, pictures in sets.items():
        _end_to_end(kind, pictures, folder, cache, alone, scratch, options)


def _modes(encoder: Encoder) -> list[tuple[str, dict[str, Any] | None]]:
    modes: list[tuple[str, dict[str, Any] | None]] = [("as it is", None)]
    if encoder.device.name.startswith("cuda"):
        modes += [("compiled", {}), ("compiled, CUDA graphs", {"mode": "reduce-overhead"})]
    return modes


def _pace(encoder: Encoder, batch: int, seconds: float) -> float:
    """Images a second of two threads, each with batches of its own."""
    side = encoder.preprocessing
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (batch, side.height, side.width, 3), dtype=np.uint8) for _ in range(2)]
    for pixels in batches * 2:
        encoder.encode_pixels(pixels)
    end = time.perf_counter() + seconds

    def work(pixels: Any) -> int:
        n = 0
        while time.perf_counter() < end:
            encoder.encode_pixels(pixels)
            n += len(pixels)
        return n

    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        n = sum(pool.map(work, batches))
    return n / (time.perf_counter() - start)


def _check(encoder: Encoder, folder: Path, cache: Path, pictures: Path) -> None:
    some = sorted(pictures.glob("*.jpg"))[:64]
    with Encoder.open(f"local-dir:{folder}", device="cpu", cache=cache) as reference:
        cosines = (encoder.encode_images(some) * reference.encode_images(some)).sum(axis=1)
    verdict = "right" if cosines.min() >= 0.999 else "WRONG"
    print(f"  vectors: least cosine to the CPU's float32 {cosines.min():.5f}, {verdict} (0.999 wanted)")


def _end_to_end(
    kind: str, pictures: Path, folder: Path, cache: Path, alone: float, scratch: Path, options: Any
) -> None:
    originals = [path.read_bytes() for path in sorted(pictures.glob("*.jpg"))[:32]]
    decoding = _decoding(originals, folder, cache, options.seconds)
    on_gpu = _decoding_on_gpu(originals, folder, cache, options)
    ceiling = min(decoding, alone)
    n = int(ceiling * options.seconds) + 64
    seen: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory(dir=scratch) as data:
        done = run(
            material.Generated(originals, n),
            Settings(data=Path(data), cache=cache, device=options.device),
            RunOptions(model=f"local-dir:{folder}"),
            on_progress=lambda report: seen.append((time.perf_counter(), report.encoded)),
        )
    start, first = next((moment, encoded) for moment, encoded in seen if encoded)
    pace = (done.encoded - first) / max(seen[-1][0] - start, 1e-9)
    busy = " | ".join(f"{name} {share:.0%}" for name, share in done.busy.items())
    print(
        f"  end to end, {kind:6} {pace:9,.0f} images/s  {pace / ceiling:5.0%} of the lower ceiling "
        f"(decoding alone {decoding:,.0f}, encoding alone {alone:,.0f})  {busy}; "
        f"decoding on the GPU instead {on_gpu}",
        flush=True,
    )


def _decoding(originals: list[bytes], folder: Path, cache: Path, seconds: float) -> float:
    """Images a second of the decoding threads alone: the pipeline with an encoder that does nothing."""
    with Encoder.open(f"local-dir:{folder}", device="cpu", cache=cache) as encoder:
        loader, dim = Loader(encoder.preprocessing), encoder.dim
    nothing: Callable[[Any], Any] = lambda pixels: np.zeros((len(pixels), dim), np.float32)  # noqa: E731
    workers = max(1, len(os.sched_getaffinity(0)) - 1)
    pipeline = Pipeline(loader, [nothing], fused=False, batch_size=lambda: 256, workers=workers)
    start = time.perf_counter()
    work = (Work(file, str(i)) for i, file in enumerate(material.Generated(originals, 10**9).files()))
    late: Callable[[], bool] = lambda: time.perf_counter() - start > seconds  # noqa: E731
    n = sum(len(batch) for batch in pipeline.run(work, until=late))
    return n / (time.perf_counter() - start)


def _decoding_on_gpu(originals: list[bytes], folder: Path, cache: Path, options: Any) -> str:
    """Images a second of nvJPEG and the GPU's resize alone, two threads; or why there is no such figure."""
    jpegs = [jpeg for data in originals if (jpeg := images.plain_jpeg(data)) is not None]
    with Encoder.open(f"local-dir:{folder}", device="cpu", cache=cache) as encoder:
        try:
            gpu = GpuJpegs(encoder.preprocessing, options.device)
        except EncoderError as exc:
            return f"not measured ({exc})"
    jpegs = [jpeg for jpeg in jpegs if gpu.takes(jpeg)]
    if not jpegs or gpu.fitted(jpegs) is None:
        return "not used: too large for it, or other pictures than the CPU's"
    end = time.perf_counter() + options.seconds

    def work(_: int) -> int:
        n = 0
        while time.perf_counter() < end:
            gpu.fitted(jpegs)
            n += len(jpegs)
        return n

    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        n = sum(pool.map(work, range(2)))
    return f"{n / (time.perf_counter() - start):,.0f} images/s"


def _open_clip(sets: dict[str, Path], options: argparse.Namespace) -> None:
    python = ROOT / ".peers" / "open_clip" / "bin" / "python"
    if not python.exists():
        print("open_clip is not installed (benchmarks/peers/install.sh)")
        return
    script = ROOT / "benchmarks" / "peers" / "open_clip_gpu.py"
    for kind, pictures in sets.items():
        command = [str(python), str(script), str(pictures), options.device, str(options.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"open_clip failed: {done.stderr.strip().splitlines()[-1:]}")
            return
        facts = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            f"open_clip ViT-B-32, {kind:6}: encoder alone {facts['encoder']:,.0f} images/s, "
            f"end to end {facts['images_per_s']:,.0f} ({facts['version']})",
            flush=True,
        )


def image_flops(*, family: str, size: int, patch: int, width: int, layers: int, heads: int) -> float:
    """Floating-point operations of one picture as we compute it, two for a multiply-add.

    A layer: 4 T W^2 for queries, keys, values and output, 8 T W^2 for the MLP (4 W wide), 2 T^2 W for
    attention. CLIP's last layer makes queries, output and MLP for one token only.
    """
    patches = (size // patch) ** 2
    tokens = patches + (family == "clip")
    layer = 12 * tokens * width**2 + 2 * tokens**2 * width
    macs = patches * 3 * patch**2 * width + layers * layer
    if family == "clip":
        macs -= (tokens - 1) * 10 * width**2 + 2 * tokens * (tokens - 1) * width
    return 2.0 * macs


def _peak_flops(device: str) -> float:
    """Of a bf16 product of two square matrices (float32 on a CPU), the best of several."""
    import torch

    on_gpu = device != "cpu"
    n, kind = (8192, torch.bfloat16) if on_gpu else (2048, torch.float32)
    a, b = (torch.randn(n, n, device=device, dtype=kind) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        if on_gpu:
            torch.cuda.synchronize()
        start = time.perf_counter()
        a @ b
        if on_gpu:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2.0 * n**3 / best


def _device_name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else f"device {device}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--pictures", type=int, default=200, help="of 12 MP; 1.5 and 2 times as many smaller")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--model", action="append", choices=list(MODELS), help="this one only; may repeat")
    parser.add_argument("--folder", type=Path, default=None, help="where (default: the temporary one)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
