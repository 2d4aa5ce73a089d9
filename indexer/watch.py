"""`clipsearch index --watch`: indexes again whenever something below the sources changes. Prints nothing.

The collection is opened for each run and let go afterwards, so it can be searched in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from clipsearch.errors import CollectionLocked, SourceError
from clipsearch.settings import Settings
from indexer.report import RunReport

_QUIET_MS = 1600  # without a change, before a run begins: a copy of many files is one run
_ASK_MS = 500  # between looks at should_stop
_LOCKED_S = 2.0  # before a collection that somebody searches is tried again


def watched_folders(locations: Sequence[str]) -> list[Path]:
    """The folders whose changes matter: those named, and those that hold what was named.

    Raises SourceError for what cannot be watched: addresses and standard input.
    """
    folders: dict[Path, None] = {}
    for location in locations:
        if location == "-" or "://" in location:
            raise SourceError(
                f"{location} cannot be watched; --watch is for folders and files of this machine. "
                "Run the same command again now and then instead"
            )
        path = Path(location).expanduser().absolute()
        while not path.is_dir():  # a file, or a pattern: the folder in which it would be found
            path = path.parent
        folders[path.resolve()] = None
    return [path for path in folders if not any(other in path.parents for other in folders)]


def watch(
    locations: Sequence[str],
    settings: Settings,
    index_once: Callable[[], RunReport],
    *,
    on_run: Callable[[RunReport], None],
    on_problem: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> None:
    """Index now and after every change, until should_stop says so.

    on_run: told each run. on_problem: told what keeps a run from beginning, such as an empty folder; the
    next change tries again.
    """
    changes = _changes(watched_folders(locations), settings)
    next(changes)  # from here on nothing is missed, also while the first run is under way
    while True:
        try:
            on_run(index_once())
        except SourceError as exc:
            on_problem(str(exc))
        except CollectionLocked as exc:
            on_problem(f"{exc}; trying again")
            if not _slept(should_stop):
                return
            continue
        while not should_stop() and not next(changes):
            pass
        if should_stop():
            return


def _changes(folders: Sequence[Path], settings: Settings) -> Iterator[bool]:
    """Twice a second: whether a burst of changes has ended."""
    from watchfiles import watch as watch_files

    ours = (str(settings.data.resolve()), str(settings.cache.resolve()))
    for changes in watch_files(
        *folders,
        watch_filter=lambda _, path: not path.startswith(ours),  # our own writing is no change
        debounce=60_000,  # at most; a steady stream of new files is indexed every minute
        step=_QUIET_MS,
        rust_timeout=_ASK_MS,
        yield_on_timeout=True,
        raise_interrupt=True,
    ):
        yield bool(changes)


def _slept(should_stop: Callable[[], bool]) -> bool:
    """Wait a little; whether to go on."""
    end = time.monotonic() + _LOCKED_S
    while time.monotonic() < end:
        if should_stop():
            return False
        time.sleep(_ASK_MS / 1000)
    return True
