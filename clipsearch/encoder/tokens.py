"""Texts to token ids, as each family's own tokenizer makes them. Owns the tokenizers library.

Knows no model: it gives ids of shape (B, L), padded after the end token.
"""

from __future__ import annotations

import hashlib
import json
import re
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clipsearch.encoder.spec import ModelSpec
from clipsearch.errors import EncoderError, ModelError
from clipsearch.models import file_sha256, read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

RULES = 1  # raise when a rule below changes what ids a text gets: fingerprints must then differ
_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "spiece.model", "tokenizer.model")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SPACE = re.compile(r"\s+")
Ids = NDArray[np.int64]
_T = TypeVar("_T")


class TextTokenizer:
    """A model's tokenizer. Cut at the context's limit, a text keeps its end token."""

    def __init__(self, folder: Path, spec: ModelSpec) -> None:
        """Raises ModelError if the folder's tokenizer cannot be used."""
        config = _config(folder)
        self.context = _context(config, spec)
        self._fixed = spec.family == "siglip"  # trained on padded texts without a mask: never trimmed
        self._left = config.get("padding_side") == "left"
        self._canonical = spec.family == "siglip" and _is_sentencepiece(folder, config)
        backend = _backend(folder)
        if isinstance(backend, _Slow):
            self._encode: Callable[[list[str]], list[list[int]]] = backend.bind(self.context)
            self._count: Callable[[list[str]], list[int]] = backend.counts
            self._pad = backend.pad
            return
        eos = _special(backend, config, "eos_token", "</s>" if self._canonical else "")
        bos = _special(backend, config, "bos_token", "")
        pad = _special(backend, config, "pad_token", "")
        if eos is None or (spec.family == "clip" and bos is None):
            raise ModelError(
                f"the tokenizer in {folder} names no start and end tokens; fetch the model again"
            )
        self._pad = pad[1] if pad is not None else eos[1]
        if self._fixed and not self._canonical:
            _lower_case(backend)
        _frame(backend, bos if spec.family == "clip" or config.get("add_bos_token") else None, eos)
        backend.no_padding()
        backend.enable_truncation(self.context)
        self._encode = lambda texts: [e.ids for e in backend.encode_batch(texts)]
        frame = len(backend.encode("").ids)  # of every piece that a long text is cut into
        self._count = lambda texts: [
            len(e.ids) + sum(len(rest.ids) - frame for rest in e.overflowing)
            for e in backend.encode_batch(texts)
        ]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text with start and end tokens, not padded."""
        return self._of(texts, self._encode)

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many ids each text has before it is cut at the context's limit."""
        return self._of(texts, self._count) if texts else []

    def _of(self, texts: Sequence[str], asked: Callable[[list[str]], list[_T]]) -> list[_T]:
        try:
            return asked([canonicalize(t) if self._canonical else t for t in texts])
        except (TypeError, UnicodeEncodeError) as exc:  # a lone surrogate, or no str
            raise EncoderError(f"a text cannot be encoded: {exc}; give valid Unicode text") from exc

    def batch(self, tokens: Sequence[Sequence[int]]) -> Ids:
        """One array (B, L): L is the longest text's for CLIP, always the context for SigLIP."""
        length = self.context if self._fixed else max((len(t) for t in tokens), default=1)
        ids = np.full((len(tokens), length), self._pad, np.int64)
        for row, text in zip(ids, tokens, strict=True):
            row[length - len(text) if self._left else 0 :][: len(text)] = text
        return ids


