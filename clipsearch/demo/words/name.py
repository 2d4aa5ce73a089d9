"""What one type of part is called. Knows no particular type."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """The words for a type of part, in the order the catalogue prints them."""

    shape: str  # the catalogue's shape column; types that differ by their drive share it
    head: str
    drive: str
    family: str
    code: str  # a part number's first letters
    weight: int  # how many the catalogue has, roughly
    looks: str  # which group of looks it comes in (looks.GROUPS)
    english: str
    english_synonyms: tuple[str, ...]
    japanese: str
    japanese_synonyms: tuple[str, ...]
