"""Which questions review asks, how they are written, and how answers come back."""

from __future__ import annotations

import csv
import io
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clipsearch import store
from clipsearch.errors import TableError, TaggingError
from clipsearch.settings import Settings
from clipsearch.tagging.labels import Answers, Labels, Said, read_labels
from clipsearch.tagging.review import (
    Known,
    Proposal,
    Question,
    propose,
    questions,
    write_questions,
)
from clipsearch.tagging.scoring import Scorer
from clipsearch.tagging.vocabulary import Label, Vocabulary
from clipsearch.types import CollectionSpec, Embeddings, Fingerprint, Match, Point

DIM, N, C = 16, 400, 4
RNG = np.random.default_rng(5)


def unit(rows: NDArray[np.floating]) -> Embeddings:
    found: Embeddings = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


VECTORS = unit(RNG.normal(size=(N, DIM)))
SCORER = Scorer(
    20 * unit(RNG.normal(size=(C, DIM))), np.full(C, -4, np.float32), np.array([0.5, 0.5, 0.9, 0.5])
)
PROBABILITIES = SCORER.probabilities(VECTORS)


def of(found: list[Proposal], why: str) -> list[Proposal]:
    return [one for one in found if one.why == why]


def test_most_questions_are_near_the_thresholds() -> None:
    far = np.abs(logit(PROBABILITIES) - logit(SCORER.thresholds))
    asked = [one for seed in range(10) for one in of(propose(SCORER, VECTORS, n=40, seed=seed), "uncertain")]
    assert len(asked) == 320
    for one in asked:
        assert one.probability == pytest.approx(PROBABILITIES[one.row, one.place])
    near = np.array([far[one.row, one.place] for one in asked])
    assert np.median(near) < 0.5 * np.median(far)
    assert near.std() > 0.5  # but not all at the very threshold: they would teach no slope


def test_a_fifth_is_at_random_among_pictures_that_would_get_the_tag() -> None:
    found = of(propose(SCORER, VECTORS, n=40), "at random")
    assert len(found) == 8
    assert all(one.probability >= SCORER.thresholds[one.place] for one in found)
    sure = [  # what is at random is not the surest or the least sure of those that would get it
        np.mean(PROBABILITIES[:, one.place] > one.probability)
        / np.mean(PROBABILITIES[:, one.place] >= SCORER.thresholds[one.place])
        for seed in range(20)
        for one in of(propose(SCORER, VECTORS, n=20, seed=seed), "at random")
    ]
    assert 0.4 < np.mean(sure) < 0.6
    assert not of(propose(SCORER, VECTORS, n=20, random_share=0), "at random")


def test_every_label_is_asked_about_and_those_with_few_answers_more() -> None:
    counts = Counter(one.place for one in propose(SCORER, VECTORS, n=40))
    assert set(counts) == set(range(C))
    known = Known.of({}, np.array([100, 0, 100, 0]))
    counts = Counter(one.place for one in propose(SCORER, VECTORS, n=40, known=known))
    assert counts[1] + counts[3] > 35


def test_nothing_is_asked_twice_and_no_answered_pair() -> None:
    first = propose(SCORER, VECTORS, n=60)
    pairs = {(one.row, one.place) for one in first}
    assert len(pairs) == 60
    known: dict[int, list[int]] = {}
    for row, place in pairs:
        known.setdefault(row, []).append(place)
    second = propose(SCORER, VECTORS, n=60, known=Known.of(known, np.full(C, 15)))
    assert pairs.isdisjoint({(one.row, one.place) for one in second})


def test_pictures_that_are_all_but_equal_are_not_asked_about_twice() -> None:
    """Of 40 pictures at the very threshold ten are copies of each of four: all four kinds are asked about."""
    kinds = unit(RNG.normal(size=(4, DIM)))
    copies = unit(np.repeat(kinds, 10, axis=0) + 1e-3 * RNG.normal(size=(40, DIM)))
    one = Scorer(
        np.zeros((1, DIM), np.float32), np.zeros(1, np.float32), np.array([0.5])
    )  # everything is at the threshold
    found = propose(one, copies, n=4, random_share=0)
    assert {int(np.argmax(kinds @ copies[p.row])) for p in found} == {0, 1, 2, 3}
    answered = Known.of({0: [0], 10: [0]}, np.array([2]))  # of the first two kinds
    found = propose(one, copies, n=2, random_share=0, known=answered)
    assert {int(np.argmax(kinds @ copies[p.row])) for p in found} == {2, 3}


