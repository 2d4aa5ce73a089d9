"""The encoders of a run: the batch that is tried out, and what is made ready before the first one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import photo

from clipsearch import images
from clipsearch.encoder import Encoder
from clipsearch.settings import Settings
from indexer import encoding as encoding_module
from indexer import probing
from indexer.encoding import Encoding
from indexer.loading import Work
from indexer.options import RunOptions
from indexer.sources import SourceOptions, open_sources


class Gpu:
    """A device that needs 10 ms a batch and no time a picture, up to a size; more do not fit."""

    def __init__(self, clock: list[float], *, pays_until: int, fits: int = 10_000) -> None:
        self.preprocessing = images_of(8)
        self.clock, self.pays_until, self.fits = clock, pays_until, fits
        self.largest_batch: int | None = None
        self.tried: list[int] = []

    def encode_pixels(self, pixels: NDArray[np.uint8]) -> None:
        if len(pixels) > self.fits:
            self.largest_batch = self.fits
        self.tried.append(len(pixels))
        self.clock[0] += 0.01 * max(1.0, len(pixels) / self.pays_until)


def images_of(side: int) -> Any:
    return type("Preprocessing", (), {"height": side, "width": side})


def best_batch(monkeypatch: pytest.MonkeyPatch, **facts: int) -> tuple[int, Gpu]:
    clock = [0.0]
    gpu = Gpu(clock, **facts)
    monkeypatch.setattr(probing.time, "perf_counter", lambda: clock[0])
    return probing.probed_batch(gpu), gpu  # type: ignore[arg-type]


def test_the_batch_grows_as_long_as_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, gpu = best_batch(monkeypatch, pays_until=256)
    assert batch == 256
    assert max(gpu.tried) == 512


def test_the_batch_stays_below_what_did_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, gpu = best_batch(monkeypatch, pays_until=4096, fits=200)
    assert batch == 128
    assert gpu.tried.count(256) == 1  # tried once, and not timed


def test_the_batch_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert best_batch(monkeypatch, pays_until=100_000)[0] == 1024


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Encoding]:
    settings = Settings.load(data=tmp_path / "data", cache=tmp_path / "cache", model="starter")
    with ExitStack() as stack:
        yield Encoding.open(RunOptions(), settings, stack)


@pytest.fixture
def work(tmp_path: Path) -> list[Work]:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(20):
        images.save_jpeg(photo(60, 40, seed=i), folder / f"{i:02}.jpg")
    files = open_sources([str(folder)], SourceOptions()).files()
    return [Work(file, str(i)) for i, file in enumerate(files)]


def test_on_a_cpu_threads_decode_and_encode_in_small_batches(opened: Encoding, work: list[Work]) -> None:
    told: list[str] = []
    pipeline = opened.pipeline(batch_size=None, n_readers=0, on_compile=told.append)
    assert opened.fused and pipeline.batch_size() == encoding_module.CPU_BATCH
    done = [item for batch in pipeline.run(work) for item in batch]
    expected = opened.encoders[0].encode_images([item.file.path for item in done])
    for item, vector in zip(done, expected, strict=True):
        assert item.vector is not None and item.vector @ vector > 0.9999
    assert told == ["compiling the model, once", "indexing"]  # once, whichever thread came first


@pytest.mark.parametrize(("expected", "prepared"), [(99, []), (100, [7])])
def test_only_a_long_run_is_prepared_for(
    opened: Encoding, work: list[Work], monkeypatch: pytest.MonkeyPatch, expected: int, prepared: list[int]
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(encoding_module, "_MANY", 100)
    monkeypatch.setattr(Encoder, "prepare_for_many", lambda self, size: sizes.append(size))
    pipeline = opened.pipeline(batch_size=7, n_readers=0, n_expected=lambda: expected)
    for _ in pipeline.run(work):
        pass
    assert sizes == prepared


def test_nothing_is_made_ready_where_nothing_is_encoded(opened: Encoding) -> None:
    told: list[str] = []
    pipeline = opened.pipeline(batch_size=None, n_readers=0, on_compile=told.append)
    assert list(pipeline.run([])) == [] and told == []
