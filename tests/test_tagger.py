"""Tagger on real pictures, on vectors and on a collection, with the starter model and the demo catalogue."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import clipsearch
from clipsearch import Encoder, Settings, Tagger
from clipsearch.demo.checks.labels import FAMILY_JA, shape_ja
from clipsearch.demo.words.materials import FINISH_JA, MATERIAL_JA
from clipsearch.errors import ImageError, ModelMismatch, TaggingError
from clipsearch.store import Store, open_store
from clipsearch.tagging import scoring
from clipsearch.tagging.vocabulary import Vocabulary, vocabulary_of
from clipsearch.types import Match

DATA = Path(clipsearch.__file__).parent / "demo" / "data"
VOCABULARY = DATA / "vocabulary.yaml"
SHAPES = ("hex bolt", "spur gear", "wing nut", "compression spring", "pipe flange", "eye bolt")


@pytest.fixture
def store(demo_copy: Path) -> Iterator[Store]:
    with open_store("demo", Settings.load(data=demo_copy)) as opened:
        yield opened


@pytest.fixture
def starter() -> Iterator[Encoder]:
    with Encoder.open("starter", device="cpu") as encoder:
        yield encoder


def pictures(n: int) -> list[tuple[Path, str]]:
    """Some pictures of the catalogue with their shapes, those of SHAPES."""
    with (DATA / "parts.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["shape"] in SHAPES]
    return [(DATA / row["image"], row["shape"]) for row in rows[:n]]


def test_the_bundled_vocabulary_is_that_of_the_catalogue() -> None:
    vocabulary = clipsearch.read_vocabulary(VOCABULARY)
    with (DATA / "parts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for field in ("shape", "material", "finish"):
        named = {vocabulary.labels[place].name for place in vocabulary.groups[field]}
        assert named == {row[field] for row in rows}
    families = {(row["shape"], row["family"]) for row in rows}
    shapes = vocabulary.groups["shape"]
    assert {(vocabulary.labels[p].name, vocabulary.labels[p].parents[0]) for p in shapes} == families
    japanese = {label.name: label.translations["ja"] for label in vocabulary.labels}
    assert all(japanese[name] == (word,) for name, word in {**MATERIAL_JA, **FINISH_JA, **FAMILY_JA}.items())
    assert all(japanese[shape] == (shape_ja(shape),) for shape, _ in families)


def test_pictures_in_a_list_come_back_as_lists_of_tags_in_their_order(starter: Encoder, store: Store) -> None:
    tagger = Tagger.of_collection(store, starter, clipsearch.read_vocabulary(VOCABULARY), threshold=0.2)
    some = pictures(30)
    found = tagger.tag([path for path, _ in some])
    assert len(found) == len(some)
    assert all(tag.confidence >= 0 for tags in found for tag in tags)
    assert all(
        [t.confidence for t in tags] == sorted((t.confidence for t in tags), reverse=True) for tags in found
    )
    right = sum(shape in [tag.name for tag in tags] for (_, shape), tags in zip(some, found, strict=True))
    wrong = sum(
        tag.name in tagger.vocabulary.by_word and tag.name in SHAPES and tag.name != shape
        for (_, shape), tags in zip(some, found, strict=True)
        for tag in tags
    )
    assert right > 22  # the starter was trained on most of them
    assert wrong < 5


def test_a_narrower_tag_brings_its_broader_one_with_its_path(starter: Encoder, store: Store) -> None:
    tagger = Tagger.of_collection(store, starter, clipsearch.read_vocabulary(VOCABULARY))
    for tags in tagger.tag([path for path, _ in pictures(30)]):
        by_id = {tag.id: tag for tag in tags}
        for tag in tags:
            for parent in tagger.vocabulary.labels[tagger.vocabulary.places[tag.id]].parents:
                assert by_id[parent].confidence >= tag.confidence
                assert tag.paths == ((parent, tag.name),)


def test_a_collection_is_tagged_from_its_vectors_alone(
    starter: Encoder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = Tagger.of_collection(store, starter, clipsearch.read_vocabulary(VOCABULARY))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a picture was opened")

    monkeypatch.setattr(Encoder, "encode_images", never)
    found = [record for batch in tagger.tag_collection(store, batch_size=100) for record in batch]
    assert len(found) == store.count()
    vectors = {p.id: p.vectors["image"] for batch in store.scroll(with_vectors=True) for p in batch}
    alone = tagger.tag_vectors(np.stack([np.asarray(vectors[record.id], np.float32) for record in found]))
    assert [list(record.tags) for record in found] == alone
    brass = [r for b in tagger.tag_collection(store, filter=Match("material", ("brass",))) for r in b]
    assert 0 < len(brass) < len(found)
    assert {r.payload["material"] for r in brass} == {"brass"}


def test_a_japanese_vocabulary_finds_what_the_english_one_does(starter: Encoder, store: Store) -> None:
    names = [shape_ja(shape) for shape in SHAPES]
    japanese = Vocabulary(tuple(replace(label, group="形") for label in vocabulary_of(names).labels))
    tagger = Tagger.of_collection(store, starter, japanese, threshold=0.2)
    some = pictures(40)
    found = tagger.tag([path for path, _ in some])
    right = sum(
        shape_ja(shape) in [t.name for t in tags] for (_, shape), tags in zip(some, found, strict=True)
    )
    assert right > 20


def test_a_higher_threshold_gives_a_part_of_the_tags(starter: Encoder, store: Store) -> None:
    vocabulary = vocabulary_of(SHAPES)

    def given(threshold: float) -> set[tuple[str, str]]:
        tagger = Tagger.of_collection(store, starter, vocabulary, threshold=threshold)
        return {(r.id, t.name) for batch in tagger.tag_collection(store) for r in batch for t in r.tags}

    few, some, many = given(0.95), given(0.5), given(0.05)
    assert few < some < many


def test_without_a_background_a_few_pictures_get_the_models_bare_odds(starter: Encoder) -> None:
    tagger = Tagger(starter, vocabulary_of(SHAPES))
    some = pictures(10)
    found = tagger.tag([path for path, _ in some])
    assert sum(shape in [t.name for t in tags] for (_, shape), tags in zip(some, found, strict=True)) >= 5


def test_many_pictures_at_once_are_their_own_background(starter: Encoder, store: Store) -> None:
    vocabulary = vocabulary_of(SHAPES)
    everything = np.stack(
        [np.asarray(p.vectors["image"], np.float32) for b in store.scroll(with_vectors=True) for p in b]
    )
    own = Tagger(starter, vocabulary).tag_vectors(everything)
    given = Tagger(starter, vocabulary, background=everything).tag_vectors(everything)
    assert own == given
    assert Tagger(starter, vocabulary).tag_vectors(everything[:5]) != given[:5]


def test_a_promise_without_labels_is_refused(starter: Encoder, store: Store) -> None:
    with pytest.raises(TaggingError, match="without labelled pictures"):
        Tagger.of_collection(store, starter, vocabulary_of(SHAPES), precision=0.9)


def test_a_promise_is_kept_by_the_tags_that_are_left(starter: Encoder, store: Store) -> None:
    whole = clipsearch.read_vocabulary(VOCABULARY)
    vocabulary = Vocabulary(tuple(label for label in whole.labels if label.group in ("material", "finish")))
    points = [p for b in store.scroll(with_vectors=True) for p in b]
    vectors = np.stack([np.asarray(p.vectors["image"], np.float32) for p in points])
    truth = np.array(
        [[int(label.name == str(p.payload.get(str(label.group)))) for label in vocabulary.labels]
         for p in points], np.int8,
    )  # fmt: skip
    parts = [str(p.payload["part_no"]) for p in points]
    half = np.array([hash_of(part) % 2 == 0 for part in parts])
    examples = scoring.Examples(
        vectors[half], truth[half], [p for p, h in zip(parts, half, strict=True) if h]
    )
    tagger = Tagger(starter, vocabulary, background=vectors, examples=examples, precision=0.8)
    given = tagger.decide(vectors[~half])
    right = truth[~half][given.pictures, given.places] == 1
    assert len(right) > 100
    assert right.mean() >= 0.8
    assert tagger.fit.left_off  # some of the 22 have too few examples


def hash_of(part: str) -> int:
    """A part's half, the same on every machine."""
    return sum(part.encode()) * 2654435761 >> 7


def test_a_collection_of_another_model_is_refused(starter: Encoder, tiny: Path, store: Store) -> None:
    with (
        Encoder.open(f"local-dir:{tiny}", device="cpu") as other,
        pytest.raises(ModelMismatch, match="another model"),
    ):
        Tagger.of_collection(store, other, vocabulary_of(SHAPES))


def test_a_picture_that_is_none_is_an_image_error(starter: Encoder, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    with pytest.raises(ImageError):
        Tagger(starter, vocabulary_of(SHAPES)).tag([bad])


def test_twenty_thousand_tags_are_decided(starter: Encoder, store: Store) -> None:
    vocabulary = Vocabulary(
        (*vocabulary_of(SHAPES).labels, *vocabulary_of(f"thing number {i}" for i in range(19_994)).labels)
    )
    tagger = Tagger.of_collection(store, starter, vocabulary, templates=["{}"])
    found = [
        record for batch in tagger.tag_collection(store, filter=Match("shape", SHAPES)) for record in batch
    ]
    assert len(found) > 100
    assert sum(str(r.payload["shape"]) in [t.name for t in r.tags] for r in found) > len(found) / 3
