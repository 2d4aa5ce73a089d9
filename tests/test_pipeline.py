"""Reading, decoding and encoding together: both ways, with copies, failures, several encoders and stops."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import photo

from clipsearch import images
from clipsearch.errors import EncoderError, ImageError
from clipsearch.types import ImageFile, Preprocessing
from indexer.loading import Loaded, Loader, Work
from indexer.pipeline import Pipeline

SIDE = 16
PREPROCESSING = Preprocessing(SIDE, SIDE, SIDE, True, "bicubic", (0.5,) * 3, (0.5,) * 3)
BOTH = pytest.mark.parametrize("fused", [True, False], ids=["fused", "split"])


class Encoder:
    """Encodes a picture as its first 8 bytes, which tell pictures apart; notes the sizes of its batches."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.batches: list[int] = []
        self.fails_at = fails_at
        self._lock = threading.Lock()

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._lock:
            self.batches.append(len(pixels))
            if self.fails_at is not None and sum(self.batches) >= self.fails_at:
                raise EncoderError("broken")
        return pixels.reshape(len(pixels), -1)[:, :8].astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(30):
        images.save_jpeg(photo(40, 30, seed=i), tmp_path / f"{i:02}.jpg")
    return tmp_path


def work(folder: Path) -> Iterator[Work]:
    for path in sorted(folder.iterdir()):
        status = path.stat()
        yield Work(ImageFile("s", path.name, str(path), status.st_size, status.st_mtime_ns), path.stem)


def pipeline(*encoders: Encoder, fused: bool, loader: Loader | None = None, **options: int) -> Pipeline:
    settings = {"workers": 2, "n_readers": 0, **options}
    size = settings.pop("batch_size", 4)
    return Pipeline(
        loader or Loader(PREPROCESSING),
        encoders or [Encoder()],
        fused=fused,
        batch_size=lambda: size,
        **settings,
    )


def results(pipe: Pipeline, todo: Iterator[Work]) -> list[Loaded]:
    return [item for batch in pipe.run(todo) for item in batch]


@BOTH
def test_every_picture_has_its_own_vector_in_order(folder: Path, fused: bool) -> None:
    done = results(pipeline(fused=fused), work(folder))
    assert [item.id for item in done] == [f"{i:02}" for i in range(30)]
    for item in done:
        pixels, size = images.load(item.file.path, PREPROCESSING)
        assert item.vector is not None and item.pixels is None
        np.testing.assert_array_equal(item.vector, pixels.reshape(-1)[:8])
        assert (item.width, item.height) == size == (40, 30)
        assert item.sha256 == hashlib.sha256(Path(item.file.path).read_bytes()).hexdigest()


def test_a_gpu_gets_full_batches_and_a_rest(folder: Path) -> None:
    encoder = Encoder()
    results(pipeline(encoder, fused=False, batch_size=7), work(folder))
    assert sorted(encoder.batches) == [2, 7, 7, 7, 7]


def test_several_gpus_share_the_batches(folder: Path) -> None:
    encoders = [Encoder(), Encoder()]
    done = results(pipeline(*encoders, fused=False, batch_size=2), work(folder))
    assert len(done) == 30
    assert all(encoder.batches for encoder in encoders)
    assert sum(map(sum, (encoder.batches for encoder in encoders))) == 30


@BOTH
def test_the_same_content_under_way_twice_is_encoded_once(folder: Path, fused: bool) -> None:
    for i in range(10):
        (folder / f"{i:02}b.jpg").write_bytes((folder / "00.jpg").read_bytes())
    encoder, written = Encoder(), dict[str, str]()
    pipe = pipeline(encoder, fused=fused, loader=Loader(PREPROCESSING, known=written.get))
    done: list[Loaded] = []
    for batch in pipe.run(work(folder)):
        done += batch
        written |= {item.sha256: item.id for item in batch if item.vector is not None and item.sha256}
    assert sum(encoder.batches) == 30
    copies = [item for item in done if item.same_as is not None]
    assert len(copies) == 10
    owner = {item.id for item in done if item.vector is not None and item.sha256 == copies[0].sha256}
    assert {item.same_as for item in copies} == owner


@BOTH
def test_what_is_known_is_not_decoded(folder: Path, fused: bool) -> None:
    known = hashlib.sha256((folder / "03.jpg").read_bytes()).hexdigest()
    loader = Loader(PREPROCESSING, known=lambda sha256: "somebody" if sha256 == known else None)
    done = {item.id: item for item in results(pipeline(fused=fused, loader=loader), work(folder))}
    assert done["03"].same_as == "somebody" and done["03"].vector is None


