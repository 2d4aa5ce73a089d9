"""open_clip on a GPU: its transform in a DataLoader of a process a core, its ViT-B-32 in bf16.

python open_clip_gpu.py PICTURES DEVICE SECONDS
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import open_clip
import timed
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

BATCH = 256


class Pictures(Dataset):
    def __init__(self, paths: list[Path], transform: Any) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> Any:
        return self.transform(Image.open(self.paths[i]))


def main(folder: str, device: str, seconds: float) -> None:
    kind = torch.bfloat16 if device != "cpu" else torch.float32
    precision = "bf16" if device != "cpu" else "fp32"
    model, _, transform = open_clip.create_model_and_transforms(
        "ViT-B-32", pretrained=None, precision=precision, device=device
    )
    model.eval()
    with torch.inference_mode():
        pixels = torch.randn(BATCH, 3, 224, 224, device=device, dtype=kind)
        model.encode_image(pixels, normalize=True).cpu()
        n, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            model.encode_image(pixels, normalize=True).cpu()
            n += BATCH
        alone = n / (time.perf_counter() - start)
        paths = timed.pictures(folder)
        loader = DataLoader(
            Pictures(paths, transform), batch_size=BATCH, num_workers=os.cpu_count() or 1, pin_memory=True
        )
        start = time.perf_counter()
        for batch in loader:
            model.encode_image(batch.to(device, kind, non_blocking=True), normalize=True).cpu()
        pace = len(paths) / (time.perf_counter() - start)
    facts = {"encoder": alone, "images_per_s": pace, "version": f"open_clip {open_clip.__version__}"}
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
