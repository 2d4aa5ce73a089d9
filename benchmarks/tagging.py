"""Tagging vectors, beside the bare matrix product: `python benchmarks/tagging.py [--n 1000000]`.

Reads a million unit vectors (N, 512) from a file, block by block, and decides 1,000 labels for each: once
flat, once with exclusive groups and broader labels. Side by side, block after block in turns, with NumPy's
`X @ T.T` of the same blocks into a buffer of its own, and with what a plain script does (product, sigmoid,
`np.where`). Prints vectors/s, the ratio, and the peak memory of a process that only tags.

Tried without gain: blocks in two or three threads beside each other (1.32 instead of 1.23 times the product,
flat; 1.62 instead of 1.56 with a hierarchy): NumPy's product has both cores already.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipsearch.tagging.deciding import Decider
from clipsearch.tagging.scoring import Scorer
from clipsearch.tagging.vocabulary import Label, Vocabulary

DIM = 512
BLOCK = 16_384  # rows read at once
TAGS_A_PICTURE = 4  # that a threshold lets through on average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000, help="vectors")
    parser.add_argument("--labels", type=int, default=1_000)
    parser.add_argument("--file", type=Path, help="where the vectors are kept; made if it is not there")
    parser.add_argument("--memory", choices=sorted(VOCABULARIES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory:
        print(_memory(given.memory, given.file, given.n, given.labels))
        return
    with tempfile.TemporaryDirectory() as scratch:
        path = given.file or Path(scratch) / "vectors.f32"
        if not path.is_file():
            _write(path, given.n)
        print(f"{given.n:,} vectors of {DIM}, {given.labels:,} labels, blocks of {BLOCK:,}")
        print(f"{'vocabulary':12} {'tags/picture':>12} {'ours/s':>12} {'X @ T.T/s':>12} {'ratio':>6}"
              f" {'plain script/s':>14} {'peak memory':>12}")  # fmt: skip
        for name in VOCABULARIES:
            _row(name, path, given.n, given.labels)


def _row(name: str, path: Path, n: int, n_labels: int) -> None:
    decider, weights, scorer = _prepared(name, path, n_labels)
    buffer = np.empty((BLOCK, n_labels), np.float32)
    n_given = 0

    def ours(block: NDArray[np.float32]) -> None:
        nonlocal n_given
        n_given += len(decider.decide(block))

    def product(block: NDArray[np.float32]) -> None:
        np.matmul(block, weights.T, out=buffer[: len(block)])

    def plain(block: NDArray[np.float32]) -> None:
        odds = 1 / (1 + np.exp(-(block @ weights.T + scorer.offsets)))
        np.where(odds >= scorer.thresholds)

    ways: tuple[Callable[[NDArray[np.float32]], None], ...] = (ours, product, plain)
    seconds: list[list[float]] = [[] for _ in ways]
    for i, block in enumerate(_blocks(path, n)):
        for number in range(len(ways)):
            way = (i + number) % len(ways)  # each is first equally often
            started = time.perf_counter()
            ways[way](block)
            seconds[way].append((time.perf_counter() - started) / len(block))
    mine, bare, script = (1 / statistics.fmean(some) for some in seconds)
    out = subprocess.run(
        [sys.executable, __file__, "--memory", name, "--file", path, f"--n={n}", f"--labels={n_labels}"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    print(f"{name:12} {n_given / n:12.2f} {mine:12,.0f} {bare:12,.0f} {bare / mine:6.2f} {script:14,.0f}"
          f" {out:>12}")  # fmt: skip


def _memory(name: str, path: Path, n: int, n_labels: int) -> str:
    decider, _, _ = _prepared(name, path, n_labels)
    for block in _blocks(path, n):
        decider.decide(block)
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.2f} GB"


def _prepared(name: str, path: Path, n_labels: int) -> tuple[Decider, NDArray[np.float32], Scorer]:
    vocabulary = VOCABULARIES[name](n_labels)
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 1, (n_labels, DIM)).astype(np.float32)
    first = next(_blocks(path, BLOCK)) @ weights.T
    least = np.quantile(first, 1 - TAGS_A_PICTURE / n_labels, axis=0)
    scorer = Scorer(
        weights, -least.astype(np.float32), np.full(n_labels, 0.5), tuple(vocabulary.groups.values())
    )
    return Decider(scorer, vocabulary), weights, scorer


def _flat(n: int) -> Vocabulary:
    return Vocabulary(tuple(Label(str(i), str(i)) for i in range(n)))


def _broader(n: int) -> Vocabulary:
    """A tenth are broader labels; of the others half stand in exclusive groups of nine below them."""
    n_broad = n // 10
    broad = [Label(str(i), str(i)) for i in range(n_broad)]
    below = []
    for i in range(n_broad, n):
        parent = str(i % n_broad)
        below.append(Label(str(i), str(i), (parent,), group=parent if i % 2 and n_broad % 2 == 0 else None))
    return Vocabulary((*broad, *below))


VOCABULARIES: dict[str, Callable[[int], Vocabulary]] = {"flat": _flat, "hierarchy": _broader}


def _write(path: Path, n: int) -> None:
    """Unit vectors with some structure, as a model's have: 1,000 directions and noise."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (1000, DIM)).astype(np.float32)
    with path.open("wb") as file:
        for start in range(0, n, BLOCK):
            rows = min(BLOCK, n - start)
            block = centres[rng.integers(0, 1000, rows)] + rng.normal(0, 1, (rows, DIM)).astype(np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            file.write(block.astype(np.float32).tobytes())


def _blocks(path: Path, n: int) -> Iterator[NDArray[np.float32]]:
    with path.open("rb") as file:
        for start in range(0, n, BLOCK):
            rows = min(BLOCK, n - start)
            yield np.fromfile(file, np.float32, rows * DIM).reshape(rows, DIM)


if __name__ == "__main__":
    main()
