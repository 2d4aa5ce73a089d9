"""What can be said of a part, in English and Japanese: one full description, and many shorter ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numpy.random import Generator

from clipsearch.demo.looks import SURFACES, Surface
from clipsearch.demo.parts import Facts
from clipsearch.demo.words import NAMES
from clipsearch.demo.words.materials import FINISH_JA, MATERIAL_JA


def description(key: str, surface: str, facts: Facts, size: str = "") -> tuple[str, str]:
    """The catalogue's description, in English and Japanese: everything that can be seen, then the size."""
    name, made = NAMES[key], SURFACES[surface]
    adjective = made.english[0]
    english = f"{adjective[0].upper()}{adjective[1:]} {name.english}"
    japanese = f"{made.japanese[0]}{name.japanese}"
    if facts.get("thread"):
        english += f", {facts['thread']} threaded"
        japanese += " 全ねじ" if facts["thread"] == "fully" else " 半ねじ"
    if facts.get("holes"):
        english += f" with {facts['holes']} holes"
        japanese += f" {facts['holes']}穴"
    if facts.get("teeth"):
        english += f" {'and' if facts.get('holes') else 'with'} {facts['teeth']} teeth"
        japanese += f" 歯数{facts['teeth']}"
    if size:
        english += f", {size}"
        japanese += f" {size.replace(' x ', '×')}"
    return english, japanese


def captions(
    key: str, surface: str, facts: Facts, rng: Generator, *, n: int = 6
) -> tuple[list[str], list[str]]:
    """English and Japanese captions of one picture, the full description first, with and without a size."""
    full = description(key, surface, facts)
    english, japanese = [full[0]], [full[1]]
    size = f"M{rng.choice([3, 4, 5, 6, 8, 10, 12])}"
    if "length" in facts:
        size += f" x {int(rng.integers(2, 17)) * 5}"
    if NAMES[key].family == "fasteners":
        sized = description(key, surface, facts, size)
        english.append(sized[0])
        japanese.append(sized[1])
    while len(english) < n + 2:
        english.append(_english(key, SURFACES[surface], facts, rng))
        japanese.append(_japanese(key, SURFACES[surface], facts, rng))
    return english, japanese


def _english(key: str, made: Surface, facts: Facts, rng: Generator) -> str:
    name = NAMES[key]
    called = _one_of((name.english, name.english, *name.english_synonyms), rng)
    adjective = _one_of(made.english, rng)
    form = int(rng.integers(9))
    count = _count(facts, rng, lambda n: f" with {n} holes", lambda n: f" with {n} teeth")
    material, finish = made.material, made.finish
    return (
        f"{adjective} {called}",
        f"{adjective} {called}{count}",
        f"{called}{count}",
        f"a photo of a {adjective} {called}",
        f"{called}, {material}, {finish}",
        f"{called} in {adjective}{count}",
        f"{material} {called}",
        f"{called} made of {material}",
        f"{finish} {material} {called}" if finish != "plain" else f"{material} {called}{count}",
    )[form]


def _japanese(key: str, made: Surface, facts: Facts, rng: Generator) -> str:
    name = NAMES[key]
    called = _one_of((name.japanese, name.japanese, *name.japanese_synonyms), rng)
    adjective = _one_of(made.japanese, rng)
    form = int(rng.integers(8))
    count = _count(facts, rng, lambda n: f" {n}穴", lambda n: f" 歯数{n}")
    material, finish = MATERIAL_JA[made.material], FINISH_JA[made.finish]
    return (
        f"{adjective}{called}",
        f"{adjective}{called}{count}",
        f"{called}{count}",
        f"{adjective}{called}の写真",
        f"{called} {material} {finish}",
        f"{material}製の{called}{count}",
        f"{material} {called}",
        f"{finish}の{called}",
    )[form]


def _count(
    facts: Facts, rng: Generator, holes: Callable[[object], str], teeth: Callable[[object], str]
) -> str:
    """The number of holes, or of teeth, more often said than not."""
    if facts.get("holes") and rng.random() < 0.7:
        return holes(facts["holes"])
    if facts.get("teeth") and rng.random() < 0.7:
        return teeth(facts["teeth"])
    return ""


def _one_of(words: Sequence[str], rng: Generator) -> str:
    return words[int(rng.integers(len(words)))]
