"""transformers' own way: CLIPImageProcessor (Pillow) and CLIPModel, batch by batch. The reference vectors.

python transformers_path.py PICTURES MODEL VECTORS
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timed
import torch
import transformers
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel

BATCH = 32
folder, model_folder, vectors = sys.argv[1:4]
model = CLIPModel.from_pretrained(model_folder).eval()
processor = CLIPImageProcessorPil.from_pretrained(model_folder)


def encode(paths: Sequence[Path]) -> Any:
    rows = []
    with torch.inference_mode():
        for start in range(0, len(paths), BATCH):
            images = [Image.open(path).convert("RGB") for path in paths[start : start + BATCH]]
            inputs = processor(images=images, return_tensors="pt")
            features = model.get_image_features(**inputs).pooler_output
            rows.append(features / features.norm(dim=-1, keepdim=True))
    return torch.cat(rows).numpy()


timed.report(encode, folder, vectors=vectors, version=f"transformers {transformers.__version__}")
