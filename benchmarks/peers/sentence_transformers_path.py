"""sentence-transformers' way: SentenceTransformer.encode on opened pictures, the same CLIP weights.

python sentence_transformers_path.py PICTURES MODEL
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentence_transformers
import timed
from PIL import Image
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[2], device="cpu")


def encode(paths: Sequence[Path]) -> Any:
    rows: list[Any] = []
    for start in range(0, len(paths), 32):
        images = [Image.open(path) for path in paths[start : start + 32]]
        rows += list(model.encode(images, batch_size=32, normalize_embeddings=True))
    return rows


timed.report(encode, sys.argv[1], version=f"sentence-transformers {sentence_transformers.__version__}")
