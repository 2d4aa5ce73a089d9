"""Scaled decoding and fitting, held to the reference processors of transformers."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pictures import CLIP, ORIENTATION, SIGLIP, encoded, photo, psnr, refused, stored
from PIL import Image, ImageOps

from clipsearch import images
from clipsearch.types import Preprocessing

# --- scaling and fitting -------------------------------------------------------------------------


def test_a_jpeg_is_scaled_to_no_less_than_was_asked_for():
    data = encoded(Image.fromarray(photo(1600, 1203)), "JPEG", quality=92)
    for min_side, height in ((150, 151), (151, 301), (448, 602), (602, 1203), (5000, 1203)):
        picture = images.decode(data, min_side=min_side)
        assert picture.pixels.shape[0] == height
        assert (picture.width, picture.height) == (1600, 1203)
    assert images.decode(data, min_side=150, exact=True).pixels.shape == (1203, 1600, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_scaled_and_turned_jpeg_lies_where_the_full_one_does(orientation):
    # an odd size leaves part of a row over; without the box the picture shifts and drops below 40 dB
    upright = Image.fromarray(photo(1603, 1201))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(stored(upright, orientation), "JPEG", quality=92, exif=exif)
    for preprocessing in (CLIP, SIGLIP):
        fast, size = images.load(data, preprocessing)
        full, its_size = images.load(data, preprocessing, exact=True)
        assert size == its_size == (1603, 1201)
        assert psnr(fast, full) > 50


def reference(preprocessing: Preprocessing):
    """transformers' own processor for these settings."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    crop = {"height": preprocessing.height, "width": preprocessing.width}
    shared = {"image_mean": preprocessing.mean, "image_std": preprocessing.std}
    if preprocessing.shortest_edge is None:
        return SiglipImageProcessorPil(size=crop, **shared)
    return CLIPImageProcessorPil(
        size={"shortest_edge": preprocessing.shortest_edge}, crop_size=crop, **shared
    )


def levels(pixel_values: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    mean, std = (np.array(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    return np.rint((pixel_values * std + mean) * 255).astype(np.uint8).transpose(1, 2, 0)


SMALL_CROP = Preprocessing(192, 224, 256, True, "bicubic", CLIP.mean, CLIP.std)
WIDE_CROP = Preprocessing(301, 333, 224, True, "bicubic", CLIP.mean, CLIP.std)


@pytest.mark.parametrize(
    "size", [(640, 427), (427, 641), (224, 224), (31, 50), (1, 1), (1001, 333), (5000, 40)]
)
@pytest.mark.parametrize("preprocessing", [CLIP, SIGLIP, SMALL_CROP, WIDE_CROP])
def test_exact_pixels_are_the_reference_processors(size, preprocessing):
    data = encoded(Image.fromarray(photo(*size)), "PNG")
    ours, original = images.load(data, preprocessing, exact=True)
    theirs = reference(preprocessing)(Image.open(io.BytesIO(data)), return_tensors="np")["pixel_values"][0]
    assert original == size
    if size == (5000, 40) and preprocessing is not SIGLIP:  # only the part the crop keeps is resized
        assert psnr(ours, levels(theirs, preprocessing)) > 60
        return
    assert np.array_equal(ours, levels(theirs, preprocessing))
    assert np.abs(images.normalise(ours[None], preprocessing)[0] - theirs).max() < 2e-6


@pytest.mark.parametrize("size", [(1600, 1200), (1203, 1607), (4000, 3000), (3001, 2003)])
@pytest.mark.parametrize("preprocessing", [CLIP, SIGLIP])
def test_scaled_jpegs_are_within_fifty_decibels_of_the_reference_processors(size, preprocessing):
    data = encoded(Image.fromarray(photo(*size)), "JPEG", quality=90)
    ours, _ = images.load(data, preprocessing)
    theirs = reference(preprocessing)(Image.open(io.BytesIO(data)), return_tensors="np")["pixel_values"][0]
    assert psnr(ours, levels(theirs, preprocessing)) > 50
    exactly, _ = images.load(data, preprocessing, exact=True)
    assert np.array_equal(exactly, levels(theirs, preprocessing))


REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"needs real photos at {REAL}")
@pytest.mark.parametrize("preprocessing", [CLIP, SIGLIP])
def test_real_photos_are_within_fifty_decibels_of_the_reference_processors(preprocessing):
    photos = [*sorted((REAL / "torture" / "exif_orientation").glob("*_[1-8].jpg"))[::3]]
    photos += sorted((REAL / "diy_catalogue").rglob("*.jpg"))[::60]
    process = reference(preprocessing)
    for path in photos:
        upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        theirs = process(upright, return_tensors="np")["pixel_values"][0]
        assert psnr(images.load(path, preprocessing)[0], levels(theirs, preprocessing)) > 50, path


def test_a_line_of_thirty_thousand_pixels_fits_without_gigabytes():
    line = np.zeros((1, 30_000, 3), dtype=np.uint8)
    line[:, 14_990:15_010] = 255
    assert images.fit(line, CLIP).shape == (224, 224, 3)
    assert images.fit(line.transpose(1, 0, 2).copy(), CLIP).max() == 255


def test_normalise_fills_one_contiguous_batch():
    batch = np.stack([photo(224, 224, seed) for seed in range(3)])
    result = images.normalise(batch, CLIP)
    assert result.shape == (3, 3, 224, 224)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    expected = (batch[1].transpose(2, 0, 1) / 255 - np.array(CLIP.mean)[:, None, None]) / np.array(CLIP.std)[
        :, None, None
    ]
    assert np.abs(result[1] - expected).max() < 2e-6
    assert images.normalise(batch[:0], CLIP).shape == (0, 3, 224, 224)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_array_that_is_no_rgb_picture_is_refused(array):
    assert refused(array).reason == "unsupported"


def test_the_first_decodes_of_a_process_may_come_from_many_threads():
    script = """
import sys
from concurrent.futures import ThreadPoolExecutor
data = bytes.fromhex(sys.argv[1])
from clipsearch import images
with ThreadPoolExecutor(16) as pool:
    print(set(pool.map(lambda _: images.decode(data).width, range(64))))
"""
    data = encoded(Image.new("RGB", (7, 5), (9, 8, 7)), "WEBP", lossless=True)
    done = subprocess.run([sys.executable, "-c", script, data.hex()], capture_output=True, text=True)
    assert done.stdout.strip() == "{7}", done.stderr


def test_threads_share_nothing():
    sources = [
        encoded(Image.fromarray(photo(300 + i, 200)), form)
        for i in range(6)
        for form in ("JPEG", "PNG", "WEBP")
    ]
    alone = [images.load(source, CLIP)[0] for source in sources]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda source: images.load(source, CLIP)[0], sources))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
