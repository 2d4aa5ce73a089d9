"""What the benchmarks run on: pictures of several sizes and a ViT-B/32 with random weights; no figures."""

from __future__ import annotations

import shutil
from pathlib import Path

SIZES = {"12mp": (4000, 3000), "2mp": (1600, 1200), "0.3mp": (640, 480)}
_KINDS = 4  # different pictures a size; the rest are copies with other bytes


def make_pictures(folder: Path, n: int) -> dict[str, Path]:
    """Folders of camera-like JPEGs: n of 12 MP, 1.5 n of 2 MP, 2 n of 0.3 MP, and 1.5 n in equal parts.

    Copies differ by a comment in the file, so that no program can recognise them, and cost the same.
    """
    sets = {name: folder / name for name in (*SIZES, "mix")}
    if (folder / f"done-{n}").exists():
        return sets
    shutil.rmtree(folder, ignore_errors=True)
    for (name, size), count in zip(SIZES.items(), (n, n * 3 // 2, 2 * n), strict=True):
        originals = [_jpeg(*size, seed=seed) for seed in range(_KINDS)]
        _write(sets[name], originals, count, name)
        _write(sets["mix"], originals, n // 2, name)
    (folder / f"done-{n}").touch()
    return sets


def make_vit_b32(folder: Path) -> Path:
    """CLIP ViT-B/32 as transformers makes it, random weights, with the starter model's tokenizer.

    Half precision is not used; the text tower is there because a model folder has one.
    """
    if (folder / "model.safetensors").exists():
        return folder
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig())
    model.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    starter = Path(__file__).parents[1] / "clipsearch" / "demo" / "starter"
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (starter / name).is_file():
            shutil.copy(starter / name, folder / name)
    return folder


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same picture in a file with other bytes."""
    comment = text.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def _write(folder: Path, originals: list[bytes], n: int, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        data = with_comment(originals[i % len(originals)], f"{folder.name} {name} {i}")
        (folder / f"{i:05d}-{name}.jpg").write_bytes(data)


def _jpeg(width: int, height: int, *, seed: int) -> bytes:
    from images import jpeg

    return jpeg(width, height, seed=seed)
