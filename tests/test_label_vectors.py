"""A vocabulary's vectors: what is averaged, and what is kept between runs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipsearch.encoder import Encoder
from clipsearch.errors import EncoderError
from clipsearch.tagging import kept_vectors
from clipsearch.tagging.kept_vectors import KeptVectors
from clipsearch.tagging.prompts import filled, neutral_of
from clipsearch.tagging.vectors import LabelVectors, label_vectors
from clipsearch.tagging.vocabulary import Label, Vocabulary, vocabulary_of
from clipsearch.types import Embeddings, Fingerprint


@pytest.fixture
def encoder(tiny: Path, cache: Path) -> Iterator[Encoder]:
    with Encoder.open(f"local-dir:{tiny}", cache=cache) as opened:
        yield opened


class Counted:
    """What a real encoder was asked for."""

    def __init__(self, encoder: Encoder, *, most: int | None = None) -> None:
        self._encoder, self._most, self.texts = encoder, most, list[str]()
        self.dim, self.fingerprint = encoder.dim, encoder.fingerprint

    def encode_texts(self, texts: list[str]) -> Embeddings:
        if self._most is not None and len(self.texts) >= self._most:
            raise EncoderError("stopped")
        self.texts += texts
        return self._encoder.encode_texts(texts)


def unit(vectors: Embeddings) -> Embeddings:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def kept_files(cache: Path) -> list[Path]:
    return sorted((cache / kept_vectors.FOLDER).rglob("*.npz"))


def test_a_label_is_the_mean_of_its_words_and_a_word_of_its_prompts(encoder: Encoder) -> None:
    label = Label("brass", "brass", synonyms=("yellow metal",), prompts=("one", "two", "three {}"))
    found = label_vectors(encoder, Vocabulary((label,)), templates=["a {}", "the {}"])
    name = unit(encoder.encode_texts(["one", "two", "three brass"]).sum(axis=0))
    word = unit(encoder.encode_texts(["a yellow metal", "the yellow metal"]).sum(axis=0))
    np.testing.assert_allclose(found.labels, [unit(name + word)], atol=1e-5)
    assert found.labels.dtype == found.neutral.dtype == np.float32


def test_one_template_and_one_word_is_just_the_texts_vector(encoder: Encoder) -> None:
    names = ["hex bolt", "真鍮", "a photo", "hex bolt|m8"]
    vocabulary = vocabulary_of(names)
    found = label_vectors(encoder, vocabulary, templates=["a photo of a {}."])
    texts = [filled("a photo of a {}.", label.name) for label in vocabulary.labels]
    np.testing.assert_allclose(found.labels, encoder.encode_texts(texts), atol=1e-5)
    np.testing.assert_allclose(found.neutral, encoder.encode_texts(neutral_of(vocabulary)), atol=1e-5)


def test_an_empty_vocabulary_has_no_rows(encoder: Encoder, tmp_path: Path) -> None:
    for cache in (None, tmp_path):
        assert label_vectors(encoder, Vocabulary(()), cache=cache).labels.shape == (0, encoder.dim)


def test_blocks_give_what_one_call_gives(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = vocabulary_of([f"part {i % 40}{'s' if i > 39 else ''} {i}" for i in range(60)])
    whole = label_vectors(encoder, vocabulary)
    monkeypatch.setattr("clipsearch.tagging.vectors._PROMPTS", 17)
    told: list[tuple[str, int, int]] = []
    parts = label_vectors(encoder, vocabulary, on_progress=lambda *said: told.append(said))
    np.testing.assert_allclose(parts.labels, whole.labels, atol=1e-5)
    n = 60 + len(whole.neutral)
    assert told[-1] == ("labels", n, n) and len(told) > 10
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})


def same(one: LabelVectors, other: LabelVectors) -> bool:
    return np.array_equal(one.labels, other.labels) and np.array_equal(one.neutral, other.neutral)


def test_kept_vectors_are_the_same_to_the_bit_and_nothing_is_embedded(
    encoder: Encoder, tmp_path: Path
) -> None:
    vocabulary = vocabulary_of(["bolt", "真鍮", "nut"])
    first = label_vectors(encoder, vocabulary, cache=tmp_path)
    counted = Counted(encoder)
    assert same(label_vectors(counted, vocabulary, cache=tmp_path), first)  # type: ignore[arg-type]
    assert counted.texts == []


def test_an_edit_embeds_only_the_label_it_changed(encoder: Encoder, tmp_path: Path) -> None:
    labels = tuple(Label(name, name) for name in ("bolt", "nut", "washer", "screw"))
    before = label_vectors(encoder, Vocabulary(labels), templates=["a {}"], cache=tmp_path)
    edited = (labels[3], replace(labels[0], synonyms=("machine bolt",)), labels[2])
    counted = Counted(encoder)
    after = label_vectors(counted, Vocabulary(edited), templates=["a {}"], cache=tmp_path)  # type: ignore[arg-type]
    assert counted.texts == ["a bolt", "a machine bolt"]
    np.testing.assert_array_equal(after.labels[[0, 2]], before.labels[[3, 2]])
    assert not np.allclose(after.labels[1], before.labels[0])


def test_labels_with_the_same_prompts_are_embedded_once(encoder: Encoder, tmp_path: Path) -> None:
    labels = (Label("a|bolt", "bolt"), Label("nut", "nut"), Label("b|bolt", "bolt"))
    counted = Counted(encoder)
    found = label_vectors(counted, Vocabulary(labels), templates=["the {}"], cache=tmp_path)  # type: ignore[arg-type]
    assert counted.texts.count("the bolt") == 1
    np.testing.assert_allclose(
        found.labels, encoder.encode_texts(["the bolt", "the nut", "the bolt"]), atol=1e-5
    )


def test_another_model_or_precision_does_not_get_these_vectors(encoder: Encoder, tmp_path: Path) -> None:
    vocabulary = vocabulary_of(["bolt"])
    label_vectors(encoder, vocabulary, cache=tmp_path)
    for change in ({"weights_sha256": "0"}, {"tokenizer_sha256": "0"}, {"precision": "bf16"}):
        counted = Counted(encoder)
        counted.fingerprint = replace(encoder.fingerprint, **change)
        label_vectors(counted, vocabulary, cache=tmp_path)  # type: ignore[arg-type]
        assert counted.texts, change
    counted = Counted(encoder)
    counted.fingerprint = replace(encoder.fingerprint, decode="exact", preprocessing="other")
    label_vectors(counted, vocabulary, cache=tmp_path)  # type: ignore[arg-type]
    assert not counted.texts, "how pictures are read says nothing about texts"


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "pickle", "other shape", "folder"])
def test_a_damaged_file_is_made_again(damage: str, encoder: Encoder, tmp_path: Path) -> None:
    vocabulary = vocabulary_of(["bolt", "nut"])
    first = label_vectors(encoder, vocabulary, cache=tmp_path)
    (path,) = kept_files(tmp_path)
    data = bytearray(path.read_bytes())
    with np.load(path) as file:
        keys, vectors = file["keys"], file["vectors"]
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        at = data.index(vectors.tobytes()[:16]) + 40
        data[at] ^= 0xFF
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "pickle":
        np.savez(path, keys=keys, vectors=np.array([object()] * len(keys), object))
    elif damage == "other shape":
        np.savez(path, keys=keys, vectors=vectors[:-1])
    else:
        path.unlink()
        path.mkdir()
    assert same(label_vectors(encoder, vocabulary, cache=tmp_path), first)
    counted = Counted(encoder)
    assert same(label_vectors(counted, vocabulary, cache=tmp_path), first)  # type: ignore[arg-type]
    assert counted.texts == []


def test_a_stopped_run_goes_on_where_it_was(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipsearch.tagging.vectors._PROMPTS", 10)
    vocabulary = vocabulary_of([f"part {i}" for i in range(40)])
    stopped = Counted(encoder, most=20)
    with pytest.raises(EncoderError, match="stopped"):
        label_vectors(stopped, vocabulary, templates=["a {}"], cache=tmp_path)  # type: ignore[arg-type]
    again = Counted(encoder)
    found = label_vectors(again, vocabulary, templates=["a {}"], cache=tmp_path)  # type: ignore[arg-type]
    assert len(stopped.texts) == 20 and not set(stopped.texts) & set(again.texts)
    np.testing.assert_allclose(
        found.labels, label_vectors(encoder, vocabulary, templates=["a {}"]).labels, atol=1e-5
    )


def test_what_was_used_longest_ago_goes_first(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_vectors, "MAX_FILES", 3)

    def n_embedded(number: int) -> int:
        for path in kept_files(tmp_path):  # all that was is long ago
            os.utime(path, (0, path.stat().st_mtime - 10))
        counted = Counted(encoder)
        vocabulary = Vocabulary(
            (Label("x", f"label {number}"),), templates=("a {}",), neutral=(f"- {number}",)
        )
        label_vectors(counted, vocabulary, cache=tmp_path)  # type: ignore[arg-type]
        return len(counted.texts)

    assert [n_embedded(number) for number in (0, 1, 0, 2, 0, 3, 0, 4, 0)] == [2, 2, 0, 2, 0, 2, 0, 2, 0]
    assert len(kept_files(tmp_path)) == 3
    assert [n_embedded(number) for number in (4, 3, 1)] == [0, 0, 2]


def test_the_cache_has_a_size(encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_vectors, "MAX_BYTES", 20_000)
    for i in range(5):
        label_vectors(encoder, vocabulary_of([f"{i} {j}" for j in range(60)]), cache=tmp_path)
    assert 0 < sum(path.stat().st_size for path in kept_files(tmp_path)) <= 20_000


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a folder that root cannot write")
def test_a_cache_that_cannot_be_written_is_no_error(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / kept_vectors.FOLDER).mkdir(mode=0o500)
    assert label_vectors(encoder, vocabulary_of(["bolt"]), cache=tmp_path).labels.shape == (1, encoder.dim)


def test_a_file_in_the_caches_place_is_no_error(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / kept_vectors.FOLDER).write_text("in the way")
    assert label_vectors(encoder, vocabulary_of(["bolt"]), cache=tmp_path).labels.shape == (1, encoder.dim)


def _keep(cache: Path, fingerprint: Fingerprint, start: int) -> bool:
    """Keep and find 30 times, in a process of its own; whether all that was found is right."""
    kept = KeptVectors(cache, fingerprint)
    for number in range(start, start + 60, 2):
        kept.add(np.array([f"{number:032}"], "S32"), np.full((1, fingerprint.dim), number, np.float32))
        vectors, is_there = kept.find(np.array([f"{n:032}" for n in range(start + 60)], "S32"))
        if not np.array_equal(vectors[:, 0][is_there], np.flatnonzero(is_there)):
            return False
    return True


def test_two_processes_share_a_cache_and_leave_it_whole(encoder: Encoder, tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert all(pool.map(_keep, [tmp_path] * 2, [encoder.fingerprint] * 2, [0, 1]))
    _, is_there = KeptVectors(tmp_path, encoder.fingerprint).find(
        np.array([f"{n:032}" for n in range(60)], "S32")
    )
    assert is_there.all()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp")]
