"""A vocabulary's file as text: its size, its encoding, what it is if it is no text; and how its errors read.

Knows no format.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from clipsearch.errors import VocabularyError

MAX_BYTES = 64 << 20  # 200,000 labels with words in ten languages are about half of it

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # "Unicode" as Windows saves it
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_GUESSES = (("euc-jp", "Japanese Unix"), ("cp932", "Japanese Windows"), ("cp1252", "Western Windows"))
_NO_TEXT = (
    (b"PK\x03\x04", "a zip file: Excel, Numbers or Word? Save it from there as CSV UTF-8 or as plain text"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file; save it from there as CSV UTF-8 or as plain text"),
    (b"{\\rtf", "rich text; save it as plain text, UTF-8"),
    (b"%PDF", "a PDF; copy its words into a plain text file, a tag on each line"),
    (b"\x1f\x8b", "compressed; unpack it first (gunzip)"),
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a vocabulary comes from, for messages: "tags.txt, line 7: …"."""

    source: str
    unit: str = "line"

    def error(self, line: int, reason: str) -> VocabularyError:
        """The error to raise; line 0: not of one line."""
        where = f", {self.unit} {line}" if line else ""
        return VocabularyError(f"{self.source}{where}: {reason}", line=line)


def text_of(path: Path, origin: Origin, *, encoding: str | None = None) -> str:
    """The file's text, lines ended by "\\n". UTF-8, or UTF-16 with its mark; encoding: what it says it is.

    Raises VocabularyError: unreadable, over MAX_BYTES, no text, not UTF-8, a control character.
    """
    data = bytes_of(path, origin)
    text = _decoded(data, origin, encoding)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = _CONTROL.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise origin.error(
            line,
            f"holds the control character U+{ord(found[0]):04X}; no word has one. Delete it, or "
            "save the file again as plain text in UTF-8",
        )
    return text


def bytes_of(path: Path, origin: Origin) -> bytes:
    """The file's bytes. Raises VocabularyError: unreadable, over MAX_BYTES, no text."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise origin.error(0, f"cannot be read: {exc.strerror or exc}; check the path") from exc
    if len(data) > MAX_BYTES:
        raise origin.error(
            0, f"is larger than {MAX_BYTES >> 20} MB, which no vocabulary is; is it the right file?"
        )
    for mark, what in _NO_TEXT:
        if data.startswith(mark):
            raise origin.error(0, f"is {what}")
    return data


def _decoded(data: bytes, origin: Origin, encoding: str | None) -> str:
    if data.startswith(_UTF16_MARKS):
        encoding = "utf-16"
    try:
        return data.decode(encoding or "utf-8-sig").removeprefix("\ufeff")
    except LookupError:
        raise origin.error(1, f"says it is in {encoding!r}, which is no encoding; save it in UTF-8") from None
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        if encoding:
            raise origin.error(line, f"is not in {encoding}, as it says; save it in UTF-8") from exc
        raise origin.error(line, _not_utf8(data, exc.start)) from exc


def _not_utf8(data: bytes, start: int) -> str:
    what = f"is not UTF-8: byte 0x{data[start]:02x}"
    for name, people in _GUESSES:
        try:
            data.decode(name)
        except UnicodeDecodeError:
            continue
        if name != "cp932" or _is_japanese(data):
            return (
                f"{what}. It may be {people} ({name}): open it as that and save it as UTF-8, or "
                f"run: iconv -f {name} -t utf-8 OLD > NEW"
            )
    return f"{what}. Save it again as UTF-8"


def _is_japanese(data: bytes) -> bool:
    """Whether most bytes above ASCII begin kana and common kanji in cp932, not accented letters in cp1252."""
    return len(re.findall(rb"[\x81-\x9f]", data)) > len(re.findall(rb"[\xc0-\xff]", data))
