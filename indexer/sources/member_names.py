"""The names of an archive's members: which encoding they are in, and what makes them harmless."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

from clipsearch.errors import SourceError

_JAPANESE = re.compile(r"[\u3005-\u30ff\u3400-\u9fff\uff66-\uff9f]")
_MAX_CHARACTERS, _MAX_FOLDERS = 4096, 200


def decoded(names: Sequence[bytes], encoding: str | None) -> list[str]:
    """The names as text. encoding: what the user says the names are in that are not UTF-8.

    Without it they are taken as Japanese (cp932, what Windows writes) where that gives words, and
    else as cp437, what a zip's names are by its standard.
    """
    foreign = [name for name in names if not _is_utf8(name)]
    if not foreign:
        return [name.decode("utf-8") for name in names]
    chosen = encoding or ("cp932" if _is_japanese(foreign) else "cp437")
    return [_as_text(name, chosen) for name in names]


def check_encoding(encoding: str | None) -> None:
    """Raise SourceError for what is no encoding."""
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError:
        raise SourceError(f"there is no encoding {encoding!r}; common ones: cp932, latin-1") from None


def harmless(name: str) -> str:
    """The name without a way out of the archive: never absolute, no '..', no empty step.

    '' for one that is no name. A path made of the archive's and this leads nowhere else even where
    it is tidied up.
    """
    steps = [step for step in name.replace("\0", "").split("/") if step not in ("", ".")]
    if len(name) > _MAX_CHARACTERS or len(steps) > _MAX_FOLDERS:
        return ""
    return "/".join("%2E%2E" if step == ".." else step for step in steps)


def _as_text(name: bytes, encoding: str) -> str:
    return name.decode("utf-8") if _is_utf8(name) else name.decode(encoding, "surrogateescape")


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_japanese(names: Sequence[bytes]) -> bool:
    """Whether, read as cp932, most Japanese characters stand beside another.

    A western name read so has one here and there: cp437's 'château' would be 'chフeau'.
    """
    try:
        texts = [name.decode("cp932") for name in names]
    except UnicodeDecodeError:
        return False
    runs = [len(run) for text in texts for run in re.findall(f"{_JAPANESE.pattern}+", text)]
    return 2 * sum(n for n in runs if n > 1) > sum(runs)
