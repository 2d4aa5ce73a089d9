"""The starter's tokenizer: CLIP's byte-level BPE with merges learned from the catalogue's own words.

Same normaliser, pre-tokeniser and post-processor as CLIP's. Knows nothing of pictures or training.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

START, END = "<|startoftext|>", "<|endoftext|>"
SUFFIX = "</w>"  # marks the end of a word
CONTEXT = 64  # tokens of a caption, start and end included
_SCRIPTS = re.compile(r"[ぁ-ん]+|[ァ-ヶー]+|[一-龠々]+|[^ぁ-んァ-ヶー一-龠々]+")


def train_tokenizer(captions: Iterable[str], *, n_merges: int = 1500) -> Any:
    """A transformers CLIPTokenizer whose merges come from the captions.

    Japanese has no spaces, so a merge could swallow "brass-made hex bolt" whole and know nothing of a
    steel one. Merges are therefore learned on runs of one script, and each is entered twice, inside a
    word and at its end, so that a word is cut alike wherever it stands. All 256 bytes are in the
    vocabulary, as in CLIP: no text is unknown.
    """
    from transformers import CLIPTokenizer

    merges = _learn_merges(captions, n_merges)
    letters = _byte_letters()
    tokens = [*letters, *(letter + SUFFIX for letter in letters)]
    pairs = [pair for a, b in merges for pair in ((a, b), (a, b + SUFFIX))]
    known = dict.fromkeys([*tokens, *(a + b for a, b in pairs), START, END])
    vocab = {token: i for i, token in enumerate(known)}
    return CLIPTokenizer(
        vocab=vocab,
        merges=pairs,
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=CONTEXT,
        padding_side="right",
    )


def _learn_merges(captions: Iterable[str], n_merges: int) -> list[tuple[str, str]]:
    import json

    from tokenizers import Tokenizer, models, trainers
    from transformers import CLIPTokenizer

    clip = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE())
    learner.normalizer, learner.pre_tokenizer = clip.normalizer, clip.pre_tokenizer
    pieces = (run for text in captions for run in _SCRIPTS.findall(text))
    trainer = trainers.BpeTrainer(
        vocab_size=n_merges + 256, initial_alphabet=_byte_letters(), show_progress=False, min_frequency=2
    )
    learner.train_from_iterator(pieces, trainer)
    return [(a, b) for a, b in json.loads(learner.to_str())["model"]["merges"]]


def _byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in byte-level BPE, in a fixed order."""
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())
