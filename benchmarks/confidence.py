"""Does confidence tell right hits from wrong ones, on the demo catalogue and on one that the model never saw?

    python benchmarks/confidence.py                (about 2 min)

Makes both collections with the starter model in a temporary folder, then measures as `python -m
clipsearch.demo evaluate-confidence` does. The DIY catalogue's photos mean nothing to the starter, so what its
pictures alone can tell is little; its records' words do the rest. Queries there: names, subcategories and
categories, and photos (right: the same subcategory). Without an answer: the demo's power transmission parts,
dogs and landscapes. The demo is asked for the DIY catalogue's paints, boards and tools as well.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from clipsearch.demo.checks import confidence, questions, report
from clipsearch.demo.checks.asking import searcher_of
from clipsearch.demo.checks.questions import NOT_THERE, PHOTO, Asked, Right
from clipsearch.search import Searcher
from clipsearch.settings import Settings
from clipsearch.types import Payload

ROOT = Path(__file__).parents[1]
DIY = ROOT.parent / "shared/data/diy_catalogue"
NOT_IN_DEMO = (
    "garden & outdoor", "lumber & building materials", "paint & finishes", "power tools", "electrical",
)  # fmt: skip
FAR = 17  # of questions.ABSENT, the first: no tools and no fixings


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _run(home, "demo", "--sheet", str(home / "sheet.png"))
        with searcher_of("demo", _settings(home, "demo")) as demo:
            parts = _payloads(demo)
            asked = [*questions.by_labels(parts), *questions.absent(), *_foreign()]
            _print("demo", demo, asked)
        if not DIY.is_dir():
            print(f"\nDIY: skipped, for there is no {DIY}")
            return
        catalogue = ("--image-column", "image", "--image-root", str(DIY / "images"))
        _run(home, "index", str(DIY / "products.csv"), "-c", "diy", "-m", "starter", *catalogue)
        with searcher_of("diy", _settings(home, "diy")) as diy:
            _print("DIY", diy, [*_of_diy(_payloads(diy)), *_without_answer(parts)])


def _print(title: str, searcher: Searcher, asked: Sequence[Asked]) -> None:
    print(f"\n{title}\n{report.confidence_text(confidence.evaluate(searcher, asked))}", flush=True)


def _of_diy(payloads: Sequence[Payload]) -> list[Asked]:
    asked = [
        Asked(column, "English", value, value, _same(column, value))
        for column in ("name", "subcategory", "category")
        for value in sorted({str(payload[column]) for payload in payloads})
    ]
    for payload in sorted(payloads, key=lambda payload: str(payload["_key"]))[::3]:
        key = str(payload["_key"])
        asked.append(
            Asked(PHOTO, "English", f"id:{key}", key, _same("subcategory", str(payload["subcategory"])))
        )
    return asked


def _without_answer(parts: Sequence[Payload]) -> list[Asked]:
    gears = [part for part in parts if part["family"] == "power transmission"]
    texts = (
        sorted({str(part["name"]) for part in gears})[::2] + sorted({str(p["name_ja"]) for p in gears})[::2]
    )
    texts += [text for language in questions.LANGUAGES for text in questions.ABSENT[language][:FAR]]
    return [Asked(NOT_THERE, "English", text, text, _never) for text in texts]


def _foreign() -> list[Asked]:
    """The DIY catalogue's names that the demo has no answer to."""
    if not DIY.is_dir():
        return []
    with (DIY / "products.csv").open(encoding="utf-8", newline="") as file:
        names = sorted({row["name"] for row in csv.DictReader(file) if row["category"] in NOT_IN_DEMO})
    return [Asked(NOT_THERE, "English", name, name, _never) for name in names]


def _same(column: str, value: str) -> Right:
    return lambda payload: payload.get(column) == value


def _never(payload: Payload) -> bool:
    return False


def _payloads(searcher: Searcher) -> list[Payload]:
    return [point.payload for batch in searcher.store.scroll() for point in batch]


def _settings(home: Path, collection: str) -> Settings:
    return Settings.load(data=home / "data", cache=home / "cache", collection=collection)


def _run(home: Path, *arguments: str) -> None:
    """The real command line, in a process of its own."""
    env = {
        **os.environ,
        "CLIPSEARCH_DATA": str(home / "data"),
        "CLIPSEARCH_CACHE": str(home / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", "from clipsearch.cli import main; main()", *arguments]
    done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


if __name__ == "__main__":
    main()
