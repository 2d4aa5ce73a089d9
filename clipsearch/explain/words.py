"""A text's words, and how much of a cosine each one carries. Embeds nothing itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clipsearch.errors import QueryError

MAX_WORDS = 256  # a model reads 64 or 77 tokens; what is beyond changes nothing

_KANJI = "\u3005-\u3007\u3400-\u9fff\uf900-\ufaff"
_HIRAGANA = "\u3041-\u3096"
_KATAKANA = "\u30a1-\u30fa\u30fc"
_CJK = _KANJI + _HIRAGANA + _KATAKANA
_PARTICLES = "のをがはにでとへやも"
_PIECES = re.compile(
    rf"(?<=[{_KANJI}{_KATAKANA}])[{_PARTICLES}]"  # 鋼の|ねじ
    rf"|[{_KANJI}]+(?:(?![{_PARTICLES}])[{_HIRAGANA}]+)?"  # 六角, and 赤い with its ending
    rf"|[{_KATAKANA}]+|[{_HIRAGANA}]+"
    rf"|[^\s、。，．・「」{_CJK}]+"
)

_NEUTRAL = ("a photo", "a picture", "a photo of something", "an image of an object")
_NEUTRAL_JA = ("写真", "画像", "何かの写真", "物の画像")


@dataclass(frozen=True, slots=True)
class WordShare:
    """One word, without the comma of text[start:end], and how far the cosine falls without it.

    share: below 0 where the picture is nearer without the word.
    """

    word: str
    start: int
    end: int
    share: float


def spans(text: str) -> list[tuple[int, int]]:
    """Where each word stands: English split at spaces, Japanese where the script changes.

    Without a dictionary: runs of kanji with the hiragana that ends them, of katakana, of hiragana; a
    particle after kanji or katakana is a word of its own. Raises QueryError for none or too many.
    """
    found = [m.span() for m in _PIECES.finditer(text) if any(c.isalnum() for c in m[0])]
    if not found:
        raise QueryError("there are no words to explain; say what the picture should show", text=text)
    if len(found) > MAX_WORDS:
        raise QueryError(
            f"{len(found):,} words are too many to leave out one by one; give {MAX_WORDS} or fewer", text=text
        )
    return found


def shown(piece: str) -> str:
    """The word without punctuation at its ends; inches keep their mark."""
    return piece.strip(",.;:!?()")


def without(text: str, span: tuple[int, int]) -> str:
    """The text less one word, with no space twice; "" where it was the only one."""
    return " ".join((text[: span[0]] + text[span[1] :]).split())


def neutral_prompts(text: str) -> tuple[str, ...]:
    """What is true of any picture, in English, or in Japanese where the text has kana or kanji."""
    return _NEUTRAL_JA if re.search(f"[{_CJK}]", text) else _NEUTRAL