@BOTH
def test_a_bad_picture_is_a_row_and_its_neighbours_go_on(folder: Path, fused: bool) -> None:
    (folder / "05.jpg").write_bytes(b"no picture")
    (folder / "06.jpg").write_bytes((folder / "06.jpg").read_bytes()[:200])
    done = {item.id: item for item in results(pipeline(fused=fused), work(folder))}
    assert done["05"].error is not None and done["05"].error.reason == "not-an-image"
    assert str(folder / "05.jpg") in str(done["05"].error)
    assert done["06"].error is not None and done["06"].error.reason == "truncated"
    assert sum(item.vector is not None for item in done.values()) == 28


@BOTH
def test_nothing_but_bad_pictures_never_reaches_the_encoder(tmp_path: Path, fused: bool) -> None:
    for i in range(9):
        (tmp_path / f"{i}.jpg").write_bytes(b"no picture %d" % i)
    encoder = Encoder()
    assert all(item.error for item in results(pipeline(encoder, fused=fused), work(tmp_path)))
    assert not encoder.batches


@BOTH
def test_pictures_that_are_slow_to_read_are_read_ahead(folder: Path, fused: bool) -> None:
    reading = threading.Barrier(6, timeout=10)  # passes only if six are read at once

    def slow(path: Path, i: int) -> bytes:
        if i < 6:
            reading.wait()
        if i == 8:
            raise ImageError("unreachable", f"{path}: gone")
        return path.read_bytes()

    def todo() -> Iterator[Work]:
        for i, item in enumerate(work(folder)):
            path = Path(item.file.path)
            read = lambda path=path, i=i: slow(path, i)  # noqa: E731
            yield Work(ImageFile("s", path.name, "http://x/" + path.name, 0, 0, read=read), item.id)

    done = {item.id: item for item in results(pipeline(fused=fused, n_readers=6), todo())}
    assert len(done) == 30
    assert done["08"].error is not None and done["08"].error.reason == "unreachable"
    assert sum(item.vector is not None for item in done.values()) == 29


@BOTH
def test_an_encoder_that_breaks_ends_the_run_after_what_was_good(folder: Path, fused: bool) -> None:
    seen = 0
    with pytest.raises(EncoderError, match="broken"):
        for batch in pipeline(Encoder(fails_at=20), fused=fused).run(work(folder)):
            seen += len(batch)
    assert 0 < seen < 20


@BOTH
def test_a_stop_leaves_what_was_not_begun(folder: Path, fused: bool) -> None:
    seen: list[str] = []
    enough = lambda: len(seen) >= 4  # noqa: E731
    for batch in pipeline(fused=fused, batch_size=2).run(work(folder), until=enough):
        seen += [item.id for item in batch]
    assert 4 <= len(seen) < 30
    assert seen == [f"{i:02}" for i in range(len(seen))]


@BOTH
def test_new_columns_pass_through_without_reading(folder: Path, fused: bool) -> None:
    file = ImageFile("s", "k", str(folder / "not-there.jpg"), 1, 1)
    (done,) = results(pipeline(fused=fused), iter([Work(file, "a", "sha", edited=True)]))
    assert done.edited and done.sha256 == "sha" and done.error is None


@BOTH
def test_the_meter_knows_what_was_busy(folder: Path, fused: bool) -> None:
    pipe = pipeline(fused=fused)
    results(pipe, work(folder))
    assert set(pipe.meter.shares()) == {"decode", "encode"}
    assert pipe.meter.wall["decode"] > 0


def test_very_large_pictures_are_decoded_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding = import_module("clipsearch.images.decode")
    monkeypatch.setattr(decoding, "_LARGE_PIXELS", 100)
    inside, most = 0, 0
    real = decoding.colour.to_rgb

    def watched(image: object) -> NDArray[np.uint8]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threading.Event().wait(0.01)
        inside -= 1
        return real(image)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding.colour, "to_rgb", watched)
    for i in range(12):
        images.save_png(photo(30, 20, seed=i), tmp_path / f"{i:02}.png")
    done = results(pipeline(fused=True, workers=4, batch_size=1), work(tmp_path))
    assert all(item.vector is not None for item in done)
    assert most == 1
