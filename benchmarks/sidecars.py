"""Sidecars a second: `python benchmarks/sidecars.py [--n 10000]`.

Makes N pictures of no bytes in one temporary folder and gives each five tags with a path: new sidecars, the
same again, one tag less, and both runs taken back. Journal and fsync as in a real run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from clipsearch.tagging.journal import Journal
from clipsearch.tagging.sidecars import Sidecars, undo
from clipsearch.types import Tag

WORDS = ("brass", "hex bolt", "polished", "fastener", "歯車")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000, help="pictures")
    n = parser.parse_args().n
    with tempfile.TemporaryDirectory() as scratch:
        folder, beside = Path(scratch) / "pictures", Path(scratch) / "collection"
        folder.mkdir()
        paths = [folder / f"{i:06d}.jpg" for i in range(n)]
        for path in paths:
            path.touch()
        journals: list[Journal] = []

        def run(tags: Sequence[Tag]) -> Counter[str]:
            journals.append(Journal.create(beside, {}))
            made = Sidecars(journals[-1], model="a model")
            changes = made.write(made.plan((path, tags) for path in paths))
            return Counter("written" if c.is_needed else c.refused or "as it was" for c in changes)

        _print("new sidecars", n, lambda: run(_tags(5)))
        _print("the same again", n, lambda: run(_tags(5)))
        _print("one tag less", n, lambda: run(_tags(4)))
        _print("undo the last", n, lambda: Counter(one.state for one in undo(journals[2])))
        _print("undo the first", n, lambda: Counter(one.state for one in undo(journals[0])))


def _print(what: str, n: int, step: Callable[[], Counter[str]]) -> None:
    began = time.perf_counter()
    counts = step()
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    print(f"{what:16}{n / (time.perf_counter() - began):10,.0f}/s   {told}")


def _tags(n: int) -> list[Tag]:
    return [Tag(word, 0.9, word, (("parts", word),)) for word in WORDS[:n]]


if __name__ == "__main__":
    main()
