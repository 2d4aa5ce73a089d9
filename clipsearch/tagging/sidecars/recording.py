"""What a run's journal says of a changed file, and the file's old content in it.

Owns the entries' form. Changes no file but the journal's own.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipsearch.errors import TaggingError
from clipsearch.tagging.journal import Journal
from clipsearch.tagging.sidecars.changes import Change

_INLINE = 64 << 10  # bytes of a packed file that stand in the entry itself: one fsync for many


@dataclass(frozen=True, slots=True)
class Noted:
    """One change as the journal has it."""

    path: Path
    before: bytes | None
    after_sha256: str
    names: tuple[str, ...]  # of our tags that it was to have


def note(journal: Journal, kind: str, changes: Iterable[Change]) -> None:
    """Note the changes; on the disk when this returns. Raises TaggingError where that fails."""
    try:
        journal.note(kind, [_entry(journal, change) for change in changes])
    except OSError as error:
        raise TaggingError(
            f"the run's journal in {journal.folder} cannot be written ({error.strerror}), and without it "
            "nothing could be undone; the pictures of this batch were left as they are"
        ) from error


def noted(journal: Journal, kind: str) -> Iterator[Noted]:
    """The changes; of those to one file the last first."""
    times = Counter(entry["path"] for entry in journal.noted(kind))
    repeated: list[Noted] = []
    for entry in journal.noted(kind):
        path = Path(os.fsdecode(entry["path"].encode("utf-8", "surrogateescape")))
        one = Noted(path, _unpacked(journal, entry["before"]), entry["after_sha256"], tuple(entry["tags"]))
        if times[entry["path"]] == 1:
            yield one
        else:
            repeated.append(one)
    yield from reversed(repeated)


def sha256(raw: bytes) -> str:
    """The content's name."""
    return hashlib.sha256(raw).hexdigest()


# --- parts ---------------------------------------------------------------------------------------


def _entry(journal: Journal, change: Change) -> dict[str, Any]:
    after = change.after or b""
    path = os.fsencode(change.sidecar).decode("utf-8", "surrogateescape")
    return {
        "path": path,
        "before": _packed(journal, change.before),
        "after_sha256": sha256(after),
        "tags": list(change.ours),
    }


def _packed(journal: Journal, raw: bytes | None) -> dict[str, str] | None:
    if raw is None:
        return None
    packed = zlib.compress(raw, 1)
    if len(packed) > _INLINE:
        return {"kept": journal.keep(raw)}
    return {"zlib": base64.b64encode(packed).decode()}


def _unpacked(journal: Journal, entry: dict[str, str] | None) -> bytes | None:
    if entry is None:
        return None
    if "kept" in entry:
        return journal.kept(entry["kept"])
    return zlib.decompress(base64.b64decode(entry["zlib"]))
