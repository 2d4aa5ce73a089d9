"""A collection's calibration: sampled, fitted, and kept in a file beside it.

The background is a sample of the collection's own pictures against neutral prompts and against each other.
Where records have words, their own words are questions whose answers are known, and the curve is fitted
on those; judged pairs, where there are some, have the last word.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipsearch import lexical
from clipsearch.encoder import Encoder
from clipsearch.search.channels import has_words
from clipsearch.search.confidence import Calibration, Curve, FittedOn, evidence, unit
from clipsearch.store import RESERVED, Store, all_fields
from clipsearch.types import Point

FILE = "calibration.json"
NEUTRAL_PROMPTS = (
    "a photo", "a picture", "an image", "a photo of something", "a close-up photo", "a drawing",
    "a screenshot", "a photo of an object on a white background", "a landscape", "people",
    "写真", "画像", "何かの写真", "白い背景の物体",
)  # fmt: skip
SAMPLE = 512  # pictures
_FORMAT = 1
_QUESTIONS = 96  # of the records' own words
_ANSWERS = 20  # hits of each of them that are labelled
_FEWEST = 25  # labels of either kind, below which a curve is not fitted
_STALE = 0.25  # change of the collection's size after which its background is sampled anew
# Without labels: the curve that the demo catalogue's words give, in units of the background's spread.
_TEXT = (1.0, -5.0)
_IMAGE = (1.5, -6.0)


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
        found = Calibration(tuple(data.pop("neutral")), text, image, **data)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if len(found.neutral) == store.spec.fingerprint.dim else None


def current(folder: Path | None, store: Store, encoder: Encoder) -> Calibration:
    """The kept calibration, its background sampled anew where the collection has changed by a quarter."""
    kept = load(folder, store)
    if kept is not None and abs(store.count() - kept.n_points) <= _STALE * max(kept.n_points, 1):
        return kept
    made = background(store, encoder)
    if kept is not None:  # its curve is in units of the background's spread, and labels are dear
        text = replace(kept.text, mean=made.text.mean, std=made.text.std)
        made = replace(made, text=text)
    save(made, folder, store)
    return made


def save(calibration: Calibration, folder: Path | None, store: Store) -> None:
    """Keep it in the folder; a folder that cannot be written is no error, it is sampled again then."""
    if folder is None:
        return
    data = {"format": _FORMAT, "weights": store.spec.fingerprint.weights_sha256, **asdict(calibration)}
    fresh = folder / f"{FILE}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(data), encoding="utf-8")
        fresh.replace(folder / FILE)
    except OSError:
        fresh.unlink(missing_ok=True)


def background(store: Store, encoder: Encoder) -> Calibration:
    """The calibration without any label: the background's spread, and the default curve."""
    sample = _sample(store)
    pictures = _vectors(sample)  # (N, D)
    prompts = encoder.encode_texts(list(NEUTRAL_PROMPTS))  # (P, D)
    neutral = prompts.mean(axis=0)
    with_neutral = (pictures @ unit(neutral.tolist())).astype(np.float64)[:, None]
    by_prompts = evidence((pictures @ prompts.T).astype(np.float64), with_neutral, neutral.tolist())
    among = (pictures @ pictures.T).astype(np.float64)
    groups = np.array([str(p.payload.get("_group", p.id)) for p in sample])
    apart = among[groups[:, None] != groups[None, :]]
    return Calibration(
        neutral=tuple(float(x) for x in neutral),
        text=_curve(by_prompts.ravel(), _TEXT),
        image=_curve(apart if apart.size else among.ravel(), _IMAGE),
        n_points=store.count(),
    )


def fitted(store: Store, encoder: Encoder, judged: Iterable[Judged] = ()) -> Calibration:
    """The calibration with the curve for words fitted to labels: judgements, else the records' own words."""
    plain = background(store, encoder)
    pairs = list(judged)
    values, labels = (
        _of_judgements(pairs, plain, store, encoder) if pairs else _of_words(plain, store, encoder)
    )
    on: FittedOn = "judgements" if pairs else "words"
    return replace(plain, text=_refitted(plain.text, values, labels, on))


