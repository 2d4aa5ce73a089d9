"""What training keeps: a Hugging Face folder, and the state to go on from. Never a pickle.

Knows the files, not the loop.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsearch.errors import TuningError

if TYPE_CHECKING:
    from torch import Tensor


def save_folder(
    folder: Path,
    model: Any,
    *,
    tokenizer: Any,
    preprocessor: Mapping[str, Any],
    run: Mapping[str, Any],
    half: bool = False,
) -> None:
    """Write model, tokenizer, preprocessor_config.json and run.json as transformers reads them.

    Written beside the folder and moved in file by file, the weights last, so that a kill never leaves
    half a file. half stores float16 while config.json keeps float32: loaders widen on reading, and the
    file is half as large. Other files in the folder stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
        draft = Path(name)
        with _no_progress_bar():
            model.save_pretrained(draft, max_shard_size="100GB")
        tokenizer.save_pretrained(draft)
        write_json(draft / "preprocessor_config.json", preprocessor)
        write_json(draft / "run.json", run)
        if half:
            _halve(draft / "model.safetensors")
        readable = (draft / "run.json").stat().st_mode  # safetensors makes files for the owner alone
        for path in sorted(draft.iterdir(), key=lambda p: p.suffix == ".safetensors"):
            path.chmod(readable)
            path.replace(folder / path.name)


def save_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts as one safetensors file, atomically: a kill leaves the previous one."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    save_file(contiguous, draft, metadata={"facts": json.dumps(facts)})
    draft.replace(path)


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of save_state. Raises TuningError for a file that is not one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
            return tensors, json.loads((file.metadata() or {})["facts"])
    except (SafetensorError, KeyError, ValueError, OSError) as exc:
        raise TuningError(f"{path} is not a training state ({exc}); delete it to start anew") from exc


def versions() -> dict[str, str]:
    """The versions that decide a run's numbers."""
    import numpy
    import tokenizers
    import torch
    import transformers

    packages = (numpy, tokenizers, torch, transformers)
    return {"python": platform.python_version()} | {p.__name__: p.__version__ for p in packages}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write readable JSON in UTF-8, with a line's end at the end."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """transformers draws one while it writes; a library has none."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _halve(path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    tensors = {k: v.half() if v.dtype == torch.float32 else v for k, v in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
