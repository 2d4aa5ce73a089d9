"""How far tags can be believed: the catalogue's own values as a vocabulary, without labels and with them.

Exclusive groups: shape, material and finish, of which each part has one. Flat: the same and family, head and
drive as labels that stand alone. Bare are the model's own odds; "before" knows the collection's background;
"after" has been fitted to the parts' labels and is judged on parts that it was not fitted to: cross-fitted,
in five folds of parts. Only its thresholds have seen all, and its mAP says little: it mixes five curves, of
which each keeps a label's order as it was. The starter was trained on the combinations of split train, so
the held-out parts are the honest figure. Pictures that it was never made for may be given as well.
Prints nothing.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clipsearch.demo.checks.labels import ATTRIBUTE_JA, FAMILY_JA, shape_ja
from clipsearch.demo.checks.questions import LANGUAGES
from clipsearch.errors import TableError
from clipsearch.evaluation.resampling import Interval, bootstrap_mean
from clipsearch.evaluation.tagging import TagReport, report
from clipsearch.tagging import scoring
from clipsearch.tagging.scoring.units import Curve
from clipsearch.tagging.vectors import LabelVectors, label_vectors
from clipsearch.tagging.vocabulary import Label, Vocabulary
from clipsearch.types import Embeddings, Payload

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder
    from clipsearch.search import Searcher

GROUPS = ("shape", "material", "finish")
FIELDS = (*GROUPS, "family", "head", "drive")
PRECISION = 0.9
Kind: TypeAlias = Literal["groups", "flat"]
KINDS: tuple[Kind, Kind] = ("groups", "flat")


@dataclass(frozen=True, slots=True)
class Pictures:
    """N pictures with what they show, by field, and the record they belong to."""

    title: str
    vectors: Embeddings
    shows: Sequence[Mapping[str, str]]
    records: NDArray[np.str_]

    def some(self, title: str, chosen: NDArray[np.bool_]) -> Pictures:
        shows = [one for one, is_chosen in zip(self.shows, chosen, strict=True) if is_chosen]
        return Pictures(title, self.vectors[chosen], shows, self.records[chosen])


@dataclass(frozen=True, slots=True)
class Run:
    """One vocabulary on some pictures: the model's bare odds, with a background, and with labels."""

    pictures: str
    kind: Kind
    language: str
    bare: TagReport
    before: TagReport
    after: TagReport
    curves: Mapping[str, Curve]  # fitted to all these pictures, by group, or "alone"


@dataclass(frozen=True, slots=True)
class Promise:
    """Labels promised a precision by four fifths of the records, on the last fifth's pictures, five times."""

    pictures: str
    kind: Kind
    language: str
    precision: float
    n_labels: int
    promised: Mapping[
        str, tuple[int, int]
    ]  # label: pictures it was given, and rightly, by folds that promised
    kept: Interval  # precision of all these together
    left_off: Mapping[str, int]  # reason, with how many labels of a fold had it


def evaluate(searcher: Searcher, *, diy: Path | None = None) -> tuple[list[Run], list[Promise]]:
    """All vocabularies on all parts, on the held-out ones and on a folder like ../shared/data/diy_catalogue.

    Raises TableError for a folder without products.csv.
    """
    parts = pictures_of(searcher)
    held_out = parts.some("held-out parts", np.array([one["split"] == "test" for one in parts.shows]))
    products = None if diy is None else products_in(diy, searcher.encoder)
    runs, promises = [], []
    for kind in KINDS:
        for language in LANGUAGES:
            made = vocabulary(parts.shows, GROUPS if kind == "groups" else FIELDS, kind, language)
            vectors = label_vectors(searcher.encoder, made)
            of, encoder = (kind, language), searcher.encoder
            runs += [run(some, made, vectors, of, encoder, parts.vectors) for some in (parts, held_out)]
            promises.append(promise(parts, made, vectors, of, encoder))
    if products is not None:
        for kind in KINDS:
            made = vocabulary(products.shows, ("category",), kind, "English")
            vectors = label_vectors(searcher.encoder, made)
            of = (kind, "English")
            runs.append(run(products, made, vectors, of, searcher.encoder, products.vectors))
            promises.append(promise(products, made, vectors, of, searcher.encoder))
    return runs, promises


def vocabulary(
    shows: Sequence[Mapping[str, str]], fields: Sequence[str], kind: Kind, language: str
) -> Vocabulary:
    """The fields' values, each field a group or all standing alone."""
    return Vocabulary(
        tuple(
            Label(
                f"{field}|{value}", _name(field, value, language), group=field if kind == "groups" else None
            )
            for field in fields
            for value in sorted({one[field] for one in shows if one.get(field)})
        )
    )


