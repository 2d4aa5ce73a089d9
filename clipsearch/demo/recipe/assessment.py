"""The starter's held-out retrieval on the bundled catalogue, with intervals. Trains nothing.

A query is the full description of a part whose attribute combination was never trained on; relevant are
that part's own pictures. All goes through the encoder that search uses.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import TableError
from clipsearch.evaluation.metrics import hit_at, recall_at, reciprocal_rank
from clipsearch.evaluation.resampling import Interval, bootstrap_mean

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder

CUTOFFS = (1, 5, 10)
QUERIES = {"English": "description", "Japanese": "description_ja"}
PICTURES = ("image", "image_2")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report. gallery says among which pictures; metric is hit@k, recall@k or mrr."""

    language: str
    gallery: str
    metric: str
    value: Interval


@dataclass(frozen=True, slots=True)
class Assessment:
    """The whole report: what was asked of how many parts, and the figures."""

    model: str
    n_parts: int
    n_pictures: int
    n_gallery_all: int
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def assess(encoder: Encoder, catalogue: Path, *, split: str = "test", seed: int = 0) -> Assessment:
    """Text-to-picture retrieval of the split's parts, among their pictures and among all pictures."""
    parts = _read(catalogue)
    mine = [i for i, part in enumerate(parts) if part["split"] == split]
    if not mine:
        raise TableError(f"{catalogue} has no part of the split {split!r}; render the catalogue again")
    owners = np.array([i for i in range(len(parts)) for _ in PICTURES])
    paths = [catalogue.parent / part[column] for part in parts for column in PICTURES]
    pictures = encoder.encode_images(paths)
    rows: list[Row] = []
    for language, column in QUERIES.items():
        texts = encoder.encode_texts([parts[i][column] for i in mine])
        scores = texts @ pictures.T  # (parts of the split, all pictures)
        relevant = np.array(mine)[:, None] == owners[None, :]
        held_out = np.isin(owners, mine)
        rows += _rows(language, "held-out parts", scores[:, held_out], relevant[:, held_out], seed)
        rows += _rows(language, "whole catalogue", scores, relevant, seed)
    n_pictures = len(mine) * len(PICTURES)
    return Assessment(encoder.fingerprint.model, len(mine), n_pictures, len(paths), tuple(rows))


def as_text(found: Assessment) -> str:
    """The report as a table for people."""
    lines = [
        f"{found.model}: {found.n_parts} held-out parts by their full description; a hit is one of the "
        "part's own two pictures",
        f"{'':10} {'gallery':26} " + " ".join(f"{f'Recall@{k}':>22}" for k in CUTOFFS),
    ]
    sizes = {"held-out parts": found.n_pictures, "whole catalogue": found.n_gallery_all}
    for language in QUERIES:
        for gallery, size in sizes.items():
            mine = {r.metric: r.value for r in found.rows if (r.language, r.gallery) == (language, gallery)}
            cells = " ".join(f"{_cell(mine[f'hit@{k}']):>22}" for k in CUTOFFS)
            lines.append(f"{language:10} {f'{gallery} ({size})':26} {cells}")
    return "\n".join([*lines, "95 % bootstrap intervals by part"])


def _rows(
    language: str, gallery: str, scores: NDArray[np.float32], relevant: NDArray[np.bool_], seed: int
) -> list[Row]:
    values = {f"hit@{k}": hit_at(scores, relevant, k) for k in CUTOFFS}
    values |= {f"recall@{k}": recall_at(scores, relevant, k) for k in CUTOFFS}
    values["mrr"] = reciprocal_rank(scores, relevant)
    return [Row(language, gallery, name, bootstrap_mean(v, seed=seed)) for name, v in values.items()]


def _cell(value: Interval) -> str:
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _read(catalogue: Path) -> Sequence[dict[str, str]]:
    needed = ("split", *QUERIES.values(), *PICTURES)
    try:
        with catalogue.open(encoding="utf-8", newline="") as file:
            parts = list(csv.DictReader(file))
    except OSError as exc:
        raise TableError(f"{catalogue} cannot be read ({exc.strerror}); name the catalogue's CSV") from exc
    missing = [column for column in needed if parts and column not in parts[0]]
    if missing or not parts:
        raise TableError(f"{catalogue} lacks {', '.join(missing) or 'rows'}; render the catalogue again")
    return parts
