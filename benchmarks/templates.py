"""Which template set finds the right label: `clipsearch demo`, then `python benchmarks/templates.py`.

For every template set, the bare word and "a photo of {}.", prints zero-shot top-1 in percent of shape,
material and finish on the demo collection: the parts of split val, by which the sets were chosen, and of
split test; with English and with Japanese labels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import clipsearch
from clipsearch.cli.demo import data_folder
from clipsearch.tagging.prompts import SETS
from clipsearch.tagging.vectors import label_vectors
from clipsearch.tagging.vocabulary import Vocabulary

FIELDS = ("shape", "material", "finish")
TEMPLATES = {"a photo of {}.": ("a photo of {}.",), "{}": ("{}",), **{name: (name,) for name in SETS}}


def main() -> None:
    whole = clipsearch.read_vocabulary(data_folder() / "vocabulary.yaml")
    with clipsearch.open("demo") as searcher:
        points = [p for batch in searcher.store.scroll(with_vectors=True) for p in batch]
        vectors = np.stack([np.asarray(p.vectors["image"], np.float32) for p in points])
        splits = np.array([str(p.payload["split"]) for p in points])
        print(
            f"{'':10}{'templates':16}" + "".join(f"{f'{s} {f}':>15}" for s in ("val", "test") for f in FIELDS)
        )
        for language, vocabulary in (("English", _in(whole, "en")), ("Japanese", _in(whole, "ja"))):
            for name, templates in TEMPLATES.items():
                labels = label_vectors(searcher.encoder, vocabulary, templates=templates).labels
                right = {
                    field: _right(vectors @ labels[list(places)].T, [whole.labels[i].name for i in places],
                                  [str(p.payload[field]) for p in points])
                    for field, places in whole.groups.items()
                }  # fmt: skip
                cells = [100 * right[f][splits == s].mean() for s in ("val", "test") for f in FIELDS]
                print(f"{language:10}{name:16}" + "".join(f"{cell:15.1f}" for cell in cells))


def _in(vocabulary: Vocabulary, language: str) -> Vocabulary:
    """The vocabulary with words of one language alone."""
    labels = [
        replace(label, name=label.name if language == "en" else label.translations["ja"][0], translations={})
        for label in vocabulary.labels
    ]
    return replace(vocabulary, labels=tuple(labels))


def _right(cosines: np.ndarray, names: list[str], truth: list[str]) -> np.ndarray:
    return np.array(names)[cosines.argmax(axis=1)] == np.array(truth)


if __name__ == "__main__":
    main()