def refresh(store: Store, encoder: Encoder, folder: Path) -> None:
    """Fit and keep the calibration of a collection whose records have words, unless one is fitted already."""
    kept = load(folder, store)
    if has_words(store) and (kept is None or kept.text.fitted_on == "background"):
        save(fitted(store, encoder), folder, store)


# --- labels ------------------------------------------------------------------------------------


def questions(store: Store, n: int = _QUESTIONS) -> list[str]:
    """Values of the records' own fields of words, each once, fields in turn, in one random order."""
    fields = [f for f, kind in store.spec.fields.items() if kind in ("keyword", "text") and f not in RESERVED]
    values: dict[str, set[str]] = {field: set() for field in fields}
    for point in _sample(store):
        for field in fields:
            value = point.payload.get(field)
            if isinstance(value, str) and 1 <= len(lexical.tokens(value)) <= 12:
                values[field].add(value)
    queues = [sorted(found, key=_random_order) for found in values.values() if len(found) > 1]
    turns = (queue[i] for i in range(n) for queue in queues if i < len(queue))
    return list(dict.fromkeys(islice(turns, n)))


def _random_order(text: str) -> bytes:
    """A key for sorting texts at random, the same way each time."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _of_words(
    plain: Calibration, store: Store, encoder: Encoder
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Evidence and labels of the best hits of the records' own words: right if they hold all the words."""
    asked = questions(store)
    if not asked:
        return np.zeros(0), np.zeros(0, bool)
    kinds = all_fields(store.spec)
    vectors = encoder.encode_texts(asked)
    neutral = unit(plain.neutral)
    values: list[float] = []
    labels: list[bool] = []
    for text, hits in zip(asked, store.search_batch(vectors, limit=_ANSWERS), strict=True):
        points = store.retrieve([hit.id for hit in hits], with_vectors=True)
        near = {p.id: float(np.asarray(p.vectors["image"]) @ neutral) for p in points}
        for hit in hits:
            one = evidence(np.array([hit.score]), np.array([near.get(hit.id, 0.0)]), plain.neutral)
            values.append(float(one[0]))
            labels.append(lexical.matched(text, hit.payload, kinds) >= 1.0)
    return np.array(values), np.array(labels, bool)


def _of_judgements(
    judged: Sequence[Judged], plain: Calibration, store: Store, encoder: Encoder
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    from clipsearch.search.asking import named

    texts = list(dict.fromkeys(pair.query for pair in judged))
    vectors = dict(zip(texts, encoder.encode_texts(texts), strict=True))
    neutral = unit(plain.neutral)
    values: list[float] = []
    labels: list[bool] = []
    for pair in judged:
        for points in store.scroll(filter=named(pair.key), with_vectors=True):
            rows = _vectors(points)
            of_neutral = (rows @ neutral).astype(np.float64)
            found = evidence((rows @ vectors[pair.query]).astype(np.float64), of_neutral, plain.neutral)
            values.append(float(found.max()))  # a record is as near as its nearest picture
            labels.append(pair.is_relevant)
    return np.array(values), np.array(labels, bool)


# --- curves ------------------------------------------------------------------------------------


def _curve(values: NDArray[np.float64], shape: tuple[float, float]) -> Curve:
    """Median and spread of the background; robust, for some of its pairs do belong together."""
    middle = float(np.median(values)) if values.size else 0.0
    spread = 1.4826 * float(np.median(np.abs(values - middle))) if values.size else 0.0
    return Curve(middle, max(spread, 1e-3), *shape)


def _refitted(curve: Curve, values: NDArray[np.float64], labels: NDArray[np.bool_], on: FittedOn) -> Curve:
    if min(labels.sum(), (~labels).sum()) < _FEWEST:
        return curve
    slope, intercept = platt((values - curve.mean) / curve.std, labels)
    if slope <= 0:  # the model cannot tell these apart: no curve says more than the default
        return curve
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
