"""Do answers to review's questions teach more than answers about pairs at random?

    python benchmarks/review.py                (about half a minute)

Makes the demo with the starter model in a temporary folder. Half of its records may be asked about, the other
half is measured on. A person who knows the catalogue answers 50, 100 and 200 questions, in rounds of 50;
after each the tagger is fitted again. Compared: review's questions; pairs of a picture and a label at
random; pairs at random among those that would be given. A wrong label of a group is answered with the right
one, as a person may write it in the table, or with no alone. 20 halves; figures are means with 95 % intervals
of the mean, and of the difference, half by half.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipsearch.search import encoder_of
from clipsearch.settings import Settings
from clipsearch.store import open_store
from clipsearch.tagging import scoring
from clipsearch.tagging.labels import Labels, Said, examples, labels_from_field
from clipsearch.tagging.review import Known, propose
from clipsearch.tagging.tagger import Tagger
from clipsearch.tagging.vectors import LabelVectors
from clipsearch.tagging.vocabulary import Label, Vocabulary
from clipsearch.types import Embeddings

ROOT = Path(__file__).parents[1]
GROUPS, ALONE = ("material", "finish"), ("shape", "family")
ROUND, ROUNDS, HALVES = 50, (50, 100, 200), 20
_Pairs = list[tuple[int, int]]
_Person = Callable[[Vocabulary, int], list[int]]
_Ask = Callable[["World", scoring.Scorer, NDArray[np.int8], NDArray[np.intp], int], _Pairs]


@dataclass(frozen=True)
class World:
    """The demo's pictures with everything that is true of them, and the vocabulary's vectors."""

    vocabulary: Vocabulary
    labels: LabelVectors
    vectors: Embeddings  # (N, D)
    truth: NDArray[np.int8]  # (N, C): 0 or 1
    records: NDArray[np.str_]  # (N,)
    logit_scale: float

    def fit(self, background: NDArray[np.intp], answers: NDArray[np.int8]) -> scoring.Fit:
        """The tagger's fit after the answers (N, C): -1 where none was given."""
        groups = tuple(self.vocabulary.groups.values())
        told = np.flatnonzero((answers >= 0).any(axis=1))
        if not len(told):
            return scoring.unlabelled(
                self.labels, self.vectors[background], groups, logit_scale=self.logit_scale, logit_bias=None
            )
        known = scoring.Examples(self.vectors[told], answers[told], list(self.records[told]))
        return scoring.fitted(
            self.labels,
            self.vectors[background],
            groups,
            examples=known,
            logit_scale=self.logit_scale,
            logit_bias=None,
        )


