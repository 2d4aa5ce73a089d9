"""A collection's calibration: sampled, fitted, and kept in a file beside it.

The background is a sample of the collection's own pictures against neutral prompts and against each other.
Where records have words, their own words are questions whose answers are known, and the curve is fitted
on those that pictures answer; judged pairs, where there are some, have the last word.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from clipsearch import lexical
from clipsearch.encoder import Encoder
from clipsearch.files import replaced
from clipsearch.search.asking import named
from clipsearch.search.channels import has_words
from clipsearch.search.confidence import Calibration, Curve, FittedOn
from clipsearch.store import RESERVED, Store, all_fields, marked
from clipsearch.types import Payload, Point

FILE = "calibration.json"
NEUTRAL_PROMPTS = (
    "a photo", "a picture", "an image", "a photo of something", "a close-up photo", "a drawing",
    "a screenshot", "a photo of an object on a white background", "a landscape", "people",
    "写真", "画像", "何かの写真", "白い背景の物体",
)  # fmt: skip
SAMPLE = 512  # pictures
_FORMAT = 2
_QUESTIONS = 240  # of the records' own words
_ANSWERS = 20  # hits of each of them that are labelled
_FEWEST = 25  # labels of either kind, below which a curve is not fitted
# AUROC from which pictures are taken to show what a field says. Of the demo's fields, names, descriptions and
# shapes are above 0.9, materials and finishes about 0.5; of the DIY catalogue's none is above 0.72.
_SHOWN = 0.75
_STALE = 0.25  # change of the collection's size after which its background is sampled anew
# Without labels: slope, and where the curve is at one half, in standard deviations of the background beyond
# what the best of the collection's pictures reach by chance. The demo's labels give slopes of 5.9 (words)
# and 4.4 (pictures) and halves at -0.3 and 0.8; a curve that knows nothing is a little more careful.
_TEXT = (4.0, 0.0)
_IMAGE = (4.0, 0.75)


@dataclass(frozen=True, slots=True)
class Judged:
    """A person's verdict on one record for one query."""

    query: str
    key: str
    is_relevant: bool


def load(folder: Path | None, store: Store) -> Calibration | None:
    """The calibration kept in the folder; None where there is none for this collection's model."""
    if folder is None:
        return None
    try:
        data = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if data.pop("format") != _FORMAT or data.pop("weights") != store.spec.fingerprint.weights_sha256:
            return None
        text, image = Curve(**data.pop("text")), Curve(**data.pop("image"))
        return Calibration(text, image, **data)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def current(folder: Path | None, store: Store, encoder: Encoder) -> Calibration:
    """The kept calibration, its background sampled anew where the collection has changed by a quarter."""
    kept = load(folder, store)
    if kept is not None and abs(store.count() - kept.n_points) <= _STALE * max(kept.n_points, 1):
        return kept
    made = background(store, encoder)
    if kept is not None and kept.text.fitted_on != "background":
        # its curve is in units of the background's spread, and labels are dear
        text = replace(kept.text, mean=made.text.mean, std=made.text.std)
        made = replace(made, text=text)
    save(made, folder, store)
    return made


def save(calibration: Calibration, folder: Path | None, store: Store) -> None:
    """Keep it in the folder; a folder that cannot be written is no error, it is sampled again then."""
    if folder is None:
        return
    data = {"format": _FORMAT, "weights": store.spec.fingerprint.weights_sha256, **asdict(calibration)}
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with replaced(folder / FILE) as fresh:
            fresh.write_text(json.dumps(data), encoding="utf-8")


def background(store: Store, encoder: Encoder) -> Calibration:
    """The calibration without any label: the background's spread, and the default curve."""
    sample = _sample(store)
    pictures = _vectors(sample)  # (N, D)
    by_prompts = pictures @ encoder.encode_texts(list(NEUTRAL_PROMPTS)).T
    among = pictures @ pictures.T
    groups = np.array([str(p.payload.get("_group", p.id)) for p in sample])
    apart = among[groups[:, None] != groups[None, :]]
    n = store.count()
    return Calibration(
        text=_curve(by_prompts.ravel(), n, *_TEXT),
        image=_curve(apart if apart.size else among.ravel(), n, *_IMAGE),
        n_points=n,
    )


def fitted(store: Store, encoder: Encoder, judged: Iterable[Judged] = ()) -> Calibration:
    """The calibration with the curve for words fitted to labels: judgements, else the records' own words."""
    plain = background(store, encoder)
    pairs = list(judged)
    values, labels = _of_judgements(pairs, store, encoder) if pairs else _of_words(store, encoder)
    on: FittedOn = "judgements" if pairs else "words"
    return replace(plain, text=_refitted(plain.text, values, labels, on))


def refresh(store: Store, encoder: Encoder, folder: Path) -> None:
    """Fit and keep the calibration of a collection whose records have words, unless one is fitted already."""
    kept = load(folder, store)
    if has_words(store) and (kept is None or kept.text.fitted_on == "background"):
        save(fitted(store, encoder), folder, store)


# --- labels ------------------------------------------------------------------------------------


def questions(store: Store, n: int = _QUESTIONS) -> dict[str, str]:
    """Values of the records' own fields of words with their field, fields in turn, in one random order."""
    fields = [f for f, kind in store.spec.fields.items() if kind in ("keyword", "text") and f not in RESERVED]
    values: dict[str, set[str]] = {field: set() for field in fields}
    for point in _sample(store):
        for field in fields:
            value = point.payload.get(field)
            if isinstance(value, str) and 1 <= len(lexical.tokens(value)) <= 12:
                values[field].add(value)
    queues = [(f, sorted(found, key=_random_order)) for f, found in values.items() if len(found) > 1]
    turns = ((queue[i], field) for i in range(n) for field, queue in queues if i < len(queue))
    return dict(islice(turns, n))


