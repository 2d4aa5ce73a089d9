"""The starter's architecture and preprocessing: a small real CLIPModel. Knows nothing of its training."""

from __future__ import annotations

from typing import Any

from clipsearch.demo.recipe.tokenizer import CONTEXT
from clipsearch.types import Preprocessing

SIDE = 128  # pixels of the model's input
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's

PREPROCESSING = Preprocessing(
    height=SIDE, width=SIDE, shortest_edge=SIDE, crop=True, resample="bicubic", mean=_MEAN, std=_STD
)
PREPROCESSOR_CONFIG: dict[str, Any] = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": SIDE},
    "resample": 3,  # bicubic
    "do_center_crop": True,
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": list(_MEAN),
    "image_std": list(_STD),
    "do_convert_rgb": True,
}


def new_model(tokenizer: Any, *, seed: int = 0) -> Any:
    """A CLIPModel of 4.1 million parameters with random weights; its ids are the tokenizer's.

    Vision: 64 patches of 16 pixels, width 192, 6 layers. Text: width 128, 4 layers. GELU in both,
    because PyTorch and ONNX Runtime have it as one kernel (quick-GELU is two).
    """
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(seed)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    common = {"hidden_act": "gelu", "projection_dim": 128, "attention_dropout": 0.0}
    text = (
        common
        | ids
        | {
            "pad_token_id": tokenizer.pad_token_id,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": CONTEXT,
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
        }
    )
    vision = common | {
        "image_size": SIDE,
        "patch_size": 16,
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 6,
        "num_attention_heads": 3,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))