def truth_of(pictures: Pictures, made: Vocabulary) -> NDArray[np.int8]:
    """(N, C): 1 has the label, 0 has not; all is known."""
    wanted = [label.id.split("|") for label in made.labels]
    return np.array([[one.get(f) == value for f, value in wanted] for one in pictures.shows], np.int8)


def run(
    pictures: Pictures,
    made: Vocabulary,
    vectors: LabelVectors,
    of: tuple[Kind, str],
    encoder: Encoder,
    background: Embeddings,
) -> Run:
    """The figures by the background alone, and cross-fitted. of: the report's kind and language."""
    groups, truth = tuple(made.groups.values()), truth_of(pictures, made)
    scale, bias = encoder.logit_scale, encoder.logit_bias
    names = [label.id for label in made.labels]

    def judged(fit: scoring.Fit) -> TagReport:
        found = fit.cross_fitted
        values = fit.scorer.probabilities(pictures.vectors) if found is None else found
        given = fit.scorer.given(values)
        return report(values, given, truth, names, records=pictures.records, groups=made.groups)

    examples = scoring.Examples(pictures.vectors, truth, pictures.records.tolist())
    bare, before = (
        scoring.unlabelled(vectors, some, groups, logit_scale=scale, logit_bias=bias)
        for some in (background[:0], background)
    )
    after = scoring.fitted(vectors, background, groups, examples=examples, logit_scale=scale, logit_bias=bias)
    curves = dict(zip(made.groups, after.grouped, strict=True)) or {"alone": after.alone}
    return Run(pictures.title, *of, judged(bare), judged(before), judged(after), curves)


def promise(
    pictures: Pictures, made: Vocabulary, vectors: LabelVectors, of: tuple[Kind, str], encoder: Encoder
) -> Promise:
    """What is promised by four folds and kept on the fifth, for all five."""
    groups, truth = tuple(made.groups.values()), truth_of(pictures, made)
    folds = scoring.folds_of(pictures.records)
    rows: list[tuple[int, str, bool]] = []  # label, record, right
    reasons: Counter[str] = Counter()
    for fold in np.unique(folds):
        mine = folds == fold
        fit = scoring.fitted(
            vectors,
            pictures.vectors,
            groups,
            examples=scoring.Examples(
                pictures.vectors[~mine], truth[~mine], pictures.records[~mine].tolist()
            ),
            logit_scale=encoder.logit_scale,
            logit_bias=encoder.logit_bias,
            precision=PRECISION,
        )
        few = scoring.fewest(PRECISION)
        reasons.update("too few labels" if one.n_records < few else "too low" for one in fit.left_off)
        given = fit.scorer.given(fit.scorer.probabilities(pictures.vectors[mine]))
        right, records = truth[mine] == 1, pictures.records[mine]
        rows += [(int(c), str(records[n]), bool(right[n, c])) for n, c in np.argwhere(given)]
    promised = {
        made.labels[c].id: (
            sum(row[0] == c for row in rows),
            sum(row[2] for row in rows if row[0] == c),
        )
        for c in sorted({row[0] for row in rows})
    }
    kept = bootstrap_mean([row[2] for row in rows], [row[1] for row in rows])
    return Promise(pictures.title, *of, PRECISION, len(made), promised, kept, dict(reasons))


# --- what pictures show --------------------------------------------------------------------------


def pictures_of(searcher: Searcher) -> Pictures:
    points = [point for batch in searcher.store.scroll(with_vectors=True) for point in batch]
    return Pictures(
        "all parts",
        np.stack([np.asarray(point.vectors["image"], np.float32) for point in points]),
        [_shown(point.payload) for point in points],
        np.array([str(point.payload["part_no"]) for point in points]),
    )


def _shown(payload: Payload) -> Mapping[str, str]:
    return {field: str(payload[field]) for field in (*FIELDS, "split") if payload.get(field)}


def products_in(folder: Path, encoder: Encoder) -> Pictures:
    try:
        with (folder / "products.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as exc:
        raise TableError(
            f"{folder}/products.csv cannot be read ({exc.strerror}); name a folder with that and images/"
        ) from exc
    if not rows or not {"image", "category"} <= rows[0].keys():
        raise TableError(f"{folder}/products.csv needs the columns image and category, and rows")
    vectors = encoder.encode_images([folder / "images" / row["image"] for row in rows])
    return Pictures(
        "DIY products",
        vectors,
        [{"category": row["category"]} for row in rows],
        np.array([row["image"] for row in rows]),
    )


def _name(field: str, value: str, language: str) -> str:
    if language == "English":
        return f"{value} {field}" if field in ("head", "drive") else value
    if field == "shape":
        return shape_ja(value)
    return FAMILY_JA[value] if field == "family" else ATTRIBUTE_JA[field][value]
