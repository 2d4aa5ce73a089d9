"""Pictures of every format and mode come out upright, in RGB, whatever they are called."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pictures import CLIP, ORIENTATION, encoded, photo, psnr, stored
from PIL import Image, ImageOps

from clipsearch import images

EXIF_FORMATS = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}


LOSSLESS = {"PNG", "WEBP", "TIFF"}


def with_exif(image: Image.Image, form: str, exif: Image.Exif) -> bytes:
    if form != "HEIF":
        return encoded(image, form, exif=exif, **EXIF_FORMATS[form])
    heif = pytest.importorskip("pillow_heif", reason="needs the heic extra")
    buffer = io.BytesIO()
    heif.from_pillow(image).save(buffer, quality=95, exif=exif.tobytes())
    return buffer.getvalue()


@pytest.mark.parametrize("form", [*EXIF_FORMATS, "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_with_exif_comes_out_upright(form, orientation):
    upright = Image.fromarray(photo(128, 80))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture = images.decode(with_exif(stored(upright, orientation), form, exif))
    assert (picture.width, picture.height) == (128, 80)
    assert picture.pixels.shape == (80, 128, 3)
    assert psnr(picture.pixels, np.asarray(upright)) > (99 if form in LOSSLESS else 28)


JUNK = {"nothing": b"", "cut": b"MM\0*\0\0\0\xff\xff\xff", "text": b"garbage" * 9, "ones": b"\xff" * 40}


@pytest.mark.parametrize("form", [*EXIF_FORMATS, "HEIF"])
@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.filterwarnings("ignore")
def test_a_broken_exif_block_never_fails_a_picture(form, junk):
    upright = photo(64, 48)
    block = (JUNK[junk] + b"\0" * 80)[:80]
    if form == "TIFF":  # its EXIF is a directory of the file itself: point it nowhere
        data = encoded(Image.fromarray(upright), form, tiffinfo={0x8769: 4_000_000_000 - len(junk)})
    elif form in ("AVIF", "HEIF"):  # their encoders insist on a good block: spoil it afterwards
        exif = Image.Exif()
        exif[0x010E] = "?" * 64
        good = exif.tobytes()[6:]
        data = with_exif(Image.fromarray(upright), form, exif)
        assert good in data
        data = data.replace(good, (block * 3)[: len(good)])
    else:
        data = encoded(Image.fromarray(upright), form, exif=b"Exif\0\0" + block, **EXIF_FORMATS[form])
    assert psnr(images.decode(data).pixels, upright) > (99 if form in LOSSLESS else 28)


@pytest.mark.parametrize("value", [0, 9, 700])
def test_an_orientation_that_does_not_exist_is_ignored(value):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    picture = images.decode(encoded(Image.fromarray(photo(60, 40)), "JPEG", exif=exif))
    assert picture.pixels.shape == (40, 60, 3)


def test_an_orientation_in_xmp_alone_is_followed_as_pillow_does():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = encoded(Image.fromarray(photo(60, 40)), "JPEG", xmp=xmp)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(images.decode(data).pixels, np.asarray(expected))


# --- colour --------------------------------------------------------------------------------------


def test_transparency_is_laid_over_white():
    rgba = np.zeros((2, 3, 4), dtype=np.uint8)
    rgba[0] = [200, 100, 50, 255]
    rgba[1, 0] = [200, 100, 50, 0]
    rgba[1, 1] = [0, 0, 0, 128]
    rgba[1, 2] = [255, 0, 0, 51]
    pixels = images.decode(encoded(Image.fromarray(rgba), "PNG")).pixels
    assert pixels[0].tolist() == [[200, 100, 50]] * 3
    assert pixels[1, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == pytest.approx([127, 127, 127], abs=1)
    assert pixels[1, 2].tolist() == pytest.approx([255, 204, 204], abs=1)


@pytest.mark.parametrize("mode", ["RGBa", "La", "LA", "PA", "RGBA"])
def test_every_kind_of_alpha_gives_the_same_picture(mode):
    grey = np.zeros((1, 4, 4), dtype=np.uint8)
    grey[0] = [[80, 80, 80, 255], [80, 80, 80, 128], [80, 80, 80, 64], [80, 80, 80, 0]]
    image = Image.fromarray(grey)
    if mode in ("RGBa", "PA"):
        image = image.convert(mode)
    elif mode != "RGBA":
        image = image.convert("LA").convert(mode)
    expected = [80, 167, 211, 255]
    assert images.decode(image).pixels[0, :, 0].tolist() == pytest.approx(expected, abs=3)


def test_palettes_with_one_or_many_transparent_colours_lie_over_white():
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    one = images.decode(encoded(image, "PNG", transparency=1)).pixels
    assert one[0].tolist() == [[10, 20, 30], [255, 255, 255], [70, 80, 90]]
    many = images.decode(encoded(image, "PNG", transparency=bytes([255, 0, 0]))).pixels
    assert many[0].tolist() == [[10, 20, 30], [255, 255, 255], [255, 255, 255]]
    gif = images.decode(encoded(image, "GIF", transparency=2)).pixels
    assert gif[0].tolist() == [[10, 20, 30], [40, 50, 60], [255, 255, 255]]


def test_a_single_transparent_colour_of_grey_and_rgb_lies_over_white():
    grey = encoded(Image.fromarray(np.array([[7, 9]], dtype=np.uint8)), "PNG", transparency=9)
    assert images.decode(grey).pixels[0].tolist() == [[7, 7, 7], [255, 255, 255]]
    rgb = Image.new("RGB", (2, 1), (1, 2, 3))
    rgb.putpixel((1, 0), (4, 5, 6))
    data = encoded(rgb, "PNG", transparency=(1, 2, 3))
    assert images.decode(data).pixels[0].tolist() == [[255, 255, 255], [4, 5, 6]]


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_keeps_its_upper_bits(form):
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    pixels = images.decode(encoded(Image.fromarray(values), form)).pixels
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 100, 255]], dtype=np.int32), [0, 100, 255]),
        (np.array([[-1000, 0, 1000]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0, 100, 255]], dtype=np.float32), [0, 100, 255]),
        (np.array([[-1, 0, 3]], dtype=np.float32), [0, 64, 255]),
        (np.array([[np.nan, 0, 500, np.inf]], dtype=np.float32), [0, 0, 255, 255]),
        (np.array([[np.nan, np.nan]], dtype=np.float32), [0, 0]),
        (np.array([[900, 900]], dtype=np.int32), [0, 0]),
    ],
)
def test_integers_and_floats_are_stretched_only_when_they_do_not_fit(values, expected):
    pixels = images.decode(encoded(Image.fromarray(values), "TIFF")).pixels
    assert pixels[0, :, 0].tolist() == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"])
def test_every_mode_becomes_the_colours_it_means(mode):
    colours = np.zeros((8, 24, 3), dtype=np.uint8)
    colours[:, :8], colours[:, 8:16], colours[:, 16:] = (255, 255, 255), (0, 0, 0), (128, 128, 128)
    source = Image.fromarray(colours)
    image = source.convert("RGBA").convert("LAB") if mode == "LAB" else source.convert(mode)
    pixels = images.decode(image).pixels
    assert pixels[:, :8].mean() > 250
    assert pixels[:, 8:16].mean() < 5
    assert pixels[:, 16:].mean() == pytest.approx(128, abs=8)


@pytest.mark.parametrize("min_side", [None, 64])
def test_cmyk_jpegs_are_not_inverted(min_side):
    upright = photo(300, 200)
    data = encoded(Image.fromarray(upright).convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data[:200]
    picture = images.decode(data, min_side=min_side)
    assert (picture.width, picture.height) == (300, 200)
    small = Image.fromarray(upright).resize(picture.pixels.shape[1::-1], Image.Resampling.BOX)
    assert psnr(picture.pixels, np.asarray(small)) > 25


def test_a_grey_jpeg_and_one_stored_as_rgb_are_read_fast_and_right():
    upright = photo(200, 100)
    grey = encoded(Image.fromarray(upright).convert("L"), "JPEG", quality=95)
    pixels = images.decode(grey).pixels
    assert np.array_equal(pixels[..., 0], pixels[..., 1])
    assert psnr(pixels[..., 0], np.asarray(Image.fromarray(upright).convert("L"))) > 30
    rgb = encoded(Image.fromarray(upright), "JPEG", quality=95, keep_rgb=True)
    assert psnr(images.decode(rgb).pixels, upright) > 30


# --- frames, suffixes, kinds of source -----------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_an_animation_or_a_document_is_its_first_frame(form, options):
    frames = [Image.new("RGB", (20, 10), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    pixels = images.decode(data).pixels
    assert pixels.shape == (10, 20, 3)
    assert np.all(pixels == [255, 0, 0])


def test_a_suffix_may_lie(tmp_path):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(encoded(Image.new("RGB", (5, 4), (1, 2, 3)), "PNG"))
    assert images.decode(path).pixels[0, 0].tolist() == [1, 2, 3]
    assert images.decode(str(path)).width == 5
    assert {".jpg", ".png", ".webp", ".heic", ".tif"} <= images.SUFFIXES


def test_bytes_paths_pillow_images_and_arrays_are_the_same_picture(tmp_path):
    upright = photo(90, 60)
    data = encoded(Image.fromarray(upright), "PNG")
    path = tmp_path / "絵.png"
    path.write_bytes(data)
    for source in (data, bytearray(data), path, Image.open(path), Image.fromarray(upright), upright):
        assert np.array_equal(images.decode(source).pixels, upright)
        assert np.array_equal(images.load(source, CLIP)[0], images.fit(upright, CLIP))


def test_a_pillow_image_is_turned_and_left_as_it_was():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = Image.open(io.BytesIO(encoded(Image.fromarray(photo(60, 40)), "JPEG", exif=exif)))
    assert images.decode(image).pixels.shape == (60, 40, 3)
    assert image.size == (60, 40)
    assert image.getexif()[ORIENTATION] == 6


def test_one_pixel_is_a_picture():
    assert images.decode(png := encoded(Image.new("L", (1, 1), 9), "PNG")).pixels.tolist() == [[[9, 9, 9]]]
    assert images.load(png, CLIP)[0].shape == (224, 224, 3)
