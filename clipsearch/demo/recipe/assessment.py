"""The starter's held-out retrieval on the bundled catalogue, with intervals. Trains nothing.

A query is the full description of a part whose attribute combination was never trained on. Right are the
part's own two pictures ("part"); or, because no picture shows a size, the pictures of every part whose
description differs in nothing but the size ("look"). All goes through the encoder that search uses.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import TableError
from clipsearch.evaluation.metrics import Values, hit_at, recall_at, reciprocal_rank
from clipsearch.evaluation.resampling import Interval, bootstrap_mean
from clipsearch.types import Embeddings

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder

CUTOFFS = (1, 5, 10)
QUERIES = {"English": "description", "Japanese": "description_ja"}
PICTURES = ("image", "image_2")

Figure: TypeAlias = tuple[str, str, str, str]
"""What a figure is of: language, gallery, right, metric, as in Row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. right is what counts as found: "part" or "look"; gallery says among which pictures."""

    language: str
    gallery: str
    right: str
    metric: str  # hit@k: any right picture among the first k; recall@k: the share of them; mrr
    value: Interval


@dataclass(frozen=True, slots=True)
class Assessment:
    """The whole report: what was asked of how many parts, and the figures."""

    model: str
    n_parts: int
    n_looks: int
    n_pictures: int
    n_gallery_all: int
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


class Retrieval:
    """The queries of one split and what is right for each. Asks any encoder, and gives a value a query."""

    def __init__(self, catalogue: Path, *, split: str = "test") -> None:
        """Raises TableError."""
        parts = _read(catalogue)
        mine = [i for i, part in enumerate(parts) if part["split"] == split]
        if not mine:
            raise TableError(f"{catalogue} has no part of the split {split!r}; render the catalogue again")
        owners = np.repeat(np.arange(len(parts)), len(PICTURES))  # of each picture
        self.paths = [catalogue.parent / part[column] for part in parts for column in PICTURES]
        self.queries = {language: [parts[i][column] for i in mine] for language, column in QUERIES.items()}
        looks = np.array([part["description"].removesuffix(f", {part['size']}") for part in parts])
        self.n_parts, self.n_looks = len(mine), len(set(looks[mine].tolist()))
        self._right = {
            "part": np.array(mine)[:, None] == owners[None, :],
            "look": looks[mine][:, None] == looks[owners][None, :],
        }
        self._galleries = {
            "held-out parts": np.isin(owners, mine),
            "whole catalogue": np.ones(len(owners), bool),
        }

    def outcomes(self, pictures: Embeddings, texts: Mapping[str, Embeddings]) -> dict[Figure, Values]:
        """By figure, one value a part. pictures (P, D): of self.paths; texts (parts, D): of self.queries."""
        found: dict[Figure, Values] = {}
        for language, vectors in texts.items():
            scores = vectors @ pictures.T  # (parts, pictures)
            for gallery, among in self._galleries.items():
                for right, relevant in self._right.items():
                    values = _values(scores[:, among], relevant[:, among])
                    found |= {(language, gallery, right, metric): v for metric, v in values.items()}
        return found


def assess(encoder: Encoder, catalogue: Path, *, split: str = "test", seed: int = 0) -> Assessment:
    """Text-to-picture retrieval of the split's parts, among their pictures and among all pictures."""
    asked = Retrieval(catalogue, split=split)
    texts = {language: encoder.encode_texts(queries) for language, queries in asked.queries.items()}
    outcomes = asked.outcomes(encoder.encode_images(asked.paths), texts)
    return Assessment(
        encoder.fingerprint.model,
        asked.n_parts,
        asked.n_looks,
        asked.n_parts * len(PICTURES),
        len(asked.paths),
        tuple(Row(*figure, bootstrap_mean(values, seed=seed)) for figure, values in outcomes.items()),
    )


def as_text(found: Assessment) -> str:
    """The report as a table for people."""
    sizes = {"held-out parts": found.n_pictures, "whole catalogue": found.n_gallery_all}
    lines = [
        f"{found.model}: {found.n_parts} held-out parts ({found.n_looks} looks) by their full description",
        f"{'':9} {'found among':24} {'right':5} " + " ".join(f"{f'Recall@{k}':>20}" for k in CUTOFFS),
    ]
    values = {(r.language, r.gallery, r.right, r.metric): r.value for r in found.rows}
    for language, (gallery, size), right in product(QUERIES, sizes.items(), ("part", "look")):
        cells = " ".join(f"{_cell(values[language, gallery, right, f'hit@{k}']):>20}" for k in CUTOFFS)
        lines.append(f"{language:9} {f'{gallery} ({size})':24} {right:5} {cells}")
    return "\n".join(
        [
            *lines,
            "Share of descriptions with a right picture among the first k; 95 % bootstrap intervals by part.",
            "part: the part's own two pictures; look: of any part that differs in nothing but its size.",
        ]
    )


def _values(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> dict[str, Values]:
    values = {f"hit@{k}": hit_at(scores, relevant, k) for k in CUTOFFS}
    values |= {f"recall@{k}": recall_at(scores, relevant, k) for k in CUTOFFS}
    return {**values, "mrr": reciprocal_rank(scores, relevant)}


def _cell(value: Interval) -> str:
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _read(catalogue: Path) -> Sequence[dict[str, str]]:
    needed = ("split", "size", *QUERIES.values(), *PICTURES)
    try:
        with catalogue.open(encoding="utf-8", newline="") as file:
            parts = list(csv.DictReader(file))
    except OSError as exc:
        raise TableError(f"{catalogue} cannot be read ({exc.strerror}); name the catalogue's CSV") from exc
    missing = [column for column in needed if parts and column not in parts[0]]
    if missing or not parts:
        raise TableError(f"{catalogue} lacks {', '.join(missing) or 'rows'}; render the catalogue again")
    return parts
