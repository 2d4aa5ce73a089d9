"""Tags in a collection's payload: a person's stay, ours come and go, and a run is taken back whole."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from PIL import Image

from clipsearch import images, lexical
from clipsearch.errors import TaggingError
from clipsearch.settings import Settings
from clipsearch.store import Store, create, open_store
from clipsearch.tagging.journal import Journal
from clipsearch.tagging.payload import (
    Fields,
    Undone,
    Writer,
    change,
    kept,
    prepare,
    taken_back,
    undo,
)
from clipsearch.types import (
    CollectionSpec,
    FieldKind,
    Fingerprint,
    Match,
    Payload,
    Phrase,
    Point,
    Tag,
    Tagged,
)
from indexer.options import RunOptions
from indexer.run import run as run_index
from indexer.sources import SourceOptions, open_source

DIM = 8
FIELDS = Fields()
Run = Callable[[Mapping[int, Sequence[str]]], Journal]


def identity(i: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"record-{i}"))


def tags(*names: str, confidence: float = 0.9) -> tuple[Tag, ...]:
    return tuple(Tag(name, confidence - i / 100, id=name) for i, name in enumerate(names))


def made(folder: Path, kinds: dict[str, FieldKind], payloads: Sequence[dict[str, Any]]) -> Store:
    spec = CollectionSpec(Fingerprint("starter", "", "0" * 64, "{}", "1" * 64, DIM), kinds)
    store = create("t", spec, Settings(data=folder / "data", cache=folder / "cache"))
    rows = np.random.default_rng(0).normal(size=(len(payloads), DIM)).astype(np.float32)
    store.upsert([Point(identity(i), {"image": rows[i]}, p) for i, p in enumerate(payloads)])
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    payloads: list[dict[str, Any]] = [{"_key": f"{i}.jpg", "material": "zinc"} for i in range(4)]
    payloads[1]["tags"] = ["favourite", "Brass"]
    payloads[2]["tags"] = "crate 7"  # a catalogue's cell
    with made(tmp_path, {"tags": "keyword", "material": "keyword"}, payloads) as opened:
        yield opened


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Run:
    """One run over the records that are named, with the tags that each is given."""

    def tag(given: Mapping[int, Sequence[str]]) -> Journal:
        journal = Journal.create(tmp_path, {})
        records = [
            Tagged(p.id, p.payload, tags(*given[i])) for i in given for p in store.retrieve([identity(i)])
        ]
        Writer(store, journal, FIELDS).write(records)
        return journal

    return tag


def payload(store: Store, i: int) -> dict[str, Any]:
    return dict(store.retrieve([identity(i)])[0].payload)


def noted(journal: Journal) -> int:
    return len(list(journal.noted("payload")))


# --- writing -------------------------------------------------------------------------------------


def test_tags_stand_beside_a_persons_and_can_be_filtered_and_searched_at_once(store: Store, run: Run) -> None:
    journal = run({0: ["brass", "六角ボルト"], 1: ["brass", "bolt"], 2: ["bolt"], 3: []})
    assert payload(store, 0)["tags"] == ["brass", "六角ボルト"]
    assert payload(store, 1)["tags"] == ["favourite", "Brass", "bolt"], "one word, however it is written"
    assert payload(store, 1)["_tags"] == ["bolt"]
    assert payload(store, 2)["tags"] == ["crate 7", "bolt"]
    assert payload(store, 2)["_tag_confidence"] == [0.9]
    assert payload(store, 2)["_tag_run"] == journal.run
    assert payload(store, 3) == {"_key": "3.jpg", "material": "zinc"}
    assert store.count(Match("tags", ("bolt",))) == 2
    assert store.count(Phrase(tuple(lexical.phrase_tokens("六角ボルト")))) == 1


def test_a_second_run_with_the_same_outcome_writes_nothing(store: Store, run: Run) -> None:
    first = run({0: ["brass"], 1: ["bolt"], 2: []})
    before = [payload(store, i) for i in range(4)]
    assert (noted(first), noted(run({0: ["brass"], 1: ["bolt"], 2: []}))) == (2, 0)
    assert [payload(store, i) for i in range(4)] == before


def test_what_is_no_longer_given_goes_and_a_persons_tags_stay(store: Store, run: Run) -> None:
    run({0: ["brass"], 1: ["bolt", "nut"], 2: ["bolt"]})
    run({0: [], 1: ["nut"], 2: []})
    assert payload(store, 0) == {"_key": "0.jpg", "material": "zinc"}
    assert payload(store, 1)["tags"] == ["favourite", "Brass", "nut"]
    assert payload(store, 2) == {"_key": "2.jpg", "material": "zinc", "tags": ["crate 7"]}


def test_a_tag_that_a_person_took_away_stays_away(store: Store, run: Run) -> None:
    run({0: ["brass", "bolt"]})
    store.set_payload([identity(0)], {"tags": ["bolt"]})
    for names in (["brass", "bolt"], ["bolt"], ["brass", "bolt"]):
        run({0: names})
        assert payload(store, 0)["tags"] == ["bolt"]
        assert payload(store, 0)["_tags_rejected"] == ["brass"]
    store.set_payload([identity(0)], {"tags": ["bolt", "brass"]})  # thought better of it
    run({0: []})
    assert payload(store, 0)["tags"] == ["brass"], "it is the person's tag now"


def test_a_field_of_another_kind_is_refused_and_another_name_offered(tmp_path: Path) -> None:
    with made(tmp_path, {"tags": "integer"}, [{"tags": 3}]) as store:
        with pytest.raises(TaggingError, match=r"'tags' .* holds integer values.*--field machine_tags"):
            prepare(store, FIELDS)
        with pytest.raises(TaggingError, match="underscore"):
            prepare(store, Fields("_key"))
        fields = Fields("machine_tags")
        record = Tagged(identity(0), {"tags": 3}, tags("brass"))
        journal = Journal.create(tmp_path, {})
        Writer(store, journal, fields).write([record])
        assert payload(store, 0)["machine_tags"] == ["brass"]
        assert payload(store, 0)["tags"] == 3
        assert undo(store, journal, fields) == Undone(n_restored=1)
        assert payload(store, 0) == {"tags": 3}


# --- taking back ---------------------------------------------------------------------------------


def test_taking_back_restores_every_record_and_again_does_nothing(store: Store, run: Run) -> None:
    before = [payload(store, i) for i in range(4)]
    run({1: ["old"]})
    between = [payload(store, i) for i in range(4)]
    journal = run({0: ["brass"], 1: ["bolt"], 2: ["bolt"], 3: []})
    assert undo(store, journal, FIELDS) == Undone(n_restored=3)
    assert [payload(store, i) for i in range(4)] == between != before
    assert undo(store, journal, FIELDS) == Undone(n_untouched=3)
    assert [payload(store, i) for i in range(4)] == between


def test_taking_back_leaves_what_a_person_did_since(store: Store, run: Run) -> None:
    run({1: ["old"]})
    journal = run({0: ["brass"], 1: ["bolt"]})
    store.set_payload([identity(0)], {"tags": ["brass", "mine"]})
    store.set_payload([identity(1)], {"tags": ["favourite", "bolt", "mine"]})  # Brass was theirs to take
    store.set_payload([identity(1)], {"price": 3})
    assert undo(store, journal, FIELDS) == Undone(n_partly=2)
    assert payload(store, 0) == {"_key": "0.jpg", "material": "zinc", "tags": ["mine"]}
    assert payload(store, 1)["tags"] == ["favourite", "mine", "old"]
    assert payload(store, 1)["price"] == 3
    assert undo(store, journal, FIELDS) == Undone(n_untouched=2)


def test_taking_back_an_earlier_run_leaves_a_later_ones_tags(store: Store, run: Run) -> None:
    first = run({0: ["brass"]})
    second = run({0: ["brass", "bolt"]})
    undo(store, first, FIELDS)
    assert payload(store, 0)["tags"] == ["bolt"]
    assert payload(store, 0)["_tag_run"] == second.run
    undo(store, second, FIELDS)
    assert payload(store, 0) == {"_key": "0.jpg", "material": "zinc"}


def test_a_run_killed_between_noting_and_writing_is_taken_back(store: Store, tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, {})
    writer = Writer(store, journal, FIELDS)
    writer.write([Tagged(identity(0), payload(store, 0), tags("brass"))])
    before = payload(store, 1)
    planned = change(Tagged(identity(1), before, tags("bolt")), journal.run, FIELDS)
    assert planned is not None
    journal.note("payload", [{"id": planned.id, "before": planned.before, "after": planned.after}])
    with (journal.folder / "payload.jsonl").open("a") as file:
        file.write('{"id": "half a li')
    again = Journal.open(tmp_path, journal.run)
    assert undo(store, again, FIELDS) == Undone(n_restored=1, n_untouched=1)
    assert payload(store, 0) == {"_key": "0.jpg", "material": "zinc"}
    assert payload(store, 1) == before


def test_records_that_are_gone_are_passed_over(store: Store, run: Run) -> None:
    journal = run({0: ["bolt"], 1: ["bolt"]})
    store.delete([identity(0)])
    assert undo(store, journal, FIELDS) == Undone(n_restored=1, n_untouched=1)
    assert store.count() == 3


# --- whatever happens ----------------------------------------------------------------------------

words = st.sampled_from(["brass", "Brass", "bolt", "ボルト", "a,b", "x"])
lists = st.lists(words, max_size=3, unique=True)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("run"), lists),
        st.tuples(st.just("add"), words),
        st.tuples(st.just("take"), words),
    ),
    max_size=8,
)


class Record:
    """One record: what stands in it, and what a person wants of it."""

    def __init__(self, human: Sequence[str]) -> None:
        self.payload: dict[str, Any] = {"tags": list(human)} if human else {}
        self.human = set(human)
        self.n_runs = 0

    def set(self, values: Mapping[str, Any]) -> None:
        merged = {**self.payload, **values}
        self.payload = {name: value for name, value in merged.items() if value is not None}

    def step(self, what: str, value: Any) -> None:
        standing = list(self.payload.get("tags", []))
        if what == "run":
            self.n_runs += 1
            done = change(Tagged("id", self.payload, tags(*value)), f"run-{self.n_runs}", FIELDS)
            self.set({} if done is None else done.after)
        elif what == "add" and value not in standing:
            if value not in self.payload.get(
                "_tags", []
            ):  # else taken away and put back: as if never touched
                self.human.add(value)
            self.set({"tags": [*standing, value]})
        elif what == "take":
            self.human.discard(value)
            self.set({"tags": [tag for tag in standing if tag != value] or None})

    def is_sound(self) -> bool:
        standing = self.payload.get("tags", [])
        ours = self.payload.get("_tags", [])
        return (
            self.human <= set(standing)
            and len(set(standing)) == len(standing)
            and len(ours) == len(self.payload.get("_tag_confidence", []))
        )


@limits(max_examples=300, deadline=None)
@given(lists, steps)
def test_a_persons_tags_never_change(human: list[str], todo: list[tuple[str, Any]]) -> None:
    record = Record(human)
    for what, value in todo:
        record.step(what, value)
        assert record.is_sound(), (record.payload, record.human)


@limits(max_examples=300, deadline=None)
@given(lists, steps, lists)
def test_taking_back_the_last_run_restores_what_was(
    human: list[str], todo: list[tuple[str, Any]], last: list[str]
) -> None:
    record = Record(human)
    for what, value in todo:
        record.step(what, value)
    before = dict(record.payload)
    done = change(Tagged("id", before, tags(*last)), "last", FIELDS)
    if done is not None:
        record.set(done.after)
        record.set(taken_back(record.payload, done.before, done.after, FIELDS) or {})
    assert record.payload == before


@limits(max_examples=300, deadline=None)
@given(lists, steps, lists, steps)
def test_taking_back_a_run_never_touches_what_a_person_did(
    human: list[str], todo: list[tuple[str, Any]], run: list[str], later: list[tuple[str, Any]]
) -> None:
    record = Record(human)
    for what, value in todo:
        record.step(what, value)
    done = change(Tagged("id", record.payload, tags(*run)), "that", FIELDS)
    record.set({} if done is None else done.after)
    for what, value in later:
        record.step(what, value)
    if done is not None:
        back = taken_back(record.payload, done.before, done.after, FIELDS)
        record.set(back or {})
        assert record.is_sound(), (record.payload, record.human)
        assert taken_back(record.payload, done.before, done.after, FIELDS) is None, (
            "a second time does nothing"
        )


# --- indexing again ------------------------------------------------------------------------------


def test_new_columns_take_the_place_of_a_persons_tags_and_leave_ours() -> None:
    stored: dict[str, Any] = {
        "tags": ["theirs", "brass", "bolt"],
        "_tags": ["brass", "bolt", "off"],
        "_tag_confidence": [0.9, 0.8, 0.7],
        "_tag_run": "r",
    }
    assert kept(stored, {"tags": ["new", "Bolt"], "price": 1}) == {
        "tags": ["new", "Bolt", "brass"],
        "_tags": ["brass"],
        "_tag_confidence": [0.9],
        "_tag_run": "r",
        "_tags_rejected": ["off"],
    }
    assert kept({"tags": ["theirs"], "price": 1}, {"tags": "new"}) == {}
    machine: dict[str, Any] = {"machine": ["x"], "_tags:machine": ["x"], "_tag_confidence:machine": [0.5]}
    assert kept(machine, {})["machine"] == ["x"]


def test_an_edited_row_keeps_our_tags_and_brings_its_own(settings: Settings, tmp_path: Path) -> None:
    images.save_jpeg(
        np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8), tmp_path / "a.jpg"
    )
    path = tmp_path / "parts.csv"

    def index(text: str) -> None:
        path.write_text(text, encoding="utf-8")
        run_index(open_source(path, SourceOptions(id_column="no")), settings, RunOptions())

    index("no,image,tags,price\nA,a.jpg,crate 7,1.5\n")
    with open_store("t", settings) as store:
        (point,) = next(store.scroll())
        Writer(store, Journal.create(tmp_path, {}), FIELDS).write(
            [Tagged(point.id, point.payload, tags("brass", "bolt"))]
        )
        store.set_payload([point.id], {"tags": ["crate 7", "brass"]})
    index("no,image,tags,price\nA,a.jpg,crate 8,1.5\n")
    with open_store("t", settings) as store:
        (point,) = next(store.scroll())
    assert point.payload["tags"] == ["crate 8", "brass"]
    assert point.payload["_tags"] == ["brass"]
    assert point.payload["_tags_rejected"] == ["bolt"]


def test_a_picture_with_new_metadata_keeps_its_tags_and_another_picture_does_not(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    made = Image.effect_noise((64, 64), 90).convert("RGB")
    for name in ("a.jpg", "b.jpg"):
        made.save(folder / name, quality=90)
        made = made.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(13)

    def index() -> dict[str, Payload]:
        run_index(open_source(folder, SourceOptions()), settings, RunOptions())
        with open_store("t", settings) as store:
            return {str(p.payload["_key"]): p.payload for batch in store.scroll() for p in batch}

    index()
    with open_store("t", settings) as store:
        store.add_fields({"tags": "keyword"})
        ids = [p.id for batch in store.scroll() for p in batch]
        store.set_payload(ids, {"tags": ["brass"], "_tags": ["brass"], "_tag_confidence": [0.9]})
    comment = (folder / "a.jpg").read_bytes()
    (folder / "a.jpg").write_bytes(comment[:2] + b"\xff\xfe\x00\x07hello" + comment[2:])  # no pixel changes
    Image.new("RGB", (64, 64), "red").save(folder / "b.jpg")
    found = index()
    assert (found["a.jpg"]["tags"], found["a.jpg"]["_tags"]) == (["brass"], ["brass"])
    assert found["a.jpg"]["_sha256"] == hashlib.sha256((folder / "a.jpg").read_bytes()).hexdigest()
    assert "tags" not in found["b.jpg"] and "_tags" not in found["b.jpg"]
