"""Saved pictures and contact sheets."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
from pictures import photo, psnr

from clipsearch import images
from clipsearch.errors import ImageError

# --- writing -------------------------------------------------------------------------------------


def test_saved_pictures_come_back(tmp_path):
    pixels = photo(120, 70)
    images.save_png(pixels, tmp_path / "a.png")
    assert np.array_equal(images.decode(tmp_path / "a.png").pixels, pixels)
    images.save_jpeg(pixels[:, ::-1], tmp_path / "a.jpg", quality=95)
    assert psnr(images.decode(tmp_path / "a.jpg").pixels, pixels[:, ::-1]) > 28
    assert simplejpeg.decode_jpeg_header((tmp_path / "a.jpg").read_bytes())[3] == "420"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.png"]


def test_a_failed_write_says_so_and_leaves_nothing(tmp_path):
    for save in (images.save_jpeg, images.save_png):
        with pytest.raises(ImageError) as caught:
            save(photo(8, 8), tmp_path / "missing" / "a.png")
        assert caught.value.reason == "unwritable"
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(ImageError):
            save(photo(8, 8), tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_contact_sheet_shows_every_tile_and_its_label(tmp_path):
    good = tmp_path / "a.png"
    images.save_png(np.full((30, 60, 3), (250, 0, 0), dtype=np.uint8), good)
    tiles = [
        (good, "rot"),
        (tmp_path / "gone.png", "weg"),
        (np.full((50, 20, 3), (0, 0, 250), np.uint8), "blau"),
    ]
    sheet = images.contact_sheet(tiles, columns=2, tile=100, title="three")
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 10 + 2 * 110
    red, blue, grey = (
        (sheet == colour).all(axis=2).sum() for colour in ((250, 0, 0), (0, 0, 250), (222, 222, 222))
    )
    assert red == pytest.approx(100 * 50, rel=0.1)
    assert blue == pytest.approx(100 * 40, rel=0.1)
    assert grey > 7000
    without = images.contact_sheet([(source, "") for source, _ in tiles], columns=2, tile=100)
    assert (without < 100).all(axis=2).sum() < (sheet < 100).all(axis=2).sum()


def test_labels_of_any_language_and_length_do_not_crash_a_sheet():
    black = np.zeros((10, 10, 3), np.uint8)
    labels = ["六角ボルト M8×40", "x" * 10_000, "a\nb\tc\x00", "🙂", "", "عربي"]
    sheet = images.contact_sheet([(black, label) for label in labels], title="検索結果")
    assert sheet.shape[1] == 10 + 5 * 210
    assert images.contact_sheet([]).shape[2] == 3
