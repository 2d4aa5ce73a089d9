"""Tags over HTTP: vocabularies that come with a request, their bounds, and what is kept of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from serving import Running, serving

from clipsearch.errors import VocabularyError
from clipsearch.search import encoder_of
from clipsearch.serve.batching import BatchingEncoder
from clipsearch.serve.replies import Refusal
from clipsearch.serve.taggers import Taggers, Wanted
from clipsearch.settings import Settings
from clipsearch.store import Store, open_store
from clipsearch.store.embedded.folder import copy_sparse
from clipsearch.tagging.labels import Answers, Labels, Said
from clipsearch.tagging.tagger import Tagger
from clipsearch.tagging.vocabulary import read_vocabulary

YAML = "material: [brass, steel, nylon]\nshape:\n- gear\n- hex nut: {ja: 六角ナット}\n- hex bolt\n"


@pytest.fixture(scope="module")
def data(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo's data folder, for this file alone."""
    copy = tmp_path_factory.mktemp("tags") / "data"
    copy_sparse(demo_data, copy)
    return copy


@pytest.fixture(scope="module")
def server(data: Path, demo_data: Path) -> Iterator[Running]:
    with serving(CLIPSEARCH_DATA=str(data), CLIPSEARCH_CACHE=str(demo_data.parent / "cache")) as running:
        yield running


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture
def key(http: httpx.Client) -> str:
    return str(http.post("/search", json={"q": "hex nut", "top": 1}).json()["hits"][0]["key"])


def tagged(http: httpx.Client, key: str, **ask: Any) -> dict[str, Any]:
    answer = http.post("/tag", json={"key": key, **ask})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_vocabulary_gives_what_is_certain_as_the_library_does(
    http: httpx.Client, key: str, demo_data: Path, tmp_path: Path
) -> None:
    found = tagged(http, key, vocabulary=YAML, threshold=0.05)
    assert "hex nut" in [tag["label"] for tag in found["tags"]]
    assert found["n_labels"] == 6
    assert found["fitted_on"] == "background"
    (tmp_path / "v.yaml").write_text(YAML, encoding="utf-8")
    vocabulary = read_vocabulary(tmp_path / "v.yaml")
    settings = Settings.load(data=demo_data, cache=demo_data.parent / "cache", collection="demo")
    with open_store("demo", settings) as store:
        encoder = encoder_of(store.spec.fingerprint, settings)
        tagger = Tagger.of_collection(store, encoder, vocabulary, threshold=0.05)
        points = [p for batch in store.scroll(with_vectors=True) for p in batch if p.payload["_key"] == key]
    (tags,) = tagger.tag_vectors(np.stack([np.asarray(point.vectors["image"]) for point in points]))
    assert [(tag["label"], tag["id"]) for tag in found["tags"]] == [(tag.name, tag.id) for tag in tags]
    for one, other in zip(found["tags"], tags, strict=True):
        assert one["confidence"] == pytest.approx(other.confidence, abs=1e-3)
        assert one["paths"] == [list(path) for path in other.paths]


def test_an_upload_is_tagged_like_its_record(http: httpx.Client, key: str) -> None:
    hit = http.post("/search", json={"q": f"id:{key}", "top": 1}).json()["hits"][0]
    form = {"vocabulary": YAML, "threshold": "0.2", "templates": ["part", "a drawing of {}"]}
    uploaded = http.post("/tag/image", files={"image": Path(hit["path"]).read_bytes()}, data=form)
    assert uploaded.status_code == 200, uploaded.text
    same = tagged(http, hit["key"], vocabulary=YAML, threshold=0.2, templates=["part", "a drawing of {}"])
    assert [tag["id"] for tag in uploaded.json()["tags"]] == [tag["id"] for tag in same["tags"]]


def test_a_picture_of_which_nothing_is_certain_has_no_tags(http: httpx.Client, key: str) -> None:
    assert tagged(http, key, vocabulary=YAML, threshold=1)["tags"] == []


def test_plain_text_and_json_are_vocabularies_too(http: httpx.Client, key: str) -> None:
    text = tagged(http, key, vocabulary="part\n  hex nut\n  gear\n", vocabulary_format="text", threshold=0.1)
    paths = {tag["label"]: (tag["paths"], tag["implied"]) for tag in text["tags"]}
    assert paths["hex nut"][0] == [["part", "hex nut"]]
    json_ = tagged(http, key, vocabulary='["gear", {"name": "hex nut", "synonyms": ["nut"]}]', threshold=0.1)
    assert "hex nut" in [tag["label"] for tag in json_["tags"]]


