"""How the starter is made: its settings, and the run from shards to a Hugging Face folder.

Everything that decides the result is here; the loop itself is clipsearch.tuning's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsearch.demo.recipe.architecture import PREPROCESSING, PREPROCESSOR_CONFIG, new_model
from clipsearch.demo.recipe.shards import read_pairs
from clipsearch.demo.recipe.tokenizer import CONTEXT, train_tokenizer
from clipsearch.tuning.checkpoint import save_folder, versions
from clipsearch.tuning.pairs import Pairs
from clipsearch.tuning.settings import OnProgress, TrainSettings
from clipsearch.tuning.trainer import Tokenize, Trainer

if TYPE_CHECKING:
    from torch import Tensor

SETTINGS = TrainSettings(
    steps=1200,
    batch_size=256,
    learning_rate=2e-3,
    warmup_share=0.04,
    weight_decay=0.1,
    optimizer="muon",
    patch_keep=0.45,
    patch_keep_share=0.85,
    evaluate_every=100,
)


def make_starter(
    data: Path,
    out: Path,
    settings: TrainSettings = SETTINGS,
    *,
    validation: Path | None = None,
    state: Path | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, float]:
    """Train the starter on the shards in `data`, write it to `out`, and return its validation metrics.

    Shards that appear during the run are used from the next epoch on. With `state` a killed run goes on;
    the tokenizer is learned from the shards that are there at the start and kept beside the state.
    """
    pairs = read_pairs(data)
    tokenizer = _tokenizer(pairs, state)
    model = new_model(tokenizer, seed=settings.seed)
    model.set_attn_implementation("eager")  # in bf16 on a CPU 1.5x faster than the fused one
    trainer = Trainer(
        model, settings, tokenize=tokenize_with(tokenizer), preprocessing=PREPROCESSING, state=state
    )
    held_out = read_pairs(validation) if validation is not None else None
    while not trainer.finished:
        pairs = _as_far_as(read_pairs(data), trainer)
        trainer.run_epoch(pairs, validation=held_out, on_progress=on_progress)
    metrics = trainer.restore_best()
    run = {
        "settings": asdict(settings),
        "pictures": len(pairs),
        "data_sha256": pairs.fingerprint,
        "epochs": trainer.epoch + 1,
        "validation": metrics,
        "versions": versions(),
        "knows": "rendered machine parts of the bundled catalogue, in English and Japanese; nothing else",
    }
    save_folder(out, model, tokenizer=tokenizer, preprocessor=PREPROCESSOR_CONFIG, run=run, half=True)
    return metrics


def tokenize_with(tokenizer: Any) -> Tokenize:
    """Texts to ids (B, L), cut to the context and padded to the longest of the batch."""

    def tokenize(texts: Sequence[str]) -> Tensor:
        encoded = tokenizer(
            list(texts), padding=True, truncation=True, max_length=CONTEXT, return_tensors="pt"
        )
        ids: Tensor = encoded["input_ids"]
        return ids

    return tokenize


def _tokenizer(pairs: Pairs, state: Path | None) -> Any:
    from transformers import CLIPTokenizer

    kept = None if state is None else state.with_suffix(".tokenizer")
    if kept is not None and (kept / "tokenizer.json").exists():
        return CLIPTokenizer.from_pretrained(kept)
    texts = (text for row in pairs.captions for channel in row for text in channel)
    tokenizer = train_tokenizer(texts)
    if kept is not None:
        tokenizer.save_pretrained(kept)
    return tokenizer


def _as_far_as(pairs: Pairs, trainer: Trainer) -> Pairs:
    """The pairs of the epoch in progress, without the shards that came since it began."""
    return pairs.first(trainer.n_pairs) if trainer.batch_in_epoch else pairs
