"""Which label of a vocabulary a word means: names, other words for it, ids and paths, however written.

Letter case, full-width forms and blanks at the ends do not count.
"""

from __future__ import annotations

import unicodedata
from difflib import get_close_matches
from functools import cached_property

from clipsearch.errors import TaggingError
from clipsearch.tagging.vocabulary import Vocabulary

_PATH_SIGNS = ("|", "/")


class Words:
    """A vocabulary's words. An id counts before a path, a path before a name, a name before other words."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def place(self, word: str, *, group: str | None = None) -> int | None:
        """The label's place; None where no label has that word. group: only among that group's labels.

        Raises TaggingError for a word of several labels.
        """
        wanted = plain(word)
        only = None if group is None else set(self.vocabulary.groups[group])
        for words in self._tiers:
            places = [p for p in words.get(wanted, ()) if only is None or p in only]
            if len(places) == 1:
                return places[0]
            if places:
                ids = ", ".join(repr(self.vocabulary.labels[p].id) for p in places[:4])
                raise TaggingError(f"{word!r} is a word for several labels; write one of their ids: {ids}")
        return None

    def nearest(self, word: str) -> str:
        """A word of the vocabulary that looks like this one, as advice: " (did you mean 'brass'?)"; or ""."""
        close = get_close_matches(plain(word), list(self._tiers[2]) + list(self._tiers[3]), n=1, cutoff=0.6)
        if not close:
            return ""
        place = next(p for words in self._tiers[2:] for p in words.get(close[0], ()))
        return f" (did you mean {self.vocabulary.labels[place].name!r}?)"

    @cached_property
    def _tiers(self) -> tuple[dict[str, tuple[int, ...]], ...]:
        tiers: tuple[dict[str, dict[int, None]], ...] = ({}, {}, {}, {})
        for place, label in enumerate(self.vocabulary.labels):
            paths = [sign.join(path) for path in self.vocabulary.paths(place) for sign in _PATH_SIGNS]
            for tier, words in zip(tiers, ((label.id,), paths, (label.name,), label.words), strict=True):
                for word in words:
                    tier.setdefault(plain(word), {})[place] = None
        return tuple({word: tuple(places) for word, places in tier.items()} for tier in tiers)


def plain(word: str) -> str:
    """The word as words are compared: NFKC, letter case folded, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", word).casefold().split())
