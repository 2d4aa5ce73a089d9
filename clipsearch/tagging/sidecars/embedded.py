"""Tags in pictures themselves, by ExifTool: the XMP packet read out, merged as a sidecar's is, and put back.

ExifTool copies a packet as it stands, unknown namespaces too, so that it needs no configuration for ours.
IPTC keywords are never changed; a picture whose IPTC keywords are not all in dc:subject is refused, because
programs that read IPTC only where there is no dc:subject would lose sight of them. Owns the calls
of ExifTool.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from clipsearch.errors import TaggingError
from clipsearch.tagging.journal import Journal
from clipsearch.tagging.sidecars import writing
from clipsearch.tagging.sidecars.changes import Change
from clipsearch.tagging.sidecars.files import look_like, refuse_protected, why
from clipsearch.tagging.sidecars.merging import merged
from clipsearch.tagging.sidecars.packet import Refused, parse
from clipsearch.tagging.sidecars.planning import by_picture
from clipsearch.tagging.sidecars.standing import standing
from clipsearch.tagging.vocabulary.words import folded
from clipsearch.types import Tag

KIND = "embedded"  # of a journal's entries
_END = re.compile(rb"(<\?xpacket end=[\"'])r(?=[^<]*$)")  # ExifTool sets it by what the format allows


class Embedded:
    """One run's tags, written into pictures. A context manager: ExifTool runs inside."""

    def __init__(self, journal: Journal | None, *, model: str, run: str = "") -> None:
        """journal None: nothing can be written, only planned."""
        self._journal, self._model = journal, model
        self._run = journal.run if journal is not None else run or "dry-run"
        self._tool = _Tool()

    def __enter__(self) -> Self:
        """Raises TaggingError where ExifTool or PyExifTool is missing."""
        self._tool.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tool.stop()

    def plan(self, pictures: Iterable[tuple[str | Path, Sequence[Tag]]]) -> Iterator[Change]:
        """A change for every picture, before and after being XMP packets. Writes nothing."""
        for picture, tags in by_picture(pictures).items():
            yield self._planned(Path(picture), tags)

    def write(self, changes: Iterable[Change]) -> Iterator[Change]:
        """The changes, when they are noted and on the disk; `refused` says why one is not.

        A picture keeps its times and its mode. Raises TaggingError where the journal cannot be written.
        """
        if self._journal is None:
            raise TaggingError(
                "tags are written into pictures only with a journal, so that they can be undone"
            )
        return writing.written(self._journal, KIND, changes, self._tool.put, threads=1)

    def _planned(self, picture: Path, tags: Sequence[Tag]) -> Change:
        try:
            before = self._tool.read(picture)
            iptc = {folded(word): word for word in self._tool.iptc(picture)}
            found = merged(before, tags, model=self._model, run=self._run, taken=frozenset(iptc))
            now = standing(None if before is None else parse(before))
            hidden = [word for name, word in iptc.items() if name not in now.human_names]
        except (Refused, OSError) as error:
            return Change(picture, picture, refused=why(error))
        if hidden and found.added:
            reason = (
                f"its IPTC keywords ({', '.join(hidden[:3])}) are not in dc:subject, and would be hidden by "
                "ours; copy them first: exiftool -addtagsfromfile @ '-XMP-dc:Subject<IPTC:Keywords' FILE"
            )
            return Change(picture, picture, before, refused=reason)
        after = None if found.after == before else found.after
        return Change(
            picture, picture, before, after, found.added, found.removed, found.ours, None, found.notes
        )


def undo_embedded(journal: Journal) -> Iterator[writing.Undone]:
    """Take the run's packets out of the pictures again. Raises TaggingError where ExifTool is missing."""
    if next(journal.noted(KIND), None) is None:
        return
    tool = _Tool()
    tool.start()
    try:
        yield from writing.undone(journal, KIND, tool.read, tool.put)
    finally:
        tool.stop()


# --- ExifTool ------------------------------------------------------------------------------------


