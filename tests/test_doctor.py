from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsearch import store
from clipsearch.encoder import Encoder
from clipsearch.health import Finding, examine_collection, examine_installation, limits_for
from clipsearch.settings import Settings
from clipsearch.types import CollectionSpec, Fingerprint, Point

Run = Callable[..., subprocess.CompletedProcess[str]]
N = 40


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    paths = []
    for i in range(N):
        path = folder / f"{i:02} 部品.png"
        Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8)).resize((60, 60)).save(path)
        paths.append(path)
    return paths


def make(
    settings: Settings, pictures: list[Path], *, spoil: float = 0.0, change: dict[str, str] | None = None
) -> None:
    """The collection `t` of the pictures. spoil: noise added to vectors; change: to the fingerprint."""
    with Encoder.open(settings.model, device="cpu", cache=settings.cache) as encoder:
        encoder.compile()
        vectors = encoder.encode_images(pictures)
        spec = CollectionSpec(replace(encoder.fingerprint, **(change or {})), {"shelf": "keyword"})
    noise = np.random.default_rng(1).normal(size=vectors.shape).astype(np.float32)
    vectors = vectors + spoil * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    with store.create("t", spec, settings) as opened:
        opened.upsert(
            [
                Point(
                    str(uuid.uuid5(uuid.NAMESPACE_URL, path.name)),
                    {"image": vector},
                    {
                        "_key": path.name,
                        "_path": str(path),
                        "_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    },
                )
                for path, vector in zip(pictures, vectors, strict=True)
            ]
        )


def by_name(found: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in found}


def problems(found: list[Finding]) -> list[str]:
    return [finding.name for finding in found if finding.state == "problem"]


def test_a_whole_collection_has_nothing_wrong(settings: Settings, pictures: list[Path]) -> None:
    make(settings, pictures)
    found = examine_collection("t", settings)
    assert [finding for finding in found if finding.state != "ok"] == []
    drift = by_name(found)["drift"]
    assert drift.facts["pictures"] == 32
    assert drift.facts["least"] > 0.9999
    assert by_name(found)["points"].facts["points"] == N


def test_the_sample_is_the_same_every_time(settings: Settings, pictures: list[Path]) -> None:
    make(settings, pictures, spoil=0.02)
    first, second = (by_name(examine_collection("t", settings, n_pictures=5))["drift"] for _ in range(2))
    assert first == second


def test_other_vectors_are_a_problem(settings: Settings, pictures: list[Path]) -> None:
    make(settings, pictures, spoil=0.2)
    found = examine_collection("t", settings)
    assert problems(found) == ["drift"]
    assert by_name(found)["drift"].facts["mean"] < 0.99
    assert "index again" in by_name(found)["drift"].advice.lower()


def test_a_coarser_precision_may_differ_more(settings: Settings, pictures: list[Path]) -> None:
    make(settings, pictures, spoil=0.06, change={"precision": "int8"})
    assert (
        limits_for("fp32", "fp32").mean > limits_for("fp32", "int8").mean == limits_for("int8", "fp32").mean
    )
    drift = by_name(examine_collection("t", settings, n_pictures=8))["drift"]
    assert drift.state == "ok", drift
    assert drift.facts["mean"] < limits_for("fp32", "fp32").mean


def test_changed_and_missing_pictures_are_counted_and_not_taken_for_drift(
    settings: Settings, pictures: list[Path], tmp_path: Path
) -> None:
    own = [Path(shutil.copy(path, tmp_path)) for path in pictures]
    make(settings, own)
    for path in own[:6]:
        path.unlink()
    for path in own[6:20]:
        shutil.copy(own[30], path)
    found = by_name(examine_collection("t", settings))
    assert found["files"].facts["missing"] == 6
    assert str(tmp_path) in found["files"].value
    assert len(found["changed"].facts["changed"]) == 14
    assert found["drift"].state == "ok"
    assert found["drift"].facts["pictures"] == N - 20
    assert not problems(list(found.values()))


def test_pictures_come_from_the_reader_where_they_are_no_files(
    settings: Settings, pictures: list[Path], tmp_path: Path
) -> None:
    make(settings, pictures)
    found = by_name(examine_collection("t", settings, read=lambda path: Path(path).read_bytes()))
    assert found["drift"].facts["pictures"] == 32
    nothing = by_name(examine_collection("t", settings, read=lambda path: None))
    assert nothing["drift"].state == "warn"


def test_another_model_under_the_same_name_is_a_problem(settings: Settings, pictures: list[Path]) -> None:
    make(settings, pictures[:5], change={"weights_sha256": "0" * 64})
    found = examine_collection("t", settings)
    (name,) = problems(found)
    assert name == settings.model
    assert "weights differ" in by_name(found)[name].value


def test_a_model_that_is_gone_is_a_problem_and_the_rest_is_told(
    settings: Settings, pictures: list[Path], tmp_path: Path
) -> None:
    make(settings, pictures[:5], change={"model": f"local-dir:{tmp_path / 'gone'}"})
    found = examine_collection("t", settings)
    assert problems(found) == [f"local-dir:{tmp_path / 'gone'}"]
    assert by_name(found)["points"].facts["points"] == 5


def test_a_damaged_or_missing_collection_is_told_and_not_raised(
    settings: Settings, pictures: list[Path]
) -> None:
    assert problems(examine_collection("t", settings)) == ["t"]
    make(settings, pictures[:5])
    (settings.collection_dir("t") / "current").unlink()
    assert problems(examine_collection("t", settings)) == ["points"]


def test_a_collection_that_is_open_elsewhere_is_no_problem(settings: Settings, pictures: list[Path]) -> None:
    make(settings, pictures[:5])
    with store.open_store("t", settings):
        found = examine_collection("t", settings)
    assert problems(found) == []
    assert by_name(found)["points"].state == "warn"


def test_an_empty_collection_is_a_warning(settings: Settings) -> None:
    spec = CollectionSpec(Fingerprint(settings.model, "", "", "", "", 8))
    store.create("t", spec, settings).close()
    assert by_name(examine_collection("t", settings))["points"].state == "warn"


def test_the_installation_tells_settings_without_secrets(tmp_path: Path) -> None:
    settings = Settings.load(
        data=tmp_path / "data",
        cache=tmp_path / "cache",
        url="http://me:secret@127.0.0.1:9?key=secret",
        api_key="secret",
    )
    found = examine_installation(settings)
    assert "secret" not in repr(found)
    names = by_name(found)
    assert names["data"].facts["from"] == "--data"
    assert names["device"].facts["from"] == "default"
    assert names["engine"].state == "problem"
    assert "torch" in names
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_here_is_a_problem(tmp_path: Path) -> None:
    found = examine_installation(Settings(data=tmp_path, cache=tmp_path, device="cuda:99"))
    assert problems(found) == ["device"]


def test_doctor_works_on_a_fresh_machine(run_cli: Run) -> None:
    done = run_cli("doctor")
    assert done.returncode == 0, done.stderr
    assert "qdrant-edge-py" in done.stdout
    assert "CLIPSEARCH_DATA" in done.stdout
    assert "Traceback" not in done.stderr


def test_doctor_leaves_with_one_where_there_is_a_problem(run_cli: Run) -> None:
    done = run_cli("doctor", "nowhere", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert [f["name"] for f in report["findings"] if f["state"] == "problem"] == ["nowhere"]


def test_doctor_of_the_demo_finds_no_drift(demo_copy: Path, run_cli: Run) -> None:
    done = run_cli("doctor", "demo", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    drift = next(finding for finding in report["findings"] if finding["name"] == "drift")
    assert drift["facts"]["pictures"] == 32
    assert drift["facts"]["least"] > 0.9999
