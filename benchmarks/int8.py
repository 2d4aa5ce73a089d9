"""What --precision int8 costs in retrieval on the demo catalogue, with the bundled starter model.

    python benchmarks/int8.py              (a minute on two cores)

Runs `clipsearch index` twice over the bundled catalogue, at fp32 and at int8, and asks both collections'
vectors for the held-out parts as `python -m clipsearch.demo evaluate-starter` does, in English and
Japanese: a right picture among the first 1, 5 and 10. Prints each share with its 95 % bootstrap interval
by part, and the difference, int8 less fp32, with the interval of a paired bootstrap: the same draws of
parts for both. Also the cosines between the two vectors of each picture. Queries are encoded at fp32
for both, as a search does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from clipsearch.demo.recipe.assessment import CUTOFFS, QUERIES, Retrieval
from clipsearch.demo.recipe.cli import CATALOGUE
from clipsearch.encoder import Encoder
from clipsearch.evaluation.resampling import Interval, bootstrap_mean
from clipsearch.settings import Settings
from clipsearch.store import open_store
from clipsearch.types import Embeddings

CLI = Path(sys.executable).parent / "clipsearch"
PRECISIONS = ("fp32", "int8")
GALLERIES, RIGHT = ("held-out parts", "whole catalogue"), ("part", "look")


def main() -> None:
    asked = Retrieval(CATALOGUE)
    with tempfile.TemporaryDirectory(prefix="clipsearch-int8-") as name:
        folder = Path(name)
        vectors = {precision: indexed(precision, folder, asked.paths) for precision in PRECISIONS}
        with Encoder.open("starter", device="cpu", cache=folder / "cache") as encoder:
            texts = {language: encoder.encode_texts(queries) for language, queries in asked.queries.items()}
    print_cosines(vectors["fp32"], vectors["int8"])
    fp32, int8 = (asked.outcomes(vectors[precision], texts) for precision in PRECISIONS)
    print(f"{asked.n_parts} held-out parts ({asked.n_looks} looks), {len(asked.paths)} pictures")
    heads = " ".join(f"{name:>22}" for name in ("fp32", "int8", "difference"))
    print(f"{'':9} {'found among':15} {'right':5} {'':9} {heads}   0 in it   parts lost, gained")
    rows = list(product(QUERIES, GALLERIES, RIGHT, CUTOFFS))
    n_without = 0
    for language, gallery, right, k in rows:
        figure = (language, gallery, right, f"hit@{k}")
        change = int8[figure] - fp32[figure]  # (parts,) of -1, 0, 1
        paired = bootstrap_mean(change)
        holds = paired.low <= 0 <= paired.high
        n_without += not holds
        both = f"{cell(bootstrap_mean(fp32[figure]))} {cell(bootstrap_mean(int8[figure]))}"
        counts = f"{(change < 0).sum():3} {(change > 0).sum():3}"
        print(
            f"{language:9} {gallery:15} {right:5} {f'Recall@{k}':9} {both} {cell(paired, sign=True)}   "
            f"{'yes' if holds else 'NO':7}   {counts}"
        )
    if n_without:
        print(f"0 is outside of {n_without} of the {len(rows)} intervals of the difference")
    else:
        print(f"0 is in all {len(rows)} intervals of the difference: no loss can be told from chance")
    hidden = 3 / asked.n_parts  # the rule of three: 95 % sure that none of n is less than 3 / n
    print(f"[+0.000, +0.000] says that no part changed; a loss below {hidden:.1%} could still hide there")


def indexed(precision: str, folder: Path, paths: Sequence[Path]) -> Embeddings:
    """The vectors of the pictures at the paths, from a collection that the command made."""
    environment = {
        **os.environ,
        "CLIPSEARCH_DATA": str(folder / "data"),
        "CLIPSEARCH_CACHE": str(folder / "cache"),
    }
    columns = ["--image-column", "image", "--image-column", "image_2", "--id-column", "part_no"]
    options = ["-m", "starter", "-c", precision, "--precision", precision, "-q", "--json"]
    done = subprocess.run(
        [str(CLI), "index", str(CATALOGUE), *columns, *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"exit {done.returncode}: {done.stderr}")
    report = json.loads(done.stdout)
    print(f"{precision}: {report['encoded']:,} pictures encoded in {report['seconds']:.1f} s", flush=True)
    settings = Settings(data=folder / "data", cache=folder / "cache")
    with open_store(precision, settings) as store:
        assert store.spec.fingerprint.precision == precision
        by_path = {
            Path(str(point.payload["_path"])): np.asarray(point.vectors["image"], np.float32)
            for batch in store.scroll(with_vectors=True)
            for point in batch
        }
    return np.stack([by_path[path] for path in paths])


def print_cosines(fp32: Embeddings, int8: Embeddings) -> None:
    """Plainly, and after taking the mean picture away, which is far stricter."""
    centre = fp32.mean(axis=0)
    for label, a, b in (("", fp32, int8), (" less the mean picture", fp32 - centre, int8 - centre)):
        cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        print(f"cosine of int8 to fp32{label}: least {cosines.min():.5f}, mean {cosines.mean():.5f}")


def cell(value: Interval, *, sign: bool = False) -> str:
    """As 0.912 [0.880, 0.940]."""
    form = "+.3f" if sign else ".3f"
    return f"{f'{value.mean:{form}} [{value.low:{form}}, {value.high:{form}}]':>22}"


if __name__ == "__main__":
    main()
