"""All checks of a vocabulary, as far as what there is allows. Finds nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from clipsearch.tagging.lint.finding import Finding
from clipsearch.tagging.lint.nearness import like_background, near_synonyms
from clipsearch.tagging.lint.tagging import given
from clipsearch.tagging.lint.wording import alike, too_long
from clipsearch.tagging.scoring import Scorer
from clipsearch.tagging.vectors import LabelVectors
from clipsearch.tagging.vocabulary import Vocabulary
from clipsearch.types import Embeddings

if TYPE_CHECKING:
    from clipsearch.encoder import Encoder

Need: TypeAlias = Literal["words", "model", "collection"]

CHECKS: Mapping[str, tuple[Need, str]] = {
    "embedded alike": ("words", "labels with the same prompts"),
    "same word": ("words", "a word of two labels"),
    "too long": ("model", "prompts that the model does not read to the end"),
    "near-synonyms": ("model", "labels that are nearly one for the model"),
    "like background": ("model", "labels that say no more than a photo"),
    "given to most": ("collection", "labels given to more than 60 % of the pictures"),
    "same pictures": ("collection", "labels given to the same pictures"),
    "never given": ("collection", "labels given to no picture"),
}
_LEVELS = ("error", "warning", "note")


def lint(
    vocabulary: Vocabulary,
    labels: LabelVectors | None = None,
    encoder: Encoder | None = None,
    *,
    templates: Sequence[str] = (),
    vectors: Embeddings | None = None,
    scorer: Scorer | None = None,
) -> list[Finding]:
    """What is wrong, errors first, then in the order of CHECKS; empty where nothing is.

    labels, encoder: the vocabulary's vectors, and the model they are of; without them only words are
    checked. templates: those that labels was made with. vectors (N, D), scorer: pictures of a collection
    and what decides their tags; fewer than 50 pictures say nothing. Raises TaggingError for a template.
    """
    found = list(alike(vocabulary, templates))
    if encoder is not None:
        found += too_long(vocabulary, encoder, templates)
    if labels is not None:
        found += near_synonyms(vocabulary, labels, _groups(found))
        found += like_background(vocabulary, labels, vectors)
    if scorer is not None and vectors is not None:
        found += given(vocabulary, scorer, vectors, _groups(found))
    order = list(CHECKS)
    return sorted(found, key=lambda one: (_LEVELS.index(one.level), order.index(one.check)))


def skipped(*, model: bool, collection: bool) -> list[str]:
    """The checks that are left out without a model, or without a collection."""
    there = {"words": True, "model": model, "collection": collection}
    return [name for name, (need, _) in CHECKS.items() if not there[need]]


def _groups(found: Sequence[Finding]) -> set[tuple[str, ...]]:
    return {one.labels for one in found}
