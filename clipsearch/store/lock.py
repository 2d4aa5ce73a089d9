"""The lock that gives an embedded collection one owner process, and who holds it.

The operating system's lock on the file `lock` decides; `holder.json` only tells the loser whom to wait
for. Knows nothing of what is inside the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from clipsearch.errors import CollectionLocked, StoreError

WAIT_S = 2.0  # a search beside a search: the other one is gone by then
_LOCK, _HOLDER = "lock", "holder.json"


class CollectionLock:
    """Held from construction until release()."""

    def __init__(self, folder: Path, *, wait_s: float = WAIT_S) -> None:
        """Take the lock of the existing `folder`; CollectionLocked when another holds it for wait_s."""
        self.folder = folder
        # thread_local=False: a store is opened in one thread and may be closed in another.
        self._lock: BaseFileLock = FileLock(folder / _LOCK, thread_local=False)
        try:
            self._lock.acquire(timeout=wait_s, poll_interval=0.02)
        except Timeout as exc:
            raise _locked(folder) from exc
        except FileNotFoundError:
            raise  # the folder went away: what that means, the caller knows
        except OSError as exc:
            raise StoreError(
                f"cannot lock {folder}: {exc.strerror or exc}; the folder must be writable and on a file "
                "system that has locks. Mend that, or put collections elsewhere with CLIPSEARCH_DATA"
            ) from exc
        _write_holder(folder)

    def release(self, *, remove: bool = False) -> None:
        """Let others in. remove: the collection is deleted, take the lock's own files along."""
        with contextlib.suppress(OSError):
            (self.folder / _HOLDER).unlink(missing_ok=True)
            if remove:  # while held: a waiter that has this file open sees it unlinked and looks again
                (self.folder / _LOCK).unlink(missing_ok=True)
        self._lock.release()


def own_files() -> frozenset[str]:
    """Names of the lock's files in the folder."""
    return frozenset({_LOCK, _HOLDER})


def holder(folder: Path) -> dict[str, Any]:
    """pid, command and since of the process that took the lock last; {} if unknown."""
    try:
        found = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _locked(folder: Path) -> CollectionLocked:
    found = holder(folder)
    pid = found.get("pid")
    if pid == os.getpid():
        return CollectionLocked(
            f"collection {folder.name!r} is already open in this process (pid {pid}); "
            "use that one, or close it first",
            holder=f"pid {pid}",
        )
    who = f"pid {pid}: {found.get('command', '?')}" if pid else "another process"
    since = f", since {found['since']}" if found.get("since") else ""
    way_out = f"wait until it ends, or stop it (kill {pid})" if pid else "wait until it ends"
    return CollectionLocked(
        f"collection {folder.name!r} is in use by another process ({who}{since}); {way_out}. To search and "
        "index at the same time, let one process have the collection and work for the others: "
        "clipsearch serve",
        holder=who,
    )


def _write_holder(folder: Path) -> None:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv and sys.argv[0] else "python"
    facts = {
        "pid": os.getpid(),
        "command": command[:200],
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    fresh = folder / f"{_HOLDER}.{os.getpid()}"
    with contextlib.suppress(OSError):  # a full disk must not keep anybody from searching
        fresh.write_text(json.dumps(facts, ensure_ascii=True), encoding="utf-8")
        fresh.replace(folder / _HOLDER)
