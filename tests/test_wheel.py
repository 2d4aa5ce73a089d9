"""The wheel is what users get: three packages, the demo's data, nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[zipfile.ZipInfo]:
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        return archive.infolist()


def test_the_wheel_has_exactly_three_top_level_names(wheel: list[zipfile.ZipInfo]) -> None:
    tops = {item.filename.split("/")[0] for item in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"clipsearch", "indexer", "ui"}


def test_the_wheel_carries_the_catalogue_and_the_model_within_their_budgets(
    wheel: list[zipfile.ZipInfo],
) -> None:
    def size(prefix: str) -> int:
        return sum(item.file_size for item in wheel if item.filename.startswith(prefix))

    names = {item.filename for item in wheel}
    assert "clipsearch/demo/data/parts.csv" in names
    assert "clipsearch/demo/starter/model.safetensors" in names
    assert any(name.startswith("clipsearch/demo/starter/compiled/") for name in names)
    assert 1_000_000 < size("clipsearch/demo/data/") <= 6_000_000
    assert 1_000_000 < size("clipsearch/demo/starter/") <= 20_000_000
    assert not any(name.endswith((".pkl", ".bin", ".pt", ".pth")) for name in names)
