"""JPEGs fitted by the GPU's arithmetic, run on the CPU with a decoder in nvJPEG's place."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
from pictures import CLIP, ORIENTATION, SIGLIP, photo, psnr, stored
from PIL import Image

from clipsearch import images
from clipsearch.encoder import GpuJpegs
from clipsearch.errors import EncoderError
from clipsearch.types import ImageFile, Preprocessing
from indexer.loading import Loaded, Loader, Work
from indexer.pipeline import Pipeline


def decode(files: list[Any]) -> list[Any]:
    """What torchvision.io.decode_jpeg does: full size, not turned, RuntimeError for damage."""
    try:
        return [
            torch.from_numpy(simplejpeg.decode_jpeg(bytes(file.numpy()), "RGB").copy()).permute(2, 0, 1)
            for file in files
        ]
    except ValueError as exc:
        raise RuntimeError(str(exc)) from exc


def jpeg(width: int, height: int, *, seed: int = 0, orientation: int = 1, **options: Any) -> bytes:
    upright = Image.fromarray(photo(width, height, seed))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    stored(upright, orientation).save(buffer, "JPEG", quality=95, exif=exif, **options)
    return buffer.getvalue()


def plain(data: bytes) -> images.PlainJpeg:
    found = images.plain_jpeg(data)
    assert found is not None
    return found


@pytest.mark.parametrize("preprocessing", [CLIP, SIGLIP], ids=["clip", "siglip"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_gpu_fits_a_picture_as_the_cpu_does(preprocessing: Preprocessing, orientation: int) -> None:
    data = jpeg(500, 333, orientation=orientation)
    fitted = GpuJpegs(preprocessing, "cpu", decode=decode).fitted([plain(data)])
    assert fitted is not None
    expected, size = images.load(data, preprocessing)
    assert fitted.shape[1:] == expected.shape and size == (500, 333)
    assert psnr(fitted[0], expected) > 40


@pytest.mark.parametrize(
    "data",
    [
        jpeg(300, 200, progressive=True),
        jpeg(300, 200)[:-1000],
        b"\xff\xd8\xff no picture",
        b"",
    ],
    ids=["progressive", "truncated", "no picture", "empty"],
)
def test_only_whole_ordinary_jpegs_are_left_for_the_gpu(data: bytes) -> None:
    assert images.plain_jpeg(data) is None


def test_a_grey_one_is_not_ordinary() -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo(60, 40)).convert("L").save(buffer, "JPEG")
    assert images.plain_jpeg(buffer.getvalue()) is None


@pytest.mark.parametrize(("size", "taken"), [((640, 480), True), ((4000, 3000), False), ((3000, 240), False)])
def test_large_and_long_pictures_stay_with_the_cpu(size: tuple[int, int], taken: bool) -> None:
    assert GpuJpegs(CLIP, "cpu", decode=decode).takes(plain(jpeg(*size))) is taken


def test_a_decoder_that_gives_other_pictures_is_given_up() -> None:
    gpu = GpuJpegs(CLIP, "cpu", decode=lambda files: [255 - pixels for pixels in decode(files)])
    some = [plain(jpeg(300, 300, seed=i)) for i in range(3)]
    assert gpu.fitted(some) is None
    assert not gpu.takes(some[0])


def test_without_a_gpu_it_is_said() -> None:
    with pytest.raises(EncoderError, match="needs an NVIDIA GPU"):
        GpuJpegs(CLIP, "cpu")


def work(folder: Path) -> Iterator[Work]:
    for path in sorted(folder.iterdir()):
        yield Work(ImageFile("s", path.name, str(path), path.stat().st_size, 0), path.name)


def test_a_run_with_the_gpus_decoder_gives_what_one_without_gives(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"{i:02}.jpg").write_bytes(jpeg(320, 240, seed=i))
    (tmp_path / "12.jpg").write_bytes(jpeg(320, 240, seed=20, progressive=True))
    (tmp_path / "13.jpg").write_bytes(jpeg(320, 240, seed=21)[:5000])
    images.save_png(photo(320, 240, 22), tmp_path / "14.png")
    damaged = bytearray(jpeg(320, 240, seed=23))
    damaged[3000:3400] = bytes(400)  # whole by its ends, and damaged between
    (tmp_path / "15.jpg").write_bytes(damaged)

    def run(gpu: GpuJpegs | None) -> dict[str, Loaded]:
        encode = lambda pixels: pixels.reshape(len(pixels), -1)[:, ::1000].astype(np.float32)  # noqa: E731
        pipe = Pipeline(Loader(CLIP), [encode], fused=False, batch_size=lambda: 4, workers=2, gpu_jpegs=gpu)
        return {item.id: item for batch in pipe.run(work(tmp_path)) for item in batch}

    asked: list[int] = []

    def counting(files: list[Any]) -> list[Any]:
        asked.append(len(files))
        return decode(files)

    plainly, by_gpu = run(None), run(GpuJpegs(CLIP, "cpu", decode=counting))
    assert sum(asked) >= 12
    assert list(by_gpu) == list(plainly)
    for key, item in by_gpu.items():
        other = plainly[key]
        assert (item.sha256, item.width, item.height) == (other.sha256, other.width, other.height)
        assert (item.error and item.error.reason) == (other.error and other.error.reason)
        assert item.jpeg is None and item.pixels is None
        if item.vector is not None and other.vector is not None:
            assert np.abs(item.vector - other.vector).mean() < 4
