"""Paths as catalogues write them: in other systems' spellings, and never out of the folder. Opens no file."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path


class Inside:
    """Says whether a path leads into the folder; every folder on the way is resolved once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._resolved: dict[Path, Path] = {}

    def __call__(self, path: Path) -> bool:
        if "\0" in str(path):
            return True  # no file has such a name, so nothing will be opened
        folder = self._resolved.get(path.parent)
        if folder is None:
            folder = self._resolved[path.parent] = path.parent.resolve()
        real = folder / path.name
        if path.name == ".." or real.is_symlink():
            real = real.resolve()
        return real.is_relative_to(self.folder)


def located(root: Path, text: str) -> Path:
    """The path below the root: as written, or in another spelling if only that is there."""
    paths = [root / spelling for spelling in spellings(text)]
    return paths[0] if len(paths) == 1 else next(filter(exists, paths), paths[0])


def exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False


def spellings(text: str) -> list[str]:
    """The path, and how other systems would have written it: Windows' backslashes, macOS' decomposed kana."""
    found = [text]
    if os.sep == "/" and "\\" in text:
        found.append(text.replace("\\", "/"))
    if not text.isascii():
        found += [unicodedata.normalize(form, each) for form in ("NFC", "NFD") for each in tuple(found)]
    return list(dict.fromkeys(found))
