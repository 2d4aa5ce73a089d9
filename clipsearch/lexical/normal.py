"""Text brought to one spelling: letter case, width, dashes, signs of measure, long vowels. Cuts no words."""

from __future__ import annotations

import re
import unicodedata

# Signs that people use for one another, before NFKC, which would make two primes of ″ and 11/2 of 1½.
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("″“”„‟〃＂", '"'),
        **dict.fromkeys("′‘’‚＇", "'"),
        **dict.fromkeys("×✕✖⨯╳", "x"),
        **dict.fromkeys("⌀∅φΦϕΦ", "ø"),  # diameters, as they are written in Japan too
        **dict.fromkeys("‐‑‒–—−﹣", "-"),
        "⁄": "/",
        "・": " ",  # between foreign words
        "〜": "~",
    }
)
_FRACTION = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")
_LONG_VOWEL = re.compile(r"(?<=[ァ-ヺ])[-―─]+")  # dashes and hyphens that stand for ー
# 6 x 10, 6 X 10, 6*10 and 6 × 10 are 6x10.
_TIMES = re.compile(r"(?<=\d) *[x*] *(?=\d)")


def normal(text: str) -> str:
    """The text in one spelling: equal for M8×40, Ｍ８ｘ４０ and m8 X 40."""
    if text.isascii():
        plain = text.lower()
    else:
        plain = _FRACTION.sub(" ", text.translate(_SIGNS))
        plain = unicodedata.normalize("NFKC", plain).translate(_SIGNS).casefold()
        plain = _LONG_VOWEL.sub("ー", plain)
    return _TIMES.sub("x", plain) if "x" in plain or "*" in plain else plain


def singular(word: str) -> str:
    """The English word without its plural ending: the S stemmer of Harman (1991), and -es after a hiss.

    Both sides are treated alike, so a word that only looks like a plural still finds itself.
    """
    if len(word) < 4 or word[-1] != "s" or word[-2] in "us":
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else word[:-3] + "y"
    if word.endswith(("shes", "ches", "xes", "sses", "zes")):
        return word[:-2]
    return word[:-1]
