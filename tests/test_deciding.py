"""Which labels a picture is given, for logits that are written down: groups, broader labels, ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipsearch.tagging.deciding import Decider
from clipsearch.tagging.scoring.scorer import Scorer
from clipsearch.tagging.vocabulary import Label, Vocabulary


def decider(vocabulary: Vocabulary, thresholds: float | list[float] = 0.5) -> Decider:
    """One whose logits are the picture's vector itself."""
    n = len(vocabulary)
    scorer = Scorer(
        np.eye(n, dtype=np.float32),
        np.zeros(n, np.float32),
        np.broadcast_to(np.asarray(thresholds, float), (n,)).copy(),
        tuple(vocabulary.groups.values()),
    )
    return Decider(scorer, vocabulary)


def decided(found: Decider, vocabulary: Vocabulary, logits: list[float]) -> dict[str, float]:
    given = found.decide(np.array([logits], np.float32))
    return {
        vocabulary.labels[p].name: round(float(c), 3)
        for p, c in zip(given.places, given.confidences, strict=True)
    }


MATERIALS = Vocabulary(
    (
        Label("brass", "brass", group="material"),
        Label("steel", "steel", group="material"),
        Label("old", "old"),
    )
)
CATS = Vocabulary(
    (
        Label("animal", "animal"),
        Label("animal|cat", "cat", parents=("animal",)),
        Label("animal|cat|siamese", "siamese", parents=("animal|cat",), group="animal|cat"),
        Label("animal|cat|persian", "persian", parents=("animal|cat",), group="animal|cat"),
        Label("animal|dog", "dog", parents=("animal",)),
    )
)


def test_labels_that_stand_alone_are_given_by_their_own_sigmoid() -> None:
    vocabulary = Vocabulary((Label("a", "a"), Label("b", "b"), Label("c", "c")))
    assert decided(decider(vocabulary), vocabulary, [2.0, -0.1, 0.1]) == {"a": 0.881, "c": 0.525}


def test_below_every_threshold_a_picture_stays_untagged() -> None:
    assert decided(decider(MATERIALS), MATERIALS, [-1.0, -1.0, -1.0]) == {}


def test_of_an_exclusive_group_one_label_is_given_and_shares_with_none_of_these() -> None:
    found = decided(decider(MATERIALS), MATERIALS, [3.0, 1.0, 1.0])
    assert found == {"brass": round(float(np.exp(3) / (np.exp(3) + np.exp(1) + 1)), 3), "old": 0.731}


def test_a_tie_in_an_exclusive_group_without_a_parent_gives_nothing() -> None:
    assert decided(decider(MATERIALS), MATERIALS, [1.0, 1.0, -5.0]) == {}


def test_a_tie_of_children_gives_their_parent_and_what_is_above_it() -> None:
    found = decided(decider(CATS), CATS, [-5.0, -5.0, 1.5, 1.5, -5.0])
    either = round(float(2 * np.exp(1.5) / (2 * np.exp(1.5) + 1)), 3)
    assert found == {"cat": either, "animal": either}


def test_a_child_implies_all_that_is_broader_with_its_confidence() -> None:
    found = decided(decider(CATS), CATS, [-5.0, -5.0, 4.0, -5.0, -5.0])
    assert set(found) == {"siamese", "cat", "animal"}
    assert found["siamese"] == found["cat"] == found["animal"]


def test_a_broader_label_that_was_given_itself_keeps_the_higher_confidence_and_is_not_implied() -> None:
    given = decider(CATS).decide(np.array([[3.0, -5.0, -5.0, -5.0, 1.0]], np.float32))
    names = [CATS.labels[p].name for p in given.places]
    assert names == ["animal", "dog"]
    assert not given.implied.any()
    assert given.confidences[0] == pytest.approx(0.9526, abs=1e-3)


def test_a_parent_that_is_tied_into_and_given_by_itself_is_there_once() -> None:
    given = decider(CATS).decide(np.array([[-5.0, 1.0, 1.5, 1.5, -5.0]], np.float32))
    names = [CATS.labels[p].name for p in given.places]
    assert sorted(names) == ["animal", "cat"]


def test_a_threshold_above_one_means_never() -> None:
    vocabulary = Vocabulary((Label("a", "a"), Label("b", "b")))
    assert decided(decider(vocabulary, [2.0, 0.5]), vocabulary, [50.0, 1.0]) == {"b": 0.731}


def test_labels_implied_into_an_exclusive_group_do_not_make_two_of_it() -> None:
    vocabulary = Vocabulary(
        (
            Label("metal", "metal", group="material"),
            Label("plastic", "plastic", group="material"),
            Label("metal|brass", "brass", parents=("metal",)),
        )
    )
    found = decider(vocabulary)
    assert decided(found, vocabulary, [-5.0, 2.0, 4.0]) == {"brass": 0.982, "metal": 0.982}
    assert set(decided(found, vocabulary, [-5.0, 4.0, 2.0])) == {"plastic"}  # brass goes with its metal


def test_two_parents_are_both_implied() -> None:
    vocabulary = Vocabulary(
        (Label("bird", "bird"), Label("pet", "pet"), Label("parrot", "parrot", parents=("bird", "pet")))
    )
    assert set(decided(decider(vocabulary), vocabulary, [-9.0, -9.0, 3.0])) == {"bird", "pet", "parrot"}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_arrays_agree_with_the_definition_picture_by_picture(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 2, (300, 5)).astype(np.float32)
    found = decider(CATS, threshold)
    together = found.decide(vectors)
    for i, row in enumerate(vectors):
        expected = _by_definition(row.astype(np.float64), threshold)
        here = together.pictures == i
        got = dict(zip(together.places[here].tolist(), together.confidences[here].tolist(), strict=True))
        assert got == pytest.approx(expected, abs=1e-5)
        assert np.all(np.diff(together.confidences[here]) <= 1e-7)


def _by_definition(logits: np.ndarray, threshold: float) -> dict[int, float]:
    animal, cat, siamese, persian, dog = range(5)
    own = 1 / (1 + np.exp(-logits))
    found = {place: own[place] for place in (animal, cat, dog) if own[place] >= threshold}
    odds = np.exp(logits[[siamese, persian]])
    shares = odds / (odds.sum() + 1)
    best = int(shares.argmax())
    if shares[best] >= threshold:
        found[(siamese, persian)[best]] = shares[best]
    elif shares.sum() >= threshold and own[[siamese, persian]].max() >= threshold:
        found[cat] = max(found.get(cat, 0), shares.sum())
    for child, parent in ((siamese, cat), (persian, cat), (cat, animal), (dog, animal)):
        if child in found:
            found[parent] = max(found.get(parent, 0), found[child])
    return found


def test_many_pictures_come_out_in_order_however_the_blocks_fall() -> None:
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary(tuple(Label(str(i), str(i)) for i in range(900)))
    found = decider(vocabulary, 0.99)
    vectors = rng.normal(0, 2, (5000, 900)).astype(np.float32)
    together = found.decide(vectors)
    assert np.all(np.diff(together.pictures) >= 0)
    rows, places = np.nonzero(1 / (1 + np.exp(-vectors.astype(np.float64))) >= 0.99)
    assert set(zip(together.pictures.tolist(), together.places.tolist(), strict=True)) == set(
        zip(rows.tolist(), places.tolist(), strict=True)
    )


def test_no_pictures_give_nothing() -> None:
    assert len(decider(CATS).decide(np.empty((0, 5), np.float32))) == 0
