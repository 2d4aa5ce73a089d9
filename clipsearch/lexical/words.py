"""A text as tokens: coarse and fine ones for ranking, only the finest for wording. Knows no records.

HX-M8x40-A2     hxm8x40a2, hx, m8x40, m8, 40, a2          wording: hx m 8 x 40 a 2
1/2" pipe tees  1/2", 1/2, pipe, tee                      wording: 1 / 2 " pipe tees
DIN 912, 8 mm   din, 912, din912, 8, mm, 8mm              wording: din 912 8 mm
M8六角ボルト     m8, 六角, 角ボ, ボル, ルト, ボルト           wording: m 8 六 角 ボ ル ト
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, TypeAlias

from clipsearch.lexical.normal import normal, singular

MAX_CHARS = 20_000  # of a text; what is beyond says little of a picture
_MAX_WORD = 64  # characters; a longer run without a space is no word, only its parts may be

Level: TypeAlias = Literal[
    "word", "whole", "run", "part", "side", "atom", "joined", "pair", "katakana", "kanji"
]
Token: TypeAlias = tuple[Level, str]

# Kana, the long vowel, kanji with 々 and 〆, and those beyond the first plane. Chinese comes along; Thai and
# Hangul are words as they stand between spaces.
_CJK = "\u3041-\u3096\u30a1-\u30fa\u30fc\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_LETTER = rf"[^\W_{_CJK}]"  # letters and digits
_CHUNKS = re.compile(rf"([{_CJK}]+)|{_LETTER}+(?:[-_./+&]{_LETTER}+)*[\"°%]?")
_ASCII = re.compile(r"[a-z0-9]+(?:[-_./+&][a-z0-9]+)*[\"%]?")  # the same, in half the time
_JOINTS = re.compile(r"[-_+&]|(?<!\d)[./]|[./](?!\d)")  # 3/4 and 1.25 stay whole
_TIMES = re.compile(r"(?<=\d)x(?=\d)")
_ATOMS = re.compile(r"\d+(?:[./]\d+)*|[^\W\d_]+")
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc]{2,}")
_KANJI = re.compile("[\u3400-\u9fff]")
_FINEST = re.compile(rf"\d+|[{_CJK}]|[^\W\d_{_CJK}]+|(?<=\d)[/.](?=\d)|(?<=\d)[\"°%]")
_UNITS = frozenset(
    ("mm", "cm", "m", "in", "inch", "ft", "kg", "g", "lb", "oz", "l", "ml", "v", "w", "a", "amp", "kw", "hp",
     "nm", "mpa", "bar", "psi")
)  # fmt: skip


def tokens(text: str) -> list[str]:
    """The text's tokens for ranking, in order, with doubles."""
    return [token for _, token in levels(text)]


def phrase_tokens(text: str) -> list[str]:
    """The text's finest tokens: equal runs of them are equal wording, but for case, width and spacing."""
    return _FINEST.findall(normal(text[:MAX_CHARS]))


def levels(text: str) -> Iterator[Token]:
    """The tokens with what each of them is."""
    before = ""
    for chunk, is_cjk in chunks(text):
        yield from of_chunk(chunk, is_cjk)
        if before and (measure := joined(before, chunk, is_cjk)):
            yield "joined", measure
        before = chunk


def chunks(text: str) -> list[tuple[str, bool]]:
    """Runs of letters and digits with what joins them, and runs of kanji and kana (True)."""
    plain = normal(text[:MAX_CHARS])
    if plain.isascii():
        return [(chunk, False) for chunk in _ASCII.findall(plain)]
    return [(match[0], match[1] is not None) for match in _CHUNKS.finditer(plain)]


def joined(before: str, chunk: str, is_cjk: bool) -> str:
    """Two neighbours that are one measure, norm or shape: DIN 912, M 8, Ø 8, 8 mm, 6穴, L字. Else ""."""
    if is_cjk:
        return before + chunk[0] if before.isdecimal() or (len(before) == 1 and before.isascii()) else ""
    if before.isdecimal():
        return before + chunk if chunk in _UNITS else ""
    return before + chunk if chunk.isdecimal() and len(before) <= 4 and before.isalpha() else ""


def of_chunk(chunk: str, is_cjk: bool) -> list[Token]:
    """One chunk's tokens, without doubles."""
    if is_cjk:
        return _of_cjk(chunk)
    if chunk.isalpha():
        return [("word", singular(chunk))]
    if chunk.isdecimal():
        return [("word", chunk)]
    parts = _JOINTS.split(chunk)
    found: list[Token] = []
    if len(parts) > 1 and len(chunk) <= _MAX_WORD:
        found.append(("whole", "".join(parts)))  # however it is hyphenated
        if len(parts) > 2 and not chunk.replace("_", "a").isalpha():
            found += [("run", a + b) for a, b in pairwise(parts)]  # a part of a part number
    for part in parts:
        found += _of_part(part)
    return list({token: (level, token) for level, token in reversed(found)}.values())[::-1]


def _of_part(part: str) -> list[Token]:
    if part.isalpha():
        return [("part", singular(part))]
    found: list[Token] = [("part", part[:_MAX_WORD])]
    if part[-1] in '"°%':
        found.append(("side", part[:-1]))
    sides = _TIMES.split(part)
    if len(sides) > 1:
        found += [("side", side) for side in sides]
    for side in sides:
        atoms = _ATOMS.findall(side)
        if len(atoms) == 2 and ((len(atoms[0]) > 1 and atoms[0].isalpha()) or atoms[1] in _UNITS):
            found += [("atom", atom) for atom in atoms]  # iso4762, 8mm; but m8 is no 8
    return found


def _of_cjk(run: str) -> list[Token]:
    """Pairs of characters; katakana words, whose last long vowel is written or not as one likes; kanji."""
    if len(run) == 1:
        return [("word", run)]
    found: list[Token] = [("pair", run[i : i + 2]) for i in range(len(run) - 1)]
    for word in _KATAKANA.findall(run):
        bare = word[:-1] if len(word) > 3 and word[-1] == "ー" else word
        if len(bare) > 2:
            found.append(("katakana", bare))
    found += [("kanji", kanji) for kanji in _KANJI.findall(run)]  # 鋼 finds 鋼製
    return found
