"""What an explanation costs, and how often its map is better than a random one.

    python benchmarks/explain.py cost       forward against forward + map, starter and ViT-B/32
    python benchmarks/explain.py maps       how many maps pass the check, on the demo catalogue

cost: both in PyTorch on one picture, in turn; the least of the rounds, so a busy machine disturbs little.
A ViT-B/32 with random weights is made in the cache folder. maps: for queries of each kind, and for words of
another part, the share of maps that pass; beside it, that of the paper's loosening over all heads at once.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from material import make_vit_b32
from numpy.typing import NDArray

from clipsearch.encoder import Encoder, attention
from clipsearch.explain import check, explain
from clipsearch.explain.checking import N_PICTURES
from clipsearch.explain.words import neutral_prompts
from clipsearch.images import load
from clipsearch.settings import Settings

DEMO = Path(__file__).parents[1] / "clipsearch" / "demo" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["cost", "maps"])
    parser.add_argument("--rounds", type=int, default=30, help="of cost")
    parser.add_argument("--pictures", type=int, default=60, help="of maps")
    options = parser.parse_args()
    if options.what == "cost":
        folder = make_vit_b32(Settings.load().cache / "vit-b-32-random")
        for name in ("starter", f"local-dir:{folder}"):
            cost(name, options.rounds)
    else:
        maps(options.pictures)


def cost(model: str, rounds: int) -> None:
    """Print the milliseconds of a forward alone, with the map, and of a whole explanation."""
    picture = next((DEMO / "images").glob("WN-*_1.jpg"))
    with Encoder.open(model, device="cpu") as encoder:
        pixels = load(picture, encoder.preprocessing)[0][None]
        text = encoder.encode_texts(["a wing nut"])
        runner = encoder.reference().model
        runs: dict[str, Callable[[], object]] = {
            "forward": lambda: runner.image(pixels),
            "with map": lambda: encoder.relevance(pixels, text),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                times[name].append(timed_ms(run))
        before, after = (min(values) for values in times.values())
        whole = timed_ms(lambda: explain(encoder, picture, "a wing nut"))
    print(
        f"{Path(model).name:18} forward {before:.1f} ms, with the map {after:.1f} ms "
        f"({100 * (after / before - 1):+.0f} %); with the check's {N_PICTURES} pictures {whole:.0f} ms",
        flush=True,
    )


def timed_ms(run: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1000


def maps(n: int) -> None:
    """Print how many maps pass, for each kind of words and both ways to loosen the attention."""
    with (DEMO / "parts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))[:n]]
    asked = {
        "shape": [row["shape"] for row in rows],
        "material and shape": [f"{row['material']} {row['shape']}" for row in rows],
        "name": [row["name"] for row in rows],
        "name in Japanese": [row["name_ja"] for row in rows],
        "another part's name": [row["name"] for row in [*rows[1:], rows[0]]],
    }
    each_head = attention._loosened
    with Encoder.open("starter", device="cpu") as encoder:
        pixels = np.stack([load(DEMO / row["image"], encoder.preprocessing)[0] for row in rows])
        print(f"{'words':22}{'each head':>12}{'all heads':>12}      of {n} maps pass the check", flush=True)
        for what, texts in asked.items():
            shares = []
            for way in (each_head, all_heads):
                attention._loosened = way
                shares.append(passing(encoder, pixels, texts))
            print(f"{what:22}{shares[0]:12.2f}{shares[1]:12.2f}", flush=True)
    attention._loosened = each_head


def all_heads(parts: Any) -> Any:
    """The paper's loosening: the cosine over all heads' channels, one weight a patch."""
    import torch

    near = torch.cosine_similarity(parts.query[:, None].float(), parts.keys.float(), dim=-1)
    least, most = near.amin(dim=1, keepdim=True), near.amax(dim=1, keepdim=True)
    return ((near - least) / (most - least))[..., None]


def passing(encoder: Encoder, pixels: NDArray[np.uint8], texts: list[str]) -> float:
    """The share of maps that pass the check; row i of pixels goes with texts[i]."""
    neutral = np.stack([encoder.encode_texts(neutral_prompts(text)).mean(axis=0) for text in texts])
    directions = encoder.encode_texts(texts) - neutral
    relevance = np.maximum(encoder.relevance(pixels, directions)[0], 0)
    found = [
        check(encoder, *one).is_better_than_random for one in zip(pixels, relevance, directions, strict=True)
    ]
    return float(np.mean(found))


if __name__ == "__main__":
    main()
