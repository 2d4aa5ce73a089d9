"""Freshly rendered pictures with captions, to train the starter model on. Never the catalogue's own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsearch.demo.captions import captions
from clipsearch.demo.combinations import Split, combinations
from clipsearch.demo.parts import TYPES, Facts
from clipsearch.demo.studio import develop, photograph
from clipsearch.demo.words import NAMES

SIZE = 128  # pixels
SHARD = 1000  # pictures in a file
_SURFACES_A_SHAPE = 6  # pictures that share one traced geometry


@dataclass(frozen=True, slots=True)
class Plan:
    """What to render. Each shard is drawn from (seed, its number) alone."""

    out: Path
    count: int
    seed: int
    split: Split = "train"


def render_training_set(
    plan: Plan, *, jobs: int = 1, on_shard: Callable[[int], None] = lambda n: None
) -> None:
    """Write NNNNN.npy, uint8 (N, 128, 128, 3), and NNNNN.jsonl for each shard that is not there yet.

    A line of the .jsonl is one picture: {"group": what it shows, "en": captions, "ja": captions}.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    todo = [i for i in range(-(-plan.count // SHARD)) if not (plan.out / f"{i:05d}.npy").exists()]
    with ProcessPoolExecutor(jobs) as pool:
        for done in pool.map(_render_shard, [plan] * len(todo), todo):
            on_shard(done)


def _render_shard(plan: Plan, number: int) -> int:
    rng = np.random.default_rng([plan.seed, number])
    pictures: list[NDArray[np.uint8]] = []
    rows: list[dict[str, Any]] = []
    n = min(SHARD, plan.count - number * SHARD)  # the last shard may be short
    while len(pictures) < n:
        for picture, row in _geometry(plan.split, rng):
            pictures.append(picture)
            rows.append(row)
    path = plan.out / f"{number:05d}.npy"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows[:n])
    path.with_suffix(".jsonl").write_text(text, encoding="utf-8")
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npy")
    np.save(temporary, np.stack(pictures[:n]))
    temporary.replace(path)  # last: a shard is there when its .npy is
    return number


def _geometry(split: Split, rng: np.random.Generator) -> list[tuple[NDArray[np.uint8], dict[str, Any]]]:
    """One random part, traced once, in several of its surfaces."""
    keys = list(TYPES)
    weights = np.array([max(NAMES[key].weight, 6) for key in keys]) ** 0.5  # rare types are seen enough
    key = keys[int(rng.choice(len(keys), p=weights / weights.sum()))]
    shape, facts = TYPES[key].build(rng)
    buffer = photograph(key, shape, rng, size=2 * SIZE)
    surfaces = [surface for surface, its in combinations()[key].items() if its == split]
    made = []
    for surface in rng.permutation(surfaces)[:_SURFACES_A_SHAPE]:
        picture = develop(buffer, str(surface), rng, size=SIZE)
        english, japanese = captions(key, str(surface), facts, rng)
        made.append((picture, {"group": group(key, str(surface), facts), "en": english, "ja": japanese}))
    return made


def group(key: str, surface: str, facts: Facts) -> str:
    """Names what a picture shows as far as captions tell: pictures of one group are no negatives."""
    return "|".join([key, surface, str(facts.get("holes", "")), str(facts.get("teeth", ""))])
