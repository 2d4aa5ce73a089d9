"""Time decode and fit per picture: this library's scaled and exact paths against Pillow's full path.

    python benchmarks/images.py [--seconds 15] [--size 224] [--threads 1]

Prints a small table for generated JPEGs of 12, 2 and 0.3 megapixels. "Pillow" is what a program does
without this package: open, turn upright, convert, resize bicubic, centre-crop. CPU milliseconds of the
whole process per picture, the least of the rounds, so a busy machine disturbs little.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from clipsearch import images
from clipsearch.types import Preprocessing

SIZES = {"12 MP": (4000, 3000), "2 MP": (1600, 1200), "0.3 MP": (640, 480)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15, help="time for the whole table")
    parser.add_argument("--size", type=int, default=224, help="the model's input in pixels")
    parser.add_argument("--threads", type=int, default=1, help="threads that decode at once")
    options = parser.parse_args()
    size = options.size
    wanted = Preprocessing(size, size, size, True, "bicubic", (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
    paths: dict[str, Callable[[bytes], NDArray[np.uint8]]] = {
        "Pillow": partial(pillow, size=size),
        "exact": lambda data: images.load(data, wanted, exact=True)[0],
        "scaled": lambda data: images.load(data, wanted)[0],
    }
    print(
        f"{'JPEG':8}{'bytes':>10}"
        + "".join(f"{name:>12}" for name in paths)
        + "   scaled is   PSNR to Pillow"
    )
    for label, (width, height) in SIZES.items():
        data = jpeg(width, height)
        seconds = options.seconds / len(SIZES) / len(paths)
        ms = {name: cost_ms(path, data, seconds, options.threads) for name, path in paths.items()}
        alike = psnr(paths["scaled"](data), paths["Pillow"](data))
        cells = "".join(f"{value:9.1f} ms" for value in ms.values())
        print(f"{label:8}{len(data):10,}{cells}{ms['Pillow'] / ms['scaled']:9.1f} x {alike:13.1f} dB")


def pillow(data: bytes, *, size: int) -> NDArray[np.uint8]:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    short, long = sorted(image.size)
    longer = int(size * long / short)
    resized = image.resize(
        (size, longer) if image.width <= image.height else (longer, size), Image.Resampling.BICUBIC
    )
    left, top = (resized.width - size) // 2, (resized.height - size) // 2
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def cost_ms(path: Callable[[bytes], NDArray[np.uint8]], data: bytes, seconds: float, threads: int) -> float:
    """CPU milliseconds a picture: the least of as many rounds as fit, after one to warm up.

    A round is long enough for the clock of the process, which ticks coarsely on some machines.
    """
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(path, [data] * threads))
        best, end = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < end:
            start, round_end, n = time.process_time(), time.perf_counter() + 0.25, 0
            while time.perf_counter() < round_end:
                list(pool.map(path, [data] * threads))
                n += threads
            best = min(best, (time.process_time() - start) / n)
    return best * 1000


def jpeg(width: int, height: int, *, seed: int = 0) -> bytes:
    """A picture with gradients, edges and sensor noise, so that its file is about a camera's size."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 100, width // 100, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    y, x = np.mgrid[:height, :width]
    edges = 40.0 * ((x // (width // 9) + y // (height // 7)) % 2)
    noisy = smooth + edges[:, :, None] + rng.normal(0, 4, (height, width, 1))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 99.9 if error == 0 else 10 * float(np.log10(255**2 / error))


if __name__ == "__main__":
    main()