def test_the_same_input_gives_the_same_questions_in_the_vocabularys_order() -> None:
    found = propose(SCORER, VECTORS, n=30, seed=3)
    assert found == propose(SCORER, VECTORS, n=30, seed=3)
    assert [one.place for one in found] == sorted(one.place for one in found)
    assert found != propose(SCORER, VECTORS, n=30, seed=4)


def test_there_may_be_fewer_questions_than_are_wanted() -> None:
    assert len(propose(SCORER, VECTORS[:3], n=100)) == 3 * C
    with pytest.raises(TaggingError, match="ask for 1 or more"):
        propose(SCORER, VECTORS, n=0)


def test_a_label_that_is_never_given_is_asked_about_where_it_is_as_likely_as_not() -> None:
    never = Scorer(SCORER.weights, SCORER.offsets, np.array([2.0, 0.5, 0.5, 0.5]))
    found = [one for one in propose(never, VECTORS, n=80) if one.place == 0]
    assert {one.why for one in found} == {"uncertain"}
    unsure = (PROBABILITIES[:, 0] > 0.05) & (PROBABILITIES[:, 0] < 0.95)
    assert np.mean([unsure[one.row] for one in found]) > 2 * unsure.mean()


def test_blocks_do_not_change_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = propose(SCORER, VECTORS, n=30)
    monkeypatch.setattr("clipsearch.tagging.review.choosing._CELLS", 64 * C)
    assert propose(SCORER, VECTORS, n=30) == whole


# --- with a collection --------------------------------------------------------------------------------

VOCABULARY = Vocabulary(
    (
        Label("a|red", "red", group="a"),
        Label("a|blue", "blue", group="a"),
        Label("mood|blue", "blue", group="mood"),
        Label("赤い車", "赤い車"),
    )
)


@pytest.fixture
def pictures(tmp_path: Path) -> store.Store:
    spec = CollectionSpec(Fingerprint("random", "", "", "", "", DIM), {"shelf": "keyword"})
    made = store.create("c", spec, Settings(data=tmp_path / "data", cache=tmp_path))
    made.upsert(
        [
            Point(
                f"{i:032x}",
                {"image": row},
                {"_key": f"写真{i}.jpg", "_path": f"/p/{i}", "shelf": "AB"[i % 2]},
            )
            for i, row in enumerate(VECTORS)
        ]
    )
    return made


def test_questions_come_back_as_answers_and_are_not_asked_again(
    pictures: store.Store, tmp_path: Path
) -> None:
    table, kept = tmp_path / "review.csv", Answers(tmp_path)
    with pictures:
        asked = questions(pictures, SCORER, VOCABULARY, Labels(), n=20)
        write_questions(table, asked)
        rows = list(csv.DictReader(table.open(encoding="utf-8-sig", newline="")))
        assert [row["key"] for row in rows] == [one.key for one in asked]
        assert {row["tag"] for row in rows} <= {"red", "a|blue", "mood|blue", "赤い車"}  # two are named blue
        for row, verdict in zip(rows, ["yes", "no", "はい", ""] * 5, strict=True):
            row["correct"] = verdict
        with table.open("w", encoding="cp932", newline="") as file:  # as a Japanese Excel saves it
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        answers = read_labels(table, VOCABULARY)
        assert answers.n_blank == 5
        assert kept.add(answers, VOCABULARY, by=table.name) == 15
        assert {one.why for one in kept} == {"uncertain", "at random"}
        again = questions(pictures, SCORER, VOCABULARY, kept.labels(VOCABULARY), n=200)
    answered = {(one.key, one.label) for one in kept}
    assert answered.isdisjoint({(one.key, one.label) for one in again})


def test_what_follows_from_an_answer_is_not_asked(pictures: store.Store) -> None:
    everything = Labels({f"写真{i}.jpg": Said(frozenset({0})) for i in range(N)})
    with pictures:
        asked = questions(pictures, SCORER, VOCABULARY, everything, n=50)
    assert {one.label for one in asked} == {"mood|blue", "赤い車"}  # red, and so not blue of the same group


