"""Metrics by slice: the right queries in each, and the same figures as those queries alone would give."""

from __future__ import annotations

import numpy as np
import pytest

from clipsearch.evaluation.resampling import bootstrap_difference, bootstrap_mean
from clipsearch.evaluation.slices import by_slice, changes_by_slice, slices_of

LABELS = ["bolt", "nut", "bolt", None, "nut", "bolt"]
GROUPS = np.array(["p", "p", "q", "q", "r", "s"])
VALUES = np.array([1.0, 0.0, 1.0, 1.0, np.nan, 0.0])


def test_each_slice_has_its_queries_and_what_has_no_label_is_in_none() -> None:
    slices = slices_of(LABELS, prefix="kind: ")
    assert list(slices) == ["kind: bolt", "kind: nut"]
    assert slices["kind: bolt"].tolist() == [True, False, True, False, False, True]
    assert not any(inside[3] for inside in slices.values())


def test_a_row_is_what_its_queries_alone_would_give() -> None:
    rows = by_slice({"Hit@1": VALUES, "MRR": VALUES / 2}, slices_of(LABELS), GROUPS, n_resamples=200)
    assert [(row.slice, row.metric) for row in rows] == [
        (name, metric) for name in ("all", "bolt", "nut") for metric in ("Hit@1", "MRR")
    ]
    assert rows[2].value == bootstrap_mean([1.0, 1.0, 0.0], ["p", "q", "s"], n_resamples=200)
    assert (rows[0].value.n_values, rows[0].value.n_groups) == (5, 3)
    assert (rows[4].value.mean, rows[4].value.n_values) == (0.0, 1)


def test_changes_are_of_the_queries_that_both_systems_have() -> None:
    before, after = {"Hit@1": VALUES}, {"Hit@1": np.array([1.0, 1.0, np.nan, 1.0, 1.0, 1.0])}
    everything, bolt, nut = changes_by_slice(before, after, slices_of(LABELS), GROUPS, n_resamples=200)
    assert (bolt.slice, bolt.before.mean, bolt.after.mean, bolt.difference.mean) == ("bolt", 0.5, 1.0, 0.5)
    assert bolt.before.n_values == bolt.after.n_values == bolt.difference.n_values == 2
    assert nut.difference.mean == 1.0
    assert everything.difference == bootstrap_difference(VALUES, after["Hit@1"], GROUPS, n_resamples=200)


def test_slices_may_overlap_and_an_empty_one_is_a_row_without_queries() -> None:
    slices = {"rare": np.arange(6) > 3, "none": np.zeros(6, bool), "any": np.ones(6, bool)}
    rows = {row.slice: row.value for row in by_slice({"MRR": VALUES}, slices, n_resamples=50)}
    assert (rows["none"].n_values, rows["rare"].n_values) == (0, 1)
    assert np.isnan(rows["none"].mean) and rows["any"] == rows["all"]


def test_slices_of_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lengths are \[6\], and slice 'rare' has 2"):
        by_slice({"MRR": VALUES}, {"rare": np.ones(2, bool)})
    with pytest.raises(ValueError, match=r"lengths are \[3, 6\]"):
        by_slice({"MRR": VALUES, "mAP": VALUES[:3]}, {})
