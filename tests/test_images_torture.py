"""Every awkward file of the torture set, and the real photos in eight EXIF orientations."""

from __future__ import annotations

import csv
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsearch import images
from clipsearch.errors import ImageError
from clipsearch.types import Preprocessing

TORTURE = Path(__file__).resolve().parents[2] / "shared" / "data" / "torture"
pytestmark = [
    pytest.mark.skipif(not TORTURE.is_dir(), reason=f"needs the torture set at {TORTURE}"),
    pytest.mark.filterwarnings("ignore"),  # Pillow warns about most of these files
]

SECONDS_A_FILE = 30  # the worst takes about one; a hang is what this looks for

# Files the manifest calls "ok" (for the Pillow that made it) and we refuse, each with the reason.
# The test below holds them to what they claim: the Pillow installed here refuses them as well.
REFUSED_OK = {
    "pillow/apng/chunk_no_fctl.png": "corrupt",  # APNG frames out of sequence
    "pngsuite/contrib/testpngs/crashers/badadler.png": "corrupt",  # the pixels' checksum is wrong
}

CLIP = Preprocessing(
    height=224,
    width=224,
    shortest_edge=224,
    crop=True,
    resample="bicubic",
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return 100.0 if error == 0 else float(10 * np.log10(255**2 / error))


def _rows() -> list[dict[str, str]]:
    with (TORTURE / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[str, float, images.Decoded | None]]:
    """path -> (reason or "ok", seconds, the picture). Anything but an ImageError fails here."""
    found = {}
    for row in _rows():
        start = time.perf_counter()
        try:
            picture, reason = images.decode(TORTURE / row["path"], min_side=448), "ok"
        except ImageError as exc:
            picture, reason = None, exc.reason
            assert str(TORTURE / row["path"]) in str(exc) or exc.reason
        found[row["path"]] = (reason, time.perf_counter() - start, picture)
    return found


def test_no_file_of_the_torture_set_crashes_or_hangs(outcomes):
    assert len(outcomes) == 723
    slow = {path: seconds for path, (_, seconds, _) in outcomes.items() if seconds > SECONDS_A_FILE}
    assert not slow


def test_every_refusal_has_a_known_reason(outcomes):
    reasons = {reason for reason, _, _ in outcomes.values()} - {"ok"}
    assert reasons <= set(images.REASONS)
    assert {"not-an-image", "truncated", "corrupt", "unsupported", "too-large"} <= reasons


def test_every_file_pillow_opens_is_decoded(outcomes):
    ok = {row["path"] for row in _rows() if row["pillow_result"] == "ok"}
    refused = {path: outcomes[path][0] for path in ok if outcomes[path][0] != "ok"}
    assert refused.items() <= REFUSED_OK.items()
    for path in refused:
        with pytest.raises((OSError, SyntaxError)):
            Image.open(TORTURE / path).load()


def test_decoded_files_are_upright_rgb_of_the_size_the_manifest_says(outcomes):
    for row in _rows():
        picture = outcomes[row["path"]][2]
        if picture is None:
            continue
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.ndim == 3
        assert picture.pixels.shape[2] == 3
        assert picture.pixels.flags.c_contiguous
        if row["pillow_result"] == "ok":
            size = [int(n) for n in row["size"].split("x")]
            turned = row["exif_orientation"] in ("5", "6", "7", "8") and row["format"] != "TIFF"
            expected = size[::-1] if turned else size
            assert sorted((picture.width, picture.height)) == sorted(expected), row["path"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("pillow/truncated_image.png", "truncated"),
        ("pillow/expected_to_read.jp2", "truncated"),
        ("pillow/bmp/b/reallybig.bmp", "too-large"),
        ("pillow/decompression_bomb.ico", "too-large"),
        ("pillow/eps/1.eps", "unsupported"),
        ("pillow/drawing.wmf", "unsupported"),
        ("pillow/hdf5.h5", "unsupported"),
        ("pillow/trailer_loop.pdf", "unsupported"),
        ("libjpeg_turbo/testimages/monkey12.jpg", "unsupported"),
        ("exif_orientation/README.markdown", "not-an-image"),
        ("pillow/hopper.tar", "not-an-image"),
        ("pngsuite/contrib/testpngs/crashers/bad_iCCP.png", "corrupt"),
        ("pillow/zero_width.gif", "corrupt"),
    ],
)
def test_a_damaged_file_is_refused_for_its_own_reason(outcomes, path, reason):
    assert outcomes[path][0] == reason


@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
@pytest.mark.parametrize("exact", [False, True])
def test_the_eight_orientations_of_one_photo_give_the_same_pixels(shape, exact):
    folder = TORTURE / "exif_orientation"
    photo = np.ones((224, 224), dtype=bool)
    photo[92:132, 92:132] = False  # each file has its own orientation's digit painted in the middle
    upright, size = images.load(folder / f"{shape}_1.jpg", CLIP, exact=exact)
    for orientation in range(1, 9):
        pixels, its_size = images.load(folder / f"{shape}_{orientation}.jpg", CLIP, exact=exact)
        assert its_size == size
        assert psnr(pixels[photo], upright[photo]) >= 40, orientation


def test_many_threads_decode_what_one_does():
    paths = [TORTURE / row["path"] for row in _rows() if row["format"] in ("JPEG", "PNG", "GIF", "TIFF")][
        :120
    ]

    def outcome(path: Path) -> bytes | str:
        try:
            return images.load(path, CLIP)[0].tobytes()
        except ImageError as exc:
            return exc.reason

    alone = [outcome(path) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(outcome, paths)) == alone


def test_a_real_jpeg_cut_anywhere_is_refused_as_truncated():
    for name in ("Landscape_1.jpg", "Portrait_6.jpg"):
        data = (TORTURE / "exif_orientation" / name).read_bytes()
        for cut in [*np.linspace(3, len(data) - 3, 25).astype(int), 20, 200, len(data) - 10]:
            for options in ({"min_side": 448}, {}):
                with pytest.raises(ImageError) as caught:
                    images.decode(data[:cut], **options)
                assert caught.value.reason == "truncated", (name, cut)
