"""A soak: many small pictures are indexed by a command that is killed again and again, and none is lost.

    python benchmarks/soak.py --pictures 20000 --kills 8   (a minute on two cores)
    python benchmarks/soak.py                              (200,000 pictures, 20 kills: 8 minutes)

Pictures: 24 to 40 pixels a side, JPEGs and a PNG in eight, each drawn from its number, in tars of 10,000.
Model: a CLIPModel of transformers' own class, tiny and random, so that pictures a second are many.

`clipsearch index` runs in a process of its own and gets SIGKILL at moments drawn from a seed: at the start
(imports, opening, compiling), in the middle, while the collection is brought to the disk, while the ledger
is written, and with 200,000 pictures while the graph is built. Printed after each: how many records the
ledger acknowledges, how many points a copy of the collection opens with (the next run reads what is not in
the ledger again, and finds it by its content), and how many of the acknowledged are not among them (lost).
A killed run writes no report, so one run half-way is stopped by Ctrl-C instead, after a kill: what it
encoded beyond the points it added was encoded again. So is told of the last run, which ends by itself.

At the end every id must be there once, every vector must be that of clipsearch.Encoder for its picture in
this process (to 1e-4 in each number, cosine 0.9999), and the ledger must agree. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import clipsearch
from clipsearch.settings import Settings
from clipsearch.store import open_store
from clipsearch.store.embedded.engine import GRAPH_ABOVE
from clipsearch.store.embedded.folder import Folder, copy_sparse
from clipsearch.types import ImageFile
from indexer import writer
from indexer.ledger import LEDGER, record_id

ROOT = Path(__file__).resolve().parents[1]
CLI = Path(sys.executable).parent / "clipsearch"
PER_TAR = 10_000
COMMIT_S = writer._COMMIT_EVERY_S  # the store is flushed, then the ledger is written
MOMENTS = ("start", "middle", "flush", "ledger")
START_S = 1.5  # in which a run has begun
TOLERANCE, COSINE = 1e-4, 0.9999


@dataclass(frozen=True, slots=True)
class Row:
    """What was seen after a run."""

    moment: str
    seconds: float
    acknowledged: int
    stored: int
    lost: int
    gained: int
    again: int | None  # encoded though stored; None: a killed run does not tell


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="clipsearch-soak-") as name:
        soak = Soak(Path(name), options.pictures, random.Random(options.seed))
        machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        print(
            f"{machine}; {options.pictures:,} pictures, {options.kills} kills, seed {options.seed}",
            flush=True,
        )
        soak.prepare()
        rows = soak.killed_runs(options.kills)
        last = soak.last_run(rows[-1].stored if rows else 0)
        problems = [f"a kill lost {row.lost} acknowledged points" for row in rows if row.lost]
        problems += [f"{row.again:,} pictures were encoded again" for row in rows if row.again]
        problems += last + soak.check()
    n_killed = sum(row.again is None for row in rows)
    verdict = f"FAILED: {'; '.join(problems)}" if problems else "passed"
    print(f"{verdict} after {n_killed} kills")
    return 1 if problems else 0


class Soak:
    """The pictures, the model and the collection in one folder, and the runs over them."""

    def __init__(self, folder: Path, n: int, rng: random.Random) -> None:
        self.folder, self.n, self.rng = folder, n, rng
        self.began = time.monotonic()
        self.settings = Settings(
            data=folder / "data",
            cache=folder / "cache",
            model=f"local-dir:{folder / 'model'}",
            collection="soak",
        )
        self.ledger = self.settings.collection_dir() / LEDGER
        self.tars = [folder / "tars" / f"{start // PER_TAR:05}.tar" for start in range(0, n, PER_TAR)]

    def prepare(self) -> None:
        """Write the pictures and the model."""
        sys.path.insert(0, str(ROOT / "tests"))
        from tiny_models import make_clip

        make_clip(self.folder / "model")
        self.tars[0].parent.mkdir()
        for path, start in zip(self.tars, range(0, self.n, PER_TAR), strict=True):
            write_tar(path, range(start, min(start + PER_TAR, self.n)))
        self._say("pictures and model are made")

    def killed_runs(self, n_kills: int) -> list[Row]:
        """Run and kill so often, and print a row each."""
        heads = f"{'in ledger':>9} {'stored':>9} {'lost':>5} {'gained':>8} {'again':>5} {'images/s':>8}"
        print(f"{'run':>3} {'killed in':9} {'after':>8} {heads}", flush=True)
        rows: list[Row] = []
        for i, moment in enumerate(self._moments(n_kills)):
            target = int(self.n * (i + self.rng.random()) / (n_kills + 2))
            rows.append(self._killed_run(moment, target, rows[-1].stored if rows else 0))
            self._print(i + 1, rows[-1])
        return rows

    def last_run(self, stored: int) -> list[str]:
        """Run to the end, and once more over what is there; what is wrong with the reports."""
        began = time.monotonic()
        done = self._report()
        took = time.monotonic() - began
        print(
            f"to the end: {done['encoded']:,} encoded, {done['reused']:,} found again by their content, "
            f"{done['unchanged']:,} unchanged, {done['failed']:,} failed, {took:.1f} s, "
            f"{done['encoded'] / took:,.0f} images/s"
        )
        again = done["encoded"] - (self.n - stored)
        print(f"encoded again though stored: {again:,}")
        once_more = self._report()
        self._say(f"once more: {once_more['unchanged']:,} unchanged in {once_more['seconds']:.1f} s")
        wrong = [f"{again:,} pictures were encoded again"] if again else []
        if once_more["unchanged"] != self.n:
            wrong.append(f"the next run found {once_more['unchanged']:,} unchanged")
        return wrong

    def check(self) -> list[str]:
        """Every id once, every vector right, the ledger agrees; what is not so."""
        numbers, vectors, ids = self._stored()
        expected = [record_id(self._file(i)) for i in range(self.n)]
        with closing(sqlite3.connect(self.ledger)) as db:
            known = {str(row[0]) for row in db.execute("SELECT id FROM records WHERE reason IS NULL")}
        wrong = []
        if len(ids) != self.n or len(set(ids)) != self.n:
            wrong.append(f"{len(ids):,} points, {len(set(ids)):,} different")
        if set(ids) != set(expected):
            wrong.append(f"{len(set(ids) ^ set(expected)):,} ids are not the expected ones")
        if known != set(expected):
            wrong.append(f"the ledger differs in {len(known ^ set(expected)):,} ids")
        if any(expected[i] != id for i, id in zip(numbers, ids, strict=True)):
            wrong.append("an id is not that of its picture")
        direct = self._encoded()
        stored = np.zeros_like(direct)
        stored[numbers] = vectors
        ok = same(stored, direct)
        if not ok.all():
            wrong.append(f"{(~ok).sum():,} vectors are not those of their pictures")
        cosines = (stored * direct).sum(1) / np.linalg.norm(stored, axis=1).clip(1e-9)
        neighbours = same(stored, np.roll(direct, 1, axis=0))
        print(
            f"{len(ids):,} points, {len(known):,} in the ledger, {ok.sum():,} vectors right: least cosine "
            f"{cosines.min():.6f}, largest difference {np.abs(stored - direct).max():.1e} "
            f"({neighbours.sum():,} would pass for the picture before)"
        )
        self._say("checked")
        return wrong

    # --- a run that is killed ------------------------------------------------------------------------

    def _moments(self, n_kills: int) -> list[str]:
        moments = [MOMENTS[i % len(MOMENTS)] for i in range(n_kills)]
        if self.n >= GRAPH_ABOVE:
            moments[-1:] = ["graph"]
        return [*moments[: n_kills // 2], "Ctrl-C", *moments[n_kills // 2 :]]

    def _killed_run(self, moment: str, target: int, stored_before: int) -> Row:
        report, log = self.folder / "stopped.json", self.folder / "log.txt"
        report.unlink(missing_ok=True)
        command = self._command("--report", str(report))
        with log.open("w") as file:
            process = subprocess.Popen(command, env=self._environment(), stdout=file, stderr=file)
            began = time.monotonic()
            self._wait_for(moment, target, lambda: process.poll() is None)
            process.send_signal(signal.SIGINT if moment == "Ctrl-C" else signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - began
        if process.returncode not in (0, -signal.SIGKILL, 1 if moment == "Ctrl-C" else 0):
            raise SystemExit(f"exit {process.returncode}: {log.read_text()}")
        acknowledged, stored = self._after_a_kill()
        gained = len(stored) - stored_before
        again = int(json.loads(report.read_text())["encoded"]) - gained if report.exists() else None
        moment = moment if process.returncode else "(ended)"  # with its report, and not killed
        lost = len(acknowledged - stored)
        return Row(moment, seconds, len(acknowledged), len(stored), lost, gained, again)

    def _wait_for(self, moment: str, target: int, running: Callable[[], bool]) -> None:
        """Until it is time to kill, or the process has ended."""
        if moment == "start":
            _sleep(self.rng.uniform(0, START_S), running)
            return
        if moment == "graph":
            generations = partial(self.settings.collection_dir().glob, "gen-*")
            while running() and len(list(generations())) < 2:
                time.sleep(0.05)
            _sleep(self.rng.uniform(0, 3), running)
            return
        while running() and self._n_acknowledged() < target:
            time.sleep(0.2)  # a count takes 10 ms of the cores that the run needs
        if moment in ("middle", "Ctrl-C"):
            _sleep(self.rng.uniform(0, 2 * COMMIT_S), running)
            return
        before = self._ledger_written()
        while running() and self._ledger_written() == before:
            time.sleep(0.001)
        if moment == "flush":
            _sleep(COMMIT_S + self.rng.uniform(0, 0.04), running)

    def _n_acknowledged(self) -> int:
        if not self.ledger.exists():
            return -1
        try:
            with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True, timeout=30)) as db:
                return int(db.execute("SELECT COUNT(*) FROM records").fetchone()[0])
        except sqlite3.OperationalError:  # not made to the end yet
            return -1

    def _ledger_written(self) -> tuple[int, int]:
        path = self.ledger.with_name(f"{LEDGER}-wal")
        try:
            status = path.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_size, status.st_mtime_ns

    def _after_a_kill(self) -> tuple[set[str], set[str]]:
        """Ids in the ledger and in the collection, from copies: the next run is to find all as it is."""
        here = Folder(self.settings.collection_dir())
        if not here.exists():
            return set(), set()
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            settings = Settings(data=Path(name), cache=self.settings.cache, collection="soak")
            copy = settings.collection_dir()
            copy.mkdir(parents=True)
            for path in here.path.iterdir():
                if path.is_file() and path.name not in ("lock", "holder.json"):
                    shutil.copy(path, copy)
            generation, _ = here.current()
            copy_sparse(generation, copy / generation.name)
            with open_store("soak", settings) as store:
                stored = {p.id for batch in store.scroll(batch_size=5000) for p in batch}
            if not (copy / LEDGER).exists():
                return set(), stored
            with closing(sqlite3.connect(copy / LEDGER)) as db:
                has_table = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchone()
                rows = db.execute("SELECT id FROM records") if has_table else ()
                return {str(row[0]) for row in rows}, stored

    # --- parts -----------------------------------------------------------------------------------------

    def _command(self, *extra: str) -> list[str]:
        tars = [str(path) for path in self.tars]
        return [str(CLI), "index", *tars, "-c", "soak", "-m", self.settings.model, "-q", *extra]

    def _environment(self) -> dict[str, str]:
        ours = {"CLIPSEARCH_DATA": str(self.settings.data), "CLIPSEARCH_CACHE": str(self.settings.cache)}
        return {**os.environ, **ours}

    def _report(self) -> dict[str, float]:
        path = self.folder / "report.json"
        done = subprocess.run(
            self._command("--report", str(path)),
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"exit {done.returncode}: {done.stderr}")
        report: dict[str, float] = json.loads(path.read_text())
        return report

    def _file(self, i: int) -> ImageFile:
        tar = self.tars[i // PER_TAR]
        return ImageFile(str(tar), f"{tar.name}/{member(i)}", f"{tar}/{member(i)}", 0, 0)

    def _stored(self) -> tuple[list[int], NDArray[np.float32], list[str]]:
        numbers: list[int] = []
        ids: list[str] = []
        vectors: list[NDArray[np.float32]] = []
        with open_store("soak", self.settings) as store:
            for batch in store.scroll(batch_size=5000, with_vectors=True):
                for point in batch:
                    numbers.append(int(Path(str(point.payload["_key"])).stem))
                    ids.append(point.id)
                    vectors.append(np.asarray(point.vectors["image"], np.float32))
        return numbers, np.stack(vectors), ids

    def _encoded(self) -> NDArray[np.float32]:
        """Every picture's vector, without the indexer."""
        model, cache = self.settings.model, self.settings.cache
        with clipsearch.Encoder.open(model, cache=cache, threads=1) as encoder, ThreadPoolExecutor(2) as pool:
            parts = pool.map(
                lambda start: encoder.encode_images(
                    [picture(i) for i in range(start, min(start + 1000, self.n))]
                ),
                range(0, self.n, 1000),
            )
            return np.concatenate(list(parts))

    def _print(self, number: int, row: Row) -> None:
        counts = f"{row.acknowledged:9,} {row.stored:9,} {row.lost:5,} {row.gained:8,}"
        counts += f" {'-' if row.again is None else row.again:>5}"
        pace = row.gained / row.seconds
        print(f"{number:3} {row.moment:9} {row.seconds:6.2f} s {counts} {pace:8,.0f}", flush=True)

    def _say(self, what: str) -> None:
        print(f"{what}; {time.monotonic() - self.began:.0f} s since the start", flush=True)


