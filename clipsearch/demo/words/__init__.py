"""What the parts are called, in English and Japanese, by the keys of parts.TYPES."""

from __future__ import annotations

from collections.abc import Mapping

from clipsearch.demo.words.fasteners import FASTENERS
from clipsearch.demo.words.fittings_and_hardware import FITTINGS_AND_HARDWARE
from clipsearch.demo.words.machine_parts import MACHINE_PARTS
from clipsearch.demo.words.name import Name

__all__ = ["NAMES", "Name"]

NAMES: Mapping[str, Name] = {**FASTENERS, **MACHINE_PARTS, **FITTINGS_AND_HARDWARE}
