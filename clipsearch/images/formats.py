"""Which formats are opened, and how: recognised by content, from an allow-list, through Pillow's plugins.

Owns the allow-list and the order of trying. Decodes no pixels.

The plugins are called directly and not through `PIL.Image.open`: its bomb check is a process-wide
setting and a warning, both the host application's own, while ours is an argument of `decode`; and
a file whose signature matched but whose header is broken should be called damaged, not unknown.
"""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from clipsearch.images.reasons import refusal, translated

if TYPE_CHECKING:
    from PIL import ImageFile

PREFIX_BYTES = 64

_loading = threading.Lock()
_loaded = False

# Formats whose signature leaves no doubt: what fails to open after it is damaged.
_SIGNED = (
    *("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF", "JPEG2000", "PSD", "DDS", "ICO"),
    *("ICNS", "QOI", "BLP", "FTEX", "FITS", "SUN", "XPM", "DCX", "MCIDAS", "PIXAR", "MSP", "XVTHUMB"),
)
# Formats with a weak signature or none: what fails to open was probably no picture.
_GUESSED = ("PPM", "SGI", "PCX", "CUR", "DIB", "FLI", "GBR", "XBM", "IM", "IMT", "SPIDER", "PCD", "TGA")
# Not on the list, by name: they start external programs (EPS: Ghostscript), need a system renderer
# (WMF) or are stubs that wait for a handler somebody else registers. Known so that the message can say so.
_REFUSED = {
    "EPS": "an EPS/PostScript drawing",
    "WMF": "a Windows metafile",
    "GRIB": "GRIB data",
    "BUFR": "BUFR data",
    "HDF5": "HDF5 data",
    "MPEG": "an MPEG video",
}
_SNIFFED = ((b"%PDF-", "a PDF document"), (b"<svg", "an SVG drawing"))
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")

_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp"),
    *(".dib", ".tif", ".tiff", ".heic", ".heics", ".heif", ".heifs", ".hif", ".avif", ".avifs"),
    *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    *(".tga", ".icb", ".vda", ".vst", ".pcx", ".dcx", ".psd", ".dds", ".ico", ".cur", ".icns"),
    *(".qoi", ".sgi", ".rgb", ".rgba", ".bw", ".ras", ".xbm", ".xpm", ".fits", ".fit", ".fli"),
    *(".flc", ".blp", ".ftu", ".ftc", ".msp", ".pxr", ".pcd", ".gbr", ".im", ".imt", ".p7", ".spider"),
)
SUFFIXES: frozenset[str] = frozenset(_SUFFIXES)
"""Lower-case suffixes a folder is searched for. Decoding looks at the content only."""


def open_image(stream: BinaryIO, name: str) -> ImageFile.ImageFile:
    """The opened, not yet decoded picture in a seekable stream; header read, pixels not.

    Raises ImageError: not-an-image, unsupported, truncated or corrupt.
    """
    stream.seek(0)
    prefix = stream.read(PREFIX_BYTES)
    failure: Exception | None = None
    failed = ""
    for form in _SIGNED:
        if not _claims(form, prefix, name):
            continue
        try:
            return _opened(form, stream)
        except Exception as exc:
            failure, failed = failure or exc, failed or form
    if failure is not None:
        if failed == "WEBP" and _riff_bytes(prefix) > stream.seek(0, 2):
            raise refusal("truncated", name, "WEBP: shorter than its header says") from failure
        raise translated(failure, name, form=failed) from failure
    _refuse_known(prefix, name)
    for form in _GUESSED:
        if _claims(form, prefix, name):
            try:
                return _opened(form, stream)
            except (SyntaxError, IndexError, TypeError, ValueError, ArithmeticError, OSError):
                continue
    raise refusal("not-an-image", name, f"it begins with {prefix[:8]!r}")


def _registry() -> Any:
    global _loaded
    from PIL import Image

    with _loading:  # a thread must not meet a half-filled registry and call a WebP unknown
        if not _loaded:
            Image.init()  # imports Pillow's own plugins (30 ms), as Image.open does for a less common file
            _loaded = True
    return Image.OPEN


def _claims(form: str, prefix: bytes, name: str) -> bool:
    if form == "HEIF":
        return prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIF_BRANDS
    factory = _registry().get(form)  # None in a later Pillow that dropped the format
    if factory is None:
        return False
    accepts = factory[1]
    answer = accepts(prefix[:16]) if accepts else True
    if isinstance(answer, str):  # the plugin knows the signature, but its codec is not in this build
        raise refusal("unsupported", name, f"Pillow was built without {form}")
    return bool(answer)


def _opened(form: str, stream: BinaryIO) -> ImageFile.ImageFile:
    stream.seek(0)
    if form == "HEIF":
        return _heif(stream)
    if form == "AVIF":
        return _avif(stream)
    image: ImageFile.ImageFile = _registry()[form][0](stream, "")
    return image


def _avif(stream: BinaryIO) -> ImageFile.ImageFile:
    opener = _registry()["AVIF"][0]
    try:
        image: ImageFile.ImageFile = opener(stream, "")
    except (SyntaxError, ValueError):
        # The decoder and the plugin parse EXIF on opening; a broken block must not cost the picture.
        stream.seek(0)
        data = stream.read()
        if b"Exif" not in data:
            raise
        image = opener(io.BytesIO(data.replace(b"Exif", b"none", 1)), "")  # its type in the file's index
    return image


def _heif(stream: BinaryIO) -> ImageFile.ImageFile:
    try:  # not registered with Pillow: that would change the host application's Image.open
        from pillow_heif import HeifImageFile
    except (ImportError, OSError, RuntimeError) as exc:
        raise NotImplementedError(
            'HEIC is not supported without its extra: pip install "clipsearch[heic]"'
        ) from exc
    image: ImageFile.ImageFile = HeifImageFile(stream)  # type: ignore[no-untyped-call]
    return image


def _refuse_known(prefix: bytes, name: str) -> None:
    for start, what in _SNIFFED:
        if prefix.lstrip()[: len(start)].lower() == start.lower():
            raise refusal("unsupported", name, what)
    for form, what in _REFUSED.items():
        accepts = _registry().get(form, (None, None))[1]
        if accepts and accepts(prefix[:16]):
            raise refusal("unsupported", name, f"{what}, which is not rendered here")


def _riff_bytes(prefix: bytes) -> int:
    return int.from_bytes(prefix[4:8], "little") + 8
