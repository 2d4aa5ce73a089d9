"""A run's changes made in batches, each noted before it is made; and taken back.

Knows how to read and put a packet only through the functions it is given: sidecars and pictures alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from clipsearch.files import sync_folder
from clipsearch.tagging.journal import Journal
from clipsearch.tagging.sidecars import recording
from clipsearch.tagging.sidecars.changes import Change
from clipsearch.tagging.sidecars.files import why
from clipsearch.tagging.sidecars.merging import taken_back
from clipsearch.tagging.sidecars.packet import Refused, parse
from clipsearch.tagging.sidecars.standing import standing

Read = Callable[[Path], bytes | None]
Put = Callable[[Path, bytes | None, bytes | None], None]
_BATCH = 128  # changes noted with one fsync
_THREADS = 8  # which wait for the disk


@dataclass(frozen=True, slots=True)
class Undone:
    """What taking a run back did to one file.

    restored: it is byte for byte (an embedded packet too) what it was, or gone if there was none.
    partly: it was edited since; only the run's tags are out. untouched: nothing of the run is in it.
    superseded: a later run changed it; that one's tags stay, and the reason names it. refused: see reason.
    """

    path: Path
    state: Literal["restored", "partly", "untouched", "superseded", "refused"]
    reason: str = ""


def written(
    journal: Journal, kind: str, changes: Iterable[Change], put: Put, *, threads: int = _THREADS
) -> Iterator[Change]:
    """The changes as they were given, when they are on the disk; refused where that failed.

    Raises TaggingError where the journal cannot be written.
    """
    rest = iter(changes)
    with ThreadPoolExecutor(threads) as pool:
        while batch := list(islice(rest, _BATCH)):
            needed = [change for change in batch if change.is_needed]
            if needed:
                recording.note(journal, kind, needed)
            made = pool.map(lambda change: _made(change, put), batch)
            done = list(made)
            _sync({change.sidecar.parent for change in needed})
            yield from done


def undone(journal: Journal, kind: str, read: Read, put: Put) -> Iterator[Undone]:
    """Take the run's changes of that kind back, one file after the other. Harmless where that was done."""
    for one in recording.noted(journal, kind):
        try:
            yield _taken_back(one, journal.run, read, put)
        except (Refused, OSError) as error:
            yield Undone(one.path, "refused", why(error))


# --- parts ---------------------------------------------------------------------------------------


def _made(change: Change, put: Put) -> Change:
    if not change.is_needed:
        return change
    try:
        put(change.sidecar, change.after, change.before)
    except (Refused, OSError) as error:
        return replace(change, refused=why(error))
    return change


def _taken_back(one: recording.Noted, run: str, read: Read, put: Put) -> Undone:
    now = read(one.path)
    if now is None or now == one.before:
        return Undone(one.path, "untouched")
    if recording.sha256(now) == one.after_sha256:
        put(one.path, one.before, now)
        return Undone(one.path, "restored")
    last = standing(parse(now)).noted.run
    if last > run:
        return Undone(
            one.path, "superseded", f"run {last} changed it later; undo that one first, then this one again"
        )
    fresh = taken_back(now, one.before, one.names, run)
    if fresh == now:
        return Undone(one.path, "untouched")
    put(one.path, fresh, now)
    return Undone(one.path, "partly")


def _sync(folders: Iterable[Path]) -> None:
    for folder in folders:
        try:
            sync_folder(folder)
        except OSError:  # a folder that cannot be opened; the files themselves are on the disk
            continue
