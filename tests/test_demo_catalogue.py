from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import click
import numpy as np
import pytest

from clipsearch import images
from clipsearch.cli.demo import data_folder
from clipsearch.demo.captions import captions
from clipsearch.demo.catalogue import make_catalogue, parts, to_csv
from clipsearch.demo.combinations import combinations
from clipsearch.demo.looks import SURFACES
from clipsearch.demo.parts import TYPES, Facts
from clipsearch.demo.render import Camera, trace
from clipsearch.demo.training_set import Plan, render_training_set
from clipsearch.demo.words import NAMES
from clipsearch.demo.words.materials import FINISH_JA, GROUPS, MATERIAL_JA

ROWS = parts()


def test_about_six_hundred_parts_some_rare_and_no_number_twice() -> None:
    assert 550 <= len(ROWS) <= 650
    assert len({row.part_no for row in ROWS}) == len(ROWS)
    shapes = [row.shape for row in ROWS]
    counts = sorted(shapes.count(shape) for shape in set(shapes))
    assert counts[0] <= 4
    assert counts[-1] >= 15
    assert set(NAMES) == set(TYPES)


def test_combinations_are_split_and_every_shape_and_surface_is_trained_on() -> None:
    by_split: dict[str, set[tuple[str, str]]] = {"train": set(), "val": set(), "test": set()}
    for key, surfaces in combinations().items():
        for surface, split in surfaces.items():
            by_split[split].add((NAMES[key].shape, surface))
    assert not by_split["train"] & (by_split["test"] | by_split["val"])
    assert not by_split["test"] & by_split["val"]
    assert {shape for shape, _ in by_split["train"]} == {name.shape for name in NAMES.values()}
    assert {surface for _, surface in by_split["train"]} == set(SURFACES)
    unseen = sum(row.split == "test" for row in ROWS) / len(ROWS)
    assert 0.2 < unseen < 0.32


def test_every_row_is_true_to_its_combination() -> None:
    surfaces = {(s.material, s.finish): name for name, s in SURFACES.items()}
    for row in ROWS:
        keys = [k for k, n in NAMES.items() if (n.shape, n.drive) == (row.shape, row.drive)]
        splits = {combinations()[key][surfaces[row.material, row.finish]] for key in keys}
        assert splits == {row.split}


def test_the_bundled_table_is_what_the_generator_makes() -> None:
    assert (data_folder() / "parts.csv").read_text(encoding="utf-8") == to_csv(ROWS)


def test_the_bundled_pictures_are_those_the_table_names_and_small() -> None:
    folder = data_folder()
    named = {name for row in ROWS for name in (row.image, row.image_2)}
    assert {f"images/{path.name}" for path in (folder / "images").iterdir()} == named
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 6_000_000


def test_a_bundled_picture_is_rendered_again_from_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clipsearch.demo import catalogue

    chosen = [pair for pair in catalogue._numbered() if pair[1].shape == "spur gear"][:1]
    monkeypatch.setattr(catalogue, "_numbered", lambda: chosen)
    make_catalogue(tmp_path)
    name = chosen[0][1].image
    fresh, kept = (images.decode(folder / name).pixels.astype(float) for folder in (tmp_path, data_folder()))
    assert np.mean((fresh - kept) ** 2) < 255**2 / 10**3.5  # PSNR over 35 dB


@pytest.mark.parametrize("key", TYPES)
def test_every_type_is_seen_whole_and_in_the_middle(key: str) -> None:
    part = TYPES[key]
    shape, _ = part.build(np.random.default_rng(5))
    hit = trace(part.placed(shape), Camera(-62, 34), 48).hit
    rows, columns = np.nonzero(hit)
    assert 0.02 < hit.mean() < 0.75
    assert not (hit[0].any() or hit[-1].any() or hit[:, 0].any() or hit[:, -1].any()), "cut off at the edge"
    assert 16 < rows.mean() < 32
    assert 16 < columns.mean() < 32


def test_captions_say_everything_first_and_then_less_in_both_languages() -> None:
    facts: Facts = {"holes": 4, "teeth": 24}
    english, japanese = captions("spur gear", "brass polished", facts, np.random.default_rng(0))
    assert english[0] == "Polished brass spur gear with 4 holes and 24 teeth"
    assert japanese[0] == "研磨真鍮製平歯車 4穴 歯数24"
    assert len(english) == len(japanese) == 8
    assert len(set(english)) > 4
    assert all(text.isascii() for text in english)
    assert not any(text.isascii() for text in japanese)


def test_sizes_are_measured_as_each_kind_of_part_is() -> None:
    by_shape = {row.shape: row for row in ROWS}
    patterns = {
        "hex bolt": r"M\d+ x \d+",
        "dowel pin": r"Ø\d+ x \d+",
        "compression spring": r"Ø\d+ x \d+",
        "flat washer": r"M\d+",
        "spur gear": r"Ø\d+",
        "angle bracket": r"\d+ x \d+ mm",
        "gear rack": r"\d+ mm",
        "pipe tee": r'[\d /]+"',
    }
    for shape, pattern in patterns.items():
        row = by_shape[shape]
        assert re.fullmatch(pattern, row.size), row
        assert row.description.endswith(f", {row.size}")
        assert (row.diameter_mm is None) == (shape in {"angle bracket", "gear rack"})
        assert (row.length_mm is None) == (" x " not in row.size and "mm" not in row.size)
    assert len({row.description for row in ROWS}) == len(ROWS)
    assert len({row.description_ja for row in ROWS}) == len(ROWS)
    assert all(0.05 <= row.price <= 100 for row in ROWS)


def test_every_word_has_its_translation() -> None:
    assert {s.material for s in SURFACES.values()} == set(MATERIAL_JA)
    assert {s.finish for s in SURFACES.values()} == set(FINISH_JA)
    assert {name.looks for name in NAMES.values()} == set(GROUPS)


def test_a_training_set_is_the_same_from_the_same_seed_and_shows_only_training_pairs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        render_training_set(Plan(tmp_path / name, count=6, seed=3))
    first, second = (np.load(tmp_path / name / "00000.npy") for name in ("a", "b"))
    assert first.shape == (6, 128, 128, 3)
    assert np.array_equal(first, second)
    rows = [json.loads(line) for line in (tmp_path / "a" / "00000.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    for row in rows:
        key, surface, *_ = row["group"].split("|")
        assert combinations()[key][surface] == "train"


def test_the_commands_tell_how_all_is_made_and_a_short_shard_is_written(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from clipsearch.demo.__main__ import main

    runner = CliRunner()
    for name, command in main.commands.items():
        shown = runner.invoke(main, [name, "--help"])
        assert shown.exit_code == 0
        assert f"python -m clipsearch.demo {name}" in shown.output
        assert all(option.help for option in command.params if isinstance(option, click.Option))
    made = runner.invoke(
        main, ["training-set", "--split", "val", "--count", "2", "--seed", "11", "--out", str(tmp_path)]
    )
    assert made.exit_code == 0, made.output
    assert np.load(tmp_path / "00000.npy").shape == (2, 128, 128, 3)
    assert len((tmp_path / "00000.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_the_catalogue_reads_as_a_table_with_typed_columns() -> None:
    from clipsearch.tables import infer_kinds, read_table

    table = read_table(data_folder() / "parts.csv")
    kinds = infer_kinds(table, table.columns)
    assert (kinds["teeth"], kinds["holes"], kinds["price"], kinds["material"]) == (
        "integer",
        "integer",
        "float",
        "keyword",
    )
    with (data_folder() / "parts.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(ROWS)
