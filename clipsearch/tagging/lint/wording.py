"""What can be said of a vocabulary without a model: words that two labels share, and prompts too long.

Only the prompts' length needs a model, its tokenizer alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from clipsearch.tagging.lint.finding import Finding, finding, listed, merged
from clipsearch.tagging.prompts import explain, neutral_of, prompts_of, templates_of
from clipsearch.tagging.vocabulary import Vocabulary

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder

_SEPARATORS = re.compile(r"[\s_\-‐-―]+")
_ALIKE = "embedded alike"
_FRAME = 8  # tokens at most that a tokenizer adds to a text's bytes: start, end, a leading space
_SHOWN = 60  # letters of a prompt in a message


def alike(vocabulary: Vocabulary, templates: Sequence[str] = ()) -> Iterator[Finding]:
    """Labels that are embedded exactly alike, and labels that share a word but for case, width or number."""
    chosen = templates_of(vocabulary, templates)
    by_prompts: dict[frozenset[tuple[str, ...]], list[int]] = {}
    for place, label in enumerate(vocabulary.labels):
        by_prompts.setdefault(frozenset(prompts_of(label, chosen)), []).append(place)
    found: set[tuple[int, ...]] = set()
    for places in by_prompts.values():
        if len(places) > 1:
            found.add(tuple(places))
            yield finding(
                vocabulary,
                places,
                level="error",
                check=_ALIKE,
                message=f"{listed(vocabulary, places)} have the same prompts: no model can tell them apart",
                advice="say what each shows in prompts of its own, or make them one label",
                suggestion=merged(vocabulary, places),
            )
    yield from _sharing(vocabulary, found)


def _sharing(vocabulary: Vocabulary, found: set[tuple[int, ...]]) -> Iterator[Finding]:
    by_word: dict[str, dict[int, str]] = {}
    for place, label in enumerate(vocabulary.labels):
        for word in label.words:
            by_word.setdefault(folded(word), {}).setdefault(place, word)
    for words in by_word.values():
        places = tuple(words)
        if len(places) > 1 and places not in found and not _is_family(vocabulary, places):
            found.add(places)
            spelt = list(dict.fromkeys(words.values()))
            what = f'the word "{spelt[0]}"' if len(spelt) == 1 else f"one word, {' / '.join(spelt[:5])}"
            yield finding(
                vocabulary,
                places,
                level="warning",
                check="same word",
                message=f"{listed(vocabulary, places)} share {what}",
                advice="make them one label, or leave the word to one of them",
                suggestion=merged(vocabulary, places),
                words=spelt,
            )


def too_long(vocabulary: Vocabulary, encoder: Encoder, templates: Sequence[str] = ()) -> Iterator[Finding]:
    """Labels with prompts of which the model does not read the end."""
    limit = encoder.context
    long = [
        (place, prompt)
        for place, (_, prompts) in enumerate(explain(vocabulary, templates))
        for prompt in prompts
        if len(prompt.encode(errors="replace")) + _FRAME > limit  # a byte is a token at most
    ]
    counts: dict[int, list[tuple[int, str]]] = {}
    for (place, prompt), n in zip(long, encoder.count_tokens([p for _, p in long]), strict=True):
        if n > limit:
            counts.setdefault(place, []).append((n, prompt))
    for place, some in counts.items():
        n, prompt = max(some)
        others = f", and so with {len(some) - 1} more of its prompts" if len(some) > 1 else ""
        yield finding(
            vocabulary,
            [place],
            level="error",
            check="too long",
            message=f'"{vocabulary.labels[place].id}": {_cut(prompt, n, limit)}{others}',
            advice="shorten its words, or give it prompts of its own that are short",
            tokens=n,
            limit=limit,
            prompts=[prompt for _, prompt in some],
        )
    neutral = neutral_of(vocabulary)
    for prompt, n in zip(neutral, encoder.count_tokens(neutral), strict=True):
        if n > limit:
            message = f'"none of these": {_cut(prompt, n, limit)}'
            yield Finding("error", "too long", (), message, "shorten it", facts={"tokens": n, "limit": limit})


def folded(word: str) -> str:
    """The word without what only its spelling says: case, width, hyphens, an English plural."""
    text = _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", word).casefold()).strip()
    if not text.isascii():
        return text
    if text.endswith(("ches", "shes", "xes", "sses", "zes")):
        return text[:-2]
    if text.endswith("ies") and len(text) > 5:
        return text[:-3] + "y"
    if text.endswith("s") and not text.endswith(("ss", "us", "is")) and len(text) > 3:
        return text[:-1]
    return text


def _is_family(vocabulary: Vocabulary, places: Sequence[int]) -> bool:
    """Whether one of two is the other's parent or broader: SKOS gives a thing and its kind one word."""
    one, other = places[0], places[-1]
    related = other in vocabulary.ancestors(one) or one in vocabulary.ancestors(other)
    return len(places) == 2 and related


def _cut(prompt: str, n_tokens: int, limit: int) -> str:
    shown = prompt if len(prompt) <= _SHOWN else f"{prompt[: _SHOWN - 1]}…"
    return f'the prompt "{shown}" has {n_tokens} tokens, the model reads {limit} and drops the end'
