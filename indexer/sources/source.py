"""What every source gives, and how one is read. Knows no particular kind of source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clipsearch.types import FieldKind, ImageFile, Payload

TIMEOUT_S, MAX_BYTES, N_CONNECTIONS, N_PER_HOST = 30.0, 64 << 20, 64, 8  # of what is fetched
_MISSING = -1  # n_bytes of a picture that cannot be had


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to read a source; the catalogue's own only matter for a catalogue."""

    image_columns: Sequence[str] = ()
    id_column: str | None = None
    list_columns: Sequence[str] = ()  # their cells hold several values: a;b
    image_root: Path | None = None  # what relative paths of a catalogue are relative to
    encoding: str | None = None
    name: str | None = None  # keeps ids where the source moves to another folder
    hidden: bool = False
    allow_outside: bool = False
    include: Sequence[str] = ()  # patterns as in .gitignore: only pictures that match one
    exclude: Sequence[str] = ()  # and none that match one of these
    allow_private: bool = False  # fetch from this machine's own network, too
    per_host_delay_s: float = 0.0  # between the beginnings of two requests to one host
    timeout_s: float = TIMEOUT_S  # for one picture from its address to its last byte
    max_bytes: int = MAX_BYTES  # of one picture over the network
    n_connections: int = N_CONNECTIONS  # at once, to all hosts together
    n_per_host: int = N_PER_HOST

    def for_catalogues_only(self) -> list[str]:
        """The options given that mean nothing for a folder or a picture, which no address is met in."""
        given = {
            "--image-column": self.image_columns,
            "--id-column": self.id_column,
            "--list-column": self.list_columns,
            "--image-root": self.image_root,
            "--encoding": self.encoding,
            "--allow-outside": self.allow_outside,
            "--allow-private": self.allow_private,
            "--host-delay": self.per_host_delay_s,
            "--timeout": self.timeout_s != TIMEOUT_S,
            "--max-bytes": self.max_bytes != MAX_BYTES,
            "--connections": self.n_connections != N_CONNECTIONS,
            "--connections-per-host": self.n_per_host != N_PER_HOST,
        }
        return [option for option, value in given.items() if value]


class Source(Protocol):
    """Pictures to index. name is part of every id, so it must not change between runs."""

    name: str
    named: bool  # by the user, who thereby says that these are, or are not, the records of that name
    notes: list[str]  # what was decided for the user; complete when files() has ended

    @property
    def n_files(self) -> int | None:
        """How many pictures there are; None as long as that is not known."""

    @property
    def n_other(self) -> int:
        """Files passed over because their names are no picture's."""

    @property
    def complete(self) -> bool:
        """After files(): it saw all there is, so records it did not give are gone."""

    @property
    def n_readers(self) -> int:
        """Reads at once that pay; 0: reading is quick, and whoever decodes may do it."""

    @property
    def parts(self) -> Sequence[Source]:
        """The sources this one is made of, each with a name of its own; itself, where it is one."""

    @property
    def fields(self) -> Mapping[str, FieldKind]:
        """The user's columns and their kinds."""

    def conform(self, declared: Mapping[str, FieldKind], *, collection: str) -> None:
        """Take on the kinds that a collection's fields have. SourceError for a value that does not fit."""

    def files(self) -> Iterator[ImageFile]:
        """Every picture, in a stable order; one that cannot be had has n_bytes -1."""


def is_missing(file: ImageFile) -> bool:
    """Whether the picture was not there when it was looked for."""
    return file.n_bytes == _MISSING


def image_file(source: str, key: str, path: Path, metadata: Payload | None = None) -> ImageFile:
    """The picture at a path as it is now, by one stat."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return ImageFile(source, key, str(path), _MISSING, 0, metadata or {})
    return ImageFile(source, key, str(path), status.st_size, status.st_mtime_ns, metadata or {})
