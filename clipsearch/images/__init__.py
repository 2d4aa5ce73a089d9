"""Pictures in and out: any file to upright bounded RGB, fitted to a model; thumbnails and contact sheets.

The only package that knows the image libraries (Pillow, simplejpeg, pillow-heif). Knows no model: what
a model wants is a `Preprocessing`. Thread-safe, and the decoders and the resize run without the GIL.
"""

from clipsearch.images.decode import MAX_BYTES, MAX_PIXELS, Decoded, Source, decode, one_at_a_time
from clipsearch.images.fit import fit, load, normalise, resized_size
from clipsearch.images.formats import SUFFIXES
from clipsearch.images.jpeg import PlainJpeg, plain_jpeg
from clipsearch.images.reasons import REASONS
from clipsearch.images.sheet import contact_sheet
from clipsearch.images.write import save_jpeg, save_png

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "REASONS",
    "SUFFIXES",
    "Decoded",
    "PlainJpeg",
    "Source",
    "contact_sheet",
    "decode",
    "fit",
    "load",
    "normalise",
    "one_at_a_time",
    "plain_jpeg",
    "resized_size",
    "save_jpeg",
    "save_png",
]
