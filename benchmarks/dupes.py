"""How well duplicates are told, and what that takes.

    python benchmarks/dupes.py pictures ../shared/data/diy_catalogue/images    (about 1 min)
    python benchmarks/dupes.py demo                        (two views of each part are no duplicates)
    python benchmarks/dupes.py orientations ../shared/data/torture/exif_orientation
    python benchmarks/dupes.py size [--points 100000] [--graph] [--folder /dev/shm]

pictures: every picture is saved again in each of the ways listed, and for each way the whole
`find_duplicates` runs on originals and copies together, with the starter model's vectors in an embedded
collection. recall: copies put with their original. precision: members that are copies of what they are put
with. "by vectors alone": the same where no picture can be read. scene: the same at that level, where
"a burst" is the same picture turned by 2 degrees, shifted by a twentieth and 8 % brighter.
size: random unit vectors of 512 dimensions in the embedded engine, with planted copies of cosine .93 to .9999
and of equal bytes; a process of its own. No picture can be read, so "picture" asks for all but equal vectors.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from clipsearch import store
from clipsearch.duplicates import Level, find_duplicates, finding
from clipsearch.encoder import Encoder
from clipsearch.images import decode
from clipsearch.settings import Settings
from clipsearch.types import CollectionSpec, Fingerprint, Point

Saved = Callable[[Image.Image], bytes]
DIM = 512
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.what == "pictures":
        _pictures(sorted(options.images.glob("*.jpg")))
    elif options.what == "demo":
        _demo()
    elif options.what == "orientations":
        _orientations(sorted(options.images.glob("*.jpg")))
    elif options.inner:
        _size(options.points, options.graph, options.folder)
    else:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--inner"], check=True)


# --- pictures ------------------------------------------------------------------------------------


def ways() -> dict[str, Saved]:
    """How a picture is saved again, and what is another picture all the same."""

    def smaller(scale: float, quality: int) -> Saved:
        return lambda im: _jpeg(_resized(im, scale), quality)

    def cropped(share: float) -> Saved:
        return lambda im: _jpeg(_cropped(im, share))

    return {
        **{f"JPEG {quality}": (lambda im, q=quality: _jpeg(im, q)) for quality in (95, 75, 50, 30)},  # type: ignore[misc]
        "PNG": _png,
        **{f"{scale} of the size, JPEG 85": smaller(scale, 85) for scale in (0.7, 0.5, 0.3)},
        "0.3 of the size, JPEG 30": smaller(0.3, 30),
        "twice the size": smaller(2.0, 85),
        **{f"{share:.0%} cropped from each side": cropped(share) for share in (0.01, 0.03, 0.05)},
        "5 % cropped from two sides": lambda im: _jpeg(
            im.crop((im.width // 20, im.height // 20, im.width, im.height))
        ),
        "15 % darker": lambda im: _jpeg(ImageEnhance.Brightness(im).enhance(0.85)),
        "10 % brighter": lambda im: _jpeg(ImageEnhance.Brightness(im).enhance(1.1)),
        "20 % more contrast": lambda im: _jpeg(ImageEnhance.Contrast(im).enhance(1.2)),
    }


def others() -> dict[str, Saved]:
    """What is another picture, made of the same one."""
    return {
        "mirrored": lambda im: _jpeg(im.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "without colour": lambda im: _jpeg(im.convert("L").convert("RGB")),
        "15 % cropped from each side": lambda im: _jpeg(_cropped(im, 0.15)),
        "a spot of 10 % of the width": lambda im: _jpeg(_spotted(im, 0.1)),
        "a spot of 3 % of the width": lambda im: _jpeg(_spotted(im, 0.03)),
        "a burst": _burst,
    }


def _pictures(files: Sequence[Path]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(data=folder / "data", cache=folder / "cache")
        with Encoder.open("starter", device="cpu", cache=settings.cache) as encoder:
            originals = encoder.encode_images(files)
            print(f"{len(files)} pictures, starter model; found among themselves:", end=" ")
            alone = _members(settings, encoder, dict(zip(map(str, files), originals, strict=True)), "picture")
            print(f"{len(alone)} pairs")
            heads, both = ("picture", "by vectors alone", "scene"), "recall  precision"
            print(f"{'':32} " + " ".join(f"{head:>17}" for head in heads))
            print(f"{'saved again':32} " + " ".join([both] * 3))
            for title, table in (("", ways()), ("not the same picture", others())):
                if title:
                    print(title)
                for how, save in table.items():
                    _way(settings, encoder, files, originals, how, save, folder)


def _way(
    settings: Settings,
    encoder: Encoder,
    files: Sequence[Path],
    originals: np.ndarray,
    how: str,
    save: Saved,
    folder: Path,
) -> None:
    copies = []
    for file in files:
        copies.append(folder / f"{file.stem}.copy")
        copies[-1].write_bytes(save(Image.fromarray(decode(file).pixels)))
    vectors = dict(zip(map(str, files), originals, strict=True))
    vectors |= dict(zip(map(str, copies), encoder.encode_images(copies), strict=True))
    cells = []
    levels: tuple[tuple[Level, bool], ...] = (("picture", True), ("picture", False), ("scene", True))
    for level, readable in levels:
        pairs = _members(settings, encoder, vectors, level, readable=readable)
        right = sum(Path(a).stem == Path(b).stem for a, b in pairs)
        cells.append(f"{right / len(files):6.3f}  {right / len(pairs) if pairs else float('nan'):9.3f}")
    print(f"{how:32} " + " ".join(f"{cell:>17}" for cell in cells), flush=True)


def _members(
    settings: Settings,
    encoder: Encoder,
    vectors: dict[str, np.ndarray],
    level: Level,
    *,
    readable: bool = True,
) -> list[tuple[str, str]]:
    """(kept, other) of every group found among these pictures."""
    spec = CollectionSpec(encoder.fingerprint)
    with store.create("t", spec, settings) as opened:
        opened.upsert([_point(path, vector) for path, vector in vectors.items()])
        read = None if readable else lambda _path: None
        found = find_duplicates(opened, level=level, read=read)
        pairs = [(group.keep.path, member.record.path) for group in found for member in group.others]
    store.delete_collection("t", settings)
    return pairs


def _point(path: str, vector: np.ndarray, sha256: str | None = None) -> Point:
    payload = {"_key": path, "_path": path, "_sha256": sha256, "_width": 512, "_height": 512}
    return Point(str(uuid.uuid5(uuid.NAMESPACE_URL, path)), {"image": vector}, payload)


def _demo() -> None:
    import csv

    folder = ROOT / "clipsearch" / "demo" / "data"
    with (folder / "parts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    part_of = {str(folder / row[column]): row["part_no"] for row in rows for column in ("image", "image_2")}
    columns = ("image", "image_2")
    kind_of = {str(folder / row[c]): (row["shape"], row["finish"]) for row in rows for c in columns}
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(data=Path(name) / "data", cache=Path(name) / "cache")
        with Encoder.open("starter", device="cpu", cache=settings.cache) as encoder:
            vectors = dict(zip(part_of, encoder.encode_images(list(part_of)), strict=True))
            for level in ("picture", "scene"):
                pairs = _members(settings, encoder, vectors, level)  # type: ignore[arg-type]
                same = sum(part_of[a] == part_of[b] for a, b in pairs)
                kind = sum(kind_of[a] == kind_of[b] for a, b in pairs)
                print(
                    f"demo, {len(rows)} parts of two views, {level}: {len(pairs)} pairs put together, "
                    f"{same} of one part, {kind} of one shape and finish"
                )


def _orientations(files: Sequence[Path]) -> None:
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(data=Path(name) / "data", cache=Path(name) / "cache")
        with Encoder.open("starter", device="cpu", cache=settings.cache) as encoder:
            vectors = dict(zip(map(str, files), encoder.encode_images(files), strict=True))
            pairs = _members(settings, encoder, vectors, "picture")
    scene_of = {str(file): file.stem.partition("_")[0] for file in files}
    right = sum(scene_of[a] == scene_of[b] for a, b in pairs)
    wanted = len(files) - len(set(scene_of.values()))
    print(f"{len(files)} pictures of {len(set(scene_of.values()))} scenes in every orientation: ", end="")
    print(f"{right} of {wanted} put with theirs, {len(pairs) - right} with another")


def _jpeg(image: Image.Image, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _resized(image: Image.Image, scale: float) -> Image.Image:
    return image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.LANCZOS)


def _cropped(image: Image.Image, share: float) -> Image.Image:
    across, down = image.width * share, image.height * share
    return image.crop((int(across), int(down), int(image.width - across), int(image.height - down)))


def _spotted(image: Image.Image, share: float) -> Image.Image:
    left, top, side = image.width // 3, image.height // 3, int(image.width * share)
    spotted = image.copy()
    spotted.paste((120, 40, 40), (left, top, left + side, top + side))
    return spotted


def _burst(image: Image.Image) -> bytes:
    turned = image.rotate(2, Image.Resampling.BICUBIC)
    shift = image.width // 20
    part = turned.crop((shift + 10, 10, image.width - 10, image.height - 10 - shift))
    return _jpeg(ImageEnhance.Brightness(part).enhance(1.08))


# --- size ----------------------------------------------------------------------------------------


def _size(n: int, graph: bool, folder: Path | None) -> None:
    n_planted, n_bytes = n // 100, n // 200
    with tempfile.TemporaryDirectory(dir=folder) as name:
        settings = Settings(data=Path(name) / "data", cache=Path(name))
        spec = CollectionSpec(Fingerprint("random", "", "", "", "", DIM))
        began = time.perf_counter()
        with store.create("big", spec, settings) as opened:
            planted = _fill(opened, n - n_planted - n_bytes, n_planted, n_bytes)
            if graph:
                opened._open.graph_above = 1  # type: ignore[attr-defined]
                opened.optimize()
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {n:,} points of {DIM} dims")
        print(f"made in {time.perf_counter() - began:.0f} s", flush=True)
        with store.open_store("big", settings) as opened:
            asked = np.random.default_rng(5).normal(size=(256, DIM)).astype(np.float32)
            opened.search_batch(asked[:1], limit=17, with_payload=False)
            began = time.perf_counter()
            opened.search_batch(asked, limit=17, with_payload=False)
            each_ms = (time.perf_counter() - began) / 256 * 1e3
            print(
                f"in a graph: {opened.info().n_indexed:,}; asking for 16 neighbours: {each_ms:.1f} ms each, "
                f"{each_ms * n / 1e3:.0f} s for all; peak memory before: {_peak_mb():.0f} MB",
                flush=True,
            )
            if graph:
                finding._GRAPH_FROM = 0
            everything = planted["bytes"] | planted["near"]
            _timed(opened, "bytes", planted["bytes"], Path(name))
            _timed(opened, "scene", everything, Path(name))
            _timed(opened, "picture", everything, Path(name))


def _timed(opened: store.Store, level: Level, wanted: set[str], scratch: Path) -> None:
    began = time.perf_counter()
    found = find_duplicates(opened, level=level, scratch=scratch)
    pairs = [{group.keep.key[1:], member.record.key[1:]} for group in found for member in group.others]
    numbers = {key[1:] for key in wanted}
    right = sum(len(pair) == 1 and pair <= numbers for pair in pairs)
    print(
        f"{level:8} {time.perf_counter() - began:6.1f} s, peak memory {_peak_mb():.0f} MB; "
        f"{right:,} of {len(wanted):,} planted copies found, {len(pairs) - right:,} others",
        flush=True,
    )


def _fill(opened: store.Store, n: int, n_near: int, n_bytes: int) -> dict[str, set[str]]:
    """Points without likeness, and after them copies of the first ones: near ones, and equal bytes."""
    rng = np.random.default_rng(0)
    kept = np.empty((n_near + n_bytes, DIM), np.float32)
    for start in range(0, n, 512):
        rows = rng.normal(size=(min(512, n - start), DIM)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        kept[start : start + len(rows)] = rows[: max(0, len(kept) - start)]
        opened.upsert([_point(f"P{start + i}", row, f"{start + i:064x}") for i, row in enumerate(rows)])
    near = [_point(f"N{i}", _near(kept[i], rng), f"{n + i:064x}") for i in range(n_near)]
    same = [_point(f"B{n_near + i}", kept[n_near + i], f"{n_near + i:064x}") for i in range(n_bytes)]
    opened.upsert([*near, *same])
    return {"near": {f"N{i}" for i in range(n_near)}, "bytes": {f"B{n_near + i}" for i in range(n_bytes)}}


def _near(row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A vector of cosine .93 to .9999."""
    cosine = 1 - 0.07 * rng.random() ** 2 - 0.0001
    other = rng.normal(size=DIM)
    other -= (other @ row) * row
    turned = cosine * row + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
    return turned.astype(np.float32)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["pictures", "demo", "orientations", "size"])
    parser.add_argument("images", type=Path, nargs="?", help="a folder of JPEGs")
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--graph", action="store_true", help="optimize() the collection first")
    parser.add_argument("--folder", type=Path, help="where the collection is made")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.what in ("pictures", "orientations") and options.images is None:
        parser.error(f"{options.what} needs a folder of JPEGs")
    return options


if __name__ == "__main__":
    main()
