"""Tiny random models of transformers' own classes in real folders, for tests: 2 layers, 32 wide, 32 pixels.

Tokenizers are trained on a few lines. Each takes well under a second once transformers is imported.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LINES = [
    "a photo of a cat on a red chair",
    "brass hex bolt M8 x 40 with a polished finish",
    "two people walking on a beach at sunset",
    "a zinc-plated steel washer, part no. 12-34/AB",
    "真鍮製の六角ボルト、研磨仕上げ",
    "海辺を歩く二人",
] * 4
SIZE = 32  # pixels
CONTEXT = 16  # tokens
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**TOWER, "image_size": SIZE, "patch_size": 8}


def make_clip(
    folder: Path, *, seed: int = 0, legacy_eos: bool = False, act: str = "quick_gelu", half: bool = False
) -> Path:
    """A CLIPModel with CLIP's tokenizer and processor. legacy_eos: config as before transformers 4.31."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    tokenizer = _clip_tokenizer()
    text = {
        **TOWER,
        "hidden_act": act,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT,
        "bos_token_id": 0 if legacy_eos else tokenizer.bos_token_id,
        "eos_token_id": 2 if legacy_eos else tokenizer.eos_token_id,
        "pad_token_id": 1 if legacy_eos else tokenizer.pad_token_id,
    }
    config = CLIPConfig(text_config=text, vision_config={**VISION, "hidden_act": act}, projection_dim=24)
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    return _save(folder, CLIPModel, config, CLIPProcessor(processor, tokenizer), seed=seed, half=half)


def make_siglip(folder: Path, *, seed: int = 0, fast: bool = True) -> Path:
    """A SiglipModel with a SentencePiece tokenizer; fast: with a tokenizer.json beside spiece.model."""
    from transformers import SiglipImageProcessorPil, SiglipModel, SiglipProcessor

    tokenizer = _siglip_tokenizer(folder)
    processor = SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    model = _siglip_config(len(tokenizer))
    _save(folder, SiglipModel, model, SiglipProcessor(processor, tokenizer), seed=seed)
    if fast:
        _convert(tokenizer).save(str(folder / "tokenizer.json"))
    return folder


def make_siglip2(folder: Path, *, seed: int = 0) -> Path:
    """A fixed-resolution SigLIP 2 as on the hub: a SiglipModel with Gemma's kind of tokenizer."""
    from transformers import SiglipImageProcessorPil, SiglipModel, SiglipProcessor

    tokenizer = _siglip2_tokenizer()
    processor = SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE}, resample=2)
    return _save(
        folder, SiglipModel, _siglip_config(len(tokenizer)), SiglipProcessor(processor, tokenizer), seed=seed
    )


def make_naflex(folder: Path) -> Path:
    """A Siglip2Model of variable resolution, which clipsearch refuses."""
    from transformers import (
        Siglip2Config,
        Siglip2ImageProcessorPil,
        Siglip2Model,
        Siglip2Processor,
    )

    tokenizer = _siglip2_tokenizer()
    vision = {**TOWER, "patch_size": 8, "num_patches": 16}
    ids = {"bos_token_id": 2, "eos_token_id": 1}
    text = {**TOWER, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": CONTEXT}
    processor = Siglip2Processor(Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16), tokenizer)
    return _save(folder, Siglip2Model, Siglip2Config(text_config=text, vision_config=vision), processor)


def _save(folder: Path, kind: Any, config: Any, processor: Any, *, seed: int = 0, half: bool = False) -> Path:
    import torch

    torch.manual_seed(seed)
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():  # freshly made ones are so small that all vectors look alike
            parameter.normal_(0, 0.2) if parameter.ndim > 1 else parameter.add_(
                torch.randn_like(parameter) * 0.1
            )
        model.logit_scale.fill_(2.5)
    if half:
        model = model.half()
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    return folder


def _siglip_config(vocabulary: int) -> Any:
    from transformers import SiglipConfig

    ids = {"bos_token_id": 0, "eos_token_id": 1}
    text = {**TOWER, **ids, "vocab_size": vocabulary, "max_position_embeddings": CONTEXT}
    return SiglipConfig(text_config=text, vision_config=VISION)


def _clip_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    rules = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = rules.normalizer, rules.pre_tokenizer
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(LINES, trainer)
    model = json.loads(learner.to_str())["model"]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *model["vocab"]]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    for special in ("<|startoftext|>", "<|endoftext|>"):  # the end has the highest id, as in CLIP's own
        vocabulary[special] = len(vocabulary)
    merges = [tuple(pair) for pair in model["merges"]]
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT)


def _siglip2_tokenizer() -> Any:
    """Byte fallback, spaces as ▁, <eos> at the end and none at the start, padded on the right."""
    from tokenizers import trainers
    from transformers import Siglip2Tokenizer

    learner = Siglip2Tokenizer().backend_tokenizer
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{i:02X}>" for i in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=specials, show_progress=False)
    learner.train_from_iterator(LINES, trainer)
    model = json.loads(learner.to_str())["model"]
    return Siglip2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(pair) for pair in model["merges"]],
        padding_side="right",
        add_bos_token=False,
        add_eos_token=True,
        model_input_names=["input_ids"],
    )


def _siglip_tokenizer(folder: Path) -> Any:
    import sentencepiece
    from transformers import SiglipTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    prefix = folder / "trained"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line.lower() for line in LINES]),
        model_prefix=str(prefix),
        vocab_size=120,
        hard_vocab_limit=False,
        pad_id=-1,
        bos_id=-1,
        eos_id=1,
        unk_id=2,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    tokenizer = SiglipTokenizer(f"{prefix}.model", model_max_length=CONTEXT, model_input_names=["input_ids"])
    tokenizer.save_pretrained(folder)  # as spiece.model
    for suffix in (".vocab", ".model"):
        Path(f"{prefix}{suffix}").unlink()
    return SiglipTokenizer.from_pretrained(folder)


def _convert(slow: Any) -> Any:
    """The tokenizers form of a SentencePiece model, as the tokenizer.json on the hub."""
    from tokenizers import processors
    from transformers.convert_slow_tokenizer import SpmConverter

    class SiglipConverter(SpmConverter):  # type: ignore[misc]
        def post_processor(self) -> Any:
            return processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])

    return SiglipConverter(slow).converted()
