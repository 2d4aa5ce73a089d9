"""What a large index costs beside the model: runs over unchanged files, CPU time, memory.

    python benchmarks/bulk.py unchanged --files 100000
    python benchmarks/bulk.py overhead --pictures 120 --kind 0.3mp
    python benchmarks/bulk.py memory --pictures 24

unchanged: a folder of small JPEGs, 500 of them different and the rest copies, is indexed once with the
starter model; then `clipsearch index` runs over it again, a process of its own each time. Prints its
wall time (target: 5 s for 100,000), and what each part of such a run takes by itself.

overhead: ViT-B/32 with random weights over camera-like JPEGs, fp32 and int8. Prints which share of the
run's CPU time is neither decode nor encode (target: 1 % at fp32), between the first batch and the last,
and how much of that is the thread that finds and writes, with the engine's own. By the threads' clocks, so
that what was under way at the first batch does not count; a hundred pictures or more make it exact.

memory: peak resident memory of whole `clipsearch index` processes over 12 MP JPEGs, over progressive ones
with 100 MP PNGs between, and over awkward files, fp32 and int8, beside the size of the model's file
(target: 2 GB and the model).
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import material
import numpy as np
from PIL import Image

from clipsearch.encoder import Encoder
from clipsearch.settings import Settings
from indexer.ledger import LEDGER, Ledger, record_id
from indexer.options import RunOptions
from indexer.report import RunReport
from indexer.run import run
from indexer.sources import SourceOptions, open_source

ROOT = Path(__file__).resolve().parents[1]
CLI = Path(sys.executable).parent / "clipsearch"
TORTURE = ROOT.parent / "shared" / "data" / "torture"
PRECISIONS = ("fp32", "int8")
DIFFERENT = 500  # contents of the small files
PER_FOLDER = 1000
LARGE_PNGS, LARGE_SIDE = 4, 10_000  # 100 MP each
PEAK = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""  # a small process between: a child's peak begins at what its parent has at the fork


def main() -> None:
    options = _options()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    what: dict[str, Callable[[argparse.Namespace], None]] = {
        "unchanged": unchanged,
        "overhead": overhead,
        "memory": memory,
    }
    what[options.what](options)


# --- unchanged -----------------------------------------------------------------------------------------


def unchanged(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        top = Path(name) / "pictures"
        began = time.perf_counter()
        make_small(top, options.files)
        print(f"{options.files:,} files written in {time.perf_counter() - began:.1f} s", flush=True)
        command = ["index", str(top), "-c", "bulk", "-m", "starter", "-q", "--json"]
        first = _report(command, Path(name), options.folder)
        print(
            f"first run: {first['encoded']:,} encoded, {first['reused']:,} copies, {first['seconds']:.1f} s"
        )
        for _ in range(options.rounds):
            began = time.perf_counter()
            again = _report(command, Path(name), options.folder)
            took = time.perf_counter() - began
            print(f"again: {again['unchanged']:,} unchanged in {took:.2f} s, ", end="")
            print(f"{took - again['seconds']:.2f} s of it before and after the run", flush=True)
        settings = Settings(data=Path(name), cache=options.folder / "cache", collection="bulk")
        _print_parts(top, settings)
        _print_profile(top, settings)


def make_small(top: Path, n: int) -> None:
    """n small JPEGs in folders of 1,000, of 500 different contents."""
    rng = np.random.default_rng(0)
    contents = []
    for _ in range(DIFFERENT):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, "JPEG")
        contents.append(buffer.getvalue())
    for i in range(n):
        folder = top / f"{i // PER_FOLDER:04}"
        if i % PER_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{i:07}.jpg").write_bytes(contents[i % DIFFERENT])


def _print_parts(top: Path, settings: Settings) -> None:
    """Each part of a run in which nothing changed, by itself and warm."""
    print("parts, each by itself:")
    began = time.perf_counter()
    files = list(open_source(top, SourceOptions()).files())
    _part("walk and stat", began)
    began = time.perf_counter()
    names = sum(len(names) for _, _, names in os.walk(top))
    _part(f"  of it os.walk alone ({names:,} names)", began)
    began = time.perf_counter()
    for file in files:
        os.stat(file.path)  # noqa: PTH116 -- nothing but the system call
    _part("  of it os.stat alone", began)
    began = time.perf_counter()
    ids = [record_id(file) for file in files]
    _part("ids", began)
    with Ledger(settings.collection_dir() / LEDGER) as ledger:
        began = time.perf_counter()
        for start in range(0, len(ids), 2000):
            ledger.known(ids[start : start + 2000])
        _part("ledger: looking up", began)
        began = time.perf_counter()
        n = sum(1 for _ in ledger.ids_of(files[0].source))
        _part(f"ledger: all {n:,} ids of the source", began)
    began = time.perf_counter()
    with Encoder.open("starter", cache=settings.cache) as encoder:
        _part(f"opening the {encoder.dim}-dimensional model", began)


def _print_profile(top: Path, settings: Settings) -> None:
    profile = cProfile.Profile()
    profile.runcall(run, open_source(top, SourceOptions()), settings, RunOptions())
    text = io.StringIO()
    pstats.Stats(profile, stream=text).strip_dirs().sort_stats("tottime").print_stats(10)
    lines = [line for line in text.getvalue().splitlines() if line.strip()]
    print("the run under a profiler, which slows Python's calls:")
    print("\n".join(lines[-11:]))


def _part(what: str, began: float) -> None:
    print(f"  {what:44} {time.perf_counter() - began:6.2f} s", flush=True)


# --- overhead ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """CPU seconds until a moment between two batches: the process's, its workers', and those metered."""

    wall: float
    process: float
    workers: float
    metered: dict[str, float]
    encoded: int

    @classmethod
    def now(cls, report: RunReport) -> Mark:
        assert report.meter is not None
        return cls(
            time.perf_counter(),
            time.process_time(),
            sum(map(_thread_cpu, _workers())),
            dict(report.meter.cpu),
            report.encoded,
        )


def overhead(options: argparse.Namespace) -> None:
    pictures = material.make_pictures(options.folder / "pictures", options.pictures)[options.kind]
    model = material.make_vit_b32(options.folder / "vit-b-32")
    head = f"{'precision':10}{'images/s':>10}{'ms CPU each':>13}{'decode':>9}{'encode':>9}{'outside':>9}"
    print(f"{options.kind}, {len(list(pictures.iterdir()))} pictures a run\n{head}{'of it in no worker':>20}")
    for precision in PRECISIONS:
        for _ in range(options.rounds):
            print(_share_outside(pictures, model, precision, options.folder / "cache"), flush=True)


def _share_outside(pictures: Path, model: Path, precision: str, cache: Path) -> str:
    marks: list[Mark] = []

    def on_progress(report: RunReport) -> None:
        if report.encoded and (not marks or report.encoded > marks[-1].encoded):
            marks[1:] = [Mark.now(report)]

    with tempfile.TemporaryDirectory(dir=cache.parent) as data:
        settings = Settings(data=Path(data), cache=cache, model=f"local-dir:{model}", collection="bulk")
        options = RunOptions(precision=precision)
        source = open_source(pictures, SourceOptions())
        report = run(source, settings, options, on_progress=on_progress)
    first, last = marks
    process, workers = last.process - first.process, last.workers - first.workers
    # The meter counts a batch when it is done, so its part of the window is not known, but the threads'
    # clocks are; what they did beside decode and encode is told of the whole run, where nothing is open.
    metered = last.metered["decode"] + last.metered["encode"]
    beside = max(0.0, last.workers - metered) * workers / last.workers
    outside = process - workers + beside
    shares = {
        stage: last.metered[stage] / metered * (1 - outside / process) for stage in ("decode", "encode")
    }
    n, wall = last.encoded - first.encoded, last.wall - first.wall
    assert report.encoded == last.encoded
    cells = f"{n / wall:10.1f}{process / n * 1e3:13.1f}{shares['decode']:9.1%}{shares['encode']:9.1%}"
    return f"{precision:10}{cells}{outside / process:9.2%}{(process - workers) / process:20.2%}"


def _workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("encode")]


def _thread_cpu(thread: threading.Thread) -> float:
    assert thread.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


# --- memory --------------------------------------------------------------------------------------------


def memory(options: argparse.Namespace) -> None:
    pictures = material.make_pictures(options.folder / "pictures", options.pictures)
    model = material.make_vit_b32(options.folder / "vit-b-32")
    sets = {
        "12 MP JPEGs": [str(pictures["12mp"])],
        "progressive 12 MP, 100 MP PNGs": [str(make_nasty(options.folder / "nasty", options.pictures // 2))],
    }
    if TORTURE.is_dir():
        sets["awkward files"] = [str(TORTURE)]
    n_bytes = (model / "model.safetensors").stat().st_size
    print(f"the model's file: {n_bytes / 1e6:,.0f} MB; GB are 1e9 bytes")
    print(f"{'':10}{'':32}{'pictures':>9}{'peak':>10}{'less the model':>16}{'seconds':>9}")
    for precision in PRECISIONS:
        _compile(model, precision, pictures["0.3mp"], options.folder)
        for name, sources in sets.items():
            report, peak, took = _peak(sources, model, precision, options.folder)
            n = report["encoded"] + report["reused"] + report["failed"]
            sizes = f"{peak / 1e9:7.2f} GB{(peak - n_bytes) / 1e9:13.2f} GB"
            print(f"{precision:10}{name:32}{n:9,.0f}{sizes}{took:9.1f}", flush=True)


def make_nasty(folder: Path, n: int) -> Path:
    """n progressive 12 MP JPEGs, and PNGs of 100 MP between them."""
    done = folder / f"done-{n}"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    from images import jpeg

    buffer = io.BytesIO()
    Image.open(io.BytesIO(jpeg(4000, 3000))).save(buffer, "JPEG", quality=90, progressive=True)
    for i in range(n):
        data = material.with_comment(buffer.getvalue(), f"progressive {i}")
        (folder / f"{i:05}-progressive.jpg").write_bytes(data)
    tile = np.asarray(Image.open(io.BytesIO(jpeg(1000, 1000))))
    large = np.tile(tile, (LARGE_SIDE // 1000, LARGE_SIDE // 1000, 1))
    for i in range(LARGE_PNGS):
        large[0, 0] = i
        Image.fromarray(large).save(folder / f"{i * n // LARGE_PNGS:05}-large.png", compress_level=1)
    done.touch()
    return folder


def _compile(model: Path, precision: str, pictures: Path, folder: Path) -> None:
    """Once and for all: compiling takes more memory than indexing, and no later run does it."""
    first = next(path for path in sorted(pictures.iterdir()) if path.suffix == ".jpg")
    _, peak, took = _peak([str(first)], model, precision, folder)
    print(f"{precision:10}{'one picture (compiles, if new)':32}{1:9}{peak / 1e9:7.2f} GB{'':16}{took:9.1f}")


def _peak(
    sources: Sequence[str], model: Path, precision: str, folder: Path
) -> tuple[dict[str, float], int, float]:
    """The report of a `clipsearch index`, its process's peak resident bytes, and its seconds."""
    with tempfile.TemporaryDirectory(dir=folder) as data:
        report, log = Path(data) / "report.json", Path(data) / "log.txt"
        command = [str(CLI), "index", *sources, "-c", "bulk", "-m", f"local-dir:{model}", "-q"]
        command += ["--precision", precision, "--report", str(report)]
        began = time.perf_counter()
        with log.open("w") as file:
            done = subprocess.run(
                [sys.executable, "-c", PEAK, *command],
                env=_environment(Path(data), folder),
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                check=False,
            )
        took = time.perf_counter() - began
        if done.returncode not in (0, 4):  # 4: some could not be used
            raise SystemExit(f"exit {done.returncode}: {log.read_text()}")
        counts: dict[str, float] = json.loads(report.read_text())
    return counts, int(done.stdout) * (1 if sys.platform == "darwin" else 1024), took


# --- all -------------------------------------------------------------------------------------------------


def _report(arguments: Sequence[str], data: Path, folder: Path) -> dict[str, float]:
    """What a `clipsearch index --json` printed."""
    done = subprocess.run(
        [str(CLI), *arguments], env=_environment(data, folder), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"exit {done.returncode}: {done.stderr}")
    counts: dict[str, float] = json.loads(done.stdout)
    return counts


def _environment(data: Path, folder: Path) -> dict[str, str]:
    return {**os.environ, "CLIPSEARCH_DATA": str(data), "CLIPSEARCH_CACHE": str(folder / "cache")}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["unchanged", "overhead", "memory"])
    parser.add_argument("--files", type=int, default=100_000, help="small files, for unchanged")
    parser.add_argument("--pictures", type=int, default=120, help="of 12 MP; 1.5 and 2 times as many smaller")
    parser.add_argument("--kind", choices=[*material.SIZES, "mix"], default="2mp", help="for overhead")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "clipsearch-bulk")
    return parser.parse_args()


if __name__ == "__main__":
    main()