def main() -> None:
    """Measure and print."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        world = _world(Path(folder))
    n, c = world.truth.shape
    records = len(set(world.records))
    print(f"{n} pictures, {records} records, {c} labels; {world.truth.mean():.1%} of the pairs are true")
    for person, answer in (("with the right tag", _right_tag), ("with yes or no", _yes_or_no)):
        print(f"\nanswered {person}")
        _compare(world, answer)
    print(f"{time.monotonic() - began:.0f} s")


def _compare(world: World, answer: _Person) -> None:
    ways: dict[str, _Ask] = {"review": _by_review, "at random": _at_random, "given": _given_at_random}
    found = {
        way: np.array([_measured(world, ask, answer, i) for i in range(HALVES)]) for way, ask in ways.items()
    }
    print(f"{'answers':>7}  {'asked by':<10}" + "".join(f"{name:>18}" for name in METRICS))
    for step, n_answers in enumerate((0, *ROUNDS)):
        for way, values in found.items():  # (halves, steps, metrics)
            print(f"{n_answers:>7}  {way:<10}" + "".join(map(_interval, values[:, step].T)))
            if step == 0:
                break
    for other in ("at random", "given"):
        print(f"review less {other}:")
        for step, n_answers in enumerate(ROUNDS, start=1):
            apart = found["review"][:, step] - found[other][:, step]
            print(f"{n_answers:>7}  {'':<10}" + "".join(map(_interval, apart.T)))


# --- a person who knows --------------------------------------------------------------------------------


def _measured(world: World, ask: _Ask, answer: _Person, half: int) -> list[list[float]]:
    """The metrics on one half after 0 answers and after each number of ROUNDS, asked about in the other."""
    rng = np.random.default_rng(half)
    names = np.unique(world.records)
    mine = np.isin(world.records, rng.choice(names, len(names) // 2, replace=False))
    pool, other = np.flatnonzero(mine), np.flatnonzero(~mine)
    answers = np.full(world.truth.shape, -1, np.int8)
    fit = world.fit(pool, answers)
    found = [_metrics(fit.scorer, world, other)]
    for n in range(ROUND, ROUNDS[-1] + 1, ROUND):
        for row, place in ask(world, fit.scorer, answers, pool, half * 1000 + n):
            places = answer(world.vocabulary, place)
            answers[row, places] = world.truth[row, places]
        fit = world.fit(pool, answers)
        if n in ROUNDS:
            found.append(_metrics(fit.scorer, world, other))
    return found


def _right_tag(vocabulary: Vocabulary, place: int) -> list[int]:
    """The places that are known after an answer about a label: in a group, which of its labels it is."""
    group = vocabulary.labels[place].group
    return [place] if group is None else list(vocabulary.groups[group])


def _yes_or_no(vocabulary: Vocabulary, place: int) -> list[int]:
    return [place]


def _by_review(
    world: World, scorer: scoring.Scorer, answers: NDArray[np.int8], pool: NDArray[np.intp], seed: int
) -> _Pairs:
    rows = {i: np.flatnonzero(answers[row] >= 0).tolist() for i, row in enumerate(pool)}
    known = Known.of({i: places for i, places in rows.items() if places}, (answers >= 0).sum(axis=0))
    found = propose(scorer, world.vectors[pool], n=ROUND, known=known, seed=seed)
    return [(int(pool[one.row]), one.place) for one in found]


def _at_random(
    world: World, scorer: scoring.Scorer, answers: NDArray[np.int8], pool: NDArray[np.intp], seed: int
) -> _Pairs:
    return _some(np.argwhere(answers[pool] < 0), pool, seed)


def _given_at_random(
    world: World, scorer: scoring.Scorer, answers: NDArray[np.int8], pool: NDArray[np.intp], seed: int
) -> _Pairs:
    given = scorer.probabilities(world.vectors[pool]) >= scorer.thresholds
    return _some(np.argwhere(given & (answers[pool] < 0)), pool, seed)


def _some(pairs: NDArray[np.intp], pool: NDArray[np.intp], seed: int) -> _Pairs:
    chosen = np.random.default_rng(seed).permutation(len(pairs))[:ROUND]
    return [(int(pool[row]), int(place)) for row, place in pairs[chosen]]


# --- figures -------------------------------------------------------------------------------------------

METRICS = ("F1 of all pairs", "mean F1 of labels", "log loss", "ECE")


def _metrics(scorer: scoring.Scorer, world: World, rows: NDArray[np.intp]) -> list[float]:
    p, truth = scorer.probabilities(world.vectors[rows]), world.truth[rows] == 1
    given = p >= scorer.thresholds
    hits, n_given, n_true = (given & truth).sum(axis=0), given.sum(axis=0), truth.sum(axis=0)
    there = n_true > 0
    safe = np.clip(p, 1e-6, 1 - 1e-6)
    return [
        float(2 * hits.sum() / (n_given.sum() + n_true.sum())),
        float(np.mean(2 * hits[there] / (n_given + n_true)[there])),
        float(-np.mean(np.where(truth, np.log(safe), np.log(1 - safe)))),
        _ece(p.ravel(), truth.ravel()),
    ]


def _ece(p: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017), of pairs above 5 %."""
    p, truth = p[p > 0.05], truth[p > 0.05]
    bins = np.minimum((p * 10).astype(int), 9)
    apart = [abs(p[bins == b].sum() - truth[bins == b].sum()) for b in range(10)]
    return float(sum(apart) / max(1, len(p)))


def _interval(values: NDArray[np.float64]) -> str:
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():>10.4f} ± {half:.4f}"


# --- the demo ------------------------------------------------------------------------------------------


def _world(home: Path) -> World:
    environment = {"CLIPSEARCH_DATA": str(home / "data"), "CLIPSEARCH_CACHE": str(home / "cache")}
    command = [sys.executable, "-c", "from clipsearch.cli import main; main()", "demo"]
    env = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    settings = Settings.load(data=home / "data", cache=home / "cache", collection="demo")
    with open_store("demo", settings) as store:
        payloads = [point.payload for batch in store.scroll() for point in batch]
        words = {f: sorted({str(p[f]) for p in payloads if p.get(f)}) for f in (*GROUPS, *ALONE)}
        vocabulary = _vocabulary(words)
        labels = Labels({str(p["_key"]): Said(complete=True) for p in payloads})
        for field in (*GROUPS, *ALONE):
            labels = Labels(
                {
                    key: Said(said.has | labels.by_key[key].has, complete=True)
                    for key, said in _all(labels, labels_from_field(store, field, vocabulary)).items()
                }
            )
        known = examples(labels, store, vocabulary).examples
        encoder = encoder_of(store.spec.fingerprint, settings)
        tagger = Tagger.of_collection(store, encoder, vocabulary, cache=settings.cache)
        return World(
            vocabulary,
            tagger.labels,
            known.vectors,
            known.truth,
            np.array(known.records),
            encoder.logit_scale,
        )


def _all(labels: Labels, some: Labels) -> dict[str, Said]:
    return {key: some.by_key.get(key, Said()) for key in labels}


def _vocabulary(words: dict[str, Sequence[str]] | dict[str, list[str]]) -> Vocabulary:
    labels = [Label(f"{g}|{w}", w, group=g) for g in GROUPS for w in words[g]]
    labels += [Label(f"{f}|{w}", w) for f in ALONE for w in words[f]]
    return Vocabulary(tuple(labels))


if __name__ == "__main__":
    main()
