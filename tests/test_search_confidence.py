"""Calibration: fitted, kept, and honest about having no labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clipsearch
from clipsearch.search import Searcher, calibration, rows
from clipsearch.search.calibration import FILE, Judged, platt
from clipsearch.types import Hit


@pytest.fixture
def parts(demo_copy: Path) -> Iterator[Searcher]:
    with clipsearch.open("demo") as searcher:
        yield searcher


def test_indexing_fits_the_confidence_to_the_records_words(demo_copy: Path, parts: Searcher) -> None:
    kept = json.loads((demo_copy / "collections" / "demo" / FILE).read_text(encoding="utf-8"))
    assert kept["text"]["fitted_on"] == "words" and kept["text"]["n_pairs"] > 500
    assert parts.calibration.text.fitted_on == "words"


def test_without_a_kept_file_the_background_is_sampled_and_kept(demo_copy: Path, parts: Searcher) -> None:
    file = demo_copy / "collections" / "demo" / FILE
    file.unlink()
    assert parts.calibration.text.fitted_on == "background"
    assert file.exists()
    assert parts.search("a dog on the beach").confident_until == 0


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": 1}'])
def test_a_damaged_file_is_replaced(demo_copy: Path, parts: Searcher, content: str) -> None:
    file = demo_copy / "collections" / "demo" / FILE
    file.write_text(content, encoding="utf-8")
    assert parts.calibration.n_points == parts.store.count()
    assert json.loads(file.read_text(encoding="utf-8"))["format"] == 2


def test_judged_pairs_have_the_last_word_and_outlive_growth(demo_copy: Path, parts: Searcher) -> None:
    judged = [
        Judged(str(hit.payload["shape"]), other.key, other.payload["shape"] == hit.payload["shape"])
        for hit in parts.search(filter="split=test", top=40, group_by="shape")
        for other in parts.search(str(hit.payload["shape"]), top=40)
    ]
    made = parts.calibrate(judged)
    assert made.text.fitted_on == "judgements"
    kept = calibration.load(demo_copy / "collections" / "demo", parts.store)
    assert kept == made
    parts.store.delete([hit.id for hit in parts.search(filter="material!=steel", top=10_000)])
    again = Searcher(parts.store, parts.encoder, folder=demo_copy / "collections" / "demo")
    assert again.calibration.text.fitted_on == "judgements"
    assert again.calibration.n_points == again.store.count() < made.n_points


@given(st.integers(0, 2**31), st.floats(0.5, 3), st.floats(-3, 3))
def test_platt_finds_the_curve_that_made_the_labels(seed: int, slope: float, intercept: float) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, 60_000)
    labels = rng.random(60_000) < 1 / (1 + np.exp(-(slope * scores + intercept)))
    found = platt(scores, labels)
    assert found[0] == pytest.approx(slope, rel=0.2, abs=0.1)
    assert found[1] == pytest.approx(intercept, rel=0.2, abs=0.2)


def test_platt_survives_scores_that_part_perfectly() -> None:
    slope, intercept = platt(np.r_[np.zeros(30), np.ones(30)], np.r_[np.zeros(30), np.ones(30)] > 0)
    assert np.isfinite([slope, intercept]).all() and slope > 0


def hits(n: int) -> list[Hit]:
    return [Hit(str(i), 1 - i / n, {"_key": f"k{i}", "group": i // 2, "price": i % 3}) for i in range(n)]


def test_look_alikes_are_one_row() -> None:
    vectors = {str(i): np.eye(4, dtype=np.float32)[i % 2] for i in range(4)}
    found = rows.unique(hits(4), vectors)
    assert [(hit.key, hit.others) for hit in found] == [("k0", ("k2",)), ("k1", ("k3",))]


def test_diversity_of_one_never_repeats_what_there_is_another_of() -> None:
    vectors = {str(i): np.eye(4, dtype=np.float32)[i // 2] for i in range(6)}
    assert {int(hit.id) // 2 for hit in rows.diverse(hits(6), vectors, 1.0)[:3]} == {0, 1, 2}
    assert [hit.id for hit in rows.diverse(hits(6), vectors, 0.0)] == [str(i) for i in range(6)]


def test_a_hit_without_the_value_is_a_row_of_its_own_and_sorts_last() -> None:
    some = [*hits(4), Hit("x", 0.1, {"_key": "x"}), Hit("y", 0.1, {"_key": "y"})]
    assert [hit.key for hit in rows.grouped(some, "group")] == ["k0", "k2", "x", "y"]
    assert [hit.key for hit in rows.sorted_by(some, "-price")] == ["k2", "k1", "k0", "k3", "x", "y"]


def test_tags_that_a_model_gave_do_not_calibrate_it(parts: Searcher) -> None:
    before = parts.calibrate()
    ids = [p.id for batch in parts.store.scroll() for p in batch]
    parts.store.add_fields({"tags": "keyword"})
    everything = ["brass", "steel", "copper", "bronze", "nylon", "aluminium", "polished", "plain"]
    parts.store.set_payload(ids, {"tags": everything, "_tags": everything})
    assert parts.calibrate().text == before.text
    parts.store.set_payload(ids, {"_tags": None})  # a person's own tags do
    assert parts.calibrate().text != before.text
