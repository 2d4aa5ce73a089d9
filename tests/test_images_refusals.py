"""What is no good picture is refused with its reason, and bounds hold before anything is decoded."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import CLIP, encoded, photo, refused
from PIL import Image

from clipsearch import images
from clipsearch.errors import ImageError


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes whose header claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


# --- failures ------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_unreadable(tmp_path):
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for path in (tmp_path / "gone.jpg", tmp_path, pipe, tmp_path / "gone.jpg" / "a.png", "nul\0.png"):
        error = refused(path)
        assert error.reason == "unreadable"
        assert os.fspath(path) in str(error)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_unreadable(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(b"x")
    path.chmod(0)
    assert refused(path).reason == "unreadable"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not-an-image"),
        (b"\0" * 5000, "not-an-image"),
        (b"BM", "truncated"),
        (b"\xff\xd8\xff", "truncated"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "truncated"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"GIF89a", "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "unsupported"),
        (b"%PDF-1.7\n", "unsupported"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported"),
    ],
)
def test_each_failure_has_its_reason(data, reason):
    error = refused(data)
    assert error.reason == reason
    assert "; " in str(error) or reason == "empty"


def test_every_reason_says_what_to_do():
    assert all(len(text) > 20 for text in images.REASONS.values())


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "AVIF"])
def test_a_file_cut_in_half_is_refused(form):
    data = encoded(Image.fromarray(photo(200, 150)), form)
    assert refused(data[: len(data) // 2]).reason in ("truncated", "corrupt")


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP", "BMP"])
def test_a_file_cut_in_half_is_called_truncated(form):
    data = encoded(Image.fromarray(photo(200, 150)), form)
    assert refused(data[: len(data) // 2]).reason == "truncated"


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("min_side", [None, 100])
def test_a_jpeg_cut_in_its_picture_is_truncated(options, mode, min_side):
    data = encoded(Image.fromarray(photo(640, 427)).convert(mode), "JPEG", quality=90, **options)
    start = data.index(b"\xff\xda") + 20
    assert images.decode(data, min_side=min_side).width == 640
    for cut in np.linspace(start, len(data) - 40, 15).astype(int):
        assert refused(data[:cut], min_side=min_side).reason == "truncated", cut


def test_a_jpeg_that_pillow_can_live_with_is_decoded():
    data = encoded(Image.fromarray(photo(320, 240)), "JPEG", quality=90)
    for odd in (data + b"trailing", data[:2] + b"\xff" + data[2:]):
        expected = np.asarray(Image.open(io.BytesIO(odd)))
        assert np.array_equal(images.decode(odd).pixels, expected)
    spoilt = bytearray(data)
    middle = len(data) * 3 // 4
    spoilt[middle : middle + 4] = b"\x12\x34\x56\x78"
    expected = np.asarray(Image.open(io.BytesIO(bytes(spoilt))))
    assert np.array_equal(images.decode(bytes(spoilt)).pixels, expected)


def test_a_jpeg_of_twelve_bits_is_unsupported():
    data = bytearray(encoded(Image.fromarray(photo(64, 64)), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    assert refused(bytes(data)).reason == "unsupported"


def test_heic_without_its_extra_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    error = refused(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0" * 100)
    assert error.reason == "unsupported"
    assert 'pip install "clipsearch[heic]"' in str(error)


# --- bounds --------------------------------------------------------------------------------------


def test_a_bomb_is_refused_from_its_header():
    for data in (
        png_claiming(60_000, 60_000),
        png_claiming(2**31 - 1, 2**31 - 1),
        png_claiming(20_000, 9_000),
    ):
        error = refused(data)
        assert error.reason == "too-large"
        assert "pixels" in str(error)


def test_the_pixel_bound_is_an_argument_and_exact():
    data = encoded(Image.fromarray(photo(100, 50)), "PNG")
    assert images.decode(data, max_pixels=5000).width == 100
    assert refused(data, max_pixels=4999).reason == "too-large"
    assert refused(Image.fromarray(photo(100, 50)), max_pixels=4999).reason == "too-large"


def test_a_picture_between_pillows_warning_and_ours_passes_silently(recwarn):
    image = Image.new("1", (12_000, 8_000))
    assert image.width * image.height > (Image.MAX_IMAGE_PIXELS or 0)
    picture = images.decode(encoded(image, "PNG"))
    assert picture.pixels.shape == (8_000, 12_000, 3)
    assert not [w for w in recwarn if "bomb" in str(w.message)]


def test_the_byte_bound_holds_for_files_and_bytes(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(photo(50, 50)), "PNG"))
    for source in (path, path.read_bytes()):
        assert refused(source, max_bytes=100).reason == "too-large"


def test_a_scaled_jpeg_is_bound_by_what_it_takes_in_memory():
    pixels = photo(1600, 1200)
    plain = encoded(Image.fromarray(pixels), "JPEG")
    assert images.decode(plain, min_side=150, max_pixels=31_000).pixels.shape == (150, 200, 3)
    assert refused(plain, max_pixels=1_900_000).reason == "too-large"
    assert refused(plain, min_side=150, exact=True, max_pixels=1_900_000).reason == "too-large"
    progressive = encoded(Image.fromarray(pixels), "JPEG", progressive=True)
    assert refused(progressive, min_side=150, max_pixels=31_000).reason == "too-large"
    cmyk = encoded(Image.fromarray(pixels).convert("CMYK"), "JPEG")
    assert images.decode(cmyk, min_side=150, max_pixels=31_000).pixels.shape == (150, 200, 3)
    assert refused(cmyk, max_pixels=1_900_000).reason == "too-large"


def test_a_progressive_jpeg_of_endless_scans_is_refused():
    data = encoded(Image.fromarray(photo(1600, 1200)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    bomb = data[:-2] + data[last:-2] * 3000 + data[-2:]
    error = refused(bomb)
    assert error.reason == "too-large"
    assert "scans" in str(error)


def test_a_format_decoded_in_python_has_a_lower_bound():
    header = b"qoif" + struct.pack(">IIBB", 6000, 5000, 3, 0)
    error = refused(header + b"\0" * 100)
    assert error.reason == "too-large"
    assert "QOI" in str(error)


def test_the_host_applications_pillow_is_left_alone():
    before = (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    images.decode(encoded(Image.fromarray(photo(50, 50)), "PNG"))
    refused(png_claiming(60_000, 60_000))
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


def test_importing_images_loads_no_image_library():
    script = "import sys, clipsearch.images; print({'PIL', 'simplejpeg', 'pillow_heif'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- fuzz ----------------------------------------------------------------------------------------

SEEDS = {
    "PNG": encoded(Image.fromarray(photo(16, 12)), "PNG"),
    "JPEG": encoded(Image.fromarray(photo(16, 12)), "JPEG"),
    "PROGRESSIVE": encoded(Image.fromarray(photo(16, 12)), "JPEG", progressive=True),
    "GIF": encoded(Image.fromarray(photo(16, 12)), "GIF"),
    "TIFF": encoded(Image.fromarray(photo(16, 12)), "TIFF"),
    "BMP": encoded(Image.fromarray(photo(16, 12)), "BMP"),
    "WEBP": encoded(Image.fromarray(photo(16, 12)), "WEBP"),
}


def only_image_errors(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels = images.load(data, CLIP, max_pixels=4_000_000)[0]
        except ImageError as exc:
            assert exc.reason in images.REASONS
        else:
            assert pixels.shape == (224, 224, 3)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=400))
def test_random_bytes_raise_nothing_but_image_errors(data):
    only_image_errors(data)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    form=st.sampled_from(sorted(SEEDS)),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=6
    ),
    cut=st.floats(0, 1),
)
def test_mutated_pictures_raise_nothing_but_image_errors(form, edits, cut):
    data = bytearray(SEEDS[form])
    for place, replacement in edits:
        at = int(place * len(data))
        data[at : at + len(replacement)] = replacement
    only_image_errors(bytes(data[: max(1, int(cut * len(data)))] if cut < 0.3 else data))
