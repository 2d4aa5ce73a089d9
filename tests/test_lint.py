"""What is wrong with a vocabulary: in words, to the starter model, and in a collection; and its command."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clipsearch
from clipsearch.encoder import Encoder
from clipsearch.settings import Settings
from clipsearch.store import create
from clipsearch.tagging.lint import CHECKS, Finding, lint, skipped
from clipsearch.tagging.lint.nearness import like_background, near_synonyms
from clipsearch.tagging.lint.tagging import given
from clipsearch.tagging.lint.wording import alike, folded
from clipsearch.tagging.scoring import Scorer
from clipsearch.tagging.vectors import LabelVectors, label_vectors
from clipsearch.tagging.vocabulary import Label, Vocabulary, read_vocabulary, vocabulary_of
from clipsearch.types import CollectionSpec, Embeddings, Point

DATA = Path(clipsearch.__file__).parent / "demo" / "data"
SHAPES = ("hex bolt", "spur gear", "wing nut", "compression spring", "pipe flange", "eye bolt")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoder]:
    with Encoder.open("starter", device="cpu", cache=tmp_path_factory.mktemp("cache")) as opened:
        yield opened


def with_model(names: list[str], encoder: Encoder) -> list[Finding]:
    vocabulary = vocabulary_of(names)
    return lint(vocabulary, label_vectors(encoder, vocabulary), encoder)


def said(found: list[Finding], check: str) -> list[tuple[str, ...]]:
    assert check in CHECKS
    return [one.labels for one in found if one.check == check]


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hex bolts", "hex-bolt"),
        ("ＢＲＡＳＳ", "brass"),
        ("ﾎﾞﾙﾄ", "ボルト"),
        ("Straße", "STRASSE"),
        ("hinges", "hinge"),
        ("boxes", "box"),
        ("batteries", "battery"),
        ("wrenches", "Wrench"),
        ("café", "café"),
    ],
)
def test_spellings_of_one_word_are_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(
    ("one", "other"), [("brass", "bras"), ("bus", "bu"), ("gas", "ga"), ("pipe tee", "pipe"), ("鉄", "鋼")]
)
def test_other_words_stay_others(one: str, other: str) -> None:
    assert folded(one) != folded(other)


def test_a_clean_vocabulary_has_no_findings() -> None:
    assert lint(vocabulary_of(["hex bolt", "brass", "真鍮", "animal|dog", "animal|cat"])) == []
    assert lint(Vocabulary(())) == []


def test_a_word_of_two_labels_is_told_with_its_line_and_a_merge(tmp_path: Path) -> None:
    path = tmp_path / "v.yaml"
    path.write_text(
        "- {name: bolt, synonyms: [screw]}\n- nut\n- {name: Screws, ja: ネジ}\n", encoding="utf-8"
    )
    (one,) = lint(read_vocabulary(path))
    assert (one.level, one.check, one.labels, one.line) == ("warning", "same word", ("bolt", "Screws"), 1)
    assert "screw / Screws" in one.message
    path.write_text(one.suggestion, encoding="utf-8")
    (merged,) = read_vocabulary(path).labels
    assert merged.name == "bolt" and set(merged.words) == {"bolt", "screw", "Screws", "ネジ"}


def test_a_merge_can_be_pasted_whatever_the_words_are(tmp_path: Path) -> None:
    names = ['5" pipe: {a, b}', "yes", "- #1", "5” pipe's\\"]
    vocabulary = Vocabulary(tuple(Label(name, name, prompts=("one",)) for name in names))
    (one,) = lint(vocabulary)
    (tmp_path / "v.yaml").write_text(one.suggestion, encoding="utf-8")
    (merged,) = read_vocabulary(tmp_path / "v.yaml").labels
    assert merged.words == tuple(names)


def test_a_merge_does_not_say_a_name_twice() -> None:
    vocabulary = Vocabulary((Label("a", "bolt"), Label("b", "screw", synonyms=("bolt", "pin"))))
    assert [one.suggestion for one in lint(vocabulary)] == ['- {name: "bolt", synonyms: ["screw", "pin"]}']


def test_one_name_under_two_parents_is_an_error_until_prompts_tell_them_apart() -> None:
    labels = [Label("animal|bat", "bat"), Label("sport|bat", "bat")]
    (one,) = lint(Vocabulary(tuple(labels)))
    assert (one.level, one.check) == ("error", "embedded alike")
    labels[0] = Label("animal|bat", "bat", prompts=("a bat, an animal that flies",))
    assert [(found.level, found.check) for found in lint(Vocabulary(tuple(labels)))] == [
        ("warning", "same word")
    ]


def test_a_kind_and_its_narrower_one_may_share_a_word() -> None:
    labels = (Label("bolt", "bolt"), Label("hex", "hex bolt", parents=("bolt",), synonyms=("bolts",)))
    assert list(alike(Vocabulary(labels))) == []


def test_labels_in_templates_that_do_not_name_them_are_alike() -> None:
    vocabulary = Vocabulary(tuple(Label(n, n, prompts=("a thing",)) for n in ("a", "b", "c")))
    assert said(lint(vocabulary), "embedded alike") == [("a", "b", "c")]


def test_twenty_thousand_labels_are_checked_for_words_in_a_second_or_two() -> None:
    vocabulary = vocabulary_of([f"label {i}" for i in range(20_000)] + ["Label-19"])
    (one,) = lint(vocabulary)
    assert one.labels == ("label 19", "Label-19")


# --- a model -------------------------------------------------------------------------------------


def test_a_prompt_that_is_cut_is_an_error_and_one_that_just_fits_is_not(starter: Encoder) -> None:
    room = starter.context - starter.count_tokens(["x"])[0]
    fits, cut = " ".join(["x"] * (room + 1)), " ".join(["x"] * (room + 2))
    assert starter.count_tokens([fits, cut]) == [starter.context, starter.context + 1]
    long = Label("long", "long", prompts=(cut, "short"), line=7)
    vocabulary = Vocabulary((Label("ok", "ok", prompts=(fits,)), long))
    (one,) = lint(vocabulary, encoder=starter)
    assert (one.level, one.check, one.labels, one.line) == ("error", "too long", ("long",), 7)
    assert one.facts["tokens"] == starter.context + 1 and one.facts["prompts"] == [cut]
    assert str(starter.context + 1) in one.message


def test_a_neutral_prompt_that_is_cut_is_told_too(starter: Encoder) -> None:
    (one,) = lint(Vocabulary((), neutral=("x " * 200,)), encoder=starter)
    assert "none of these" in one.message and one.labels == ()


def test_synonyms_are_found_and_things_that_are_alike_are_not_taken_for_them(starter: Encoder) -> None:
    different = [
        "hex nut",
        "square nut",
        "compression spring",
        "extension spring",
        "blind flange",
        "pipe flange",
    ]
    found = with_model(["hex bolt", "hexagon bolt", "circlip", "retaining ring", *different], starter)
    assert said(found, "near-synonyms") == [("hex bolt", "hexagon bolt"), ("circlip", "retaining ring")]
    assert found[0].suggestion == '- {name: "hex bolt", synonyms: ["hexagon bolt"]}'
    assert found[0].facts["cosine"] > 0.9 > found[0].facts["median_cosine"]


def test_two_labels_alone_can_be_synonyms(starter: Encoder) -> None:
    assert said(with_model(["hex bolt", "hexagon bolt"], starter), "near-synonyms")
    assert not said(with_model(["hex bolt", "flat washer"], starter), "near-synonyms")


def test_labels_that_are_embedded_alike_are_not_also_called_synonyms(starter: Encoder) -> None:
    labels = (Label("a|bat", "bat"), Label("b|bat", "bat"), Label("rivet", "rivet"))
    vocabulary = Vocabulary(labels)
    found = lint(vocabulary, label_vectors(starter, vocabulary), starter)
    assert [one.check for one in found if "a|bat" in one.labels] == ["embedded alike"]


def test_a_word_and_its_translation_are_synonyms(starter: Encoder) -> None:
    found = with_model(["wing nut", "蝶ナット", "ball bearing", "brass", "rivet"], starter)
    assert said(found, "near-synonyms") == [("wing nut", "蝶ナット")]


def test_words_for_anything_are_like_the_background(starter: Encoder) -> None:
    found = with_model(["picture", "object", *SHAPES, "brass", "steel"], starter)
    assert said(found, "like background") == [("picture",), ("object",)]
    assert "a picture." in found[0].message


def test_the_bundled_vocabulary_has_no_error_to_its_model(starter: Encoder) -> None:
    vocabulary = read_vocabulary(DATA / "vocabulary.yaml")
    found = lint(vocabulary, label_vectors(starter, vocabulary), starter)
    assert found == []


def unit(vectors: Any) -> Embeddings:
    rows = np.asarray(vectors, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def random(n: int, *, dim: int = 64, seed: int = 0) -> Embeddings:
    return unit(np.random.default_rng(seed).standard_normal((n, dim)))


def of_names(n: int) -> Vocabulary:
    return vocabulary_of([f"label {i}" for i in range(n)])


def test_pairs_in_other_blocks_are_found() -> None:
    vectors = random(1500)
    for one, other in ((3, 4), (10, 1400), (700, 701), (511, 512), (1300, 1499)):
        vectors[other] = unit([vectors[one] + 0.2 * random(1, seed=other)[0]])[0]
    found = list(near_synonyms(of_names(1500), LabelVectors(vectors, random(6, seed=1)), set()))
    for one in found:
        pair = [int(name.split()[1]) for name in one.labels]
        assert one.facts["cosine"] == pytest.approx(vectors[pair[0]] @ vectors[pair[1]], abs=1e-3)
    pairs = [tuple(int(name.split()[1]) for name in one.labels) for one in found]
    assert pairs == [(3, 4), (10, 1400), (511, 512), (700, 701), (1300, 1499)]


def test_many_labels_that_are_one_are_words_the_model_does_not_know() -> None:
    vectors = np.concatenate([random(20), np.repeat(random(1, seed=5), 30, axis=0)])
    (one,) = near_synonyms(of_names(50), LabelVectors(vectors, random(6, seed=1)), set())
    assert len(one.labels) == 30 and not one.suggestion and "does not know" in one.advice


def test_a_label_and_a_broader_one_are_no_synonyms() -> None:
    vocabulary = Vocabulary((Label("a", "a"), Label("b", "b", parents=("a",)), Label("c", "c")))
    vectors = random(3)
    vectors[1] = vectors[0]
    assert list(near_synonyms(vocabulary, LabelVectors(vectors, random(6, seed=1)), set())) == []


def test_a_label_with_narrower_ones_may_say_no_more_than_a_photo() -> None:
    labels = (Label("thing", "thing"), Label("bolt", "bolt", parents=("thing",)))
    neutral, other = random(1, seed=1), random(1, seed=2)
    vectors = LabelVectors(np.concatenate([neutral, other]), neutral)
    assert not list(like_background(Vocabulary(labels), vectors))
    assert len(list(like_background(Vocabulary((labels[0], Label("bolt", "bolt"))), vectors))) == 1


def test_a_label_that_fits_no_picture_better_than_a_photo_does_is_told() -> None:
    neutral, labels = random(1, seed=1), random(4, seed=2)
    noise = 0.3 * random(300, seed=3)
    pictures = unit(np.tile(neutral, (300, 1)) + noise)
    pictures[:120] = unit(pictures[:120] + np.repeat(labels[:3], 40, axis=0) * 2)
    found = list(like_background(of_names(4), LabelVectors(labels, neutral), pictures))
    assert [one.labels for one in found] == [("label 3",)]
    assert found[0].facts["lead"] < 1
    assert not list(like_background(of_names(4), LabelVectors(labels, neutral), pictures[:40]))
    pictures[120:125] = unit(pictures[120:125] + labels[3:] * 1.3)  # a little better
    (one,) = like_background(of_names(4), LabelVectors(labels, neutral), pictures)
    assert 0.2 < one.facts["lead"] < 1
    pictures[120:125] = unit(pictures[120:125] + labels[3:])
    assert not list(like_background(of_names(4), LabelVectors(labels, neutral), pictures))


# --- a collection --------------------------------------------------------------------------------


def axes(n: int, has: dict[int, range], *, thresholds: float = 0.5, **of: Any) -> tuple[Scorer, Embeddings]:
    """A scorer whose label i is sure where a picture has 1 on axis i, and pictures that have."""
    vectors = np.zeros((200, n), np.float32)
    for axis, rows in has.items():
        vectors[list(rows), axis] = 1
    return Scorer(
        10 * np.eye(n, dtype=np.float32),
        np.full(n, -5, np.float32),
        np.full(n, thresholds, np.float64),
        **of,
    ), vectors


def test_labels_never_given_given_to_most_and_given_together_are_told() -> None:
    has = {0: range(150), 1: range(20, 60), 2: range(22, 60), 3: range(60), 5: range(100, 130)}
    scorer, vectors = axes(6, has)
    found = list(given(of_names(6), scorer, vectors, set()))
    assert said(found, "given to most") == [("label 0",)]
    assert said(found, "same pictures") == [("label 1", "label 2")]
    assert said(found, "never given") == [("label 4",)]
    most, same, never = found
    assert most.facts["share"] == 0.75
    assert same.facts["both"] == 38 and same.facts["jaccard"] == pytest.approx(38 / 40)
    assert never.level == "note" and never.facts["surest"] < 0.01


def test_what_is_implied_or_promised_away_is_nobodys_fault() -> None:
    labels = (Label("kind", "kind"), Label("a", "a", parents=("kind",)), Label("b", "b", parents=("kind",)))
    scorer, vectors = axes(3, {1: range(100), 2: range(100, 190)})
    scorer.thresholds[0] = 2  # never by itself
    assert not list(given(Vocabulary(labels), scorer, vectors, set()))
    scorer, vectors = axes(2, {0: range(50)}, thresholds=2)
    assert not list(given(of_names(2), scorer, vectors, set()))


def test_a_label_and_a_broader_one_may_be_given_to_the_same_pictures() -> None:
    scorer, vectors = axes(3, {0: range(50), 1: range(50), 2: range(50)})
    labels = (Label("a", "a"), Label("b", "b", parents=("a",)), Label("c", "c"))
    found = list(given(Vocabulary(labels), scorer, vectors, set()))
    assert said(found, "same pictures") == [("a", "c"), ("b", "c")]
    assert said(list(given(Vocabulary(labels), scorer, vectors, {("a", "c")})), "same pictures") == [
        ("b", "c")
    ]


def test_a_rival_of_its_group_is_named_as_the_reason() -> None:
    scorer, vectors = axes(2, {0: range(100), 1: range(100)}, groups=((0, 1),))
    scorer.offsets[0] += 1
    labels = (Label("a", "a", group="g"), Label("b", "b", group="g"))
    (one,) = given(Vocabulary(labels), scorer, vectors, set())
    assert one.labels == ("b",) and "always surer" in one.message


def test_few_pictures_say_nothing_about_a_vocabulary() -> None:
    scorer, vectors = axes(2, {0: range(200)})
    assert not list(given(of_names(2), scorer, vectors[:49], set()))
    assert list(given(of_names(2), scorer, vectors[:50], set()))


def test_what_is_left_out_is_known() -> None:
    assert skipped(model=True, collection=True) == []
    assert set(skipped(model=False, collection=False)) == set(CHECKS) - {"embedded alike", "same word"}
    assert set(skipped(model=True, collection=False)) == {"given to most", "same pictures", "never given"}


def test_errors_come_first() -> None:
    labels = (Label("x", "bolt"), Label("y", "Bolt"), Label("a", "nut"), Label("b", "nut"))
    assert [one.level for one in lint(Vocabulary(labels))] == ["error", "warning"]


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tags.yaml"
    path.write_text("- hex bolt\n- hexagon bolt\n- spur gear\n- wing nut\n- picture\n", encoding="utf-8")
    return path


def test_the_command_says_what_it_could_not_check(run_cli: Run, file: Path) -> None:
    done = run_cli("tag", "lint", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and "5 labels: all is well" in done.stderr
    assert "not checked: too long, near-synonyms" in done.stderr and "siglip2" in done.stderr


def test_the_command_asks_a_model_and_leaves_with_1_for_errors_alone(run_cli: Run, file: Path) -> None:
    done = run_cli("tag", "lint", str(file), "--model", "starter")
    assert done.returncode == 0, done.stderr
    assert '- {name: "hex bolt", synonyms: ["hexagon bolt"]}' in done.stdout
    assert "2 warnings" in done.stderr and "never given (no collection is named" in done.stderr
    file.write_text(f"- name: bolt\n  prompts: ['{'word ' * 100}']\n", encoding="utf-8")
    done = run_cli("tag", "lint", str(file), "--model", "starter")
    assert done.returncode == 1
    assert "1 error" in done.stderr and "line 1" in done.stdout


def test_the_command_looks_into_a_collection(
    run_cli: Run, file: Path, tmp_path: Path, starter: Encoder
) -> None:
    with (DATA / "parts.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["shape"] in SHAPES][:60]
    vectors = starter.encode_images([DATA / row["image"] for row in rows])
    settings = Settings.load(data=tmp_path / "data", cache=starter.cache)
    with create("parts", CollectionSpec(starter.fingerprint, {}), settings) as store:
        store.upsert([Point(f"{i:032x}", {"image": row}, {}) for i, row in enumerate(vectors)])
    where = ("-c", "parts", "--data", str(tmp_path / "data"))
    done = run_cli("tag", "lint", str(file), *where, "--json", CLIPSEARCH_CACHE=str(starter.cache))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["ok"], told["collection"], told["pictures"], told["skipped"]) == (True, "parts", 60, [])
    checks = {one["check"] for one in told["findings"]}
    assert {"near-synonyms", "like background"} <= checks
    assert run_cli("tag", "lint", str(file), *where, "--model", "starter").returncode == 2


def test_a_wrong_vocabulary_or_template_is_an_error_of_one_line(run_cli: Run, file: Path) -> None:
    for arguments in (["nowhere.yaml"], [str(file), "--prompts", "prat"]):
        done = run_cli("tag", "lint", *arguments)
        assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "did you mean part?" in done.stderr
