"""Answers kept beside the collection: who was asked once is not asked again.

A journal that only grows, tagging/answers.jsonl; the latest answer of a picture and a label counts. Knows no
store; what follows from answers, `said` knows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from clipsearch.errors import TaggingError
from clipsearch.tagging.labels.said import Labels, Rules, Said
from clipsearch.tagging.labels.words import Words
from clipsearch.tagging.vocabulary import Vocabulary

_FILE = Path("tagging") / "answers.jsonl"


@dataclass(frozen=True, slots=True)
class Answer:
    """A person's answer to whether a picture (or all pictures of a record) shall have a tag."""

    key: str
    label: str  # its id in the vocabulary
    name: str  # for a vocabulary that has the same label under another id
    correct: bool
    when: str = ""  # ISO 8601, UTC
    by: str = ""  # the file it came in, or whoever gave it
    why: str = ""  # why it was asked; "at random": may be counted on when a share is estimated


class Answers:
    """The answers of one collection, by its folder (Settings.collection_dir)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE

    def __iter__(self) -> Iterator[Answer]:
        """The answers that count, in the order they were given."""
        return iter(self._latest().values())

    def __len__(self) -> int:
        return len(self._latest())

    def stamp(self) -> tuple[int, int] | None:
        """Another value whenever there are more answers; None: no answer yet."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size

    def add(self, labels: Labels, vocabulary: Vocabulary, *, by: str) -> int:
        """Keep what was said, pair by pair; how many answers are new or changed. On the disk afterwards."""
        fresh = self.fresh(labels, vocabulary, by=by)
        self._append(fresh)
        return len(fresh)

    def fresh(self, labels: Labels, vocabulary: Vocabulary, *, by: str = "") -> list[Answer]:
        """What add would keep: the answers that are not known yet, or differ.

        A complete list of tags is what it says of each label.
        """
        before, when = self._latest(), datetime.now(UTC).isoformat(timespec="seconds")
        rules, found = Rules(vocabulary), list[Answer]()
        for key, said in labels.by_key.items():
            pairs = (
                rules.closed(said) if said.complete else {p: p in said.has for p in said.has | said.has_not}
            )
            for place, correct in sorted(pairs.items()):
                label = vocabulary.labels[place]
                old = before.get((key, label.id))
                if old is None or old.correct != correct:
                    reason = labels.why.get((key, place), "")
                    found.append(Answer(key, label.id, label.name, correct, when, by, reason))
        return found

    def labels(self, vocabulary: Vocabulary) -> Labels:
        """The answers as labels of a vocabulary; those about labels it does not have are passed over.

        A later answer counts where an earlier one contradicts it, also by what follows from them.
        """
        words, rules = Words(vocabulary), Rules(vocabulary)
        by_key: dict[str, Said] = {}
        unknown, why = dict[str, int](), dict[tuple[str, int], str]()
        for answer in self:
            place = _place(answer, words)
            if place is None:
                unknown[answer.name] = unknown.get(answer.name, 0) + 1
                continue
            one = frozenset((place,))
            said = Said(has=one) if answer.correct else Said(has_not=one)
            if answer.why:
                why[answer.key, place] = answer.why
            by_key[answer.key] = rules.over(said, by_key.get(answer.key, Said()))
        return Labels(by_key, unknown=unknown, why=why)

    def _latest(self) -> dict[tuple[str, str], Answer]:
        found: dict[tuple[str, str], Answer] = {}
        for answer in self._read():
            found.pop((answer.key, answer.label), None)
            found[answer.key, answer.label] = answer
        return found

    def _read(self) -> Iterator[Answer]:
        """Every answer in the file's order; a last line that a power cut left half-written is passed over."""
        if not self.path.is_file():
            return
        with self.path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield Answer(**json.loads(line))
                except (ValueError, TypeError) as exc:
                    if line.endswith("\n") and line.strip():
                        raise TaggingError(
                            f"{self.path}, line {number} is no answer: {exc}; take the line out"
                        ) from exc

    def _append(self, answers: Iterable[Answer]) -> None:
        text = "".join(json.dumps(asdict(answer), ensure_ascii=False) + "\n" for answer in answers)
        if not text:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.tell() and _last_byte(self.path) != b"\n":
                file.truncate(_end_of_last_line(self.path))
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())


def _place(answer: Answer, words: Words) -> int | None:
    place = words.vocabulary.places.get(answer.label)
    if place is not None:
        return place
    try:
        return words.place(answer.name)
    except TaggingError:  # a word for several labels: it is not known which was meant
        return None


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read()


def _end_of_last_line(path: Path) -> int:
    """Where the last whole line ends."""
    return path.read_bytes().rfind(b"\n") + 1
