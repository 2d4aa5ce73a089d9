"""Fixtures every test file may use: an isolated data folder, the real demo collection, the CLI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny_models import make_clip

from clipsearch.settings import Settings
from clipsearch.store.embedded.folder import copy_sparse

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
CLI = [sys.executable, "-c", "from clipsearch.cli import main; main()"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reads or writes the user's own data, cache, settings file or server."""
    home = tmp_path_factory.mktemp("home")
    for name in ("CLIPSEARCH_URL", "CLIPSEARCH_MODEL", "CLIPSEARCH_COLLECTION", "CLIPSEARCH_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLIPSEARCH_DATA", str(home / "data"))
    monkeypatch.setenv("CLIPSEARCH_CACHE", str(home / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    yield


@pytest.fixture
def shared_data() -> Path:
    """The real pictures beside the checkout; skips where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the real pictures at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the real command line in a process of its own, in an empty folder."""

    def run(*arguments: str, cwd: Path | None = None, timeout_s: float = 120, **environment: str):
        env = {**os.environ, "COLUMNS": "160", "PYTHONPATH": str(ROOT), **environment}
        return subprocess.run(
            [*CLI, *arguments],
            cwd=cwd or tmp_path,
            env=env,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: a tiny CLIPModel of the real class."""
    return make_clip(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny model's compiled towers are kept, for all tests together."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def settings(tmp_path: Path, tiny: Path, cache: Path) -> Settings:
    """An empty data folder, the tiny model, and a collection `t` that is not made yet."""
    return Settings.load(data=tmp_path / "data", cache=cache, model=f"local-dir:{tiny}", collection="t")


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the demo collection in it, made by the real `clipsearch demo`."""
    data = tmp_path_factory.mktemp("demo") / "data"
    env = {
        **os.environ,
        "CLIPSEARCH_DATA": str(data),
        "CLIPSEARCH_CACHE": str(data.parent / "cache"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    env.pop("QDRANT_URL", None)
    done = subprocess.run(
        [*CLI, "demo"],
        cwd=data.parent,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    (data.parent / "demo.out").write_text(done.stdout, encoding="utf-8")
    return data


@pytest.fixture
def demo_copy(demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the demo's data folder of one's own, and the settings pointing at it."""
    copy = tmp_path / "demo-data"
    copy_sparse(demo_data, copy)  # 8 MB of files that seem to be 380 MB
    monkeypatch.setenv("CLIPSEARCH_DATA", str(copy))
    monkeypatch.setenv("CLIPSEARCH_CACHE", str(demo_data.parent / "cache"))
    monkeypatch.delenv("QDRANT_URL", raising=False)
    return copy


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A temporary folder, in memory where there is room: the engine syncs often, and disks are slow at it."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < 2 << 30:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="clipsearch-test-") as path:
        yield Path(path)