def tokenizer_sha256(folder: Path, spec: ModelSpec, cache: Path | None) -> str:
    """A hash of all that decides which ids a text gets."""
    config = _config(folder)
    facts = {
        "files": {name: file_sha256(folder / name, cache) for name in _FILES if (folder / name).is_file()},
        "context": _context(config, spec),
        "canonical": _is_sentencepiece(folder, config),
        "left": config.get("padding_side") == "left",
        "rules": RULES,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def canonicalize(text: str) -> str:
    """Text as SigLIP was trained on it: lower case, without ASCII punctuation, single spaces.

    From big_vision's prompt_engineering.py, as transformers' SiglipTokenizer has it.
    """
    return _SPACE.sub(" ", text.lower().translate(_PUNCTUATION)).strip()


class _Slow:
    """transformers' own tokenizer, for folders without a tokenizer.json whose class has no fast form."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.pad = int(tokenizer.pad_token_id)

    def bind(self, context: int) -> Callable[[list[str]], list[list[int]]]:
        return lambda texts: self._ids(texts, truncation=True, max_length=context)

    def counts(self, texts: list[str]) -> list[int]:
        return [len(ids) for ids in self._ids(texts, verbose=False)]

    def _ids(self, texts: list[str], **options: Any) -> list[list[int]]:
        for text in texts:
            text.encode()  # of a lone surrogate sentencepiece says only that it cannot cast it
        ids: list[list[int]] = self.tokenizer(texts, **options)["input_ids"]
        return ids


def _backend(folder: Path) -> Tokenizer | _Slow:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            return Tokenizer.from_file(str(path))
        from transformers import AutoTokenizer

        own = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as exc:  # tokenizers raises bare Exception; transformers a dozen kinds
        what = "spiece.model" if (folder / "spiece.model").is_file() else path.name
        help_ = (
            "install sentencepiece: pip install sentencepiece"
            if what != path.name
            else "fetch the model again"
        )
        raise ModelError(f"the tokenizer of {folder} ({what}) cannot be loaded ({exc}); {help_}") from exc
    fast = getattr(own, "backend_tokenizer", None)
    return fast if isinstance(fast, Tokenizer) else _Slow(own)


def _config(folder: Path) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            merged |= read_json(folder / name)
    return merged


def _context(config: dict[str, Any], spec: ModelSpec) -> int:
    limit = config.get("model_max_length")
    return min(spec.context, int(limit)) if isinstance(limit, int | float) else spec.context


def _is_sentencepiece(folder: Path, config: dict[str, Any]) -> bool:
    """SigLIP 1 (a SentencePiece model), as opposed to SigLIP 2 (Gemma's)."""
    named = str(config.get("tokenizer_class", ""))
    if named.startswith(("Siglip2", "Gemma")):
        return False
    return named.startswith(("Siglip", "T5")) or (folder / "spiece.model").is_file()


def _special(backend: Tokenizer, config: dict[str, Any], key: str, default: str) -> tuple[str, int] | None:
    value = config.get(key) or default
    token = str(value.get("content", "")) if isinstance(value, dict) else str(value)
    number = backend.token_to_id(token) if token else None
    return None if number is None else (token, number)


def _lower_case(backend: Tokenizer) -> None:
    """SigLIP 2 was trained on lower-cased text, but its tokenizer.json may not say so; twice is once.

    Without it, COCO text-to-image Recall@1 falls from 52.1 to 48.6 (google-research/big_vision#166).
    """
    from tokenizers import normalizers

    own = backend.normalizer
    steps = [normalizers.Lowercase()] + ([own] if own is not None else [])
    backend.normalizer = normalizers.Sequence(steps)


def _frame(backend: Tokenizer, bos: tuple[str, int] | None, eos: tuple[str, int]) -> None:
    """Make texts start and end with the family's tokens where the file's own rule does not."""
    from tokenizers.processors import TemplateProcessing

    ids = backend.encode("a").ids
    content = backend.encode("a", add_special_tokens=False).ids
    if ids == [*([bos[1]] if bos else []), *content, eos[1]]:
        return
    single = f"{bos[0]} $A {eos[0]}" if bos else f"$A {eos[0]}"
    backend.post_processor = TemplateProcessing(
        single=single, special_tokens=[token for token in (bos, eos) if token is not None]
    )