def same(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows are the same vector: to 1e-4 in each number, and by their cosine."""
    near: NDArray[np.bool_] = (np.abs(a - b) <= TOLERANCE).all(1) & ((a * b).sum(1) >= COSINE)
    return near


def member(i: int) -> str:
    """The name of a picture in its tar."""
    return f"{i:09}.{'png' if i % 8 == 0 else 'jpg'}"


def picture(i: int) -> bytes:
    """The i-th picture's file: a patchwork of random colours, of 24 to 40 pixels a side."""
    rng = np.random.default_rng(i)
    width, height = rng.integers(24, 41, 2)
    colours = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    pixels = colours.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG" if i % 8 == 0 else "JPEG")
    return buffer.getvalue()


def write_tar(path: Path, numbers: Sequence[int]) -> None:
    """The pictures of these numbers in one tar."""
    with tarfile.open(path, "w") as tar:
        for i in numbers:
            info, data = tarfile.TarInfo(member(i)), picture(i)
            info.size, info.mtime = len(data), 1_700_000_000 + i
            tar.addfile(info, io.BytesIO(data))


def _sleep(seconds: float, running: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while running() and time.monotonic() < end:
        time.sleep(min(0.005, max(0.0, end - time.monotonic())))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, default=None, help="where (default: the temporary one)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
