"""A contact sheet: pictures in a labelled grid. Owns the search for a font; decides nothing about results."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipsearch.errors import ImageError
from clipsearch.images.decode import decode

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_GAP = 10
_TEXT = (32, 32, 32)
_GREY = (222, 222, 222)
# Fonts with Japanese glyphs by the beginning of their file's name, lower-case, best first.
_FONTS = (
    *("notosanscjk", "notosansjp", "sourcehansans", "ipaexg", "ipag", "ipagp", "takaogothic", "takaopgothic"),
    *("vl-gothic", "vl-pgothic", "mplus", "migu", "hiragino sans", "ヒラギノ角ゴシック", "yugoth", "meiryo"),
    *("msgothic", "biz-udgothic", "fonts-japanese", "droidsansfallback", "wqy", "arial unicode", "unifont"),
)


def contact_sheet(
    tiles: Sequence[tuple[Path | bytes | NDArray[np.uint8], str]],
    *,
    columns: int = 5,
    tile: int = 200,
    title: str = "",
) -> NDArray[np.uint8]:
    """The pictures in rows of `columns`, each in a square of `tile` pixels over its label, as (H, W, 3).

    A picture that cannot be read is a grey tile with its reason. Labels are cut to the tile's width; where
    the system has no font with Japanese, characters the default font lacks are shown as "?".
    """
    from PIL import Image, ImageDraw

    size = max(11, tile // 14)
    font, everything = _font(size)
    line = size + 6
    head = line + 2 * _GAP if title else _GAP
    columns = max(1, min(columns, len(tiles) or 1))
    rows = -(-len(tiles) // columns)
    width = _GAP + columns * (tile + _GAP)
    sheet = Image.new("RGB", (width, head + rows * (tile + line + _GAP)), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((_GAP, _GAP), _cut(draw, title, font, everything, width - 2 * _GAP), _TEXT, font=font)
    for index, (source, label) in enumerate(tiles):
        left = _GAP + (index % columns) * (tile + _GAP)
        top = head + (index // columns) * (tile + line + _GAP)
        _paste(sheet, draw, source, (left, top), tile, font)
        draw.text((left, top + tile + 3), _cut(draw, label, font, everything, tile), _TEXT, font=font)
    return np.array(sheet, dtype=np.uint8)


def _paste(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    source: Path | bytes | NDArray[np.uint8],
    at: tuple[int, int],
    tile: int,
    font: Font,
) -> None:
    from PIL import Image

    left, top = at
    try:
        picture = decode(source, min_side=tile)
    except ImageError as exc:
        draw.rectangle((left, top, left + tile - 1, top + tile - 1), fill=_GREY)
        across = (tile - draw.textlength(exc.reason, font=font)) / 2
        draw.text((left + across, top + tile // 2 - _GAP), exc.reason, _TEXT, font=font)
        return
    scale = tile / max(picture.width, picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = Image.fromarray(picture.pixels).resize(size, Image.Resampling.BICUBIC, box=picture.box)
    sheet.paste(small, (left + (tile - size[0]) // 2, top + (tile - size[1]) // 2))


def _cut(draw: ImageDraw.ImageDraw, text: str, font: Font, everything: bool, width: int) -> str:
    """The text on one line, its end replaced by dots where it is wider than width."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:500]).split())
    if not everything:
        text = text.encode("latin-1", "replace").decode("latin-1")
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text + "..."


def _font(size: int) -> tuple[Font, bool]:
    """A font, and whether it has Japanese. A new object each time: Pillow's are not for several threads."""
    from PIL import ImageFont

    path = _japanese_font()
    if path is not None:
        try:
            return ImageFont.truetype(str(path), size), True
        except OSError:
            pass
    try:
        return ImageFont.load_default(size), False
    except ImportError:  # a Pillow without FreeType has one small bitmap font
        return ImageFont.load_default(), False


@cache
def _japanese_font() -> Path | None:
    best: tuple[int, int, Path] | None = None
    for folder in _font_folders():
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.suffix.lower() not in (".ttf", ".ttc", ".otf", ".otc"):
                continue
            stem = path.stem.lower()
            rank = next((i for i, start in enumerate(_FONTS) if stem.startswith(start)), None)
            if rank is None:
                continue
            entry = (rank, 0 if "regular" in stem or "-" not in stem else 1, path)
            best = min(best or entry, entry)
    return best[2] if best else None


def _font_folders() -> tuple[Path, ...]:
    home = Path.home()
    if sys.platform == "win32":
        return (Path("C:/Windows/Fonts"), home / "AppData/Local/Microsoft/Windows/Fonts")
    if sys.platform == "darwin":
        return (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts")
    return (
        home / ".local/share/fonts",
        home / ".fonts",
        Path("/usr/local/share/fonts"),
        Path("/usr/share/fonts"),
    )