def test_pictures_of_which_all_is_known_are_not_asked_about(pictures: store.Store) -> None:
    everything = Labels({f"写真{i}.jpg": Said(complete=True) for i in range(N)})
    most = Labels({key: said for key, said in everything.by_key.items() if key != "写真7.jpg"})
    with pictures:
        assert questions(pictures, SCORER, VOCABULARY, everything, n=50) == []
        assert {one.key for one in questions(pictures, SCORER, VOCABULARY, most, n=50)} == {"写真7.jpg"}


def test_a_filter_says_which_pictures_are_asked_about(pictures: store.Store) -> None:
    with pictures:
        asked = questions(pictures, SCORER, VOCABULARY, Labels(), n=10, filter=Match("shelf", ("A",)))
        assert all(int(Path(one.path).name) % 2 == 0 for one in asked)
        with pytest.raises(TaggingError, match="no picture to ask about that matches"):
            questions(pictures, SCORER, VOCABULARY, Labels(), n=10, filter=Match("shelf", ("Z",)))


def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be written"):
        write_questions(
            tmp_path / "no folder" / "review.csv", [Question("a", "", "b", "b", 0.5, "uncertain")]
        )
    assert not list(tmp_path.iterdir())


# --- on the command line ------------------------------------------------------------------------------


def test_the_command_asks_reads_back_and_asks_on(
    demo_copy: Path, tmp_path: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "words.yaml").write_text("material: [brass, steel, nylon]\nshape:\n- hex bolt\n", "utf-8")
    review = ("tag", "review", "words.yaml", "-c", "demo")
    asked = run_cli(*review, "-n", "12", "--out", "review.csv", "--sheet", "review.png")
    assert asked.returncode == 0, asked.stderr
    assert "12 questions about 4 tags: 10 uncertain, 2 at random; wrote review.csv" in asked.stderr
    assert (tmp_path / "review.png").stat().st_size > 10_000
    rows = list(csv.DictReader((tmp_path / "review.csv").open(encoding="utf-8-sig", newline="")))
    for row, verdict in zip(rows, ["yes", "no", ""] * 4, strict=True):
        row["correct"] = verdict
    rows[0]["key"] = "00123"
    with (tmp_path / "review.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")  # as Excel saves it in half of Europe
        writer.writeheader()
        writer.writerows(rows)
    lost = run_cli(*review, "--out", "review.csv")
    assert lost.returncode == 1
    assert "review.csv has 8 answers not read yet, which would be lost" in lost.stderr
    read = run_cli(*review, "--answers", "review.csv")
    assert (
        "review.csv: 3 yes, 4 no, 4 not answered; 7 new or changed. Kept for collection 'demo': 7"
        in read.stdout
    )
    assert "left out 1 key that collection 'demo' does not have: 00123" in read.stderr
    answered = {(row["key"], row["tag"]) for row in rows[1:] if row["correct"]}
    more = run_cli(*review, "-n", "40")
    assert answered.isdisjoint({(r["key"], r["tag"]) for r in csv.DictReader(io.StringIO(more.stdout))})
    assert len(more.stdout.splitlines()) == 41


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--answers", "a.csv", "--out", "b.csv"), "--answers reads a table"),
        (("--answers", "nothing.csv"), "nothing.csv cannot be read"),
        (("--out", "words.txt"), "is there already and no review of this vocabulary"),
        (("-f", "colour=red"), "colour"),
    ],
)
def test_the_command_says_what_is_wrong(
    demo_data: Path,
    tmp_path: Path,
    run_cli: Callable[..., subprocess.CompletedProcess[str]],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    (tmp_path / "words.txt").write_text("brass\n", encoding="utf-8")
    failed = run_cli("tag", "review", "words.txt", "-c", "demo", *arguments, CLIPSEARCH_DATA=str(demo_data))
    assert failed.returncode in (1, 2)
    assert says in failed.stderr
    assert "Traceback" not in failed.stderr


def logit(p: NDArray[np.float64] | float) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.log(np.asarray(p) / (1 - np.asarray(p)))
    return found