class _Tool:
    """One ExifTool process, asked for one picture after the other."""

    def __init__(self) -> None:
        self._process: Any = None

    def start(self) -> None:
        try:
            import exiftool
        except ImportError as error:
            raise TaggingError(
                "tags are embedded by ExifTool, and PyExifTool is not installed: "
                "pip install 'clipsearch[exiftool]'"
            ) from error
        found = shutil.which("exiftool")
        if found is None:
            raise TaggingError(
                "tags are embedded by ExifTool, and there is no program exiftool; install it (Debian: apt "
                "install libimage-exiftool-perl; macOS: brew install exiftool; else https://exiftool.org) or "
                "write sidecars"
            )
        try:
            self._process = exiftool.ExifTool(executable=found, common_args=[], encoding="utf-8")
            self._process.run()
        except Exception as error:
            self._process = None
            raise TaggingError(f"ExifTool at {found} does not start: {error}") from error

    def stop(self) -> None:
        if self._process is not None and self._process.running:
            self._process.terminate()

    def read(self, picture: Path) -> bytes | None:
        """The picture's XMP packet; None where it has none. Raises Refused for what is no picture file."""
        try:
            is_plain = stat.S_ISREG(picture.lstat().st_mode)
        except (OSError, ValueError):
            is_plain = False
        if not is_plain:
            raise Refused("there is no such picture file, or it is a link")
        with _named_safely(picture) as (path, _):
            return self._packet(path)

    def iptc(self, picture: Path) -> list[str]:
        """The picture's IPTC keywords."""
        with _named_safely(picture) as (path, _):
            raw = self._ask("-b", "-sep", "\n", "-charset", "iptc=UTF8", "-IPTC:Keywords", str(path))
        return [word for word in raw.decode("utf-8", "replace").split("\n") if word.strip()]

    def put(self, picture: Path, fresh: bytes | None, expected: bytes | None) -> None:
        """Make this the picture's packet; the picture is replaced whole, when the new one was read back."""
        if self.read(picture) != expected:
            raise Refused(f"{picture.name} was changed by something else in the meantime; run this again")
        refuse_protected(picture)
        with _named_safely(picture) as (path, folder):
            beside = folder / f".clipsearch-{uuid4().hex[:8]}{path.suffix}"
            try:
                self._write(path, beside, fresh)
                with beside.open("rb+") as file:
                    os.fsync(file.fileno())
                look_like(picture, beside)
                beside.replace(folder / picture.name)
            finally:
                beside.unlink(missing_ok=True)

    def _write(self, path: Path, beside: Path, fresh: bytes | None) -> None:
        """A copy of the picture with this packet. Raises Refused where it cannot be read back."""
        with tempfile.TemporaryDirectory() as scratch:
            packet = Path(scratch) / "packet.xmp"
            packet.write_bytes(fresh or b"")
            source = f"-xmp<={_literal(packet)}" if fresh is not None else "-xmp:all="
            self._ask(source, "-o", _literal(beside), str(path))
        said = self._process.last_stderr.decode("utf-8", "replace").partition(" - /")[0].strip()
        if not beside.is_file():
            raise Refused(f"ExifTool cannot write it: {said or 'it does not say why'}")
        if self._packet(beside) != fresh:
            raise Refused("ExifTool does not give back the XMP that it was given")

    def _packet(self, path: Path) -> bytes | None:
        packet = self._ask("-b", "-xmp", str(path))
        if b"HasExtendedXMP" in packet:
            raise Refused("its XMP goes on in a second part, which would be lost")
        return _END.sub(rb"\1w", packet) or None

    def _ask(self, *arguments: str) -> bytes:
        """What ExifTool answers. Raises Refused where it is gone."""
        try:
            encoded = [os.fsencode(argument) for argument in arguments]
            raw: bytes = self._process.execute(*encoded, raw_bytes=True)
        except Exception as error:
            raise Refused(f"ExifTool failed: {error}") from error
        return raw


@contextmanager
def _named_safely(picture: Path) -> Iterator[tuple[Path, Path]]:
    """Paths of the picture and its folder that ExifTool takes as they are: it is asked line by line."""
    if os.name != "posix":
        yield picture, picture.parent
        return
    with tempfile.TemporaryDirectory() as scratch:
        suffix = picture.suffix if picture.suffix[1:].isalnum() and picture.suffix.isascii() else ""
        link, folder = Path(scratch) / f"picture{suffix}", Path(scratch) / "folder"
        link.symlink_to(picture)
        folder.symlink_to(picture.parent, target_is_directory=True)
        yield link, folder


def _literal(path: Path) -> str:
    """The path where ExifTool would take % for a part of a name."""
    return str(path).replace("%", "%%")
