"""The checks of search on the demo's labels: what they hold search to, on some of their queries."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from clipsearch.demo.__main__ import main
from clipsearch.demo.checks import confidence, labels, negation, questions, report, retrieval
from clipsearch.demo.checks.asking import pictures_alone, searcher_of, whole
from clipsearch.evaluation.metrics import auroc, calibration_error, reliability
from clipsearch.evaluation.resampling import bootstrap
from clipsearch.search import Searcher
from clipsearch.types import Payload


@pytest.fixture
def parts(demo_copy: Path) -> Iterator[Searcher]:
    with searcher_of("demo") as searcher:
        yield searcher


@pytest.fixture
def payloads(parts: Searcher) -> list[Payload]:
    return [point.payload for batch in parts.store.scroll() for point in batch]


# --- what must hold ------------------------------------------------------------------------------


@pytest.mark.slow
def test_minus_terms_let_less_through_than_subtraction_and_keep_more(
    parts: Searcher, payloads: list[Payload]
) -> None:
    cases = negation.cases(payloads)[::4]
    found = negation.evaluate(parts, cases)

    def means(method: str) -> tuple[float, float]:
        some = [found[language, method] for language in questions.LANGUAGES]
        survived, right = ([getattr(o, name).mean() for o in some] for name in ("survived", "right"))
        return float(np.mean(survived)), float(np.mean(right))

    pictures, half, full = means(negation.PICTURES), means(negation.HALF), means(negation.SUBTRACTED)
    assert pictures[0] < 0.75 * half[0] and pictures[1] >= half[1] - 0.01
    assert pictures[1] > full[1] + 0.1
    heavy = means(negation.HEAVY)  # at the survival of full subtraction
    assert heavy[0] <= full[0] + 0.005 and heavy[1] > full[1] + 0.05
    both = means(negation.WHOLE)
    assert both[0] <= full[0] and both[1] > 0.9
    assert both[0] < means(negation.WHOLE_IGNORED)[0] / 4
    text = report.negation_text(cases, found)
    assert f"{len(cases)} cases" in text and negation.WHOLE in text
    rows = json.loads(json.dumps(report.negation_json(cases, found)))["rows"]
    assert len(rows) == 2 * len(negation.METHODS)


def test_confidence_tells_right_hits_from_wrong_ones_better_than_the_cosine(
    parts: Searcher, payloads: list[Payload]
) -> None:
    asked = (questions.by_labels(payloads) + questions.absent())[::6]
    reports = confidence.evaluate(parts, asked)
    found = {(one.asked, one.system, one.curve): one for one in reports}
    for curve in confidence.CURVES:
        assert found["words", "whole", curve].gain.low > 0
        assert found["words", "whole", curve].confidence.mean > 0.98
        assert found["and photos", "pictures", curve].gain.low > 0  # words and photos on one scale
        assert found["words", "pictures", curve].gain.low >= 0
    assert parts.calibration.text.fitted_on == "words"
    both = found["words", "whole", "fitted"]
    assert both.said_no.mean > 0.85 and both.said_yes.mean > 0.95 and both.precision.mean > 0.9
    assert both.error.mean < 0.1
    assert "AUROC" in report.confidence_text(reports)
    assert json.loads(json.dumps(report.confidence_json(reports)))["reports"][0]["n_queries"] > 50


@pytest.mark.slow
def test_japanese_finds_as_well_as_english_and_both_channels_more_than_one(
    parts: Searcher, payloads: list[Payload]
) -> None:
    numbers = sorted({str(p["part_no"]) for p in questions.held_out(payloads)})[::5]
    asked = [one for one in questions.by_parts(payloads) if one.about in numbers]
    outcomes = retrieval.evaluate(parts, asked, payloads)
    languages = retrieval.by_language(asked, outcomes)
    assert languages[retrieval.ALL, "R@10"].low <= 0 <= languages[retrieval.ALL_BUT, "R@10"].high
    assert abs(languages[retrieval.ALL_BUT, "R@10"].mean) < 0.03
    rows = retrieval.rows(asked, outcomes)
    values = {(r.kind, r.language, r.system, r.metric): r.value.mean for r in rows}
    for language in questions.LANGUAGES:
        other = ("in other words", language)
        assert values[(*other, "whole", "R@10")] > values[(*other, "words", "R@10")]
        sized = ("type and size", language)
        assert values[(*sized, "whole", "MRR")] > 0.9 > 0.5 > values[(*sized, "pictures", "MRR")]
    for kind in ("number's beginning", "number's rest", "number, no hyphens"):
        assert values[kind, "English", "whole", "R@1"] == 1.0
    assert "English less Japanese" in report.retrieval_text(rows, languages)
    json.dumps(report.retrieval_json(rows, languages))


# --- the checks themselves -----------------------------------------------------------------------


def test_every_question_about_a_part_has_a_right_picture_and_the_strange_ones_have_none(
    payloads: list[Payload],
) -> None:
    for one in (*questions.by_labels(payloads), *questions.by_parts(payloads)):
        assert any(one.is_right(payload) for payload in payloads), one
    assert not any(one.is_right(payload) for one in questions.absent() for payload in payloads)


def test_every_case_can_be_said_in_japanese_and_has_ten_pictures_without_the_attribute(
    payloads: list[Payload],
) -> None:
    cases = negation.cases(payloads)
    assert len(cases) > 500 and {case.attribute for case in cases} == set(labels.ATTRIBUTE_JA)
    for case in cases:
        assert all(not word.isascii() for word in case.words("Japanese"))
        assert sum(case.is_wanted(p) and not case.has(p) for p in payloads) >= negation.FEWEST


def test_pictures_alone_use_no_words(parts: Searcher) -> None:
    texts = ["hex bolt -brass", "HX-M6x10", 'nut -"black oxide"']
    for page in pictures_alone(parts, texts):
        assert all(set(hit.why) <= {"image", "unwanted"} for hit in page)
        scores = [hit.score for hit in page]
        assert scores == sorted(scores, reverse=True) and max(scores) < 1
    assert any("words" in hit.why for hit in whole(parts, texts)[0])


def test_a_mistyped_name_differs_in_one_place() -> None:
    rng = random.Random(1)
    assert sorted(questions.mistyped("Hex bolt, brass", rng)) == sorted("Hex bolt, brass")
    assert len(questions.mistyped("六角ボルト 真鍮", rng)) == len("六角ボルト 真鍮") - 1


def test_a_check_without_its_collection_says_how_to_make_it() -> None:
    done = CliRunner().invoke(main, ["evaluate-negation", "-c", "nowhere"])
    assert done.exit_code == 1
    assert "clipsearch demo" in done.output


# --- metrics -------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auroc_is_the_chance_that_right_is_above_wrong(pairs: list[tuple[int, bool]]) -> None:
    right = [score for score, is_right in pairs if is_right]
    wrong = [score for score, is_right in pairs if not is_right]
    found = auroc([score for score, _ in pairs], [is_right for _, is_right in pairs])
    if not right or not wrong:
        assert np.isnan(found)
    else:
        expected = np.mean([(r > w) + (r == w) / 2 for r in right for w in wrong])
        assert found == pytest.approx(float(expected))


def test_auroc_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="equally long"):
        auroc([0.5], [True, False])


def test_a_probability_is_calibrated_where_it_is_the_share_of_right() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(20_000)
    labels_ = rng.random(20_000) < probabilities
    assert calibration_error(probabilities, labels_) < 0.02
    assert calibration_error(np.full(100, 0.9), np.arange(100) < 50) == pytest.approx(0.4)
    table = reliability([0.05, 0.06, 1.0], [False, True, True])
    assert table.tolist() == [[pytest.approx(0.055), 0.5, 2.0], [1.0, 1.0, 1.0]]


def test_a_bootstrap_draws_whole_groups() -> None:
    values = np.repeat([0.0, 1.0], 50)
    together = bootstrap(lambda i: float(values[i].mean()), np.repeat(["a", "b"], 50))
    apart = bootstrap(lambda i: float(values[i].mean()), np.arange(100))
    assert (together.mean, together.low, together.high) == (0.5, 0.0, 1.0)
    assert 0.3 < apart.low < 0.5 < apart.high < 0.7 and apart.n_groups == 100
