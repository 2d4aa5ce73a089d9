"""What `clipsearch index --plan` tells, and that it writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from pictures import photo
from tiny_models import make_clip

from clipsearch import images
from clipsearch.errors import SourceError
from clipsearch.settings import Settings
from clipsearch.store import list_collections
from indexer.options import RunOptions
from indexer.plan import Plan, plan
from indexer.plan_text import lines
from indexer.run import run
from indexer.sources import SourceOptions, open_sources

Cli = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def settings(tmp_path: Path, tiny: Path) -> Settings:
    return Settings.load(data=tmp_path / "data", cache=tiny.parent / "cache", model=f"local-dir:{tiny}")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(40):
        images.save_jpeg(photo(60, 40, seed=i), folder / f"{i:02}.jpg")
    return folder


def planned(folder: Path, settings: Settings, **options: object) -> Plan:
    return plan(open_sources([str(folder)], SourceOptions()), settings, RunOptions(**options))  # type: ignore[arg-type]


def test_a_plan_measures_and_writes_no_collection(pictures: Path, settings: Settings) -> None:
    (pictures / "bad.jpg").write_bytes(b"no picture")
    told = planned(pictures, settings)
    assert (told.found, told.unchanged, told.to_encode) == (41, 0, 41)
    assert told.sampled == 41 - 16  # the first two batches warm the model up
    assert told.images_per_s > 0 and told.seconds == pytest.approx(41 / told.images_per_s)
    assert told.decode_ms > 0 and told.encode_ms > 0
    assert told.bottleneck in ("decode", "encode")
    assert list_collections(settings) == []


def test_a_plan_for_a_second_run_counts_only_what_is_new(pictures: Path, settings: Settings) -> None:
    run(open_sources([str(pictures)], SourceOptions()), settings, RunOptions())
    told = planned(pictures, settings)
    assert (told.unchanged, told.to_encode, told.sampled) == (40, 0, 0)
    assert any("nothing to encode" in line for line in lines(told))
    images.save_jpeg(photo(60, 40, seed=99), pictures / "new.jpg")
    told = planned(pictures, settings)
    assert (told.unchanged, told.to_encode, told.sampled) == (40, 1, 1)


def test_the_sample_is_spread_over_all_pictures(
    pictures: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.plan.SAMPLE", 20)
    told = planned(pictures, settings)
    assert told.sampled == 20 - 16
    assert told.to_encode == 40


def test_an_empty_folder_cannot_be_planned(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="nothing to plan"):
        planned(tmp_path / "empty", settings)


def test_the_disk_and_memory_grow_with_pictures_and_dimensions(pictures: Path, settings: Settings) -> None:
    told = planned(pictures, settings)
    assert 10e6 < told.disk_bytes < 12e6 and 60e6 < told.memory_bytes < 70e6


def test_the_command_prints_a_plan_for_people_and_for_programs(
    run_cli: Cli, pictures: Path, settings: Settings
) -> None:
    arguments = ["index", str(pictures), "-m", settings.model, "--plan"]
    done = run_cli(*arguments, CLIPSEARCH_CACHE=str(settings.cache))
    assert done.returncode == 0, done.stderr
    labels = [line.split()[0] for line in done.stdout.splitlines()]
    assert labels[:6] == ["pictures", "model", "time", "disk", "memory", "batch"]
    assert "bottleneck" in labels
    told = json.loads(run_cli(*arguments, "--json", "-q", CLIPSEARCH_CACHE=str(settings.cache)).stdout)
    assert told["to_encode"] == 40 and told["seconds"] > 0
