"""What a model folder holds: which files are needed, and what its safetensors headers say.

Reads headers only, a few kilobytes of files of any size. Knows nothing of architectures.
Format: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipsearch.errors import ModelError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",), ("tokenizer.model",))
PREPROCESSORS = (("preprocessor_config.json",), ("processor_config.json",))
_MAX_HEADER = 100_000_000  # bytes, as in the safetensors library
_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where one tensor lies: bytes start to end of `path`."""

    path: Path
    dtype: str  # safetensors' name: F32, F16, BF16 …
    shape: tuple[int, ...]
    start: int
    end: int


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a model's file. Raises ModelError if it is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelError(f"{path} cannot be read as JSON ({exc}); fetch the model again") from exc
    if not isinstance(value, dict):
        raise ModelError(f"{path} must hold a JSON object; fetch the model again")
    return value


def missing_files(folder: Path) -> list[str]:
    """What a folder lacks to be a usable model; an empty list if nothing."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    try:
        missing += [p.name for p in weight_files(folder) if not p.is_file()]
    except ModelError:
        missing.append(INDEX)
    for name, choices in (("a tokenizer", TOKENIZERS), ("a preprocessor", PREPROCESSORS)):
        if not any(all((folder / file).is_file() for file in files) for files in choices):
            missing.append(f"{name} ({' or '.join('+'.join(files) for files in choices)})")
    return missing


def pickles(folder: Path) -> list[str]:
    """Weights in formats that can run code on loading, which clipsearch never opens."""
    return sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in folder.glob(pattern))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model, in order: one, or the shards its index names."""
    index = folder / INDEX
    if (folder / WEIGHTS).is_file() or not index.is_file():
        return [folder / WEIGHTS]
    names = sorted(set(read_json(index).get("weight_map", {}).values()))
    if not names or any(Path(str(name)).name != name for name in names):
        raise ModelError(f"{index} names no shards beside it; fetch the model again")
    return [folder / name for name in names]


def tensor_table(folder: Path) -> dict[str, TensorEntry]:
    """Every tensor's dtype, shape and place. Raises ModelError for a damaged or cut-off file."""
    table: dict[str, TensorEntry] = {}
    for path in weight_files(folder):
        table |= _header(path)
    return table


def read_scalar(entry: TensorEntry) -> float:
    """The value of a tensor with one element."""
    if math.prod(entry.shape) != 1 or entry.dtype not in ("F64", "F32", "F16", "BF16"):
        raise ModelError(f"{entry.path}: expected one number, found {entry.dtype}{list(entry.shape)}")
    with entry.path.open("rb") as file:
        file.seek(entry.start)
        raw = file.read(entry.end - entry.start)
    if entry.dtype == "BF16":  # the upper half of a float32
        return float(np.frombuffer(b"\0\0" + raw, "<f4")[0])
    return float(np.frombuffer(raw, {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[entry.dtype])[0])


def _header(path: Path) -> dict[str, TensorEntry]:
    try:
        n_bytes = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(_MAX_HEADER, n_bytes):
                raise ValueError(f"a header of {length} bytes in a file of {n_bytes}")
            header = json.loads(file.read(length))
        entries = {
            name: _entry(path, value, 8 + length) for name, value in header.items() if name != "__metadata__"
        }
        expected = max((entry.end for entry in entries.values()), default=8 + length)
        if expected != n_bytes:
            raise ValueError(f"{n_bytes} bytes where its header speaks of {expected}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ModelError(
            f"{path} is not a whole safetensors file ({exc}); delete it and fetch the model again"
        ) from exc
    return entries


def _entry(path: Path, value: dict[str, Any], offset: int) -> TensorEntry:
    start, end = value["data_offsets"]
    entry = TensorEntry(path, value["dtype"], tuple(value["shape"]), offset + start, offset + end)
    size = _SIZES.get(entry.dtype)
    if size is not None and end - start != size * math.prod(entry.shape):
        raise ValueError(f"a tensor of {entry.dtype}{list(entry.shape)} in {end - start} bytes")
    return entry
