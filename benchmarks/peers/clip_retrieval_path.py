"""clip-retrieval's own reader (its FilesReader: a DataLoader of 2 processes) and mapper,
with open_clip's ViT-B-32 with random weights in the place of a downloaded one.

python clip_retrieval_path.py PICTURES
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import timed
from clip_retrieval.clip_inference import mapper
from clip_retrieval.clip_inference.reader import FilesReader

model, _, transform = open_clip.create_model_and_transforms("ViT-B-32", pretrained=None)
model.eval()
mapper.load_clip = lambda **options: (model, transform, None)


def encode(paths: Sequence[Path]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            (Path(folder) / path.name).symlink_to(path)
        reader = FilesReader(
            sampler=lambda keys: keys,
            preprocess=transform,
            tokenizer=None,
            input_dataset=folder,
            batch_size=32,
            num_prepro_workers=2,
            enable_text=False,
            enable_image=True,
            enable_metadata=False,
        )
        to_vectors = mapper.ClipMapper(
            enable_image=True,
            enable_text=False,
            enable_metadata=False,
            use_mclip=False,
            clip_model="",
            use_jit=False,
            mclip_model="",
        )
        return np.concatenate([to_vectors(batch)["image_embs"] for batch in reader])


if __name__ == "__main__":
    timed.report(encode, sys.argv[1], version=f"clip-retrieval {version('clip-retrieval')}")
