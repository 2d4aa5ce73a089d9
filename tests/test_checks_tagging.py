"""The check of tags on the demo's labels and on products that the starter was never made for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from clipsearch.demo.__main__ import main
from clipsearch.demo.checks import tagging, tagging_report
from clipsearch.demo.checks.asking import searcher_of
from clipsearch.search import Searcher
from clipsearch.tagging.vectors import label_vectors


@pytest.fixture
def parts(demo_copy: Path) -> Iterator[Searcher]:
    with searcher_of("demo") as searcher:
        yield searcher


@pytest.mark.slow
@pytest.mark.parametrize("language", ["English", "Japanese"])
def test_labels_make_tags_more_and_their_confidences_right(parts: Searcher, language: str) -> None:
    pictures = tagging.pictures_of(parts)
    held_out = pictures.some("held-out parts", np.array([one["split"] == "test" for one in pictures.shows]))
    made = tagging.vocabulary(pictures.shows, tagging.GROUPS, "groups", language)
    vectors = label_vectors(parts.encoder, made)
    found = tagging.run(held_out, made, vectors, ("groups", language), parts.encoder, pictures.vectors)
    top1 = {group.name: group.top1.mean for group in found.before.groups}
    assert top1["shape"] > 0.75 and top1["material"] > 0.6 and top1["finish"] > 0.5
    assert found.before.micro.precision.mean > 0.8  # without labels: few, and right
    assert found.before.error.high < found.bare.error.mean + 0.01
    assert found.after.error.high < found.before.error.low
    assert found.after.micro.recall.low > found.before.micro.recall.high + 0.3
    assert all(group.error.mean < 0.15 for group in found.after.groups)
    promise = tagging.promise(pictures, made, vectors, ("groups", language), parts.encoder)
    assert promise.promised and promise.kept.high >= 0.9 and promise.kept.mean > 0.88
    assert sum(promise.left_off.values()) > 5 * 50  # most shapes have too few parts
    text = tagging_report.as_text([found], [promise])
    assert "shape" in text and "promised" in text
    json.dumps(tagging_report.as_json([found], [promise]), allow_nan=False)


def test_products_that_the_starter_does_not_know_stay_untagged(parts: Searcher, shared_data: Path) -> None:
    products = tagging.products_in(shared_data / "diy_catalogue", parts.encoder)
    for kind in tagging.KINDS:
        made = tagging.vocabulary(products.shows, ("category",), kind, "English")
        vectors = label_vectors(parts.encoder, made)
        found = tagging.run(products, made, vectors, (kind, "English"), parts.encoder, products.vectors)
        assert found.before.untagged.mean > 0.8 and found.after.untagged.mean == 1
        promise = tagging.promise(products, made, vectors, (kind, "English"), parts.encoder)
        assert not promise.promised and promise.left_off
        assert "none promised" in tagging_report.as_text([found], [promise])
        assert "never made for" in tagging_report.as_text([found], [])


def test_a_folder_without_products_is_a_clear_error(demo_copy: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["evaluate-tagging", "--diy", str(tmp_path)])
    assert shown.exit_code == 1
    assert "products.csv cannot be read" in shown.output and "name a folder" in shown.output