def _random_order(text: str) -> bytes:
    """A key for sorting texts at random, the same way each time."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _of_words(store: Store, encoder: Encoder) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cosines and labels of the best hits of the records' own words: right if they hold all the words.

    Of fields that pictures do not show (a size, a price's currency) the labels say nothing about pictures;
    they are left out, unless no field is shown.
    """
    asked = questions(store)
    if not asked:
        return np.zeros(0), np.zeros(0, bool)
    kinds = all_fields(store.spec)
    rows = [
        (hit.score, lexical.matched(text, _untagged(hit.payload), kinds) >= 1.0, field)
        for (text, field), hits in zip(
            asked.items(), store.search_batch(encoder.encode_texts(list(asked)), limit=_ANSWERS), strict=True
        )
        for hit in hits
    ]
    values, labels = np.array([row[0] for row in rows], np.float64), np.array([row[1] for row in rows], bool)
    of = np.array([row[2] for row in rows])
    shown = [field for field in set(asked.values()) if _told_apart(values[of == field], labels[of == field])]
    kept = np.isin(of, shown) if shown else np.ones(len(of), bool)
    return values[kept], labels[kept]


def _untagged(payload: Payload) -> Payload:
    """The payload without fields that hold tags of ours: what a model said is no proof of what it can see."""
    ours = marked(payload, "_tags")
    return {name: value for name, value in payload.items() if name not in ours} if ours else payload


def _told_apart(values: NDArray[np.float64], labels: NDArray[np.bool_]) -> bool:
    """Whether a right hit is nearly always above a wrong one."""
    right, wrong = values[labels], values[~labels]
    if min(len(right), len(wrong)) < _FEWEST:
        return False
    auroc = float(np.mean(right[:, None] > wrong[None, :]) + np.mean(right[:, None] == wrong[None, :]) / 2)
    return auroc >= _SHOWN


def _of_judgements(
    judged: Sequence[Judged], store: Store, encoder: Encoder
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    texts = list(dict.fromkeys(pair.query for pair in judged))
    vectors = dict(zip(texts, encoder.encode_texts(texts), strict=True))
    values: list[float] = []
    labels: list[bool] = []
    for pair in judged:
        for points in store.scroll(filter=named(pair.key), with_vectors=True):
            cosines = _vectors(points) @ vectors[pair.query]
            values.append(float(cosines.max()))  # a record is as near as its nearest picture
            labels.append(pair.is_relevant)
    return np.array(values), np.array(labels, bool)


# --- curves ------------------------------------------------------------------------------------


def _curve(values: NDArray[np.float32], n_points: int, slope: float, beyond: float) -> Curve:
    """Median and spread of the background, robust, for some of its pairs do belong together; default shape.

    By chance: were the background normal, one half of a picture of the collection is expected to be there.
    """
    middle = float(np.median(values)) if values.size else 0.0
    spread = 1.4826 * float(np.median(np.abs(values - middle))) if values.size else 0.0
    by_chance = NormalDist().inv_cdf(1 - 0.5 / max(n_points, 10))
    return Curve(middle, max(spread, 1e-3), slope, -slope * (by_chance + beyond))


def _refitted(curve: Curve, values: NDArray[np.float64], labels: NDArray[np.bool_], on: FittedOn) -> Curve:
    """The curve with the labels' slope and intercept, where they are enough and the model tells them apart.

    All questions of the records' own words have answers, people's have not. So that curve is not at one half
    before chance is: on the demo .96 instead of .78 of the queries without an answer get no confident hit,
    and as many as before, .99, of those with one do.
    """
    if min(labels.sum(), (~labels).sum()) < _FEWEST:
        return curve
    slope, intercept = platt((values - curve.mean) / curve.std, labels)
    if slope <= 0:  # the model cannot tell these apart: no curve says more than the default
        return curve
    if on == "words":
        intercept = min(intercept, slope * curve.intercept / curve.slope)
    return replace(curve, slope=slope, intercept=intercept, fitted_on=on, n_pairs=len(labels))


def platt(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of P(true | score), by Newton's method on Platt's smoothed targets.

    Platt (1999); the targets' smoothing and the line search after Lin, Lin and Weng (2007).
    """
    n_true, n_false = int(labels.sum()), int((~labels).sum())
    target = np.where(labels, (n_true + 1) / (n_true + 2), 1 / (n_false + 2))
    design = np.stack([scores, np.ones_like(scores)], axis=1)  # (N, 2)
    weights = np.array([0.0, np.log((n_true + 1) / (n_false + 1))])

    def loss(w: NDArray[np.float64]) -> float:
        logits = design @ w
        return float(np.sum(np.logaddexp(0.0, logits) - target * logits))

    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (p - target)
        if np.abs(gradient).max() < 1e-6 * len(labels):
            break
        step = np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2), gradient)
        size = 1.0
        while loss(weights - size * step) > loss(weights) and size > 1e-6:
            size /= 2
        weights = weights - size * step
    return float(weights[0]), float(weights[1])


def _sample(store: Store) -> list[Point]:
    """The first points by id: ids are hashes, so these are points at random."""
    return next(iter(store.scroll(batch_size=SAMPLE, with_vectors=True)), [])


def _vectors(points: Sequence[Point]) -> NDArray[np.float32]:
    return np.stack([np.asarray(point.vectors["image"], np.float32) for point in points])
