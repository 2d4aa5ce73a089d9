"""A tagging run's journal: what was changed, noted before it is changed, so that it can be undone.

Lies beside the collection, in tagging/RUN/. Knows no store and no sidecar; changes nothing itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clipsearch.errors import TaggingError
from clipsearch.files import replaced, sync_folder, write_json

_RUNS = "tagging"
_NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


class Journal:
    """One run's journal. `facts` says what the run was: vocabulary, model, options, and later its counts."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Use create or open."""
        self.folder, self.facts = folder, dict(facts)

    @classmethod
    def create(cls, collection: Path, facts: Mapping[str, Any]) -> Journal:
        """A new run's journal in the collection's folder."""
        while True:
            now = datetime.now(UTC)
            run = f"{now:%Y%m%d-%H%M%S}-{now.microsecond * 65536 // 1_000_000:04x}"
            journal = cls(collection / _RUNS / run, {**facts, "run": run, "state": "open"})
            try:
                journal.folder.mkdir(parents=True)
            except FileExistsError:
                continue  # of another run that began in the same 15 microseconds
            journal._save()
            return journal

    @classmethod
    def open(cls, collection: Path, run: str) -> Journal:
        """The journal of a run, by its name. TaggingError where there is none."""
        folder = collection / _RUNS / run
        if not _NAME.fullmatch(run) or not (folder / "run.json").is_file():
            known = ", ".join(runs(collection)[-3:]) or "none"
            raise TaggingError(f"there is no run {run!r} of this collection; the latest runs: {known}")
        return cls(folder, json.loads((folder / "run.json").read_text(encoding="utf-8")))

    @property
    def run(self) -> str:
        """The run's name: its moment in UTC, the second's fraction as four hex digits: names sort by time."""
        return self.folder.name

    def note(self, kind: str, entries: Iterable[Mapping[str, Any]]) -> None:
        """Write down changes of one kind ("payload", "sidecar", …); on the disk when this returns."""
        path = self.folder / f"{kind}.jsonl"
        is_new = not path.is_file()
        if not is_new:
            _drop_half_line(path)
        # Names may hold bytes that are no UTF-8; their escape is what JSON has for them.
        with path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            for entry in entries:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self.folder)

    def noted(self, kind: str) -> Iterator[dict[str, Any]]:
        """The changes of one kind in the order they were noted; a half-written last line is left out."""
        path = self.folder / f"{kind}.jsonl"
        if not path.is_file():
            return
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def keep(self, data: bytes) -> str:
        """Keep what a file held; gives the name to ask `kept` for."""
        name = hashlib.sha256(data).hexdigest()
        path = self.folder / "kept" / name[:2] / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replaced(path) as fresh, fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(path.parent)
        return name

    def kept(self, name: str) -> bytes:
        """What keep was given."""
        return (self.folder / "kept" / name[:2] / name).read_bytes()

    def close(self, state: str, **counts: Any) -> None:
        """Say how the run ended: "done", "stopped" or "undone", with its counts."""
        self.facts.update(counts, state=state)
        self._save()

    def _save(self) -> None:
        write_json(self.folder / "run.json", self.facts)


def _drop_half_line(path: Path) -> None:
    """Take out what a killed run left of its last line; nothing was changed for it yet."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(end - 65536, 0)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0 or start == 0:
                file.truncate(start + at + 1)
                return
            end = start


def runs(collection: Path) -> list[str]:
    """Names of the collection's runs, oldest first."""
    folder = collection / _RUNS
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if _NAME.fullmatch(p.name) and (p / "run.json").is_file())
