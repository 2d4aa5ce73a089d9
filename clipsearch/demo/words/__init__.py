"""What the parts are called, in English and Japanese, by the keys of parts.TYPES."""

from __future__ import annotations

from collections.abc import Mapping

from clipsearch.demo.words.bolts_and_screws import BOLTS_AND_SCREWS
from clipsearch.demo.words.hardware import HARDWARE
from clipsearch.demo.words.machine_parts import MACHINE_PARTS
from clipsearch.demo.words.name import Name
from clipsearch.demo.words.nuts_washers_pins import NUTS_WASHERS_PINS
from clipsearch.demo.words.structure_and_fittings import STRUCTURE_AND_FITTINGS

__all__ = ["NAMES", "Name"]

NAMES: Mapping[str, Name] = {
    **BOLTS_AND_SCREWS,
    **NUTS_WASHERS_PINS,
    **MACHINE_PARTS,
    **STRUCTURE_AND_FITTINGS,
    **HARDWARE,
}
