"""Which files a picture's tags stand in: x.jpg.xmp and x.xmp, and whose x.xmp is.

Looks at names and kinds of files. Reads none and writes none.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from clipsearch.images import SUFFIXES
from clipsearch.tagging.sidecars.packet import Refused

Style: TypeAlias = Literal["x.jpg.xmp", "x.xmp"]
"""How a sidecar is named after its picture."""

_SUFFIX = ".xmp"
_RAW = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".kdc", ".mef"),
    *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw"),
    ".x3f",
)
_FILMS = (".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".webm", ".wmv")
_PICTURES = SUFFIXES | {*_RAW, *_FILMS, ".jxl", ".psb"}  # what other programs have sidecars for
_MOST_FOLDERS = 64  # whose names are kept


@dataclass(frozen=True, slots=True)
class Place:
    """target: what is written. appended: x.jpg.xmp, replaced: x.xmp, where they are there and this picture's
    own.
    """

    target: Path
    appended: Path | None
    replaced: Path | None


@dataclass(frozen=True, slots=True)
class _Folder:
    sidecars: Mapping[str, tuple[str, ...]]  # names that end in .xmp, by themselves in lower case
    sharing: Mapping[str, tuple[str, ...]]  # pictures, by their name without suffix in lower case


class Places:
    """Where sidecars are. Keeps the names in the folders it looked into: for one run."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self._folders: dict[Path, _Folder] = {}

    def of(self, picture: Path) -> Place:
        """Where this picture's tags stand. Raises Refused where it has no place that is its own."""
        try:
            is_file = stat.S_ISREG(picture.stat().st_mode)
        except (OSError, ValueError):
            is_file = False
        if not is_file:
            raise Refused("there is no such picture file")
        folder = self._folder(picture.parent)
        others = [name for name in folder.sharing.get(_stem(picture), ()) if name != picture.name]
        longer = folder.sharing.get(_stem(Path(picture.stem)), ())  # x.jpg.xmp is x.jpg's, not x.jpg.png's
        others += [name for name in longer if name.casefold() == picture.stem.casefold()]
        appended = _there(picture.parent, folder, picture.name + _SUFFIX)
        replaced = None if others else _there(picture.parent, folder, picture.stem + _SUFFIX)
        if self.style == "x.jpg.xmp" and picture.suffix:
            return Place(appended or picture.with_name(picture.name + _SUFFIX), appended, replaced)
        if others:
            raise Refused(
                f"{picture.stem}{_SUFFIX} would be the sidecar of {', '.join(sorted(others)[:3])} too"
            )
        return Place(replaced or picture.with_name(picture.stem + _SUFFIX), appended, replaced)

    def _folder(self, path: Path) -> _Folder:
        if path not in self._folders:
            while len(self._folders) >= _MOST_FOLDERS:
                del self._folders[next(iter(self._folders))]
            self._folders[path] = _names_in(path)
        return self._folders[path]


# --- parts ---------------------------------------------------------------------------------------


def _stem(path: Path) -> str:
    return path.stem.casefold()


def _names_in(path: Path) -> _Folder:
    sidecars: dict[str, list[str]] = {}
    sharing: dict[str, list[str]] = {}
    for name in os.listdir(path):  # noqa: PTH208 - names are all that is wanted of 200,000 of them
        stem, suffix = os.path.splitext(name)  # noqa: PTH122
        if suffix.lower() == _SUFFIX:
            sidecars.setdefault(name.casefold(), []).append(name)
        elif suffix.lower() in _PICTURES:
            sharing.setdefault(stem.casefold(), []).append(name)
    return _Folder(
        {key: tuple(names) for key, names in sidecars.items()},
        {key: tuple(names) for key, names in sharing.items()},
    )


def _there(parent: Path, folder: _Folder, name: str) -> Path | None:
    """The sidecar of that name, or the only one that ends in .XMP instead. Raises Refused for a link."""
    stem = name[: -len(_SUFFIX)]
    names = [one for one in folder.sidecars.get(name.casefold(), ()) if one[: -len(_SUFFIX)] == stem]
    for one in sorted({name, *names}, key=lambda one: (one != name, one)):
        path = parent / one
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "no file"
            raise Refused(f"{one} is {kind}; sidecars are written in plain files only")
        return path
    return None
