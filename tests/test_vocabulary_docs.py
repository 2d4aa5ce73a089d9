"""The page on vocabularies: each of its examples is read, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_vocabulary import ids

from clipsearch.tagging.vocabulary import SUFFIXES, Vocabulary, read_vocabulary

PAGE = Path(__file__).parents[1] / "docs" / "vocabularies.md"
if not PAGE.is_file():
    pytest.skip("needs docs/, which a source distribution does not have", allow_module_level=True)
TEXT = PAGE.read_text(encoding="utf-8")


def example(folder: Path, name: str) -> Vocabulary:
    found = re.search(rf"^`{re.escape(name)}`:\n\n```\w+\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"the page has no {name}"
    (folder / name).write_text(found[1], encoding="utf-8")
    return read_vocabulary(folder / name)


def test_the_text_example_is_read(tmp_path: Path) -> None:
    vocabulary = example(tmp_path, "animals.txt")
    assert ids(vocabulary) == [
        "animal", "animal|dog", "animal|dog|poodle", "animal|cat", "animal|bird", "animal|bird|heron",
        "PLACES|pond", "PLACES|meadow",
    ]  # fmt: skip
    assert vocabulary.labels[1].synonyms == ("hound",)


def test_the_csv_example_is_read(tmp_path: Path) -> None:
    vocabulary = example(tmp_path, "tools.csv")
    assert ids(vocabulary) == ["tool", "tool|hammer", "tool|pliers", "material|brass", "material|steel"]
    assert vocabulary.labels[1].words == ("hammer", "claw hammer", "mallet", "ハンマー", "金槌")


def test_the_yaml_example_is_read(tmp_path: Path) -> None:
    vocabulary = example(tmp_path, "parts.yaml")
    assert set(vocabulary.groups) == {"material", "finish", "material|steel"}
    assert vocabulary.labels[-1].id == "material|steel|carbon"


def test_the_skos_example_is_read(tmp_path: Path) -> None:
    pytest.importorskip("rdflib", reason="needs clipsearch[skos]")
    vocabulary = example(tmp_path, "topics.ttl")
    assert vocabulary.paths(1) == (("arts and culture", "theatre"),)
    assert vocabulary.labels[1].words == ("theatre", "drama", "演劇", "芝居")


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example(tmp_path, "animals.txt")
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), {})


def test_every_suffix_is_on_the_page() -> None:
    assert [suffix for suffix in SUFFIXES if f"`{suffix}`" not in TEXT] == []
