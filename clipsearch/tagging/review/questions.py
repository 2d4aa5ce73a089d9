"""Questions about a collection's pictures, and the table in which a person answers them.

Owns which pictures are considered and how a question is written. Which are chosen, `choosing` knows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipsearch.errors import TableError, TaggingError
from clipsearch.files import replaced
from clipsearch.store import Store
from clipsearch.tagging.labels import Labels, Rules, Said, said_of
from clipsearch.tagging.labels.words import Words
from clipsearch.tagging.review.choosing import RANDOM_SHARE, Known, propose
from clipsearch.tagging.scoring import Scorer
from clipsearch.tagging.vocabulary import Vocabulary
from clipsearch.types import Filter, Point

POOL = 20_000  # pictures considered, at random: among these there are enough of every kind to ask about
_PROBABILITIES = 50_000_000  # 8 s on two cores; of 20,000 labels this leaves 2,500 pictures
COLUMNS = ("key", "tag", "correct", "confidence", "why", "path")


@dataclass(frozen=True, slots=True)
class Question:
    """Shall this picture have this tag? why: "uncertain" or "at random"."""

    key: str
    path: str
    label: str  # its id in the vocabulary
    tag: str  # as a person is asked: its name, or the id where other labels have that name
    confidence: float
    why: str


def questions(
    store: Store,
    scorer: Scorer,
    vocabulary: Vocabulary,
    labels: Labels,
    *,
    n: int,
    filter: Filter | None = None,
    random_share: float = RANDOM_SHARE,
    seed: int = 0,
) -> list[Question]:
    """At most n questions that the labels do not answer, label by label in the vocabulary's order.

    Considers POOL pictures of the collection, those first by id: ids are hashes. Raises TaggingError for a
    collection without a picture that matches.
    """
    points = _pool(store, filter, max(1, min(POOL, _PROBABILITIES // max(1, len(vocabulary)))))
    if not points:
        raise TaggingError(
            f"collection {store.name!r} has no picture to ask about"
            + (" that matches the filter" if filter else "; index some first")
        )
    rules = Rules(vocabulary)
    said = [said_of(point.payload, labels, rules) for point in points]
    open_ = [i for i, one in enumerate(said) if not one.complete]
    points, said = [points[i] for i in open_], [said[i] for i in open_]
    if not points:
        return []
    vectors = np.stack([np.asarray(point.vectors["image"], np.float32) for point in points])
    known = _known(said, labels, rules)
    words = Words(vocabulary)
    found = []
    for one in propose(scorer, vectors, n=n, known=known, random_share=random_share, seed=seed):
        payload, label = points[one.row].payload, vocabulary.labels[one.place]
        key, path = str(payload.get("_key", points[one.row].id)), str(payload.get("_path", ""))
        tag = _unmistakable(one.place, words)
        found.append(Question(key, path, label.id, tag, one.probability, one.why))
    return found


def write_questions(path: Path, asked: Sequence[Question]) -> None:
    """Write the questions as CSV that spreadsheets read: UTF-8 with a mark, the file whole or not at all.

    Raises TableError where it cannot be written.
    """
    try:
        with replaced(path) as fresh:
            fresh.write_bytes(as_csv(asked).encode("utf-8-sig", "replace"))
    except OSError as exc:
        raise TableError(f"{path} cannot be written: {exc.strerror or exc}; name another file") from exc


def as_csv(asked: Sequence[Question]) -> str:
    """The questions as CSV, with an empty column `correct` to be filled in."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for one in asked:
        writer.writerow((one.key, one.tag, "", f"{one.confidence:.3f}", one.why, one.path))
    return out.getvalue()


def _pool(store: Store, filter: Filter | None, most: int) -> list[Point]:
    found: list[Point] = []
    for batch in store.scroll(filter=filter, batch_size=min(most, 2000), with_vectors=True):
        found += batch
        if len(found) >= most:
            break
    return found[:most]


def _known(said: Sequence[Said], labels: Labels, rules: Rules) -> Known:
    """What need not be asked of these pictures; each label's answers are counted for all keys."""
    rows = {row: list(rules.closed(one)) for row, one in enumerate(said) if one}
    counts = np.zeros(len(rules.vocabulary), np.intp)
    for one in labels.by_key.values():
        counts[slice(None) if one.complete else list(rules.closed(one))] += 1
    return Known.of(rows, counts)


def _unmistakable(place: int, words: Words) -> str:
    """The label's name, if that is read back as this label; else its id."""
    label = words.vocabulary.labels[place]
    try:
        is_read_back = words.place(label.name) == place
    except TaggingError:
        is_read_back = False
    return label.name if is_read_back else label.id
