"""open_clip's way: its transform in a DataLoader's worker processes, its own ViT-B-32 with random weights.

python open_clip_path.py PICTURES
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import timed
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

BATCH, WORKERS = 32, 2
model, _, transform = open_clip.create_model_and_transforms("ViT-B-32", pretrained=None)
model.eval()


class Pictures(Dataset):
    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> Any:
        return transform(Image.open(self.paths[i]))


def encode(paths: Sequence[Path]) -> Any:
    batches = DataLoader(Pictures(paths), batch_size=BATCH, num_workers=WORKERS)
    with torch.inference_mode():
        rows = [model.encode_image(batch, normalize=True) for batch in batches]
    return torch.cat(rows).numpy()


if __name__ == "__main__":
    timed.report(encode, sys.argv[1], version=f"open_clip {open_clip.__version__}, torch {torch.__version__}")
