"""Pictures named by URLs: a list in a text file, or single ones. Fetches nothing until a picture is read.

The records' keys are the URLs, without user and password; see `elsewhere` for what a URL is worth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clipsearch.errors import SourceError
from clipsearch.types import ImageFile
from indexer.sources.addresses import fault, origin, without_credentials
from indexer.sources.elsewhere import Elsewhere
from indexer.sources.folder import WithoutColumns
from indexer.sources.source import SourceOptions
from indexer.sources.unique import Unique

_COMMENT = "#"
_MAX_LINE = 100_000  # bytes


def open_url_list(path: Path, options: SourceOptions) -> UrlListSource:
    """The URLs of a text file, one a line; empty lines and those that begin with # are none.

    Raises SourceError for a file that cannot be read or has no http(s) URL in it.
    """
    return UrlListSource(path, options)


def open_url(url: str, options: SourceOptions) -> UrlSource:
    """One picture on the web. Raises SourceError for what is no URL."""
    wrong = fault(url)
    if wrong:
        raise SourceError(f"{without_credentials(url)[:200]} cannot be fetched: {wrong}; check the address")
    return UrlSource(url, options)


class UrlSource(WithoutColumns):
    """One URL; never all there is, so nothing is gone. Its source is its host."""

    def __init__(self, url: str, options: SourceOptions) -> None:
        super().__init__()
        self._url, self._elsewhere = url, Elsewhere(options)
        self.name, self.named = options.name or origin(url), options.name is not None
        self.n_files = self.n_readers = 1

    def files(self) -> Iterator[ImageFile]:
        """The one."""
        yield self._elsewhere.file(self.name, without_credentials(self._url), self._url)


class UrlListSource(WithoutColumns):
    """The URLs in the file's order; the file is read line by line, twice, and not held in memory."""

    def __init__(self, path: Path, options: SourceOptions) -> None:
        super().__init__()
        self.path = path.resolve()
        self.name, self.named = options.name or str(self.path), options.name is not None
        self._elsewhere = Elsewhere(options)
        self._again: frozenset[int] = frozenset()  # numbers of lines that repeat one before
        self.n_files = self._looked_through()
        self.complete = True

    def files(self) -> Iterator[ImageFile]:
        """A picture for each URL."""
        for line in self._lines():
            if not line.wrong and line.number not in self._again:
                key = without_credentials(line.text)
                yield self._elsewhere.file(self.name, key, line.text)

    def _looked_through(self) -> int:
        """The number of pictures; what is left out is told."""
        keys, wrong, n_wrong = Unique(), list[_Line](), 0
        for line in self._lines():
            if line.wrong:
                n_wrong += 1
                wrong = wrong or [line]
                continue
            keys.add(without_credentials(line.text))
            self._elsewhere.meet(line.text)
        if not len(keys):
            raise SourceError(self._nothing(wrong))
        named = ((without_credentials(x.text), x.number) for x in self._lines() if not x.wrong)
        self._again = frozenset(number for _, _, number in keys.repeated(named))
        self.n_readers = self._elsewhere.n_readers
        self.notes += self._told(n_wrong, wrong)
        return len(keys) - len(self._again)

    def _told(self, n_wrong: int, wrong: list[_Line]) -> list[str]:
        notes = []
        if n_wrong:
            first = f"line {wrong[0].number}, {wrong[0].shown!r}: {wrong[0].wrong}"
            notes.append(f"{n_wrong:,} lines of {self.path} are left out, as no URLs to fetch; {first}")
        if self._again:
            notes.append(f"{len(self._again):,} lines of {self.path} repeat a URL and are left out")
        return notes

    def _nothing(self, wrong: list[_Line]) -> str:
        if wrong:
            return (
                f"{self.path} has no http(s) URL in it; line {wrong[0].number} is {wrong[0].shown!r}: "
                f"{wrong[0].wrong}. Write one URL a line"
            )
        return f"{self.path} has no URL in it; write one a line, such as https://example.org/photo.jpg"

    def _lines(self) -> Iterator[_Line]:
        """What is on each line that is neither empty nor a comment."""
        try:
            with self.path.open("rb") as file:
                number = 0
                while raw := file.readline(_MAX_LINE):
                    number += 1
                    text = raw.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape").strip()
                    if text and not text.startswith(_COMMENT):
                        yield _Line(number, text, self._elsewhere.wrong(text))
        except OSError as exc:
            raise SourceError(
                f"{self.path} cannot be read: {exc.strerror or exc}; check its permissions"
            ) from exc


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    wrong: str  # why it is no URL, or ""

    @property
    def shown(self) -> str:
        return without_credentials(self.text)[:200].encode("utf-8", "backslashreplace").decode()
