"""What a tag's words may be: checked, with one form for one word. Knows no file format and no hierarchy."""

from __future__ import annotations

import re
import unicodedata

from clipsearch.tagging.vocabulary.source import Origin

MAX_LETTERS = 200  # of a name; a text encoder reads 60 to 300 letters, a tag in XMP is a few words
MAX_PROMPT_LETTERS = 1_000
SEPARATOR = "|"  # between the levels of a path, as in lr:hierarchicalSubject

_SPACES = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f]+")  # all but the full-width one, U+3000
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_NAMES = {"\n": "a line break", "\t": "a tab"}


def folded(name: str) -> str:
    """The name as names are compared: letter case and Unicode's ways of writing aside."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def word_of(text: str, origin: Origin, line: int, *, what: str = "a tag's name") -> str:
    """The word in NFC, spaces single and none at its ends; full-width spaces inside stay.

    Raises VocabularyError for an empty or over-long one and for characters that no tag can have.
    """
    word = _tidy(text)
    if not word:
        raise origin.error(line, f"{what} is empty; write a word or delete it")
    _check_characters(word, origin, line, what)
    if SEPARATOR in word:
        raise origin.error(
            line,
            f"{word!r} holds '|', which stands between the levels of a path (animal|dog), so {what} "
            "cannot have it; write it without",
        )
    if "\uff5c" in word:
        raise origin.error(
            line, f"{word!r} holds the full-width '｜'; type '|' in half width for the levels of a path"
        )
    if len(word) > MAX_LETTERS:
        raise origin.error(
            line,
            f"{what} has {len(word)} letters, {MAX_LETTERS} at most: {word[:40]!r}…; is a line break or a "
            "quotation mark missing? A description is a prompt",
        )
    return word


def prompt_of(text: str, origin: Origin, line: int, *, what: str = "a prompt") -> str:
    """A sentence to be embedded, tidy. Raises VocabularyError for an empty or over-long one."""
    prompt = _tidy(text.replace("\n", " "))
    if not prompt:
        raise origin.error(line, f"{what} is empty; write a sentence or delete it")
    _check_characters(prompt, origin, line, what)
    if len(prompt) > MAX_PROMPT_LETTERS:
        raise origin.error(
            line, f"{what} has {len(prompt)} letters, {MAX_PROMPT_LETTERS} at most: {prompt[:40]!r}…"
        )
    return prompt


def _tidy(text: str) -> str:
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    return _SPACES.sub(" ", text).strip()


def _check_characters(word: str, origin: Origin, line: int, what: str) -> None:
    found = _INVISIBLE.search(word)
    if found:
        letter = found[0]
        named = _NAMES.get(letter) or f"U+{ord(letter):04X} ({unicodedata.name(letter, 'control character')})"
        raise origin.error(line, f"{what}, {word!r}, holds {named}, which nobody sees; delete it")
    if "\ufffd" in word:
        raise origin.error(
            line,
            f"{word!r} holds U+FFFD, which stands for a letter that was lost when the file was saved; "
            "type it again",
        )
