"""What a record shows, by the catalogue's labels, and what that is called in both languages. Asks nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clipsearch.demo.looks import SURFACES
from clipsearch.demo.words import NAMES
from clipsearch.demo.words.materials import FINISH_JA, MATERIAL_JA
from clipsearch.types import Payload

_THREADED = re.compile(r"(\w+) threaded")
_TYPES = {name.english.lower(): key for key, name in NAMES.items()}
_SURFACES = {(made.material, made.finish): key for key, made in SURFACES.items()}
FAMILY_JA: Mapping[str, str] = {
    "fasteners": "締結部品",
    "power transmission": "動力伝達部品",
    "structure": "構造部品",
    "pipe fittings": "管継手",
    "hardware": "金具",
}
HEAD_JA: Mapping[str, str] = {
    "pan": "なべ", "countersunk": "皿", "hex": "六角", "round": "丸", "cylinder": "円筒", "ring": "輪",
    "button": "ボタン", "wing": "蝶", "flat": "平",
}  # fmt: skip
DRIVE_JA: Mapping[str, str] = {
    "hex": "六角穴", "phillips": "十字穴", "slotted": "すりわり", "torx": "トルクス"
}  # fmt: skip
ATTRIBUTE_JA: Mapping[str, Mapping[str, str]] = {
    "material": MATERIAL_JA,
    "finish": FINISH_JA,
    "head": HEAD_JA,
    "drive": DRIVE_JA,
    "holes": {"holes": "穴"},
}


def type_of(payload: Payload) -> str:
    """The key in words.NAMES of what the record shows."""
    return _TYPES[str(payload["name"]).partition(",")[0].lower()]


def surface_of(payload: Payload) -> str:
    """The key in looks.SURFACES of what it is made of."""
    return _SURFACES[str(payload["material"]), str(payload["finish"])]


def shape_ja(shape: str) -> str:
    """A shape's name in Japanese; what its types have in common, where it has several (screws' drives)."""
    names = [name for name in NAMES.values() if name.shape == shape]
    if len(names) == 1:
        return names[0].japanese
    common = set(names[0].japanese_synonyms).intersection(*(name.japanese_synonyms for name in names))
    return min(common)


def fits(wanted: Payload, payload: Payload) -> bool:
    """Whether the record is of the wanted one's type and material, and of its finish if that has a name.

    What a catalogue's name asks for: "Hex bolt, steel" is zinc plated as well, "Hex bolt, steel, zinc
    plated" is not black.
    """
    return (
        type_of(wanted) == type_of(payload)
        and wanted["material"] == payload["material"]
        and wanted["finish"] in ("plain", payload["finish"])
    )


def look_of(payload: Payload, language: str = "English") -> str:
    """The record's description without its size, which no picture shows."""
    size = str(payload["size"])
    if language == "Japanese":
        return str(payload["description_ja"]).removesuffix(size.replace(" x ", "×")).rstrip()
    return str(payload["description"]).removesuffix(f", {size}")


def facts_of(payload: Payload) -> frozenset[tuple[str, object]]:
    """What the description says beside type, surface and size: holes, teeth, how far it is threaded."""
    threaded = _THREADED.search(str(payload["description"]))
    facts = {name: payload[name] for name in ("holes", "teeth") if payload.get(name)}
    return frozenset([*facts.items(), *([("threaded", threaded[1])] if threaded else [])])
