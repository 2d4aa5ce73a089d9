"""What the user leaves out: --include, --exclude and .clipsearchignore files. Walks no folder.

Patterns are those of .gitignore. The last that matches decides, and the nearer has the last word:
a folder's file before that of the folder above it, --exclude before all of them. What is below an
excluded folder cannot be taken back in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pathspec import GitIgnoreSpec

from clipsearch.errors import SourceError
from indexer.sources.source import SourceOptions

IGNORE_FILE = ".clipsearchignore"
MAX_IGNORE_BYTES = 1024 * 1024

ReadIgnoreFile = Callable[[str], str | None]
"""From a folder below the source ("" for the source itself) to the text of its .clipsearchignore."""


class Rules:
    """Says what is left out of one source. Paths are relative to it, with slashes."""

    def __init__(self, options: SourceOptions, read: ReadIgnoreFile = lambda folder: None) -> None:
        """Raises SourceError for a pattern that is none; for one in a file, when its folder is met."""
        self._read = read
        self._exclude = _spec(options.exclude, "--exclude")
        self._include = _spec(options.include, "--include") if options.include else None
        self._layers: dict[str, tuple[tuple[str, GitIgnoreSpec], ...]] = {}
        self._folders: dict[str, bool] = {"": False}

    def leaves_out_folder(self, path: str) -> bool:
        """Whether nothing below the folder is taken. Asked from the top downwards."""
        known = self._folders.get(path)
        if known is None:
            known = self._folders[path] = self.leaves_out_folder(_parent(path)) or self._excludes(f"{path}/")
        return known

    def leaves_out(self, path: str) -> bool:
        """Whether a file is left out, by itself or with one of its folders."""
        if self.leaves_out_folder(_parent(path)) or self._excludes(path):
            return True
        return self._include is not None and not self._include.match_file(path)

    def _excludes(self, path: str) -> bool:
        """What the last matching pattern says; a folder's path ends with a slash."""
        said = self._exclude.check_file(path).include
        if said is not None:
            return said
        for folder, spec in self._layers_of(_parent(path.rstrip("/"))):
            said = spec.check_file(path[len(folder) :]).include
            if said is not None:
                return said
        return False

    def _layers_of(self, folder: str) -> tuple[tuple[str, GitIgnoreSpec], ...]:
        """(prefix of the paths, patterns) of the ignore files that count in a folder, nearest first."""
        layers = self._layers.get(folder)
        if layers is None:
            above = self._layers_of(_parent(folder)) if folder else ()
            text = self._read(folder)
            if text is not None:
                spec = _spec(text.removeprefix("\ufeff").splitlines(), f"{folder}/{IGNORE_FILE}".lstrip("/"))
                above = ((f"{folder}/" if folder else "", spec), *above)
            layers = self._layers[folder] = above
        return layers


class LeftOut:
    """Counts what the rules leave out, for one note."""

    def __init__(self) -> None:
        self.n_files = self.n_folders = 0

    def note(self, where: str) -> list[str]:
        """The note, if there is something to say."""
        counts = ((self.n_files, "files"), (self.n_folders, "folders"))
        if not (said := " and ".join(f"{n:,} {what}" for n, what in counts if n)):
            return []
        return [f"left out of {where} by --include, --exclude or {IGNORE_FILE}: {said}"]


def _spec(patterns: Iterable[str] | Sequence[str], where: str) -> GitIgnoreSpec:
    patterns = list(patterns)
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as exc:
        raise SourceError(
            f"{where}: {exc}; patterns are those of .gitignore, such as *.png, /drafts/ or !keep.jpg"
        ) from exc


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
