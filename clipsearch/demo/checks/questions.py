"""What the checks ask of the catalogue, in English and Japanese, and which records are right. Asks nothing.

Queries are made of held-out parts: of combinations of type and surface that the starter was never trained
on. Right is decided by the labels, not by the words that a record holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from clipsearch.demo.checks.labels import FAMILY_JA, facts_of, fits, look_of, shape_ja, surface_of, type_of
from clipsearch.demo.looks import SURFACES
from clipsearch.demo.words import NAMES
from clipsearch.types import Payload

Language: TypeAlias = Literal["English", "Japanese"]
LANGUAGES: tuple[Language, Language] = ("English", "Japanese")
Right: TypeAlias = Callable[[Payload], bool]


@dataclass(frozen=True, slots=True)
class Asked:
    """One query. kind: how it was made; about: the part (or label) it was made of, for pairing languages."""

    kind: str
    language: Language
    text: str
    about: str
    is_right: Right


NOT_THERE, PHOTO, MISTYPED = "not in the catalogue", "photo", "name, mistyped"  # kinds
# Things that the catalogue has none of; some near (tools, fixings), some far.
ABSENT: dict[Language, tuple[str, ...]] = {
    "English": (
        "a dog", "a cat on a sofa", "a mountain landscape", "the sea at sunset", "people at a party",
        "a plate of food", "a red car", "a bottle of wine", "a guitar", "a bunch of flowers",
        "a child playing", "a city at night", "a smartphone", "a book", "a wooden chair", "a pair of shoes",
        "a map of Europe", "cordless drill", "paint roller", "circuit breaker", "extension cord",
        "garden hose", "light bulb", "tape measure", "claw hammer", "screwdriver set", "wood stain",
        "bag of cement", "toilet seat", "plywood board", "spray paint", "flower pot", "extension ladder",
        "wheelbarrow", "sandpaper", "work gloves", "power socket", "door bell", "wallpaper", "lawn mower",
    ),
    "Japanese": (
        "犬", "ソファの上の猫", "山の風景", "海の夕焼け", "パーティーの人々", "料理の皿", "赤い自動車",
        "ワインの瓶", "ギター", "花束", "遊ぶ子供", "夜の街", "スマートフォン", "本", "木の椅子", "靴",
        "地図", "電動ドリル", "塗装ローラー", "ブレーカー", "延長コード", "散水ホース", "電球", "巻尺",
        "金づち", "ドライバーセット", "木材用ステイン", "セメント袋", "便座", "合板", "スプレー塗料",
        "植木鉢", "はしご", "一輪車", "紙やすり", "作業手袋", "コンセント", "呼び鈴", "壁紙", "芝刈り機",
    ),
}  # fmt: skip


def absent() -> list[Asked]:
    """Queries that nothing in the catalogue answers."""
    return [
        Asked(NOT_THERE, language, text, text, _never) for language in LANGUAGES for text in ABSENT[language]
    ]


def held_out(payloads: Iterable[Payload]) -> list[Payload]:
    """One payload for each part that the starter was never trained on, by part number."""
    found = {str(p["part_no"]): p for p in payloads if p.get("split") == "test"}
    return [found[number] for number in sorted(found)]


def by_labels(payloads: Sequence[Payload]) -> list[Asked]:
    """Families, shapes, and held-out parts' names, looks and photos.

    A look is the description without its size. A photo is the part's own two; other parts are right.
    """
    asked = []
    for column, japanese in (("family", FAMILY_JA.__getitem__), ("shape", shape_ja)):
        for value in sorted({str(p[column]) for p in payloads}):
            for language, text in zip(LANGUAGES, (value, japanese(value)), strict=True):
                asked.append(Asked(column, language, text, value, _same(column, value)))
    for part in held_out(payloads):
        look, number = look_of(part), str(part["part_no"])
        right = _fitting(part)
        asked += _both("name", part["name"], part["name_ja"], number, right)
        seen = _seen(part)
        asked += _both("look", look, look_of(part, "Japanese"), number, seen)
        asked.append(Asked(PHOTO, "English", f"id:{number}", number, right))
    return _unique(asked)


def by_parts(payloads: Sequence[Payload], *, seed: int = 0) -> list[Asked]:
    """The ways in which people ask for a part, of held-out parts."""
    rng = random.Random(seed)
    asked: list[Asked] = []
    for part in held_out(payloads):
        number, size = str(part["part_no"]), str(part["size"])
        name = NAMES[type_of(part)]
        asked += _both("name", part["name"], part["name_ja"], number, _fitting(part))
        whole = _same("description", str(part["description"]))
        asked += _both("description", part["description"], part["description_ja"], number, whole)
        sized = _all_of(_of_type(part), _same("size", size))
        japanese = f"{name.japanese} {size.replace(' x ', '×')}"
        asked += _both("type and size", f"{name.english} {size}", japanese, number, sized)
        asked += _in_other_words(part, rng)
        asked += _both(
            MISTYPED,
            mistyped(str(part["name"]), rng),
            mistyped(str(part["name_ja"]), rng),
            number,
            _fitting(part),
        )
        asked += _by_number(number)
    return _unique(asked)


def mistyped(text: str, rng: random.Random) -> str:
    """The text with two neighbouring letters of its longest word changed round, or kana or kanji left out."""
    words = text.split(" ")
    at = max(range(len(words)), key=lambda i: len(words[i]))
    word = words[at]
    if len(word) < 3:
        return text
    i = rng.randrange(1, len(word) - 1)
    words[at] = (
        word[:i] + word[i + 1] + word[i] + word[i + 2 :] if word.isascii() else word[:i] + word[i + 1 :]
    )
    return " ".join(words)


def _in_other_words(part: Payload, rng: random.Random) -> list[Asked]:
    """Another name and another word for the surface than the record has."""
    name, made, number = NAMES[type_of(part)], SURFACES[surface_of(part)], str(part["part_no"])
    called, called_ja = rng.choice(name.english_synonyms), rng.choice(name.japanese_synonyms)
    look, look_ja = rng.choice(made.english[1:] or made.english), rng.choice(made.japanese[1:])
    english = _all_of(_called(called, "English"), _looking(look, "English"))
    japanese = _all_of(_called(called_ja, "Japanese"), _looking(look_ja, "Japanese"))
    return [
        Asked("in other words", "English", f"{look} {called}", number, english),
        Asked("in other words", "Japanese", f"{look_ja}{called_ja}", number, japanese),
    ]


def _by_number(number: str) -> list[Asked]:
    """A part number in part, and without its hyphens: the same in every language."""
    beginning, rest = number.rpartition("-")[0], number.partition("-")[2]
    return [
        Asked("number's beginning", "English", beginning.lower(), number, _numbered(beginning + "-")),
        Asked("number's rest", "English", rest, number, _numbered("-" + rest)),
        Asked("number, no hyphens", "English", number.replace("-", ""), number, _same("part_no", number)),
    ]


def _unique(asked: Sequence[Asked]) -> list[Asked]:
    """Of parts whose queries of a kind are the same in both languages, those of the first."""
    texts: dict[tuple[str, str], tuple[str, ...]] = {}
    for one in asked:
        key = (one.kind, one.about)
        texts[key] = (*texts.get(key, ()), one.text)
    first: dict[tuple[str, tuple[str, ...]], str] = {}
    for (kind, about), said in texts.items():
        first.setdefault((kind, said), about)
    return [one for one in asked if first[one.kind, texts[one.kind, one.about]] == one.about]


# --- what is right -----------------------------------------------------------------------------


def _both(kind: str, english: object, japanese: object, about: str, right: Right) -> list[Asked]:
    return [
        Asked(kind, language, str(text), about, right)
        for language, text in zip(LANGUAGES, (english, japanese), strict=True)
    ]


def _never(payload: Payload) -> bool:
    return False


def _same(column: str, value: str) -> Right:
    return lambda payload: payload.get(column) == value


def _fitting(part: Payload) -> Right:
    return lambda payload: fits(part, payload)


def _seen(part: Payload) -> Right:
    facts = facts_of(part)
    return lambda payload: fits(part, payload) and facts <= facts_of(payload)


def _of_type(part: Payload) -> Right:
    wanted = type_of(part)
    return lambda payload: type_of(payload) == wanted


def _numbered(part: str) -> Right:
    return lambda payload: part in str(payload["part_no"])


def _called(word: str, language: Language) -> Right:
    def right(payload: Payload) -> bool:
        name = NAMES[type_of(payload)]
        if language == "English":
            return word in (name.english, *name.english_synonyms)
        return word in (name.japanese, *name.japanese_synonyms)

    return right


def _looking(word: str, language: Language) -> Right:
    def right(payload: Payload) -> bool:
        made = SURFACES[surface_of(payload)]
        return word in (made.english if language == "English" else made.japanese)

    return right


def _all_of(*conditions: Right) -> Right:
    return lambda payload: all(condition(payload) for condition in conditions)
