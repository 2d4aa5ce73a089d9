"""rclip's own code, with our ViT-B/32 at 224 pixels in the place of its 256-pixel model.

python rclip_path.py PICTURES ONNX VECTORS

Its loader threads, batches, hashes, session and database are its own; the model is an ONNX export of the same
weights as ours, without our shortcut. Its input size is a constant, set to 224 here.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import timed
from rclip import db, main, model, model_download
from rclip.utils import preprocess

preprocess.IMAGE_SIZE = 224
BATCH = 8  # its default


class Session:
    """Names the input and output as rclip expects them."""

    def __init__(self, path: str) -> None:
        self.inner = model_download._load_onnx_session(path)

    def get_inputs(self) -> Any:
        return self.inner.get_inputs()

    def run(self, outputs: None, feed: dict[str, Any]) -> Any:
        return self.inner.run(None, {self.inner.get_inputs()[0].name: feed["input"]})


instance = model.Model()
instance._session_visual_var = instance._session_visual_index_var = Session(sys.argv[2])


def index(folder: str) -> Any:
    with tempfile.TemporaryDirectory() as scratch:
        database = db.DB(Path(scratch) / "db.sqlite3", allow_vector_cache_reset=True)
        rclip = main.RClip(instance, database, BATCH, None)
        rclip.ensure_index(folder)
        rows = sorted(
            (row["filepath"], np.frombuffer(row["vector"], np.float32))
            for row in database.get_image_vectors_by_dir_path(folder)
        )
        rclip.close()
        database.close()
    return np.stack([vector for _, vector in rows])


def run(paths: Sequence[Path]) -> Any:
    if len(paths) == len(timed.pictures(sys.argv[1])):
        return index(sys.argv[1])
    with tempfile.TemporaryDirectory() as few:
        for path in paths:
            (Path(few) / path.name).symlink_to(path)
        return index(few)


if __name__ == "__main__":
    timed.report(run, sys.argv[1], vectors=sys.argv[3], version=f"rclip {version('rclip')}")