@pytest.mark.parametrize(
    ("ask", "status", "code", "line", "says"),
    [
        ({"vocabulary": "a: [b\n"}, 422, "bad-vocabulary", 2, "the vocabulary, line 2"),
        ({"vocabulary": "- gear\n- nut\n- gear\n"}, 422, "bad-vocabulary", 3, "gear"),
        ({"vocabulary": "/etc/passwd"}, 422, "bad-vocabulary", 1, "has no list"),
        ({"vocabulary": "\n".join(f"- w{i}" for i in range(2001))}, 422, "bad-vocabulary", 2001, "2,000 at"),
        ({"vocabulary": "- gear", "templates": ["prt"]}, 400, "bad-request", None, "no template set"),
        ({"vocabulary": "- gear", "labels": ["gear"]}, 400, "bad-request", None, "either labels or"),
        ({}, 400, "bad-request", None, "either labels or"),
        ({"labels": ["gear"], "threshold": 0.5}, 400, "bad-request", None, "go with a vocabulary"),
        ({"vocabulary": "- gear", "template": "a {}"}, 400, "bad-request", None, "has templates"),
        ({"vocabulary": "x" * 100_001}, 400, "bad-request", None, "vocabulary"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_line(
    http: httpx.Client, key: str, ask: dict[str, Any], status: int, code: str, line: int | None, says: str
) -> None:
    answer = http.post("/tag", json={"key": key, **ask})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("line")) == (status, code, line)
    assert says in error["message"]


def test_kept_answers_are_used_at_once(http: httpx.Client, key: str, data: Path, tmp_path: Path) -> None:
    assert tagged(http, key, vocabulary=YAML)["fitted_on"] == "background"
    (tmp_path / "v.yaml").write_text(YAML, encoding="utf-8")
    vocabulary = read_vocabulary(tmp_path / "v.yaml")
    place = next(i for i, label in enumerate(vocabulary.labels) if label.name == "hex nut")
    Answers(data / "collections" / "demo").add(Labels({key: Said(frozenset({place}))}), vocabulary, by="test")
    assert tagged(http, key, vocabulary=YAML)["fitted_on"] == "labels"


# --- what is kept, and at once ------------------------------------------------------------------------


@pytest.fixture
def opened(demo_copy: Path, tmp_path: Path) -> Iterator[tuple[Store, BatchingEncoder, Path]]:
    settings = Settings.load(collection="demo")
    with open_store("demo", settings) as store:
        encoder = BatchingEncoder(
            encoder_of(store.spec.fingerprint, settings),
            uploads=tmp_path,
            max_pixels=10**6,
            on_batch=lambda kind, n: None,
        )
        yield store, encoder, tmp_path


def test_a_vocabulary_is_embedded_once_and_the_oldest_goes(
    opened: tuple[Store, BatchingEncoder, Path],
) -> None:
    store, encoder, folder = opened
    taggers = Taggers()

    def get(text: str) -> Tagger:
        return taggers.get(Wanted(text), store=store, encoder=encoder, folder=folder)

    first = get("- gear")
    assert get("- gear") is first
    for i in range(8):
        get(f"- word {i}")
    assert get("- gear") is not first
    with pytest.raises(VocabularyError):
        get("- gear\n- gear")
    assert get("- word 7") is get("- word 7")  # an error takes no place


def test_while_one_is_embedded_others_are_told_to_come_again(
    opened: tuple[Store, BatchingEncoder, Path],
) -> None:
    store, encoder, folder = opened
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(encoder, name)

        def encode_texts(self, texts: list[str]) -> Any:
            begun.set()
            assert go_on.wait(20)
            return encoder.encode_texts(texts)

    taggers, slow = Taggers(), Slow()

    def get(text: str) -> Tagger:
        return taggers.get(Wanted(text), store=store, encoder=slow, folder=folder)  # type: ignore[arg-type]

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(get, "- gear")
        assert begun.wait(20)
        for text, says in (("- nut", "another vocabulary"), ("- gear", "this vocabulary")):
            with pytest.raises(Refusal, match=f"{says} is being embedded") as refused:
                get(text)
            assert refused.value.reply.status == 503
        go_on.set()
        made = one.result(20)
    assert get("- gear") is made
    assert get("- nut") is not made
    taggers.close()
    with pytest.raises(Refusal, match="stopping"):
        get("- washer")
