"""How long a person waits: `clipsearch --help`, a cold search, a warm one, on the demo collection.

    python benchmarks/latency.py            (after `clipsearch demo`)

Prints the median, lowest and highest wall time of each, with what bounds it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import clipsearch

QUERIES = ("brass hex bolt", "青い蝶ナット", "flange -brass", "gear with 24 teeth", "ステンレス ワッシャー")
CLI = str(Path(sys.executable).parent / "clipsearch")


def main() -> None:
    """Print the table."""
    print(f"{'what':44} {'median':>9} {'lowest':>9} {'highest':>9}")
    report("clipsearch --help", 9, lambda i: command("--help"))
    report(
        "clipsearch search WORDS, a new process", 9, lambda i: command("search", QUERIES[i % 5], "-c", "demo")
    )
    with clipsearch.open("demo") as searcher:
        photo = Path(searcher.search("gear", top=1).hits[0].path)
        searcher.search(image=photo)
        report("Searcher.search(words), warm", 50, lambda i: searcher.search(QUERIES[i % 5]))
        report(
            "Searcher.search(words, filter), warm",
            50,
            lambda i: searcher.search(QUERIES[i % 5], filter="price<=5"),
        )
        report("Searcher.search(image), warm", 20, lambda i: searcher.search(image=photo))
        report("  of which: the text tower", 50, lambda i: searcher.encoder.encode_texts([QUERIES[i % 5]]))
    report(
        "clipsearch search --image, a new process", 5, lambda i: command("search", str(photo), "-c", "demo")
    )


def command(*arguments: str) -> None:
    """Run the installed command and wait for it."""
    subprocess.run([CLI, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def report(what: str, runs: int, run: Callable[[int], object]) -> None:
    """Time `run` after one warm-up and print a row."""
    run(0)
    times = []
    for i in range(runs):
        start = time.perf_counter()
        run(i)
        times.append((time.perf_counter() - start) * 1000)
    print(
        f"{what:44} {statistics.median(times):6.1f} ms {min(times):6.1f} ms {max(times):6.1f} ms", flush=True
    )


if __name__ == "__main__":
    main()
